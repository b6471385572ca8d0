package constitutions

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed default/*.js sandbox/*.js
var files embed.FS

// Default returns the constitution under which a majority of the active
// members decides.
func Default() string { return joined("default/resolve.js") }

// Sandbox returns the constitution under which every proposal passes at once:
// for a developer's own service.
func Sandbox() string { return joined("sandbox/resolve.js") }

// Names are the constitutions that Files knows.
func Names() []string { return []string{"default", "sandbox"} }

// Files returns the parts of a constitution as files: "default" has all four,
// "sandbox" the resolve.js that takes the place of the default one.
func Files(name string) (fs.FS, error) {
	sub, err := fs.Sub(files, name)
	if err != nil {
		return nil, err
	}
	if _, err := fs.Stat(sub, "."); err != nil {
		return nil, fmt.Errorf("no constitution %q: %w", name, err)
	}
	return sub, nil
}

// joined makes one module of the parts, with the given resolve.
func joined(resolve string) string {
	var text string
	for i, name := range []string{"default/actions.js", "default/validate.js", resolve, "default/apply.js"} {
		b, err := files.ReadFile(name)
		if err != nil {
			panic(err) // embedded: the build would have failed
		}
		if i > 0 {
			text += "\n"
		}
		text += string(b)
	}
	return text
}
