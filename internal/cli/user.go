package cli

import (
	"encoding/json"
	"os"

	"github.com/spf13/cobra"

	"synod/client"
)

func newUser(env *Env) *cobra.Command {
	return newGroup("user", "Keys of users, and their place in a service",
		newKeygen(env, "user"), newUserAdd(env), newUserList(env),
		newShow(env, "show ID", "Show what a service knows of a user", "  synod user show 5f3c…", entityPath("user")),
		newRemove(env, "user", "Proposes remove_user: requests of that user are refused from then on."), newSetData(env, "user"))
}

func newUserAdd(env *Env) *cobra.Command {
	var data string
	c := newAct(env, act{
		use: "add CERTIFICATE", short: "Propose a user, and vote for it",
		long:    "Proposes set_user for the PEM certificate.",
		example: "  synod user add user1_cert.pem --as keys/member0 --as keys/member1 --data '{\"isAdmin\":true}'",
		args:    cobra.ExactArgs(1),
		action: func(c *cobra.Command, a []string) (client.Action, string, error) {
			cert, err := os.ReadFile(a[0])
			if err != nil {
				return client.Action{}, "", err
			}
			id, _, err := client.MemberOf(cert)
			if err != nil {
				return client.Action{}, "", err
			}
			act := map[string]any{"cert": string(cert)}
			if data != "" {
				if act["user_data"], err = jsonArgument(c, "--data", data); err != nil {
					return client.Action{}, "", err
				}
			}
			return client.Action{Name: "set_user", Args: act}, "user " + string(id) + " added", nil
		},
	})
	c.Flags().StringVar(&data, "data", "", "JSON object that the application sees as the user's data, or a file with it")
	return c
}

func newUserList(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the users of a service",
		Example: "  synod user list --service-cert service_cert.pem",
		Args:    args(cobra.NoArgs),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		var users struct {
			Value []struct {
				ID          string          `json:"userId"`
				Data        json.RawMessage `json:"userData"`
				Certificate string          `json:"certificate"`
			} `json:"value"`
		}
		if err := cl.Governance(ctx, "service/users", &users); err != nil {
			return err
		}
		rows := make([][]string, len(users.Value))
		for i, u := range users.Value {
			rows[i] = []string{u.ID, string(u.Data)}
		}
		return p.table(users.Value, []string{"user", "data"}, rows)
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
