package cli

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"synod/internal/provision"
)

func newServerReleases(env *Env) *cobra.Command {
	return newGroup("releases", "The programs that a managed service's nodes may run", newReleasesAdd(env), newReleasesList(env))
}

func newReleasesAdd(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "add NAME PROGRAM",
		Short: "Keep a program under a name, so that networks can be upgraded to it",
		Long: `Copies the nodes' program, synod-node or one of an application of yours in Go,
into the data directory. What has a name never changes: another program wants
another name. Networks go to it with "synod upgrade start". The server need not be
stopped.`,
		Example: "  synod server releases add next ./synod-node --data managed",
		Args:    args(cobra.ExactArgs(2)),
	}
	p := newPrinter(env, c)
	data := addServerData(env, c)
	nodeArgs := c.Flags().StringSlice("arg", nil, "arguments before those of a node, such as node for the program synod")
	c.RunE = func(_ *cobra.Command, a []string) error {
		releases, err := openReleases(*data)
		if err != nil {
			return err
		}
		added, err := releases.Add(a[0], a[0], a[1], *nodeArgs...)
		if err != nil {
			return err
		}
		return p.line(added, "release %s: SHA-256 %s", added.Name, added.HostData)
	}
	return c
}

func newReleasesList(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the programs that nodes may run",
		Example: "  synod server releases list --data managed",
		Args:    args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	data := addServerData(env, c)
	c.RunE = func(*cobra.Command, []string) error {
		releases, err := openReleases(*data)
		if err != nil {
			return err
		}
		all := releases.List()
		rows := make([][]string, len(all))
		for i, r := range all {
			rows[i] = []string{r.Name, r.HostData, filepath.Base(r.Path)}
		}
		return p.table(all, []string{"release", "sha-256", "program"}, rows)
	}
	return c
}

// openReleases reads those of a data directory that there is.
func openReleases(data string) (*provision.Releases, error) {
	if _, err := os.Stat(data); err != nil {
		return nil, withHint(err, "name the server's data directory with --data")
	}
	return provision.OpenReleases(filepath.Join(data, "releases"))
}
