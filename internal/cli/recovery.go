package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"synod"
	"synod/client"
)

func newRecovery(env *Env) *cobra.Command {
	return newGroup("recovery", "Recovery of a service from its ledger, and members' shares for it",
		newRecoveryStatus(env), newRecoveryOpen(env),
		newGroup("share", "A member's recovery share", newShareGet(env), newShareSubmit(env)))
}

func newRecoveryStatus(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "status",
		Short:   "Say how far a recovery has come, and what comes next",
		Example: "  synod recovery status --url https://127.0.0.1:8000 --service-cert service_cert.pem",
		Args:    args(cobra.NoArgs),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		sealing, err := cl.Sealing(ctx)
		if err != nil {
			return err
		}
		r, err := cl.Recovery(ctx)
		var answer *synod.Error
		if errors.As(err, &answer) && answer.Status == 404 {
			return p.line(map[string]any{"recovered": false, "sealing": sealing}, "the service was never recovered: there is nothing to do\n%s", sealingText(sealing))
		}
		if err != nil {
			return err
		}
		next := nextStep(r)
		return p.line(struct {
			*client.Recovery
			Sealing *client.Sealing `json:"sealing"`
			Next    string          `json:"next"`
		}{r, sealing, next}, "%s\n%s\n%s\nnext: %s", strings.Join(progress(r), "\n"), dropped(r), sealingText(sealing), next)
	}
	return c
}

func newRecoveryOpen(env *Env) *cobra.Command {
	var previous, next string
	c := newAct(env, act{
		use: "open --previous-identity FILE", short: "Propose to open a recovered service, and vote for it",
		long: `Proposes transition_service_to_open over both identities: the certificate of the
service that was lost, and that of the recovered one. Members should have the
first from before, not from whoever recovers the service: it is what keeps a
forked ledger from being opened. The service then waits for recovery shares.`,
		example: "  synod recovery open --previous-identity previous_cert.pem --as keys/member0 --as keys/member1 --service-cert service_cert.pem",
		args:    cobra.NoArgs,
		action: func(c *cobra.Command, _ []string) (client.Action, string, error) {
			next = orDefault(next, c.Flags().Lookup("service-cert").Value.String())
			if previous == "" || next == "" {
				return client.Action{}, "", usagef(c, "name the certificate of the lost service with --previous-identity and that of the recovered one with --service-cert")
			}
			before, err := os.ReadFile(previous)
			if err != nil {
				return client.Action{}, "", err
			}
			after, err := os.ReadFile(next)
			return client.Action{Name: "transition_service_to_open", Args: map[string]any{
				"previous_service_identity": string(before), "next_service_identity": string(after),
			}}, "the service waits for recovery shares", err
		},
	})
	c.Flags().StringVar(&previous, "previous-identity", "", "PEM file with the certificate of the service that was lost")
	c.Flags().StringVar(&next, "next-identity", "", "PEM file with that of the recovered service (default --service-cert)")
	return c
}

// sealingText says whether the service can come back without shares.
func sealingText(s *client.Sealing) string {
	switch {
	case !s.Allowed:
		return "sealed resume: members do not allow it; only recovery shares bring the service back"
	case s.Directory == "":
		return "sealed resume: members allow it; this node has no directory for it (output_files.sealed_ledger_secret_location)"
	case s.Error != "":
		return "sealed resume: members allow it, and this node cannot seal: " + s.Error
	case s.At.IsZero():
		return "sealed resume: members allow it; this node has sealed nothing yet"
	}
	return fmt.Sprintf("sealed resume: members allow it; this node has sealed the service in %s (key: %s)", s.Directory, s.Key)
}

// progress is what has been reached.
func progress(r *client.Recovery) []string {
	lines := []string{fmt.Sprintf("service: %s, %s so far; this node: %s", r.Status, counted(r.Count, "recovery"), r.NodeState)}
	if r.Resumed {
		lines = append(lines, "it resumed from what a node had sealed: the same service, without recovery shares")
	}
	if r.Status == "WaitingForRecoveryShares" {
		sent := 0
		for _, has := range r.Members {
			if has {
				sent++
			}
		}
		lines = append(lines, fmt.Sprintf("shares: %d of %d needed", sent, r.Threshold))
	}
	if r.Target > 0 {
		lines = append(lines, fmt.Sprintf("private ledger: read up to %d, to be read up to %d", r.Read, r.Target))
	}
	return lines
}

