package cli

import (
	"encoding/json"
	"os"

	"github.com/spf13/cobra"

	"synod/client"
)

func newUser(env *Env) *cobra.Command {
	return newGroup("user", "Keys of users, and their place in a service",
		newKeygen(env, "user"), newUserAdd(env))
}

func newUserAdd(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "add CERTIFICATE --as MEMBER",
		Short: "Propose a user, and vote for it",
		Long: `Proposes set_user for the PEM certificate as the first member named, and votes
for it as every member named until the proposal is decided.`,
		Example: "  synod user add user1_cert.pem --as keys/member0 --as keys/member1 --data '{\"isAdmin\":true}'",
		Args:    args(cobra.ExactArgs(1)),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	as := c.Flags().StringArray("as", nil, identityHelp+"; repeat for more votes")
	data := c.Flags().String("data", "", "JSON object that the application sees as the user's data")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		cert, err := os.ReadFile(a[0])
		if err != nil {
			return err
		}
		id, _, err := client.MemberOf(cert)
		if err != nil {
			return err
		}
		act := map[string]any{"cert": string(cert)}
		if *data != "" {
			if !json.Valid([]byte(*data)) {
				return usagef(cmd, "--data: not JSON")
			}
			act["user_data"] = json.RawMessage(*data)
		}
		body, err := client.ProposalBody(client.Action{Name: "set_user", Args: act})
		if err != nil {
			return err
		}
		prop, err := n.decideAs(cmd, *as, body)
		if err != nil {
			return err
		}
		return p.line(map[string]any{"user_id": string(id), "proposal": prop}, "user %s added by proposal %s", string(id), prop.ID)
	}
	return c
}

// decideAs is decide for the members of the given names; the proposal must be
// accepted in the end.
func (n *conn) decideAs(cmd *cobra.Command, as []string, body []byte) (*client.Proposal, error) {
	ctx, cl, done, err := n.dial(cmd.Context())
	if err != nil {
		return nil, err
	}
	defer done()
	members, err := loadMembers(cmd, cl, as)
	if err != nil {
		return nil, err
	}
	prop, err := decide(ctx, cl, members, body)
	if err != nil {
		return nil, err
	}
	return prop, mustBeAccepted(prop)
}
