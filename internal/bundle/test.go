package bundle

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// testAPI is the specifier by which a test file may import what it uses; the
// same names are globals.
const testAPI = "synod:test"

// Test is a file of unit tests, bundled to one module.
type Test struct {
	Name      string // of the module, in traces
	Source    string
	SourceMap []byte
}

// BuildTest bundles a test file, a path relative to dir, into a module that
// evaluates harness first and exports what harness exports. harness is the
// text of an ES module. What is wrong with the sources is an *Error.
func BuildTest(dir, file, harness string) (*Test, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find application: %w", err)
	}
	entry := fmt.Sprintf("export * from %q;\nimport %q;\n", testAPI, "./"+filepath.ToSlash(file))
	built := api.Build(api.BuildOptions{
		AbsWorkingDir:  dir,
		Stdin:          &api.StdinOptions{Contents: entry, ResolveDir: dir, Sourcefile: "tests"},
		Outfile:        "out/test.js",
		Bundle:         true,
		Format:         api.FormatESModule,
		Platform:       api.PlatformNeutral,
		MainFields:     []string{"module", "main"},
		Target:         api.ES2020,
		Charset:        api.CharsetUTF8,
		Sourcemap:      api.SourceMapExternal,
		SourcesContent: api.SourcesContentExclude,
		LogLevel:       api.LogLevelSilent,
		Plugins: []api.Plugin{{Name: "harness", Setup: func(b api.PluginBuild) {
			b.OnResolve(api.OnResolveOptions{Filter: "^" + testAPI + "$"}, func(api.OnResolveArgs) (api.OnResolveResult, error) {
				return api.OnResolveResult{Path: testAPI, Namespace: "harness"}, nil
			})
			b.OnLoad(api.OnLoadOptions{Filter: ".", Namespace: "harness"}, func(api.OnLoadArgs) (api.OnLoadResult, error) {
				return api.OnLoadResult{Contents: &harness}, nil
			})
		}}},
	})
	var found faults
	for _, m := range built.Errors {
		found.add(messageFault(m))
	}
	if err := found.err(); err != nil {
		return nil, err
	}
	t := &Test{Name: strings.TrimSuffix(filepath.ToSlash(file), path.Ext(file)) + ".js"}
	for _, f := range built.OutputFiles {
		if strings.HasSuffix(f.Path, ".map") {
			t.SourceMap = f.Contents
		} else {
			t.Source = string(f.Contents)
		}
	}
	return t, nil
}