// dropped is what the recovery could not keep.
func dropped(r *client.Recovery) string {
	if r.DroppedTo <= r.After.SeqNo {
		return fmt.Sprintf("recovered after: %s, nothing was dropped", r.After)
	}
	return fmt.Sprintf("recovered after: %s; dropped: %d to %d, which no signature covered (readable up to %d)",
		r.After, r.After.SeqNo+1, r.DroppedTo, max(r.ReadableTo, r.After.SeqNo))
}

// nextStep is what somebody has to do now.
func nextStep(r *client.Recovery) string {
	switch {
	case r.Status == "Recovering" && r.Until != nil:
		return fmt.Sprintf("start the other nodes (command.type Join), %d of %d are missing: the service opens by itself when they have joined, or without them at %s",
			r.WaitsFor, r.Nodes, r.Until.Format(time.RFC3339))
	case r.Status == "Recovering":
		return "start the other nodes (command.type Join); then members vote with synod recovery open"
	case r.Status == "WaitingForRecoveryShares" && r.NodeState == "PartOfPublicNetwork":
		var waiting []string
		for _, id := range slices.Sorted(maps.Keys(r.Members)) {
			if !r.Members[id] {
				waiting = append(waiting, string(id))
			}
		}
		return "members send their shares with synod recovery share submit; not yet: " + strings.Join(waiting, " ")
	case r.Status == "WaitingForRecoveryShares":
		return "wait: the nodes read the private ledger, and then the service opens by itself"
	case r.NodeState != "PartOfNetwork":
		return "wait: the service is open, this node still reads the private ledger"
	}
	return "nothing: the service is open"
}

// shareOf decrypts the share of the member whose keys are NAME_cert.pem and
// NAME_enc_privk.pem.
func shareOf(ctx context.Context, cl *client.Client, name, key string) ([]byte, *client.KeySigner, error) {
	signer, err := loadSigner(name)
	if err != nil {
		return nil, nil, err
	}
	private, err := os.ReadFile(orDefault(key, name+"_enc_privk.pem"))
	if err != nil {
		return nil, nil, fmt.Errorf("the member's encryption key: %w", err)
	}
	sealed, err := cl.EncryptedShare(ctx, signer.ID())
	if err != nil {
		return nil, nil, err
	}
	share, err := client.DecryptShare(private, sealed)
	return share, signer, err
}

func newShareGet(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "get --as MEMBER --out FILE",
		Short: "Fetch and decrypt a member's recovery share",
		Long: `Writes the member's share, 44 bytes, to a file that only its owner may read.
Enough shares open the service's private data: the file is as secret as that.
To recover a service, synod recovery share submit fetches and sends the share
without a file.`,
		Example: "  synod recovery share get --as keys/member0 --out share.bin --service-cert service_cert.pem",
		Args:    args(cobra.NoArgs),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	as := c.Flags().String("as", "", identityHelp)
	key := c.Flags().String("encryption-key", "", "the member's private encryption key (default NAME_enc_privk.pem)")
	out := c.Flags().String("out", "", "file to write, which must not exist")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if *as == "" || *out == "" {
			return usagef(cmd, "name a member with --as and a file with --out")
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		share, signer, err := shareOf(ctx, cl, *as, *key)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(*out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(share)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		return p.line(map[string]string{"member_id": string(signer.ID()), "file": *out},
			"wrote %s: the recovery share of member %s; keep it secret, and remove it when it has served", *out, short(string(signer.ID())))
	}
	return c
}

func newShareSubmit(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "submit --as MEMBER",
		Short: "Send a member's recovery share to a service that waits for it",
		Long: `Fetches the member's share, decrypts it in memory and sends it, signed. With
the last share that is needed the recovery of private data begins. A member may
send its share again.`,
		Example: "  synod recovery share submit --as keys/member0 --service-cert service_cert.pem",
		Args:    args(cobra.NoArgs),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	as := c.Flags().String("as", "", identityHelp)
	key := c.Flags().String("encryption-key", "", "the member's private encryption key (default NAME_enc_privk.pem)")
	file := c.Flags().String("share", "", "file with the decrypted share, in place of fetching it")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if *as == "" {
			return usagef(cmd, "name a member with --as")
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		var share []byte
		var signer *client.KeySigner
		if *file != "" {
			if share, err = os.ReadFile(*file); err == nil {
				signer, err = loadSigner(*as)
			}
		} else {
			share, signer, err = shareOf(ctx, cl, *as, *key)
		}
		if err != nil {
			return err
		}
		answer, err := client.NewMember(cl, signer).SubmitShare(ctx, share)
		if err != nil {
			return err
		}
		return p.line(answer, "%s", answer.Message)
	}
	return c
}
