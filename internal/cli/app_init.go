package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"synod/internal/scaffold"
)

func newAppInit(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "Write the first files of an application",
		Long: `Writes a small application with a test into an empty or new folder. One in
TypeScript builds and runs at once, without npm, unless --with-ccf-app asks for
the npm package. One in Go needs the sources of the module synod, which is not
published: name their folder with --synod-source.`,
		Example: "  synod app init notes && synod sandbox --app notes --watch",
		Args:    args(cobra.ExactArgs(1)),
	}
	p := newPrinter(env, c)
	var project scaffold.Project
	f := c.Flags()
	f.StringVar(&project.Lang, "lang", scaffold.TypeScript, "language: ts or go")
	f.StringVar(&project.Name, "name", "", "name of the npm package or path of the Go module (default the folder's name)")
	f.BoolVar(&project.CCFApp, "with-ccf-app", false, "TypeScript: import from the npm package @microsoft/ccf-app")
	f.StringVar(&project.Source, "synod-source", "", "Go: folder with the sources of the module synod")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		if project.CCFApp && project.Lang != scaffold.TypeScript {
			return usagef(cmd, "--with-ccf-app is for --lang ts")
		}
		if project.Source != "" && project.Lang != scaffold.Go {
			return usagef(cmd, "--synod-source is for --lang go")
		}
		if err := complete(&project, a[0]); err != nil {
			return err
		}
		files, err := scaffold.Write(a[0], project)
		if errors.Is(err, scaffold.ErrNotEmpty) {
			return withHint(err, "name a folder that is empty or does not exist")
		}
		if err != nil {
			return err
		}
		return p.line(map[string]any{"dir": a[0], "name": project.Name, "files": files},
			"wrote %s: %s\nnext: see %s", a[0], strings.Join(files, ", "), filepath.Join(a[0], "README.md"))
	}
	return c
}

// complete names the project after its folder and makes paths absolute.
func complete(project *scaffold.Project, dir string) error {
	full, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find folder: %w", err)
	}
	if project.Name == "" {
		project.Name = strings.ToLower(filepath.Base(full))
	}
	if project.Source == "" {
		return nil
	}
	if project.Source, err = filepath.Abs(project.Source); err != nil {
		return fmt.Errorf("find sources: %w", err)
	}
	return nil
}
