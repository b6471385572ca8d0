package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"synod"
)

// apiVersion is the version of the governance API that this package speaks
// (CCF: doc/schemas/gov/2024-07-01).
const apiVersion = "2024-07-01"

// Ballots that need no script of one's own.
const (
	BallotFor     = "export function vote (proposal, proposerId) { return true; }"
	BallotAgainst = "export function vote (proposal, proposerId) { return false; }"
)

// ProposalState is where a proposal is in its life.
type ProposalState string

// The states of a proposal.
const (
	ProposalOpen      ProposalState = "Open"
	ProposalAccepted  ProposalState = "Accepted"
	ProposalRejected  ProposalState = "Rejected"
	ProposalFailed    ProposalState = "Failed"
	ProposalWithdrawn ProposalState = "Withdrawn"
	ProposalDropped   ProposalState = "Dropped"
)

// Proposal is what the service says of a proposal.
type Proposal struct {
	ID           string                   `json:"proposalId"`
	Proposer     synod.MemberID           `json:"proposerId"`
	State        ProposalState            `json:"proposalState"`
	BallotCount  int                      `json:"ballotCount"`
	FinalVotes   map[string]bool          `json:"finalVotes,omitempty"`
	VoteFailures map[string]ScriptFailure `json:"voteFailures,omitempty"`
	Failure      *ScriptFailure           `json:"failure,omitempty"`
	TxID         synod.TxID               `json:"-"` // of the answer that this came in
}

// ScriptFailure is why a ballot or the constitution failed.
type ScriptFailure struct {
	Reason string `json:"reason"`
	Trace  string `json:"trace,omitempty"`
}

// Action is one action of a proposal.
type Action struct {
	Name string `json:"name"`
	Args any    `json:"args,omitempty"`
}

// ProposalBody makes the JSON of a proposal.
func ProposalBody(actions ...Action) ([]byte, error) {
	b, err := json.Marshal(map[string][]Action{"actions": actions})
	if err != nil {
		return nil, fmt.Errorf("encode proposal: %w", err)
	}
	return b, nil
}

// Member acts for one member of the service. It may be used from several
// goroutines.
type Member struct {
	client *Client
	signer Signer
	now    func() time.Time
}

// NewMember makes a Member that signs with signer.
func NewMember(c *Client, signer Signer) *Member {
	return &Member{client: c, signer: signer, now: time.Now}
}

// ID is the member's identifier.
func (m *Member) ID() synod.MemberID { return m.signer.ID() }

// Propose submits a proposal, the JSON text of {"actions":[…]}.
func (m *Member) Propose(ctx context.Context, body []byte) (*Proposal, error) {
	return m.proposal(ctx, "members/proposals:create", Message{Kind: KindProposal, Payload: body})
}

// Vote submits a ballot: the text of a module that exports vote, such as
// BallotFor.
func (m *Member) Vote(ctx context.Context, proposalID, ballot string) (*Proposal, error) {
	payload, err := json.Marshal(map[string]string{"ballot": ballot})
	if err != nil {
		return nil, fmt.Errorf("encode ballot: %w", err)
	}
	path := fmt.Sprintf("members/proposals/%s/ballots/%s:submit", url.PathEscape(proposalID), string(m.signer.ID()))
	return m.proposal(ctx, path, Message{Kind: KindBallot, ProposalID: proposalID, Payload: payload})
}

// Withdraw takes back a proposal of this member's. The answer to withdrawing
// what the service does not know is a 404 *synod.Error.
func (m *Member) Withdraw(ctx context.Context, proposalID string) (*Proposal, error) {
	return m.proposal(ctx, "members/proposals/"+url.PathEscape(proposalID)+":withdraw",
		Message{Kind: KindWithdrawal, ProposalID: proposalID})
}

// UpdateStateDigest has the service record its newest state for this member to
// acknowledge, and returns the digest.
func (m *Member) UpdateStateDigest(ctx context.Context) (string, error) {
	var out struct {
		StateDigest string `json:"stateDigest"`
	}
	resp, err := m.send(ctx, "members/state-digests/"+string(m.signer.ID())+":update", Message{Kind: KindStateDigest})
	if err != nil {
		return "", fmt.Errorf("update state digest: %w", err)
	}
	if err := decode(resp, &out); err != nil {
		return "", err
	}
	return out.StateDigest, nil
}

// Ack acknowledges the state of that digest; a member who was Accepted becomes
// Active. It returns the transaction that did it.
func (m *Member) Ack(ctx context.Context, stateDigest string) (synod.TxID, error) {
	payload, err := json.Marshal(map[string]string{"stateDigest": stateDigest})
	if err != nil {
		return synod.TxID{}, fmt.Errorf("encode ack: %w", err)
	}
	resp, err := m.send(ctx, "members/state-digests/"+string(m.signer.ID())+":ack", Message{Kind: KindAck, Payload: payload})
	if err != nil {
		return synod.TxID{}, fmt.Errorf("acknowledge state: %w", err)
	}
	return resp.TxID, nil
}

// Activate makes an accepted member active: UpdateStateDigest, then Ack.
func (m *Member) Activate(ctx context.Context) (synod.TxID, error) {
	digest, err := m.UpdateStateDigest(ctx)
	if err != nil {
		return synod.TxID{}, err
	}
	return m.Ack(ctx, digest)
}

