package synod_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The project's conventions as a test over its own files. What is made from
// the code (docs/limits.md, the depguard rules of .golangci.yml) is rewritten
// by -update and reviewed as a diff.

var update = flag.Bool("update", false, "rewrite the files that are made from the code")

// pkg is what `go list` says of a package.
type pkg struct {
	ImportPath   string
	Dir          string
	Name         string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	Error        *struct{ Err string }
}

func listPackages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-e", "-json", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.Error != nil && len(p.GoFiles) == 0 {
			continue // only tests, or a folder that another build tag fills
		}
		all = append(all, p)
	}
	return all
}

// rule is a row of the import table.
type rule struct {
	path    string   // import path
	imports []string // import paths below the module
	others  []string // prefixes of third-party import paths
}

func readText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// modulePath turns a name of the table into an import path.
func modulePath(name string) string {
	switch first, _, _ := strings.Cut(name, "/"); first {
	case "synod":
		return name
	case "app", "receipt", "client", "serve", "constitutions", "jsapp", "cmd", "examples", "e2e":
		return "synod/" + name
	default:
		return "synod/internal/" + name
	}
}

func importTable(t *testing.T) []rule {
	t.Helper()
	_, text, _ := strings.Cut(readText(t, "ARCHITECTURE.md"), "<!-- imports -->")
	text, _, ok := strings.Cut(text, "<!-- /imports -->")
	if !ok {
		t.Fatal("ARCHITECTURE.md has no import table")
	}
	list := func(cell string) []string {
		if cell = strings.TrimSpace(cell); cell == "–" {
			return nil
		}
		return strings.Split(cell, ", ")
	}
	var rules []rule
	for line := range strings.SplitSeq(text, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.Contains(line, "---") || strings.Contains(line, "May import") {
			continue
		}
		for _, name := range list(cells[1]) {
			r := rule{path: modulePath(name), others: list(cells[3])}
			for _, i := range list(cells[2]) {
				r.imports = append(r.imports, modulePath(i))
			}
			rules = append(rules, r)
		}
	}
	return rules
}

// ruleFor finds the row of the longest path that holds p.
func ruleFor(rules []rule, p string) *rule {
	var found *rule
	for i, r := range rules {
		if (p == r.path || r.path != "synod" && strings.HasPrefix(p, r.path+"/")) && (found == nil || len(r.path) > len(found.path)) {
			found = &rules[i]
		}
	}
	return found
}

func (r *rule) allows(imp string) bool {
	under := func(prefix string) bool { return imp == prefix || strings.HasPrefix(imp, prefix+"/") }
	if imp == "synod" || strings.HasPrefix(imp, "synod/") {
		return r.path != "synod" && under(r.path) || slices.Contains(r.imports, imp) ||
			slices.ContainsFunc(r.imports, func(i string) bool { return i != "synod" && under(i) })
	}
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return true // standard library
	}
	return slices.ContainsFunc(r.others, under)
}

func TestTidyImports(t *testing.T) {
	rules := importTable(t)
	used := map[string]bool{}
	for _, p := range listPackages(t) {
		if strings.HasPrefix(p.ImportPath, "synod/e2e") || strings.HasPrefix(p.ImportPath, "synod/tools") {
			continue
		}
		r := ruleFor(rules, p.ImportPath)
		if r == nil {
			t.Errorf("%s is not in ARCHITECTURE.md's import table", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if !r.allows(imp) {
				t.Errorf("%s imports %s: the table in ARCHITECTURE.md does not allow it", p.ImportPath, imp)
			}
			for _, library := range r.others {
				used[r.path+" "+library] = used[r.path+" "+library] || imp == library || strings.HasPrefix(imp, library+"/")
			}
		}
	}
	for _, r := range rules {
		for _, library := range r.others {
			if !used[r.path+" "+library] {
				t.Errorf("ARCHITECTURE.md allows %s to import %s, which it does not", r.path, library)
			}
		}
	}
}

// TestTidyDepguard keeps the lint's rules equal to the table.
func TestTidyDepguard(t *testing.T) {
	const begin, end = "        # begin: made by `make tidy` from the table in ARCHITECTURE.md\n", "        # end\n"
	var b strings.Builder
	rules := importTable(t)
	for _, r := range rules {
		dir := strings.TrimPrefix(r.path, "synod/")
		files := "**/" + dir + "/**"
		if r.path == "synod" {
			dir, files = "root", "*.go"
		}
		for _, below := range rules { // folders that have a row of their own
			if r.path != "synod" && strings.HasPrefix(below.path, r.path+"/") {
				files += `", "!**/` + strings.TrimPrefix(below.path, "synod/") + "/**"
			}
		}
		fmt.Fprintf(&b, "        %s:\n          list-mode: strict\n          files: [\"%s\", \"!$test\"]\n          allow:\n            - $gostd\n",
			strings.ReplaceAll(dir, "/", "-"), files)
		if r.path != "synod" {
			fmt.Fprintf(&b, "            - %s\n", r.path)
		}
		for _, i := range r.imports {
			if i == "synod" {
				i = "synod$"
			}
			fmt.Fprintf(&b, "            - %s\n", i)
		}
		for _, o := range r.others {
			fmt.Fprintf(&b, "            - %s\n", o)
		}
	}
	text := readText(t, ".golangci.yml")
	before, rest, ok := strings.Cut(text, begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal(".golangci.yml lost the marks of its depguard rules")
	}
	if got == b.String() {
		return
	}
	if !*update {
		t.Fatal("the depguard rules in .golangci.yml are not those of ARCHITECTURE.md: run make tidy")
	}
	writeFile(t, ".golangci.yml", before+begin+b.String()+end+after)
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil { //nolint:gosec // a file of the repository
		t.Fatal(err)
	}
}

func TestTidyPackageComments(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.Name != "main" && !slices.Contains(p.GoFiles, "doc.go") {
			t.Errorf("%s has no doc.go", p.ImportPath)
		}
	}
}

