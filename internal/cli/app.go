package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"synod/client"
	"synod/internal/bundle"
)

func newApp(env *Env) *cobra.Command {
	return newGroup("app", "Build and deploy a JavaScript or TypeScript application",
		newAppInit(env), newAppBuild(env), newAppDeploy(env), newAppDiff(env), newAppRollback(env), newAppTest(env), newAppTrace(env))
}

func newAppBuild(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "build DIR",
		Short: "Make a bundle of the application in a folder",
		Long: `Checks app.json and the sources under src, bundles TypeScript and npm packages,
and writes bundle.json, the argument of a set_js_app action. Plain JavaScript
is packed unchanged. Types are not checked: use tsc --noEmit.`,
		Example: "  npm ci && synod app build . --out dist/bundle.json",
		Args:    args(cobra.ExactArgs(1)),
	}
	p := newPrinter(env, c)
	out := c.Flags().String("out", "", "where to write the bundle (default DIR/dist/bundle.json)")
	maps := c.Flags().String("source-maps", "", "folder for source maps, which are not part of the bundle")
	c.RunE = func(_ *cobra.Command, a []string) error {
		text, res, err := buildApp(env.Stderr, a[0])
		if err != nil {
			return err
		}
		file := *out
		if file == "" {
			file = filepath.Join(a[0], "dist", "bundle.json")
		}
		if err := writeFile(file, text); err != nil {
			return err
		}
		if *maps != "" {
			for name, content := range res.SourceMaps {
				if err := writeFile(filepath.Join(*maps, filepath.FromSlash(name)), content); err != nil {
					return err
				}
			}
		}
		return p.line(map[string]any{"file": file, "modules": len(res.Bundle.Modules), "size_bytes": len(text), "packed": res.Packed},
			"wrote %s: %s, %d bytes", file, counted(len(res.Bundle.Modules), "module"), len(text))
	}
	return c
}

// buildApp builds the application in dir; warnings go to warn.
func buildApp(warn io.Writer, dir string) ([]byte, *bundle.Result, error) {
	res, err := bundle.Build(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range res.Warnings {
		fmt.Fprintf(warn, "warning: %s\n", w)
	}
	text, err := res.Bundle.Encode()
	if err != nil {
		return nil, nil, err
	}
	return text, res, nil
}

func writeFile(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := os.WriteFile(name, content, 0o644); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

func newAppDeploy(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "deploy DIR|BUNDLE --as MEMBER",
		Short: "Build an application, propose it and vote for it",
		Long: `Builds the application in a folder, or takes a bundle.json, proposes set_js_app
as the first member named, votes for it as every member named until the
proposal is decided, and waits for its commit.

With a key that lives elsewhere: --cert and --digest-out write a request to be
signed; see synod proposal submit.`,
		Example: "  synod app deploy examples/logging-ts --as keys/member0 --as keys/member1",
		Args:    args(cobra.ExactArgs(1)),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	as := c.Flags().StringArray("as", nil, identityHelp+"; repeat for more votes")
	off := newOffline(c)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		text, err := bundleFrom(env.Stderr, a[0])
		if err != nil {
			return err
		}
		return n.deploy(cmd, p, off, *as, text, "deployed")
	}
	return c
}

// deploy proposes a bundle and has the members vote for it, or writes the
// proposal for a key that is elsewhere.
func (n *conn) deploy(cmd *cobra.Command, p *printer, off *offline, as []string, bundleJSON []byte, done string) error {
	body, err := client.ProposalBody(setApp(bundleJSON))
	if err != nil {
		return err
	}
	if off.wanted() {
		return off.write(cmd, p, "members/proposals:create", client.Message{Kind: client.KindProposal, Payload: body})
	}
	prop, err := n.decideAs(cmd, as, body)
	if err != nil {
		return err
	}
	return p.line(proposalJSON{prop, prop.TxID.String()}, "%s by proposal %s (transaction %s, %d bytes)", done, prop.ID, prop.TxID, len(bundleJSON))
}

// setApp is the action that deploys a bundle.
func setApp(bundleJSON []byte) client.Action {
	return client.Action{Name: "set_js_app", Args: map[string]any{"bundle": json.RawMessage(bundleJSON), "disable_bytecode_cache": false}}
}

// bundleFrom builds a folder, or checks a bundle file.
func bundleFrom(warn io.Writer, name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("find application: %w", err)
	}
	if info.IsDir() {
		text, _, err := buildApp(warn, name)
		return text, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	b, err := bundle.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b.Encode()
}
