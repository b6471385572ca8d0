package sourcemap

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-sourcemap/sourcemap"
)

// out is where internal/bundle builds, relative to the application's folder:
// sources in a map are relative to their module there.
const out = "out"

// Mapper knows the modules of one build. The zero value maps nothing: sources
// that were packed unchanged are their own lines. It is read-only and may be
// used from several goroutines.
type Mapper struct {
	modules map[string]module // by name, without a leading slash
}

type module struct {
	lines []string // of the generated text
	spots *sourcemap.Consumer
}

// New reads the maps of a build: texts are the generated modules by name, maps
// their source maps by name plus ".map".
func New(texts map[string]string, maps map[string][]byte) (*Mapper, error) {
	m := &Mapper{modules: make(map[string]module, len(maps))}
	for name, text := range texts {
		raw, ok := maps[name+".map"]
		if !ok {
			continue
		}
		spots, err := sourcemap.Parse("", raw)
		if err != nil {
			return nil, fmt.Errorf("source map of %s: %w", name, err)
		}
		m.modules[strings.TrimPrefix(name, "/")] = module{strings.Split(text, "\n"), spots}
	}
	return m, nil
}

// frame is a line of a trace (docs of internal/js: "    at f (/m.js:27)").
var frame = regexp.MustCompile(`(\bat [^\n(]*\()/?([^():\n]+):(\d+)((?::\d+)?\))`)

// Trace rewrites every frame in text that names a known module; everything
// else stays as it is.
func (m *Mapper) Trace(text string) string {
	return frame.ReplaceAllStringFunc(text, func(found string) string {
		p := frame.FindStringSubmatch(found)
		line, err := strconv.Atoi(p[3])
		if err != nil {
			return found
		}
		file, at, ok := m.Line(p[2], line)
		if !ok {
			return found
		}
		return p[1] + file + ":" + strconv.Itoa(at) + ")"
	})
}

// Line returns the source file, relative to the application's folder, and the
// line in it, from 1, of a line of a module.
func (m *Mapper) Line(name string, line int) (file string, sourceLine int, ok bool) {
	mod, known := m.modules[strings.TrimPrefix(name, "/")]
	if !known || line < 1 || line > len(mod.lines) {
		return "", 0, false
	}
	text := mod.lines[line-1]
	// The first mapping of a line stands where its text begins.
	column := len(text) - len(strings.TrimLeft(text, " \t"))
	source, _, at, _, ok := mod.spots.Source(line, column)
	if !ok {
		return "", 0, false
	}
	return path.Join(out, path.Dir(strings.TrimPrefix(name, "/")), source), at, true
}
