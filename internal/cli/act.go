package cli

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"synod/client"
)

// act is a command that proposes one action of the constitution.
type act struct {
	use, short, long, example string
	args                      cobra.PositionalArgs
	// action makes the action of the command's arguments; done is what to say
	// once it is accepted, such as "user 5f… removed".
	action func(c *cobra.Command, a []string) (action client.Action, done string, err error)
}

// newAct makes the command: it proposes as the first member named and votes as
// each of them, or writes the proposal for a key that is elsewhere.
func newAct(env *Env, spec act) *cobra.Command {
	c := &cobra.Command{
		Use: spec.use + " --as MEMBER", Short: spec.short, Example: spec.example, Args: args(spec.args),
		Long: spec.long + `

The first member named proposes, and every member named votes for it until it
is decided. With a key that lives elsewhere: --cert and --digest-out write a
request to be signed; see synod proposal submit.`,
	}
	p, n := newPrinter(env, c), newConn(env, c)
	as := c.Flags().StringArray("as", nil, identityHelp+"; repeat for more votes")
	off := newOffline(c)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		action, done, err := spec.action(cmd, a)
		if err != nil {
			return err
		}
		body, err := client.ProposalBody(action)
		if err != nil {
			return err
		}
		if off.wanted() {
			return off.write(cmd, p, "members/proposals:create", client.Message{Kind: client.KindProposal, Payload: body})
		}
		prop, err := n.decideAs(cmd, *as, body)
		if err != nil {
			return err
		}
		return p.line(map[string]any{"proposal": prop, "transactionId": prop.TxID.String()},
			"%s by proposal %s (transaction %s)", done, prop.ID, prop.TxID)
	}
	return c
}

// jsonArgument reads a JSON value from an argument, or from the file that it
// names.
func jsonArgument(c *cobra.Command, what, text string) (json.RawMessage, error) {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text), nil
	}
	b, err := os.ReadFile(text)
	if err != nil || !json.Valid(b) {
		return nil, usagef(c, "%s: want JSON, or a file with JSON", what)
	}
	return json.RawMessage(b), nil
}

// checkEntity catches an argument that is no identifier of a member or user.
func checkEntity(c *cobra.Command, what, id string) error {
	if len(id) != 64 {
		return usagef(c, "%s %q: want an ID of 64 hex digits, as synod %s list shows it", what, id, what)
	}
	return nil
}

// newRemove makes the command that removes a member or user.
func newRemove(env *Env, what, long string) *cobra.Command {
	return newAct(env, act{
		use: "remove ID", short: "Propose to remove a " + what + ", and vote for it", long: long,
		example: fmt.Sprintf("  synod %s remove 5f3c… --as keys/member0 --as keys/member1", what), args: cobra.ExactArgs(1),
		action: func(c *cobra.Command, a []string) (client.Action, string, error) {
			return client.Action{Name: "remove_" + what, Args: map[string]any{what + "_id": a[0]}},
				fmt.Sprintf("%s %s removed", what, a[0]), checkEntity(c, what, a[0])
		},
	})
}

// newSetData makes the command that sets a member's or user's data.
func newSetData(env *Env, what string) *cobra.Command {
	return newAct(env, act{
		use: "set-data ID JSON|FILE", short: "Propose other data of a " + what + ", and vote for it",
		long:    fmt.Sprintf("Proposes set_%s_data, which replaces all of the %s's data.", what, what),
		example: fmt.Sprintf("  synod %s set-data 5f3c… '{\"group\":\"ops\"}' --as keys/member0 --as keys/member1", what), args: cobra.ExactArgs(2),
		action: func(c *cobra.Command, a []string) (client.Action, string, error) {
			if err := checkEntity(c, what, a[0]); err != nil {
				return client.Action{}, "", err
			}
			data, err := jsonArgument(c, "data", a[1])
			return client.Action{Name: "set_" + what + "_data", Args: map[string]any{what + "_id": a[0], what + "_data": data}},
				fmt.Sprintf("data of %s %s set", what, a[0]), err
		},
	})
}

// newShow makes a command that prints what /gov says of one thing.
func newShow(env *Env, use, short, example string, path func(c *cobra.Command, a []string) (string, error)) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Example: example, Args: args(cobra.MaximumNArgs(1))}
	p, n := newPrinter(env, c), newConn(env, c)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		at, err := path(cmd, a)
		if err != nil {
			return err
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		var out any
		if err := cl.Governance(ctx, at, &out); err != nil {
			return err
		}
		return p.json(out)
	}
	return c
}
