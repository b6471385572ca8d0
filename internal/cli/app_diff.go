package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"synod/client"
	"synod/internal/bundle"
)

// errDifferent makes the exit code 1.
var errDifferent = errors.New("the deployed application is another")

// deployedModulesMax bounds how many modules are fetched from a service.
const deployedModulesMax = 100_000

func newAppDiff(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "diff DIR|BUNDLE",
		Short: "Compare the deployed application with a local one",
		Long: `Builds the application in a folder, or takes a bundle.json, and shows what
deploying it would change: endpoints, and modules as a unified diff. Lines with !
are changes of who may call, of the mode and of the code that answers. Exits with
0 if nothing differs and with 1 if something does.`,
		Example: "  synod app diff examples/logging-ts --url https://127.0.0.1:8000 --service-cert service_cert.pem",
		Args:    args(cobra.ExactArgs(1)),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		text, err := bundleFrom(env.Stderr, a[0])
		if err != nil {
			return err
		}
		local, err := bundle.Parse(text)
		if err != nil {
			return err
		}
		after, err := versionOf(local)
		if err != nil {
			return err
		}
		ctx, service, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		before, err := deployed(ctx, service)
		if err != nil {
			return err
		}
		d := compareApps(before, after)
		if err := d.print(p); err != nil {
			return err
		}
		if !d.Equal {
			return errDifferent
		}
		return nil
	}
	return c
}

// deployed fetches the application of a service.
func deployed(ctx context.Context, c *client.Client) (*appVersion, error) {
	var metadata manifestJSON
	if err := c.Governance(ctx, "service/javascript-app?case=original", &metadata); err != nil {
		return nil, fmt.Errorf("fetch endpoints: %w", err)
	}
	var list struct {
		Value []struct {
			Name string `json:"moduleName"`
		} `json:"value"`
	}
	if err := c.Governance(ctx, "service/javascript-modules", &list); err != nil {
		return nil, fmt.Errorf("fetch list of modules: %w", err)
	}
	if len(list.Value) > deployedModulesMax {
		return nil, fmt.Errorf("the service lists %d modules, more than %d", len(list.Value), deployedModulesMax)
	}
	v := &appVersion{endpoints: metadata.byMethod(), modules: map[string]string{}}
	for _, m := range list.Value {
		var source []byte
		if err := c.Governance(ctx, "service/javascript-modules/"+url.PathEscape(m.Name), &source); err != nil {
			return nil, fmt.Errorf("fetch module %s: %w", m.Name, err)
		}
		v.modules[strings.TrimPrefix(m.Name, "/")] = string(source)
	}
	return v, nil
}

// print shows the differences in full as JSON, or as lines that start with
// +, -, ~ or, for what a voter must not miss, !.
func (d *appDiff) print(p *printer) error {
	if p.format == formatJSON {
		return p.json(d)
	}
	if d.Equal {
		_, err := fmt.Fprintf(p.out, "no difference: %s, %s\n", counted(d.endpoints, "endpoint"), counted(d.modules, "module"))
		return err
	}
	var out strings.Builder
	for _, e := range d.Endpoints {
		if e.Change != changed {
			fmt.Fprintf(&out, "%s %s\n", sign[e.Change], e.Endpoint)
		}
		for _, c := range e.Properties {
			mark := sign[changed]
			if c.Important {
				mark = "!"
			}
			fmt.Fprintf(&out, "%s %s %s: %s -> %s\n", mark, e.Endpoint, c.Property, c.Before, c.After)
		}
	}
	for _, m := range d.Modules {
		fmt.Fprintf(&out, "%s module %s\n%s", sign[m.Change], m.Module, m.Diff)
	}
	_, err := io.WriteString(p.out, visible(out.String()))
	return err
}

// visible spells out what could hide a change on a terminal: control
// characters and those that turn the direction of text.
func visible(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		fmt.Fprintf(&out, "<%U>", r)
	}
	return out.String()
}
