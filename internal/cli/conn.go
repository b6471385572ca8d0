package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"synod/client"
)

// conn is how a command reaches a service.
type conn struct {
	url, serviceCert string
	expired          bool
	timeout          time.Duration
}

// newConn adds the flags that name a service.
func newConn(env *Env, c *cobra.Command) *conn {
	n := &conn{}
	f := c.Flags()
	f.StringVar(&n.url, "url", orDefault(env.Getenv("SYNOD_URL"), "https://127.0.0.1:8000"), "address of a node (SYNOD_URL)")
	f.StringVar(&n.serviceCert, "service-cert", env.Getenv("SYNOD_SERVICE_CERT"), "the service's certificate, PEM (SYNOD_SERVICE_CERT)")
	f.BoolVar(&n.expired, "allow-expired", false, "take certificates that have run out, to renew them")
	f.DurationVar(&n.timeout, "timeout", 30*time.Second, "give up after so long")
	return n
}

// endless makes a command wait for ever unless --timeout says otherwise.
func (n *conn) endless(c *cobra.Command) {
	flag := c.Flags().Lookup("timeout")
	flag.Usage, flag.DefValue, n.timeout = "end after so long; 0 for never", "0s", 0
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// dial makes a client; cancel bounds everything done with it.
func (n *conn) dial(ctx context.Context, opts ...client.Option) (context.Context, *client.Client, func(), error) {
	if n.serviceCert == "" {
		return nil, nil, nil, client.ErrNoServiceCertificate
	}
	cert, err := os.ReadFile(n.serviceCert)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read service certificate: %w", err)
	}
	opts = append(opts, client.WithServiceCertificate(cert))
	if n.expired {
		opts = append(opts, client.WithExpiredCertificates())
	}
	c, err := client.Dial(n.url, opts...)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := bounded(ctx, n.timeout)
	return ctx, c, func() { cancel(); c.Close() }, nil
}

// bounded ends after limit, 0 for never.
func bounded(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, limit)
}

// identityHelp explains --as.
const identityHelp = "sign as the member whose files are NAME_cert.pem and NAME_privk.pem"

// keyFiles are the names of an identity's files.
func keyFiles(name string) (cert, key string) { return name + "_cert.pem", name + "_privk.pem" }

// loadSigner reads a member's certificate and key.
func loadSigner(name string) (*client.KeySigner, error) {
	certFile, keyFile := keyFiles(name)
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return nil, withHint(fmt.Errorf("read member certificate: %w", err), "--as takes the part of the name before _cert.pem, for instance keys/member0")
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("read member key: %w", err)
	}
	s, err := client.NewKeySigner(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s, %s: %w", certFile, keyFile, err)
	}
	return s, nil
}

// loadMembers makes a Member for each name, at least one.
func loadMembers(cmd *cobra.Command, c *client.Client, names []string) ([]*client.Member, error) {
	if len(names) == 0 {
		return nil, usagef(cmd, "name a member with --as")
	}
	members := make([]*client.Member, len(names))
	for i, name := range names {
		s, err := loadSigner(name)
		if err != nil {
			return nil, err
		}
		members[i] = client.NewMember(c, s)
	}
	return members, nil
}

// decide proposes as the first member and has every member vote for the
// proposal until it is decided, then waits for its commit.
func decide(ctx context.Context, c *client.Client, members []*client.Member, body []byte) (*client.Proposal, error) {
	p, err := members[0].Propose(ctx, body)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if p.State != client.ProposalOpen {
			break
		}
		if p, err = m.Vote(ctx, p.ID, client.BallotFor); err != nil {
			return nil, err
		}
	}
	if err := c.WaitCommitted(ctx, p.TxID); err != nil {
		return nil, err
	}
	switch p.State {
	case client.ProposalAccepted, client.ProposalOpen:
		return p, nil
	}
	return p, fmt.Errorf("proposal %s is %s%s", p.ID, p.State, failureText(p))
}

func failureText(p *client.Proposal) string {
	if p.Failure != nil {
		return ": " + p.Failure.Reason
	}
	return ""
}

// errStillOpen is the hint's home for proposals that need more votes.
var errStillOpen = errors.New("the proposal needs more votes")

// mustBeAccepted turns a proposal that is still open into an error.
func mustBeAccepted(p *client.Proposal) error {
	if p.State == client.ProposalOpen {
		return withHint(fmt.Errorf("proposal %s: %w", p.ID, errStillOpen),
			"other members vote with: synod proposal vote "+p.ID+" --as MEMBER")
	}
	return nil
}

// short is the beginning of an identifier, for tables.
func short(id string) string {
	const shown = 12
	if len(id) > shown {
		return id[:shown]
	}
	return id
}

// readInput reads a file, or standard input for "-".
func readInput(env *Env, name string) ([]byte, error) {
	if name == "-" {
		return readAll(env.Stdin)
	}
	b, err := os.ReadFile(name)
	if err != nil && strings.HasPrefix(name, "{") {
		return nil, withHint(err, "the argument is a file; use - for standard input")
	}
	return b, err
}
