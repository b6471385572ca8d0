package cli

import (
	"runtime"

	"github.com/spf13/cobra"

	"synod/serve"
)

func newVersion(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Example: "  synod version -o json", Args: args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	c.RunE = func(*cobra.Command, []string) error {
		return p.line(map[string]string{"version": serve.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH},
			"%s (%s, %s/%s)", serve.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	}
	return c
}
