package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/evanw/esbuild/pkg/api"
)

// Result is a built application.
type Result struct {
	Bundle *Bundle
	// SourceMaps are the maps of bundled modules, by module name plus ".map".
	// They do not go to the service. Empty if the sources were packed as they are.
	SourceMaps map[string][]byte
	// Packed says that the sources are in the bundle unchanged.
	Packed   bool
	Warnings []string
}

// Build reads the application in dir: app.json, src/**, and node_modules for
// what src imports. What is wrong with the sources is an *Error with every
// fault found.
//
// Modules come out as ES modules for ES2020, one for each js_module plus the
// parts that several of them share, so that a class is one class however many
// modules import it; imports between them are relative paths with extension,
// the only form that nodes resolve.
func Build(dir string) (*Result, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find application: %w", err)
	}
	metadata, err := os.ReadFile(filepath.Join(dir, "app.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{Faults: []Fault{{
			File: "app.json", Text: "there is no such file in " + dir,
			Hint: "name the application's folder: it holds app.json and src/",
		}}}
	}
	if err != nil {
		return nil, fmt.Errorf("read application: %w", err)
	}
	if !utf8.Valid(metadata) {
		return nil, &Error{Faults: []Fault{{File: "app.json", Text: "is not UTF-8 text"}}}
	}

	var found faults
	endpoints := parseManifest(metadata, "app.json", &found)
	b := builder{dir: dir, src: filepath.Join(dir, "src"), entries: map[string]string{}}
	b.findEntries(endpoints, &found)
	if err := found.err(); err != nil {
		return nil, err
	}
	built, meta := b.run()
	b.checkBuild(built, meta, endpoints, &found)
	if err := found.err(); err != nil {
		return nil, err
	}

	res := &Result{SourceMaps: map[string][]byte{}, Packed: !b.transformed(meta)}
	for _, w := range built.Warnings {
		res.Warnings = append(res.Warnings, messageFault(w).String())
	}
	name := moduleName
	if res.Packed {
		name = func(file string) string { return file }
	}
	if metadata, err = b.renameModules(metadata, name); err != nil {
		return nil, err
	}
	var modules []Module
	if res.Packed {
		modules, err = b.pack()
	} else {
		modules, err = b.collect(built, res.SourceMaps)
	}
	if err != nil {
		return nil, err
	}
	res.Bundle = &Bundle{Metadata: metadata, Modules: modules}
	return res, nil
}

// builder is one run of Build.
type builder struct {
	dir, src string
	entries  map[string]string // js_module as written → source file under src
	inexact  bool              // some import needs esbuild's resolution
}

// findEntries looks for the source of each js_module: the file of that name,
// or the TypeScript file that it is compiled from.
func (b *builder) findEntries(endpoints []endpoint, found *faults) {
	for _, e := range endpoints {
		if _, done := b.entries[e.module]; done || e.module == "" {
			continue
		}
		name := path.Clean("/" + e.module)[1:]
		file := ""
		for _, candidate := range sourceNames(name) {
			if info, err := os.Stat(filepath.Join(b.src, filepath.FromSlash(candidate))); err == nil && info.Mode().IsRegular() {
				file = candidate
				break
			}
		}
		b.entries[e.module] = file
		if file == "" {
			found.add(Fault{
				File: "app.json", Where: e.where + ".js_module",
				Text: fmt.Sprintf("there is no source file for module %q", e.module),
				Hint: "looked for src/" + strings.Join(sourceNames(name), ", src/"),
			})
		}
	}
}

// sourceNames lists the files that module name can come from, best first.
func sourceNames(name string) []string {
	names := []string{name}
	switch ext := path.Ext(name); ext {
	case ".js":
		stem := strings.TrimSuffix(name, ext)
		names = append(names, stem+".ts", stem+".tsx", stem+".jsx")
	case ".mjs":
		names = append(names, strings.TrimSuffix(name, ext)+".mts")
	}
	return names
}

// moduleName is the name that esbuild's output for a source file gets.
func moduleName(file string) string { return strings.TrimSuffix(file, path.Ext(file)) + ".js" }