func (m *Member) proposal(ctx context.Context, path string, msg Message) (*Proposal, error) {
	resp, err := m.send(ctx, path, msg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", msg.Kind, err)
	}
	if resp.Status == http.StatusNoContent {
		return nil, synod.Errorf(http.StatusNotFound, synod.CodeProposalNotFound, "The service knows no proposal %s.", msg.ProposalID)
	}
	return decodeProposal(resp)
}

func decodeProposal(resp *Response) (*Proposal, error) {
	var p Proposal
	if err := decode(resp, &p); err != nil {
		return nil, err
	}
	p.TxID = resp.TxID
	return &p, nil
}

// send signs a message and posts it. A refused proposal is not sent again with
// a new signature: whether that is wanted is the caller's to say.
func (m *Member) send(ctx context.Context, path string, msg Message) (*Response, error) {
	msg.CreatedAt = m.now().Unix()
	body, err := Sign(m.signer, msg)
	if err != nil {
		return nil, err
	}
	return m.client.Submit(ctx, path, body)
}

// Submit posts a signed governance message (see Unsigned.Finish) to a path
// under /gov, such as members/proposals:create. What is signed does not depend on the
// session: if that ends because the primary changed, and nothing was ordered, Submit
// posts it again.
func (c *Client) Submit(ctx context.Context, path string, message []byte) (*Response, error) {
	return c.anew(func() (*Response, error) {
		return c.Do(ctx, Request{
			Method: http.MethodPost,
			Path:   "/gov/" + path + "?api-version=" + apiVersion,
			Header: http.Header{"Content-Type": {"application/cose"}},
			Body:   message,
		})
	})
}

// gov fetches a document of the governance API.
func (c *Client) gov(ctx context.Context, path string, out any) (*Response, error) {
	version := "?api-version="
	if strings.Contains(path, "?") {
		version = "&api-version="
	}
	return c.Get(ctx, "/gov/"+path+version+apiVersion, out)
}

// Governance asks for the document at a path below /gov, such as
// service/users or service/javascript-app?case=original: into a *[]byte as it
// is, into anything else as JSON.
func (c *Client) Governance(ctx context.Context, path string, out any) error {
	text, raw := out.(*[]byte)
	if raw {
		out = nil
	}
	resp, err := c.gov(ctx, path, out)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if raw {
		*text = resp.Body
	}
	return nil
}

// Proposal asks for one proposal.
func (c *Client) Proposal(ctx context.Context, id string) (*Proposal, error) {
	if err := checkID("proposal", id); err != nil {
		return nil, err
	}
	resp, err := c.gov(ctx, "members/proposals/"+id, nil)
	if err != nil {
		return nil, fmt.Errorf("proposal %s: %w", id, err)
	}
	return decodeProposal(resp)
}

// Proposals asks for every proposal that the service still lists.
func (c *Client) Proposals(ctx context.Context) ([]Proposal, error) {
	var out struct {
		Value []Proposal `json:"value"`
	}
	if _, err := c.gov(ctx, "members/proposals", &out); err != nil {
		return nil, fmt.Errorf("proposals: %w", err)
	}
	return out.Value, nil
}

// ProposalActions returns a proposal's JSON as it was submitted.
func (c *Client) ProposalActions(ctx context.Context, id string) (json.RawMessage, error) {
	if err := checkID("proposal", id); err != nil {
		return nil, err
	}
	resp, err := c.gov(ctx, "members/proposals/"+id+"/actions", nil)
	if err != nil {
		return nil, fmt.Errorf("actions of proposal %s: %w", id, err)
	}
	return resp.Body, nil
}

// MemberInfo is what the service says of a member.
type MemberInfo struct {
	ID                  synod.MemberID  `json:"memberId"`
	Status              string          `json:"status"` // Accepted or Active
	Data                json.RawMessage `json:"memberData"`
	Certificate         string          `json:"certificate"`
	PublicEncryptionKey string          `json:"publicEncryptionKey"`
	RecoveryRole        string          `json:"recoveryRole"`
}

// Members asks for the members of the service.
func (c *Client) Members(ctx context.Context) ([]MemberInfo, error) {
	var out struct {
		Value []MemberInfo `json:"value"`
	}
	if _, err := c.gov(ctx, "service/members", &out); err != nil {
		return nil, fmt.Errorf("members: %w", err)
	}
	return out.Value, nil
}

// Network is what a node says of its service.
type Network struct {
	ServiceStatus      string          `json:"service_status"` // Opening, Open, …
	ServiceCertificate string          `json:"service_certificate"`
	CurrentView        *uint64         `json:"current_view"`
	PrimaryID          *synod.NodeID   `json:"primary_id"`
	RecoveryCount      int             `json:"recovery_count"`
	ServiceData        json.RawMessage `json:"service_data"`
}

// Network asks a node for its service.
func (c *Client) Network(ctx context.Context) (*Network, error) {
	var out Network
	if _, err := c.Get(ctx, "/node/network", &out); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	return &out, nil
}

var errID = errors.New("want 64 hex digits")

// checkID keeps what is not an identifier out of a path.
func checkID(what, id string) error {
	if len(id) != 64 || strings.Trim(id, "0123456789abcdefABCDEF") != "" {
		return fmt.Errorf("%s ID %q: %w", what, id, errID)
	}
	return nil
}
