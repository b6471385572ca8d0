package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

//go:embed templates
var templates embed.FS

// Languages of an application.
const (
	TypeScript = "ts"
	Go         = "go"
)

// ErrNotEmpty says that files might be overwritten.
var ErrNotEmpty = errors.New("the folder is not empty")

// Project says what to write.
type Project struct {
	Lang   string // TypeScript or Go
	Name   string // of the npm package, or path of the Go module
	CCFApp bool   // TypeScript: import from the npm package @microsoft/ccf-app
	Source string // Go: absolute folder of the module synod, or empty
}

// Base is the last part of the name: what a Go program is called.
func (p Project) Base() string { return path.Base(p.Name) }

// Names go into package.json, go.mod and sources unquoted: these characters
// need no quotes anywhere.
var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*$`)

func (p Project) check() error {
	switch {
	case p.Lang != TypeScript && p.Lang != Go:
		return fmt.Errorf("there is no language %q: want ts or go", p.Lang)
	case !validName.MatchString(p.Name) || len(p.Name) > 200:
		return fmt.Errorf("%q cannot be a name: use small letters, digits, dots, dashes and underscores", p.Name)
	case p.Lang == TypeScript && strings.Contains(p.Name, "/"):
		return fmt.Errorf("%q cannot be the name of an npm package: leave out the slash", p.Name)
	case p.Lang == Go && (p.Name == "synod" || strings.HasPrefix(p.Name, "synod/")):
		return fmt.Errorf("%q is the name of the module that the application needs: use another", p.Name)
	case strings.ContainsAny(p.Source, " \t\r\n\"'`"):
		return fmt.Errorf("%q cannot stand in a go.mod file: use a folder without spaces and quotes", p.Source)
	}
	return nil
}

// Write makes the project in dir, which must be empty or not exist, and
// returns the names of its files, relative to dir and with slashes.
func Write(dir string, p Project) ([]string, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look into folder: %w", err)
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("%s: %w", dir, ErrNotEmpty)
	}
	root := "templates/" + p.Lang
	var names []string
	err = fs.WalkDir(templates, root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(file, root+"/"), ".tmpl")
		if p.CCFApp && name == "types/ccf.d.ts" {
			return nil
		}
		// What starts with a dot is not embedded.
		if name == "gitignore" {
			name = ".gitignore"
		}
		names = append(names, name)
		return writeFile(file, filepath.Join(dir, filepath.FromSlash(name)), p)
	})
	return names, err
}

// writeFile fills in the template and never replaces a file.
func writeFile(from, to string, p Project) error {
	t, err := template.ParseFS(templates, from)
	if err != nil {
		return fmt.Errorf("read template: %w", err)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, p); err != nil {
		return fmt.Errorf("fill in template: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	_, err = f.Write(text.Bytes())
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
