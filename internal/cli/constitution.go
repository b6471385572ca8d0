package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"synod/constitutions"
	"synod/internal/conlint"
)

func newConstitution(env *Env) *cobra.Command {
	return newGroup("constitution", "Look at the rules by which members decide", newConstitutionLint(env))
}

func newConstitutionLint(env *Env) *cobra.Command {
	names := strings.Join(constitutions.Names(), ", ")
	c := &cobra.Command{
		Use:   "lint FILE...|DIR|NAME",
		Short: "Say who can pass which action, and what is wrong with a constitution",
		Long: `Reads a constitution and runs it, here and without a service, for made-up
consortia: shows how many votes each action takes and who passes it alone, and
finds what is dangerous or broken. See docs/constitutions.md for each finding.

FILE... are its parts in the order of a node's constitution_files. DIR is a
folder with actions.js, validate.js, resolve.js and apply.js; other files there
with .js go after actions.js. NAME is one that comes with Synod: ` + names + `.

It tries much and proves nothing: read what was never reached by eye. Exit code
1 means that a finding is an error.`,
		Example: "  synod constitution lint default\n  synod constitution lint actions.js validate.js resolve.js apply.js",
		Args:    args(cobra.MinimumNArgs(1)),
	}
	p := newPrinter(env, c)
	may := c.Flags().StringSlice("operator-may", nil, "actions that an operator may pass alone, besides: "+strings.Join(conlint.OperatorActions(), ", "))
	c.RunE = func(cmd *cobra.Command, a []string) error {
		files, err := constitutionFiles(cmd, a)
		if err != nil {
			return err
		}
		report, err := conlint.Lint(cmd.Context(), files, conlint.Options{OperatorMay: *may})
		if err != nil {
			return err
		}
		if p.format == formatJSON {
			err = p.json(report)
		} else {
			err = report.WriteText(p.out)
		}
		if n := report.Count(conlint.Error); err == nil && n > 0 {
			err = fmt.Errorf("errors in the constitution: %d", n)
		}
		return err
	}
	return c
}

// constitutionFiles reads the parts that the arguments name.
func constitutionFiles(cmd *cobra.Command, a []string) ([]conlint.File, error) {
	if len(a) == 1 {
		if slices.Contains(constitutions.Names(), a[0]) {
			return shippedConstitution(a[0])
		}
		info, err := os.Stat(a[0])
		if err == nil && info.IsDir() {
			return constitutionDir(cmd, a[0])
		}
		if err != nil && !strings.ContainsAny(a[0], "./") {
			return nil, usagef(cmd, "%q is no file, no folder, and none of %s", a[0], strings.Join(constitutions.Names(), ", "))
		}
	}
	var files []conlint.File
	for _, name := range a {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read constitution: %w", err)
		}
		files = append(files, conlint.File{Name: filepath.ToSlash(name), Text: string(b)})
	}
	return files, nil
}

// shippedConstitution is one of package constitutions, in its parts.
func shippedConstitution(name string) ([]conlint.File, error) {
	parts, err := constitutions.Parts(name)
	if err != nil {
		return nil, err
	}
	var files []conlint.File
	for _, part := range parts {
		folder, file, _ := strings.Cut(part, "/")
		in, err := constitutions.Files(folder)
		if err != nil {
			return nil, err
		}
		b, err := fs.ReadFile(in, file)
		if err != nil {
			return nil, err
		}
		files = append(files, conlint.File{Name: part, Text: string(b)})
	}
	return files, nil
}

// constitutionDir is a folder's files in the order in which the default
// constitution's are joined.
func constitutionDir(cmd *cobra.Command, dir string) ([]conlint.File, error) {
	found, err := filepath.Glob(filepath.Join(dir, "*.js"))
	if err != nil || len(found) == 0 {
		return nil, usagef(cmd, "there is no file *.js in %s", dir)
	}
	order := []string{"actions.js", "", "validate.js", "resolve.js", "apply.js"}
	rank := func(name string) int {
		if i := slices.Index(order, filepath.Base(name)); i >= 0 {
			return i
		}
		return slices.Index(order, "")
	}
	slices.SortStableFunc(found, func(x, y string) int { return rank(x) - rank(y) })
	return constitutionFiles(cmd, found)
}
