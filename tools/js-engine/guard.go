package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// What wasm2go writes and addGuard relies on. A translator that writes
// something else makes addGuard fail, never silently skip.
var (
	lowering   = regexp.MustCompile(`(?m)^(\t+)m\.g0 = (v\d+)$`)
	anySetting = regexp.MustCompile(`(?m)^\t+m\.g0 = .*$`)
	raising    = regexp.MustCompile(`^\t+m\.g0 = (v\d+ \+ i32\(\d+\)|v\d+ - i32\(-\d+\)|i32\(0x100000\))$`)
)

const (
	structHead = "type Module struct {\n"
	memoryMax  = "const maxMem = 65536\n"
	// 1 GiB of linear memory is the most that a module may have.
	memoryCap = "const maxMem = 16384\n"
)

// addGuard makes translated code call the guard of engine/guard.go: wherever
// a function lowers the stack pointer, in loops, and around functions that
// could recurse without ever lowering it. It also caps the memory.
func addGuard(source []byte) ([]byte, error) {
	for _, line := range anySetting.FindAll(source, -1) {
		if !lowering.Match(line) && !raising.Match(line) {
			return nil, fmt.Errorf("unknown way to set the stack pointer: %s", line)
		}
	}
	lowered := lowering.FindAllIndex(source, -1)
	if len(lowered) < 400 {
		return nil, fmt.Errorf("only %d places lower the stack pointer", len(lowered))
	}
	frameless, err := framelessRecursion(source)
	if err != nil {
		return nil, err
	}
	source = lowering.ReplaceAll(source, []byte("${1}m.g0 = $2\n${1}if $2 < m.low.Load() {\n${1}\tm.lowered($2)\n${1}}"))
	if source, err = replaceOnce(source, structHead, structHead+"\tguard\n"); err != nil {
		return nil, err
	}
	if source, err = replaceOnce(source, memoryMax, memoryCap); err != nil {
		return nil, err
	}
	source = addPolls(source)
	for _, name := range frameless {
		if source, err = countDepth(source, name); err != nil {
			return nil, err
		}
	}
	return source, nil
}

var (
	funcHead = regexp.MustCompile(`^func (\(m \*Module\) )?\w+\(`)
	label    = regexp.MustCompile(`^\t*(l\d+):$`)
	jump     = regexp.MustCompile(`^(\t+)goto (l\d+)$`)
)

// addPolls looks at the watchdog wherever a method jumps back: functions
// without the module have no loops worth stopping.
func addPolls(source []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(source) + len(source)/10)
	method := false
	seen := map[string]bool{}
	for line := range bytes.Lines(source) {
		text := bytes.TrimSuffix(line, []byte("\n"))
		if m := funcHead.FindSubmatch(text); m != nil {
			method = len(m[1]) > 0
			clear(seen)
		} else if m := label.FindSubmatch(text); m != nil {
			seen[string(m[1])] = true
		} else if m := jump.FindSubmatch(text); m != nil && method && seen[string(m[2])] {
			fmt.Fprintf(&out, "%sm.poll()\n", m[1])
		}
		out.Write(line)
	}
	return out.Bytes()
}

func replaceOnce(source []byte, old, new string) ([]byte, error) {
	if bytes.Count(source, []byte(old)) != 1 {
		return nil, fmt.Errorf("want %q once in the translated code", old)
	}
	return bytes.Replace(source, []byte(old), []byte(new), 1), nil
}

