package cli

import (
	"io"

	"github.com/spf13/cobra"

	"synod/client"
)

func newMember(env *Env) *cobra.Command {
	return newGroup("member", "Keys of members, and their place in a service",
		newKeygen(env, "member"), newMemberActivate(env), newMemberList(env))
}

func newMemberActivate(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "activate --as MEMBER",
		Short: "Acknowledge the service's state, becoming an active member",
		Long: `Has the service record its newest state for the member and acknowledges it.
A member who was accepted becomes active: may propose and vote, and holds a
recovery share if it has an encryption key.`,
		Example: "  synod member activate --as keys/member0 --service-cert service_cert.pem",
		Args:    args(cobra.NoArgs),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	as := c.Flags().StringArray("as", nil, identityHelp+"; may be repeated")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		members, err := loadMembers(cmd, cl, *as)
		if err != nil {
			return err
		}
		for _, m := range members {
			id, err := m.Activate(ctx)
			if err != nil {
				return err
			}
			if err := cl.WaitCommitted(ctx, id); err != nil {
				return err
			}
			err = p.line(map[string]string{"member_id": string(m.ID()), "status": "Active", "transaction_id": id.String()},
				"member %s is active (transaction %s)", string(m.ID()), id)
			if err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

func newMemberList(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the members of a service",
		Example: "  synod member list --service-cert service_cert.pem -o json",
		Args:    args(cobra.NoArgs),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		members, err := cl.Members(ctx)
		if err != nil {
			return err
		}
		if members == nil {
			members = []client.MemberInfo{}
		}
		rows := make([][]string, len(members))
		for i, m := range members {
			rows[i] = []string{string(m.ID), m.Status, m.RecoveryRole, string(m.Data)}
		}
		return p.table(members, []string{"member", "status", "recovery role", "data"}, rows)
	}
	return c
}

// inputMax bounds what is read from standard input, in bytes.
const inputMax = 64 << 20

func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(io.LimitReader(r, inputMax)) }
