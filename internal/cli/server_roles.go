package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os/user"

	"github.com/spf13/cobra"

	"synod/internal/arm"
)

func newServerRoles(env *Env) *cobra.Command {
	return newGroup("roles", "Who may do what on a managed service", newRolesList(env), newRolesAdd(env), newRolesRemove(env))
}

// addServerData adds the flag that names a server's data directory.
func addServerData(env *Env, c *cobra.Command) *string {
	return c.Flags().String("data", orDefault(env.Getenv("SYNOD_SERVER_DATA"), serverData), "the server's data directory (SYNOD_SERVER_DATA)")
}

// withStore runs fn on the store of a data directory, beside the server if one
// runs.
func withStore(ctx context.Context, data string, fn func(*arm.Store) error) error {
	store, err := openServerStore(ctx, data)
	if err != nil {
		return err
	}
	return errors.Join(fn(store), store.Close())
}

func newRolesList(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List the roles that were given", Example: "  synod server roles list --data managed", Args: args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	data := addServerData(env, c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd.Context(), *data, func(s *arm.Store) error {
			all, err := s.RoleAssignments(cmd.Context())
			if err != nil {
				return err
			}
			rows := [][]string{}
			for _, a := range all {
				rows = append(rows, []string{a.Role, a.Principal, a.Scope, a.AddedAt.Format("2006-01-02 15:04"), a.AddedBy})
			}
			return p.table(all, []string{"role", "principal", "scope", "since", "by"}, rows)
		})
	}
	return c
}

const roleHelp = `ROLE is owner (everything), operator (create, change, back up, upgrade), member
(read, and hand signed governance messages to nodes) or reader. PRINCIPAL is a
name as a refusal shows it: oidc:ISSUER#SUBJECT, email:ADDRESS (verified by the
issuer), group:NAME (a group of the token) or cert:NAME (common name of a client
certificate). The server need not be stopped.`

func newRoleChange(env *Env, use, short, done string, change func(*arm.Store, context.Context, arm.RoleAssignment) error) *cobra.Command {
	c := &cobra.Command{
		Use: use + " PRINCIPAL ROLE", Short: short, Long: short + ".\n\n" + roleHelp,
		Example: "  synod server roles " + use + " group:ops operator --scope / --data managed", Args: args(cobra.ExactArgs(2)),
	}
	p := newPrinter(env, c)
	data := addServerData(env, c)
	scope := c.Flags().String("scope", "/", "where it holds: /, or the resource ID of a subscription, group or network")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		given := arm.RoleAssignment{Principal: a[0], Role: a[1], Scope: *scope, AddedBy: "server"}
		if me, err := user.Current(); err == nil {
			given.AddedBy = "local:" + me.Username
		}
		if err := given.Check(); err != nil {
			return usagef(cmd, "%w", err)
		}
		return withStore(cmd.Context(), *data, func(s *arm.Store) error {
			err := change(s, cmd.Context(), given)
			if errors.Is(err, arm.ErrNotFound) {
				err = withHint(fmt.Errorf("%s does not have the role %s on %s", a[0], a[1], *scope), "synod server roles list shows who has what")
			}
			if err != nil {
				return err
			}
			entry := arm.AuditEntry{Principal: given.AddedBy, Action: "roles/" + use, Target: given.Scope, Result: given.Role + " " + given.Principal}
			if err := s.AppendAudit(cmd.Context(), entry); err != nil {
				return err
			}
			return p.line(given, "%s %s %s on %s", given.Principal, done, given.Role, given.Scope)
		})
	}
	return c
}

func newRolesAdd(env *Env) *cobra.Command {
	return newRoleChange(env, "add", "Give a role", "is", (*arm.Store).AddRole)
}

func newRolesRemove(env *Env) *cobra.Command {
	return newRoleChange(env, "remove", "Take a role away", "is no longer", (*arm.Store).RemoveRole)
}

func newServerAudit(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use: "audit", Short: "Show and verify the log of who asked for what",
		Long: `Shows the newest entries of a managed service's audit log, after checking that no
entry was changed or taken out: each has a hash over the one before. The last
hash, kept elsewhere, proves later that nothing before it was changed.`,
		Example: "  synod server audit --limit 20 --data managed", Args: args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	data := addServerData(env, c)
	limit := c.Flags().Int("limit", 50, "how many entries to show, up to 1000")
	target := c.Flags().String("target", "", "only of this resource ID and what is below it")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return withStore(cmd.Context(), *data, func(s *arm.Store) error {
			last, hash, err := s.VerifyAudit(cmd.Context())
			if errors.Is(err, arm.ErrAuditBroken) {
				return &unverified{err}
			}
			if err != nil {
				return err
			}
			all, err := s.Audit(cmd.Context(), arm.AuditFilter{Limit: *limit, Target: *target})
			if err != nil {
				return err
			}
			rows := [][]string{}
			for _, e := range all {
				rows = append(rows, []string{fmt.Sprint(e.Seq), e.At.Format("2006-01-02 15:04:05"), e.Principal, e.Action, e.Target, e.Result})
			}
			if err := p.table(all, []string{"seq", "at", "principal", "action", "target", "result"}, rows); err != nil || p.format == formatJSON {
				return err
			}
			_, err = fmt.Fprintf(p.out, "verified: %d entries, the last has hash %s\n", last, hex.EncodeToString(hash))
			return err
		})
	}
	return c
}