// countDepth renames a function and puts one that counts in its place.
func countDepth(source []byte, name string) ([]byte, error) {
	head := regexp.MustCompile(`(?m)^func \(m \*Module\) ` + name + `\((.*?)\)(.*) \{$`)
	found := head.FindAllSubmatch(source, -1)
	if len(found) != 1 {
		return nil, fmt.Errorf("function %s: found %d times", name, len(found))
	}
	params, result := string(found[0][1]), strings.TrimSpace(string(found[0][2]))
	args := regexp.MustCompile(`v\d+`).FindAllString(params, -1)
	call := fmt.Sprintf("m.counted_%s(%s)", name, strings.Join(args, ", "))
	body := "\tm.enter()\n\tr := " + call + "\n\tm.depth--\n\treturn r\n"
	if result == "" {
		body = "\tm.enter()\n\t" + call + "\n\tm.depth--\n"
	}
	// As gofmt writes it, so that formatting the tree changes nothing.
	if result != "" {
		result += " "
	}
	wrapper := fmt.Sprintf("func (m *Module) %s(%s) %s{\n%s}\n\n", name, params, result, body)
	renamed := fmt.Sprintf("func (m *Module) counted_%s(%s) %s{", name, params, result)
	return bytes.Replace(source, found[0][0], []byte(wrapper+renamed), 1), nil
}

// framelessRecursion returns functions whose counting bounds every recursion
// that does not lower the stack pointer: it takes functions that lower it
// out of the call graph, then one function out of each cycle that is left.
// A call through the table may reach every function of that type in it.
func framelessRecursion(source []byte) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "quickjs.go", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	text := func(n ast.Node) string { return string(source[n.Pos()-1 : n.End()-1]) }

	types := map[string]string{}   // function → type as the table's assertions write it
	calls := map[string][]string{} // function → functions called, "type:…" for the table
	inTable := map[string]bool{}   // functions of the table
	framed := map[string]bool{}    // functions that lower the stack pointer
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			continue
		}
		name := f.Name.Name
		if name == "New" {
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					inTable[s.Sel.Name] = true
				} else if id, ok := n.(*ast.Ident); ok {
					inTable[id.Name] = true
				}
				return true
			})
			continue
		}
		types[name] = signature(f.Type, text)
		framed[name] = lowering.MatchString(text(f.Body))
		ast.Inspect(f.Body, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			switch fun := call.Fun.(type) {
			case *ast.SelectorExpr:
				calls[name] = append(calls[name], fun.Sel.Name)
			case *ast.Ident:
				calls[name] = append(calls[name], fun.Name)
			case *ast.TypeAssertExpr:
				if ft, ok := fun.Type.(*ast.FuncType); ok {
					calls[name] = append(calls[name], "type:"+signature(ft, text))
				}
			}
			return true
		})
	}
	for name := range types {
		if inTable[name] {
			key := "type:" + types[name]
			calls[key] = append(calls[key], name)
		}
	}
	var cut []string
	out := map[string]bool{}
	for name, f := range framed {
		out[name] = f
	}
	for {
		cycle := findCycle(calls, out)
		if cycle == "" {
			break
		}
		out[cycle] = true
		cut = append(cut, cycle)
	}
	slices.Sort(cut)
	return cut, nil
}

// signature writes a function type without parameter names.
func signature(t *ast.FuncType, text func(ast.Node) string) string {
	var b strings.Builder
	list := func(fields *ast.FieldList) {
		if fields == nil {
			return
		}
		for _, f := range fields.List {
			for range max(len(f.Names), 1) {
				b.WriteString(text(f.Type) + ",")
			}
		}
	}
	list(t.Params)
	b.WriteString("→")
	list(t.Results)
	return b.String()
}

// findCycle returns a function of some cycle of the graph without the nodes
// in out, or "". It looks in sorted order, so that the answer is stable.
func findCycle(calls map[string][]string, out map[string]bool) string {
	const open, closed = 1, 2
	state := map[string]int{}
	var visit func(string) string
	visit = func(n string) string {
		state[n] = open
		next := slices.Compact(slices.Sorted(slices.Values(calls[n])))
		for _, c := range next {
			if out[c] {
				continue
			}
			switch state[c] {
			case open:
				if strings.HasPrefix(c, "type:") {
					return n // count a function, not a type
				}
				return c
			case 0:
				if found := visit(c); found != "" {
					return found
				}
			}
		}
		state[n] = closed
		return ""
	}
	names := make([]string, 0, len(calls))
	for n := range calls {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		if state[n] == 0 && !out[n] {
			if found := visit(n); found != "" {
				return found
			}
		}
	}
	return ""
}
