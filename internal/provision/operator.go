package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"synod"
	"synod/client"
	"synod/internal/identity"
)

// Operator is the member of every network by which this server acts. It has the
// least power that running nodes takes: see constitutions/managed.
type Operator struct {
	cert              string // PEM
	encryptionPub     string // PEM, for networks whose members bring no keys of their own
	encryptionKeyFile string
	signer            client.Signer
}

// OperatorOptions say where the operator's key is.
type OperatorOptions struct {
	// Dir holds cert.pem and, if no other signer is given, key.pem, which are made
	// if they are not there; enc_key.pem and enc_pubk.pem are always there.
	Dir string
	// Command is a program, with its arguments, that signs digests.
	Command []string
	// HandOff has digests put into a directory for somebody to sign.
	HandOff string
}

// LoadOperator reads the operator's identity. A key in a file that others can read
// is refused.
func LoadOperator(o OperatorOptions, now func() time.Time) (*Operator, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of the operator: %w", err)
	}
	path := func(name string) string { return filepath.Join(o.Dir, name) }
	elsewhere := len(o.Command) > 0 || o.HandOff != ""
	if err := makeOperator(path, elsewhere, now); err != nil {
		return nil, err
	}
	op := &Operator{encryptionKeyFile: path("enc_key.pem")}
	cert, err := os.ReadFile(path("cert.pem"))
	if err != nil {
		return nil, fmt.Errorf("operator's certificate: %w", err)
	}
	pub, err := os.ReadFile(path("enc_pubk.pem"))
	if err != nil {
		return nil, fmt.Errorf("operator's encryption key: %w", err)
	}
	op.cert, op.encryptionPub = string(cert), string(pub)
	key, err := publicKeyOf(cert)
	if err != nil {
		return nil, err
	}
	switch {
	case len(o.Command) > 0:
		op.signer = &commandSigner{key, o.Command}
	case o.HandOff != "":
		op.signer = &handOffSigner{key, o.HandOff, handOffMax}
	default:
		private, err := readPrivate(path("key.pem"))
		if err != nil {
			return nil, err
		}
		if op.signer, err = client.NewKeySigner(cert, private); err != nil {
			return nil, fmt.Errorf("operator: %w", err)
		}
	}
	return op, nil
}

// makeOperator makes what is not there. The certificate comes last: without it all
// is made anew.
func makeOperator(path func(string) string, elsewhere bool, now func() time.Time) error {
	if _, err := os.Stat(path("enc_pubk.pem")); errors.Is(err, fs.ErrNotExist) {
		key, pub, err := identity.NewEncryptionKey()
		if err != nil {
			return fmt.Errorf("make the operator's encryption key: %w", err)
		}
		if err := writeFile(path("enc_key.pem"), []byte(key), 0o600); err != nil {
			return err
		}
		if err := writeFile(path("enc_pubk.pem"), []byte(pub), 0o644); err != nil {
			return err
		}
	}
	_, err := os.Stat(path("cert.pem"))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if elsewhere {
		return fmt.Errorf("the operator's key is elsewhere: put its certificate into %s", path("cert.pem"))
	}
	p, err := identity.NewMember("operator", identity.Secp384r1, now())
	if err != nil {
		return fmt.Errorf("make the operator's key: %w", err)
	}
	if err := writeFile(path("key.pem"), []byte(p.KeyPEM), 0o600); err != nil {
		return err
	}
	return writeFile(path("cert.pem"), []byte(p.CertPEM), 0o644)
}

func readPrivate(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("private key %s can be read by others (%04o): set its mode to 0600", name, info.Mode().Perm())
	}
	return os.ReadFile(name)
}

// ID is the operator's identifier as a member.
func (op *Operator) ID() synod.MemberID { return op.signer.ID() }

