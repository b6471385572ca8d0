package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"synod"
	"synod/internal/bundle"
)

func newAppRollback(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "rollback --ledger DIR --as MEMBER",
		Short: "Propose an application that the service had before, and vote for it",
		Long: `Reads from the service's ledger files which applications it has had, proposes
the one before the present, or with --to the one that a transaction deployed,
and votes for it as every member named. The files are verified against
--service-cert, so that they may come from anybody; they have to be so new that
the present application is in them. --list shows the applications, --out writes
the one that would be proposed as a bundle.json, and nothing is proposed then.

Runtime options and data of the application stay as they are. With a key that
lives elsewhere: --cert and --digest-out write a request to be signed; see synod
proposal submit.`,
		Example: `  synod app rollback --ledger ledger --list
  synod app rollback --ledger ledger --to 2.41 --as keys/member0 --as keys/member1`,
		Args: args(cobra.NoArgs),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	dirs := c.Flags().StringArray("ledger", nil, "directory with ledger files of the service; may be repeated")
	to := c.Flags().String("to", "", "transaction that deployed the application, <view>.<seqno>")
	list := c.Flags().Bool("list", false, "list the applications and propose nothing")
	out := c.Flags().String("out", "", "write the bundle to this file and propose nothing")
	as := c.Flags().StringArray("as", nil, identityHelp+"; repeat for more votes")
	off := newOffline(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		var want synod.TxID
		if *to != "" {
			var err error
			if want, err = synod.ParseTxID(*to); err != nil {
				return usagef(cmd, "--to: %w", err)
			}
		}
		if len(*dirs) == 0 {
			return usagef(cmd, "name the service's ledger files with --ledger")
		}
		past, err := n.deployments(cmd.Context(), *dirs)
		if err != nil {
			return err
		}
		if *list {
			return printDeployments(p, past)
		}
		chosen, err := choose(past, want)
		if err != nil {
			return err
		}
		text, err := chosen.bundle()
		if err != nil {
			return err
		}
		if *out != "" {
			if err := writeFile(*out, text); err != nil {
				return err
			}
			return p.line(map[string]any{"file": *out, "deployed_at": chosen.TxID.String(), "size_bytes": len(text)},
				"wrote %s: the application of %s, %d bytes", *out, chosen.TxID, len(text))
		}
		return n.deploy(cmd, p, off, *as, text, "rolled back to the application of "+chosen.TxID.String())
	}
	return c
}

// choose picks the deployment of transaction want, or the newest that differs
// from the present application.
func choose(past []*deployment, want synod.TxID) (*deployment, error) {
	const hint = "synod app rollback --list shows the applications that the ledger has"
	if len(past) == 0 {
		return nil, errors.New("the service has had no application")
	}
	present := past[len(past)-1]
	for i := len(past) - 1; i >= 0; i-- {
		d := past[i]
		switch {
		case want == d.TxID && d.Digest == "":
			return nil, withHint(fmt.Errorf("transaction %s removed the application", want), hint)
		case want == d.TxID && d.Digest == present.Digest:
			return nil, withHint(fmt.Errorf("the application of %s is the present one", want), hint)
		case want == d.TxID, want.IsZero() && d.Digest != "" && d.Digest != present.Digest:
			return d, nil
		}
	}
	if want.IsZero() {
		return nil, withHint(errors.New("the service has had no other application than the present one"), hint)
	}
	return nil, withHint(fmt.Errorf("transaction %s deployed no application", want), hint)
}

func printDeployments(p *printer, past []*deployment) error {
	rows := make([][]string, len(past))
	for i, d := range past {
		rows[i] = []string{
			d.TxID.String(), cmp.Or(short(d.Digest), "(removed)"), strconv.Itoa(len(d.app.endpoints)), strconv.Itoa(len(d.app.modules)),
			strconv.Itoa(d.SizeBytes),
		}
	}
	return p.table(past, []string{"transaction", "application", "endpoints", "modules", "bytes"}, rows)
}

// bundle is the argument of a set_js_app action that deploys the application
// again.
func (d *deployment) bundle() ([]byte, error) {
	endpoints := map[string]map[string]json.RawMessage{}
	for name, properties := range d.app.endpoints {
		method, path, ok := strings.Cut(name, " ")
		if !ok {
			return nil, fmt.Errorf("the ledger has an endpoint %q", name)
		}
		fields := map[string]json.RawMessage{}
		for property, value := range properties {
			fields[property] = json.RawMessage(value)
		}
		text, err := json.Marshal(fields)
		if err != nil {
			return nil, fmt.Errorf("encode endpoint %s: %w", name, err)
		}
		if endpoints[path] == nil {
			endpoints[path] = map[string]json.RawMessage{}
		}
		endpoints[path][strings.ToLower(method)] = text
	}
	metadata, err := json.Marshal(map[string]any{"endpoints": endpoints})
	if err != nil {
		return nil, fmt.Errorf("encode endpoints: %w", err)
	}
	b := bundle.Bundle{Metadata: metadata}
	for name, source := range d.app.modules {
		b.Modules = append(b.Modules, bundle.Module{Name: name, Source: source})
	}
	return b.Encode()
}