func (b *builder) run() (api.BuildResult, metafile) {
	files := map[string]bool{}
	var points []api.EntryPoint
	for _, module := range sortedKeys(b.entries) {
		file := b.entries[module]
		if files[file] {
			continue
		}
		files[file] = true
		points = append(points, api.EntryPoint{
			InputPath:  "./src/" + file,
			OutputPath: strings.TrimSuffix(file, path.Ext(file)),
		})
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir:       b.dir,
		EntryPointsAdvanced: points,
		Outdir:              "out",
		Bundle:              true,
		Splitting:           true,
		Format:              api.FormatESModule,
		Platform:            api.PlatformNeutral,
		MainFields:          []string{"module", "main"},
		Target:              api.ES2020,
		Charset:             api.CharsetUTF8,
		ChunkNames:          "shared/[name]-[hash]",
		Sourcemap:           api.SourceMapExternal,
		SourcesContent:      api.SourcesContentExclude,
		TreeShaking:         api.TreeShakingTrue,
		Metafile:            true,
		LogLevel:            api.LogLevelSilent,
		LogLimit:            50,
		Plugins:             []api.Plugin{{Name: "tables", Setup: b.resolveLikeTables}},
	})
	var meta metafile
	if result.Metafile != "" {
		// The text is esbuild's own; if it ever is not JSON, the checks below
		// find no output and say so.
		_ = json.Unmarshal([]byte(result.Metafile), &meta)
	}
	return result, meta
}

// resolveLikeTables adds what nodes can do and npm cannot: a specifier that
// is not relative names a module of the bundle. It also notices imports that
// nodes could not resolve in the sources as they are.
func (b *builder) resolveLikeTables(build api.PluginBuild) {
	build.OnResolve(api.OnResolveOptions{Filter: `.`}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
		if args.Kind == api.ResolveEntryPoint {
			return api.OnResolveResult{}, nil
		}
		target := filepath.Join(b.src, filepath.FromSlash(args.Path))
		relative := strings.HasPrefix(args.Path, "./") || strings.HasPrefix(args.Path, "../")
		if relative {
			target = filepath.Join(args.ResolveDir, filepath.FromSlash(args.Path))
		}
		info, err := os.Stat(target)
		exact := err == nil && info.Mode().IsRegular()
		if !exact {
			b.inexact = true
		}
		if exact && !relative && !strings.Contains(filepath.ToSlash(args.ResolveDir), "/node_modules/") {
			return api.OnResolveResult{Path: target}, nil
		}
		return api.OnResolveResult{}, nil
	})
}

// metafile is the part of esbuild's report that is used here.
type metafile struct {
	Inputs  map[string]struct{} `json:"inputs"`
	Outputs map[string]struct {
		EntryPoint string   `json:"entryPoint"`
		Exports    []string `json:"exports"`
	} `json:"outputs"`
}

// transformed says whether the bundle must hold esbuild's output.
func (b *builder) transformed(meta metafile) bool {
	if b.inexact {
		return true
	}
	for file := range meta.Inputs {
		ext := path.Ext(file)
		if ext != ".js" && ext != ".mjs" || !strings.HasPrefix(file, "src/") {
			return true
		}
	}
	return false
}

func (b *builder) checkBuild(built api.BuildResult, meta metafile, endpoints []endpoint, found *faults) {
	for _, m := range built.Errors {
		f := messageFault(m)
		f.Hint = b.hint(m)
		found.add(f)
	}
	if len(built.Errors) > 0 {
		return
	}
	exports := map[string][]string{}
	for _, out := range meta.Outputs {
		if out.EntryPoint != "" {
			exports[strings.TrimPrefix(out.EntryPoint, "src/")] = out.Exports
		}
	}
	for _, e := range endpoints {
		names := exports[b.entries[e.module]]
		if slices.Contains(names, e.function) {
			continue
		}
		hint := "the module exports nothing"
		if len(names) > 0 {
			sort.Strings(names)
			hint = "the module exports " + strings.Join(names, ", ")
		}
		found.add(Fault{
			File: "app.json", Where: e.where + ".js_function",
			Text: fmt.Sprintf("module src/%s has no export %q", b.entries[e.module], e.function), Hint: hint,
		})
	}
}