// genesisMember is the operator as one of a service's first members. It holds a
// recovery share only where no other member could.
func (op *Operator) genesisMember(withShare bool) (GenesisMember, error) {
	data, err := json.Marshal(map[string]any{"is_operator": true, "owner": "Synod managed service"})
	if err != nil {
		return GenesisMember{}, fmt.Errorf("encode the operator's data: %w", err)
	}
	m := GenesisMember{Certificate: op.cert, Data: data}
	if withShare {
		m.EncryptionKey = op.encryptionPub
	}
	return m, nil
}

// propose makes a proposal and waits until it is committed.
func (op *Operator) propose(ctx context.Context, c *client.Client, actions ...client.Action) (*client.Proposal, error) {
	body, err := client.ProposalBody(actions...)
	if err != nil {
		return nil, err
	}
	p, err := client.NewMember(c, op.signer).Propose(ctx, body)
	if err != nil {
		return nil, err
	}
	return p, c.WaitCommitted(ctx, p.TxID)
}

// errNotAlone says that the constitution in force does not let the operator do
// what it has to.
var errNotAlone = errors.New("the network's constitution does not let the operator do this alone")

// act does by proposal what the operator may do alone. If it may not, the proposal
// is withdrawn.
func (op *Operator) act(ctx context.Context, c *client.Client, actions ...client.Action) error {
	_, err := op.acted(ctx, c, actions...)
	return err
}

// acted is act; it returns the transaction that did it.
func (op *Operator) acted(ctx context.Context, c *client.Client, actions ...client.Action) (synod.TxID, error) {
	p, err := op.propose(ctx, c, actions...)
	if err != nil {
		return synod.TxID{}, err
	}
	switch p.State {
	case client.ProposalAccepted:
		return p.TxID, nil
	case client.ProposalOpen:
		if _, err := client.NewMember(c, op.signer).Withdraw(ctx, p.ID); err != nil {
			return synod.TxID{}, fmt.Errorf("%w: %s (withdrawing it: %w)", errNotAlone, actions[0].Name, err)
		}
		return synod.TxID{}, fmt.Errorf("%w: %s", errNotAlone, actions[0].Name)
	case client.ProposalFailed:
		if p.Failure != nil {
			return synod.TxID{}, fmt.Errorf("%s failed: %s", actions[0].Name, p.Failure.Reason)
		}
	}
	return synod.TxID{}, fmt.Errorf("%s is %s", actions[0].Name, p.State)
}

// open returns the operator's open proposals, by the name of their first action and
// its release argument.
func (op *Operator) open(ctx context.Context, c *client.Client) (map[string]string, error) {
	all, err := c.Proposals(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, p := range all {
		if p.State != client.ProposalOpen || p.Proposer != op.ID() {
			continue
		}
		text, err := c.ProposalActions(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		var body struct {
			Actions []struct {
				Name string
				Args struct{ Release string }
			}
		}
		if err := json.Unmarshal(text, &body); err != nil || len(body.Actions) == 0 {
			continue
		}
		found[body.Actions[0].Name+" "+body.Actions[0].Args.Release] = p.ID
	}
	return found, nil
}

// withdraw takes back one of the operator's open proposals, named as open does; that
// there is none is no error.
func (op *Operator) withdraw(ctx context.Context, c *client.Client, name string) error {
	all, err := op.open(ctx, c)
	if err != nil || all[name] == "" {
		return err
	}
	_, err = client.NewMember(c, op.signer).Withdraw(ctx, all[name])
	return err
}

// submitShare sends the operator's recovery share.
func (op *Operator) submitShare(ctx context.Context, c *client.Client) error {
	encrypted, err := c.EncryptedShare(ctx, op.ID())
	if err != nil {
		return err
	}
	key, err := readPrivate(op.encryptionKeyFile)
	if err != nil {
		return err
	}
	share, err := client.DecryptShare(key, encrypted)
	if err != nil {
		return err
	}
	_, err = client.NewMember(c, op.signer).SubmitShare(ctx, share)
	return err
}
