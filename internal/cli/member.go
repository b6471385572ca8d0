package cli

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"synod/client"
)

func newMember(env *Env) *cobra.Command {
	return newGroup("member", "Keys of members, and their place in a service",
		newKeygen(env, "member"), newMemberActivate(env), newMemberAdd(env), newMemberList(env),
		newShow(env, "show ID", "Show what a service knows of a member", "  synod member show 5f3c…", entityPath("member")),
		newRemove(env, "member", `Proposes remove_member. A member that holds a recovery share can go only if
enough of them are left; the ledger gets a new secret then.`), newSetData(env, "member"))
}

// entityPath is where /gov tells of one member or user.
func entityPath(what string) func(*cobra.Command, []string) (string, error) {
	return func(c *cobra.Command, a []string) (string, error) {
		if len(a) != 1 {
			return "", usagef(c, "name one %s", what)
		}
		return "service/" + what + "s/" + a[0], checkEntity(c, what, a[0])
	}
}

func newMemberAdd(env *Env) *cobra.Command {
	var key, data, role string
	c := newAct(env, act{
		use: "add CERTIFICATE", short: "Propose a member, and vote for it",
		long: `Proposes set_member for the PEM certificate. With --encryption-key the member
takes part in recovery: as a participant, who holds a share, unless
--recovery-role says otherwise. The member is accepted then, and becomes active
with synod member activate.`,
		example: "  synod member add member3_cert.pem --encryption-key member3_enc_pubk.pem --as keys/member0 --as keys/member1",
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
			if key != "" {
				text, err := os.ReadFile(key)
				if err != nil {
					return client.Action{}, "", err
				}
				act["encryption_pub_key"] = string(text)
			}
			if role != "" {
				act["recovery_role"] = role
			}
			if data != "" {
				if act["member_data"], err = jsonArgument(c, "--data", data); err != nil {
					return client.Action{}, "", err
				}
			}
			return client.Action{Name: "set_member", Args: act}, "member " + string(id) + " added", nil
		},
	})
	f := c.Flags()
	f.StringVar(&key, "encryption-key", "", "PEM file of the member's public encryption key")
	f.StringVar(&role, "recovery-role", "", "NonParticipant, Participant or Owner")
	f.StringVar(&data, "data", "", "JSON object with the member's data, or a file with it")
	return c
}

func newMemberActivate(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "activate --as MEMBER",
		Short: "Acknowledge the service's state, becoming an active member",
		Long: `Has the service record its newest state for the member and acknowledges it.
A member who was accepted becomes active: may propose and vote, and holds a
recovery share if it has an encryption key.

With a key that lives elsewhere these are two requests, each signed there and
sent with synod proposal submit: --cert and --digest-out write the first, whose
answer is a state digest; with --state-digest they write the second, which
acknowledges it.`,
		Example: "  synod member activate --as keys/member0 --service-cert service_cert.pem",
		Args:    args(cobra.NoArgs),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	as := c.Flags().StringArray("as", nil, identityHelp+"; may be repeated")
	digest := c.Flags().String("state-digest", "", "with --digest-out: the digest to acknowledge, 64 hex digits")
	off := newOffline(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case off.wanted() && *digest == "":
			return off.write(cmd, p, "members/state-digests/{member}:update", client.Message{Kind: client.KindStateDigest})
		case off.wanted():
			return off.writeAck(cmd, p, *digest)
		case *digest != "":
			return usagef(cmd, "--state-digest needs --digest-out")
		}
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