func messageFault(m api.Message) Fault {
	f := Fault{Text: m.Text}
	if m.Location != nil {
		f.File, f.Line, f.Column = m.Location.File, m.Location.Line, m.Location.Column+1
	}
	return f
}

var nodeModules = []string{
	"assert", "buffer", "child_process", "crypto", "events", "fs", "http", "https", "net", "os",
	"path", "process", "stream", "tls", "url", "util", "worker_threads", "zlib",
}

func (b *builder) hint(m api.Message) string {
	rest, ok := strings.CutPrefix(m.Text, `Could not resolve "`)
	if !ok {
		return ""
	}
	spec, _, _ := strings.Cut(rest, `"`)
	switch {
	case strings.HasPrefix(spec, "."):
		return "no such file; the path is relative to the importing file"
	case strings.HasPrefix(spec, "node:"), slices.Contains(nodeModules, spec):
		return "the runtime has no Node.js modules; see the ccf object"
	}
	if _, err := os.Stat(filepath.Join(b.dir, "node_modules")); err != nil {
		return "the npm packages are not installed: run npm ci in " + b.dir
	}
	return "add the package to package.json and run npm install in " + b.dir
}

// pack takes every file under src as it is.
func (b *builder) pack() ([]Module, error) {
	var out []Module
	err := filepath.WalkDir(b.src, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := slashRel(b.src, file)
		if err != nil {
			return err
		}
		if !utf8.Valid(source) {
			return &Error{Faults: []Fault{{
				File: "src/" + name, Text: "is not UTF-8 text",
				Hint: "src holds source text only; move other files elsewhere",
			}}}
		}
		out = append(out, Module{Name: name, Source: string(source)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("pack sources: %w", err)
	}
	return out, nil
}

// collect takes esbuild's output files.
func (b *builder) collect(built api.BuildResult, maps map[string][]byte) ([]Module, error) {
	var out []Module
	for _, f := range built.OutputFiles {
		name, err := slashRel(filepath.Join(b.dir, "out"), f.Path)
		if err != nil {
			return nil, fmt.Errorf("name output: %w", err)
		}
		if strings.HasSuffix(name, ".map") {
			maps[name] = f.Contents
			continue
		}
		out = append(out, Module{Name: name, Source: string(f.Contents)})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func slashRel(base, file string) (string, error) {
	rel, err := filepath.Rel(base, file)
	return filepath.ToSlash(rel), err
}

// renameModules makes every js_module the name of its module in the bundle;
// the rest of the metadata stays as it was written.
func (b *builder) renameModules(metadata []byte, name func(file string) string) ([]byte, error) {
	changed := false
	for module, file := range b.entries {
		changed = changed || name(file) != module
	}
	if !changed {
		return metadata, nil
	}
	var top map[string]json.RawMessage
	var endpoints map[string]map[string]map[string]json.RawMessage
	if err := json.Unmarshal(metadata, &top); err != nil {
		return nil, fmt.Errorf("rename modules: %w", err)
	}
	if err := json.Unmarshal(top["endpoints"], &endpoints); err != nil {
		return nil, fmt.Errorf("rename modules: %w", err)
	}
	for _, byMethod := range endpoints {
		for _, props := range byMethod {
			var module string
			if err := json.Unmarshal(props["js_module"], &module); err != nil {
				return nil, fmt.Errorf("rename modules: %w", err)
			}
			text, err := json.Marshal(name(b.entries[module]))
			if err != nil {
				return nil, fmt.Errorf("rename modules: %w", err)
			}
			props["js_module"] = text
		}
	}
	var err error
	if top["endpoints"], err = json.Marshal(endpoints); err != nil {
		return nil, fmt.Errorf("rename modules: %w", err)
	}
	return json.Marshal(top)
}