// sources calls fn for every text file that is ours.
func sources(t *testing.T, fn func(name, text string)) {
	t.Helper()
	skip := []string{".git", ".cache", ".venv", "bin", "dist", "generated", "node_modules", "testdata", "workspace"}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains(skip, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		switch path.Ext(name) {
		case ".go", ".js", ".ts", ".md", ".py", ".yml", ".sh", ".json", "":
			if strings.HasSuffix(name, "_gen.go") || path.Base(name) == "package-lock.json" {
				return nil
			}
			fn(name, readText(t, name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTidyWords(t *testing.T) {
	for _, banned := range []struct {
		expr *regexp.Regexp
		why  string
	}{
		{regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`), "finish it, or file an issue"},
		{regexp.MustCompile(`(?i)\bnot (yet )?imple` + `mented\b`), "finish it, or say what is done instead"},
		{regexp.MustCompile(`(^|[^A-Za-z0-9_.])/(wo` + `rk|fa` + `rm|ro` + `ot|tm` + `p)/`), "names a path of one machine"},
		{regexp.MustCompile(`(?i)\b(obvi` + `ously|sim` + `ply put|as you kn` + `ow)\b`), "say it or leave it out"},
	} {
		sources(t, func(name, text string) {
			for i, line := range strings.Split(text, "\n") {
				if m := banned.expr.FindString(line); m != "" && !strings.Contains(line, "CodeNotImplemented") {
					t.Errorf("%s:%d: %q: %s", name, i+1, m, banned.why)
				}
			}
		})
	}
}

// TestTidyTestsDoNotSleep lets only tests in a synctest bubble sleep: their
// clock is not the machine's.
func TestTidyTestsDoNotSleep(t *testing.T) {
	sources(t, func(name, text string) {
		if strings.HasSuffix(name, "_test.go") && name != "tidy_test.go" && !strings.Contains(text, `"testing/synctest"`) &&
			strings.Contains(text, "time.Sleep(") {
			t.Errorf("%s sleeps: poll for what it waits for, or use testing/synctest", name)
		}
	})
}

// parsed calls fn for every file of code that ships.
func parsed(t *testing.T, fn func(p pkg, file *ast.File, set *token.FileSet)) {
	t.Helper()
	for _, p := range listPackages(t) {
		if strings.HasPrefix(p.ImportPath, "synod/examples") || strings.HasPrefix(p.ImportPath, "synod/tools") {
			continue
		}
		for _, name := range p.GoFiles {
			if strings.HasSuffix(name, "_gen.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			fn(p, file, set)
		}
	}
}

var limitName = regexp.MustCompile(`^([mM]ax|[dD]efault)[A-Z]|(Max|Limit|Min|Timeout|Interval)$`)

// TestTidyLimits keeps docs/limits.md the list of the constants that bound or
// default something.
func TestTidyLimits(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Limits and defaults

Every bound and every default of the code, by package. Made from the constants
by ` + "`make tidy`" + `: change the code, not this page. Durations are Go expressions;
sizes are in bytes unless the constant's comment says otherwise.

| Package | Constant | Value | Why |
|---|---|---|---|
`)
	parsed(t, func(p pkg, file *ast.File, set *token.FileSet) {
		for _, decl := range file.Decls {
			consts, ok := decl.(*ast.GenDecl)
			if !ok || consts.Tok != token.CONST {
				continue
			}
			for _, spec := range consts.Specs {
				writeLimit(&b, p, consts, spec.(*ast.ValueSpec), set)
			}
		}
	})
	if b.String() == readText(t, "docs/limits.md") {
		return
	}
	if !*update {
		t.Fatal("docs/limits.md is not what the constants say: run make tidy")
	}
	writeFile(t, "docs/limits.md", b.String())
}

func writeLimit(b *strings.Builder, p pkg, decl *ast.GenDecl, spec *ast.ValueSpec, set *token.FileSet) {
	for i, name := range spec.Names {
		if !limitName.MatchString(name.Name) || i >= len(spec.Values) {
			continue
		}
		if lit, ok := spec.Values[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			continue
		}
		var value bytes.Buffer
		if err := printer.Fprint(&value, set, spec.Values[i]); err != nil {
			continue
		}
		doc := spec.Doc.Text() + " " + spec.Comment.Text()
		if len(decl.Specs) == 1 {
			doc = decl.Doc.Text() + " " + doc
		}
		doc = strings.Join(strings.Fields(doc), " ")
		doc, _, _ = strings.Cut(doc, ". ")
		doc = strings.TrimPrefix(doc, name.Name+" is ")
		fmt.Fprintf(b, "| %s | `%s` | `%s` | %s |\n", strings.TrimPrefix(p.ImportPath, "synod/"), name.Name, value.String(),
			strings.ReplaceAll(doc, "|", "\\|"))
	}
}

// TestTidyGoroutines wants each function that starts a goroutine named in
// docs/goroutines.md.
func TestTidyGoroutines(t *testing.T) {
	page := readText(t, "docs/goroutines.md")
	parsed(t, func(p pkg, file *ast.File, set *token.FileSet) {
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			starts := false
			ast.Inspect(fn, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					starts = true
				case *ast.CallExpr:
					sel, ok := n.Fun.(*ast.SelectorExpr)
					starts = starts || ok && sel.Sel.Name == "Go" && len(n.Args) == 1
				}
				return true
			})
			if name := path.Base(p.ImportPath) + "." + functionName(fn); starts && !strings.Contains(page, "`"+name+"`") {
				t.Errorf("%s: %s starts a goroutine that docs/goroutines.md does not name", set.Position(fn.Pos()), name)
			}
		}
	})
}

func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	of := fn.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if generic, ok := of.(*ast.IndexExpr); ok {
		of = generic.X
	}
	if id, ok := of.(*ast.Ident); ok {
		return id.Name + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// TestTidyWalks wants every function that ARCHITECTURE.md's walks name to
// exist.
func TestTidyWalks(t *testing.T) {
	exists := map[string]bool{}
	parsed(t, func(p pkg, file *ast.File, _ *token.FileSet) {
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				exists[path.Base(p.ImportPath)+"."+functionName(fn)] = true
			}
		}
	})
	named := regexp.MustCompile(`\b([a-z]+)\.(\(\*(\w+)\)\.)?(\w+)\b`)
	for i, block := range strings.Split(readText(t, "ARCHITECTURE.md"), "<!-- walks -->") {
		block, _, _ = strings.Cut(block, "<!-- /walks -->")
		if i == 0 {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(block, -1) {
			name := m[1] + "." + m[4]
			if m[3] != "" {
				name = m[1] + "." + m[3] + "." + m[4]
			}
			if !exists[name] {
				t.Errorf("ARCHITECTURE.md walks through %s, which does not exist", m[0])
			}
		}
	}
}

// TestTidyErrorCodes wants every code on the wire documented.
func TestTidyErrorCodes(t *testing.T) {
	page := readText(t, "docs/errors.md")
	for _, m := range regexp.MustCompile(`(?m)^\tCode\w+\s+= "(\w+)"`).FindAllStringSubmatch(readText(t, "errors.go"), -1) {
		if !strings.Contains(page, "| `"+m[1]+"` |") {
			t.Errorf("docs/errors.md does not list %s", m[1])
		}
	}
}

// TestTidyDependencies wants a line with the reason for every library.
func TestTidyDependencies(t *testing.T) {
	page := readText(t, "docs/dependencies.md")
	for _, r := range importTable(t) {
		for _, library := range r.others {
			if !strings.Contains(page, "`"+library+"`") {
				t.Errorf("docs/dependencies.md does not mention %s", library)
			}
		}
	}
}

// TestTidyDecisions wants the index of decisions complete.
func TestTidyDecisions(t *testing.T) {
	page := readText(t, "docs/decisions/README.md")
	files, err := os.ReadDir("docs/decisions")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "README.md" && !strings.Contains(page, "("+f.Name()+")") {
			t.Errorf("docs/decisions/README.md does not list %s", f.Name())
		}
	}
}
