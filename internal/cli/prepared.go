package cli

import (
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"synod"
	"synod/client"
)

// prepared is a governance request that waits for a signature made elsewhere,
// for instance by an HSM. The file holds nothing secret.
type prepared struct {
	MemberID   synod.MemberID `json:"member_id"`
	Curve      string         `json:"curve"` // P-256, P-384 or P-521
	Path       string         `json:"path"`  // under /gov
	Kind       client.Kind    `json:"kind"`
	ProposalID string         `json:"proposal_id,omitempty"`
	CreatedAt  int64          `json:"created_at"`
	Payload    []byte         `json:"payload"`
	Digest     string         `json:"digest"` // hex; what to sign
}

func (r *prepared) unsigned() (*client.Unsigned, error) {
	curve, ok := curvesByName[r.Curve]
	if !ok {
		return nil, fmt.Errorf("curve %q: want P-256, P-384 or P-521", r.Curve)
	}
	return client.Prepare(r.MemberID, curve, client.Message{
		Kind: r.Kind, ProposalID: r.ProposalID, CreatedAt: r.CreatedAt, Payload: r.Payload,
	})
}

var curvesByName = map[string]elliptic.Curve{
	"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521(),
}

// offline holds the flags that ask for a prepared request.
type offline struct{ cert, out *string }

func newOffline(c *cobra.Command) *offline {
	return &offline{
		cert: c.Flags().String("cert", "", "with --digest-out: certificate of the member who will sign"),
		out:  c.Flags().String("digest-out", "", "write the request to be signed to this file instead of sending it"),
	}
}

func (o *offline) wanted() bool { return *o.out != "" }

func (o *offline) writeBallot(cmd *cobra.Command, p *printer, proposalID, ballot string) error {
	payload, err := json.Marshal(map[string]string{"ballot": ballot})
	if err != nil {
		return fmt.Errorf("encode ballot: %w", err)
	}
	return o.write(cmd, p, "members/proposals/"+proposalID+"/ballots/{member}:submit",
		client.Message{Kind: client.KindBallot, ProposalID: proposalID, Payload: payload})
}

func (o *offline) writeAck(cmd *cobra.Command, p *printer, stateDigest string) error {
	if b, err := hex.DecodeString(stateDigest); err != nil || len(b) != sha256.Size {
		return usagef(cmd, "--state-digest %q: want 64 hex digits", stateDigest)
	}
	payload, err := json.Marshal(map[string]string{"stateDigest": stateDigest})
	if err != nil {
		return fmt.Errorf("encode acknowledgement: %w", err)
	}
	return o.write(cmd, p, "members/state-digests/{member}:ack", client.Message{Kind: client.KindAck, Payload: payload})
}

// write prepares a message; {member} in the path stands for the signer.
func (o *offline) write(cmd *cobra.Command, p *printer, path string, m client.Message) error {
	if *o.cert == "" {
		return usagef(cmd, "--digest-out needs --cert")
	}
	cert, err := os.ReadFile(*o.cert)
	if err != nil {
		return fmt.Errorf("read member certificate: %w", err)
	}
	id, pub, err := client.MemberOf(cert)
	if err != nil {
		return err
	}
	r := prepared{
		MemberID: id, Curve: pub.Curve.Params().Name, Path: strings.ReplaceAll(path, "{member}", string(id)), Kind: m.Kind,
		ProposalID: m.ProposalID, CreatedAt: time.Now().Unix(), Payload: m.Payload,
	}
	u, err := r.unsigned()
	if err != nil {
		return err
	}
	r.Digest = hex.EncodeToString(u.Digest())
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	if err := os.WriteFile(*o.out, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	return p.line(r, "%s", r.Digest)
}

func newProposalSubmit(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "submit REQUEST --signature-in FILE",
		Short: "Send a request that was signed elsewhere",
		Long: `Sends what --digest-out wrote, with the signature over its digest: ASN.1 DER,
as openssl and HSMs make it, or r followed by s.`,
		Example: `  synod proposal create open.json --cert member0_cert.pem --digest-out request.json | xxd -r -p > digest
  openssl pkeyutl -sign -inkey member0_privk.pem -in digest -out signature
  synod proposal submit request.json --signature-in signature`,
		Args: args(cobra.ExactArgs(1)),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	file := c.Flags().String("signature-in", "", "file with the signature")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		if *file == "" {
			return usagef(cmd, "name the signature's file with --signature-in")
		}
		text, err := os.ReadFile(a[0])
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		var r prepared
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("%s: not a request that --digest-out wrote: %w", a[0], err)
		}
		u, err := r.unsigned()
		if err != nil {
			return fmt.Errorf("%s: %w", a[0], err)
		}
		signature, err := os.ReadFile(*file)
		if err != nil {
			return fmt.Errorf("read signature: %w", err)
		}
		message, err := u.Finish(signature)
		if err != nil {
			return fmt.Errorf("%s: %w", *file, err)
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		resp, err := cl.Submit(ctx, r.Path, message)
		if err != nil {
			return err
		}
		if !resp.TxID.IsZero() {
			if err := cl.WaitCommitted(ctx, resp.TxID); err != nil {
				return err
			}
		}
		return printSubmitted(p, resp)
	}
	return c
}

// printSubmitted prints what the service answered: a proposal, a state digest,
// or nothing.
func printSubmitted(p *printer, resp *client.Response) error {
	var prop client.Proposal
	if json.Unmarshal(resp.Body, &prop) == nil && prop.ID != "" {
		prop.TxID = resp.TxID
		return printProposal(p, &prop)
	}
	var state struct {
		MemberID      string `json:"memberId"`
		StateDigest   string `json:"stateDigest"`
		TransactionID string `json:"transactionId"`
	}
	if json.Unmarshal(resp.Body, &state) == nil && state.StateDigest != "" {
		state.TransactionID = resp.TxID.String()
		return p.line(state, "state digest %s (transaction %s)", state.StateDigest, resp.TxID)
	}
	return p.line(map[string]string{"transactionId": resp.TxID.String()}, "accepted (transaction %s)", resp.TxID)
}
