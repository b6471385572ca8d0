package client

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"

	"synod"
)

// EncryptedShare returns a member's recovery share as the service keeps it:
// encrypted for that member, RSA-OAEP with SHA-256. Anybody may ask.
func (c *Client) EncryptedShare(ctx context.Context, member synod.MemberID) ([]byte, error) {
	var out struct {
		Share []byte `json:"encryptedShare"`
	}
	if _, err := c.gov(ctx, "recovery/encrypted-shares/"+url.PathEscape(string(member)), &out); err != nil {
		return nil, fmt.Errorf("get the encrypted recovery share: %w", err)
	}
	return out.Share, nil
}

// DecryptShare decrypts a recovery share with the member's encryption key, PEM in
// PKCS #8 or PKCS #1. Whoever holds enough shares can read the service's private
// data: keep it to yourself.
func DecryptShare(keyPEM, encrypted []byte) ([]byte, error) {
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, errors.New("the encryption key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			return nil, errors.New("the encryption key is no private key in PKCS #8 or PKCS #1")
		}
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the encryption key is a %T, not RSA", key)
	}
	share, err := rsa.DecryptOAEP(sha256.New(), nil, private, encrypted, nil)
	if err != nil {
		return nil, errors.New("the share is not encrypted with this key: it is another member's, or the key is an older one")
	}
	return share, nil
}

// SubmittedShares is the answer to a recovery share.
type SubmittedShares struct {
	Message   string `json:"message"`
	Submitted int    `json:"submittedCount"`
	Threshold int    `json:"recoveryThreshold"`
	// Full says that the share was the whole key, as owners have it.
	Full bool       `json:"fullKeySubmitted"`
	TxID synod.TxID `json:"-"` // of the answer that this came in
}

// Enough says whether the recovery of private data has begun with this share.
func (s *SubmittedShares) Enough() bool { return s.Full || s.Submitted >= s.Threshold }

// SubmitShare sends this member's decrypted recovery share.
func (m *Member) SubmitShare(ctx context.Context, share []byte) (*SubmittedShares, error) {
	payload, err := json.Marshal(map[string][]byte{"share": share})
	if err != nil {
		return nil, fmt.Errorf("encode recovery share: %w", err)
	}
	resp, err := m.send(ctx, "recovery/members/"+string(m.signer.ID())+":recover", Message{Kind: KindRecoveryShare, Payload: payload})
	if err != nil {
		return nil, fmt.Errorf("submit the recovery share: %w", err)
	}
	out := &SubmittedShares{TxID: resp.TxID}
	return out, decode(resp, out)
}

// Recovery is how far the recovery of a service has come.
type Recovery struct {
	NodeState string `json:"node_state"`     // of the node that answered
	Status    string `json:"service_status"` // Recovering, WaitingForRecoveryShares or Open
	Count     int    `json:"recovery_count"` // recoveries in the service's life
	// After is the last signature of the service before: what came later is
	// dropped. DroppedTo is the last entry that the files claimed to hold, of
	// which those up to ReadableTo could be read.
	After      synod.TxID  `json:"recovered_after"`
	DroppedTo  synod.SeqNo `json:"dropped_to"`
	ReadableTo synod.SeqNo `json:"readable_to"`
	Threshold  int         `json:"recovery_threshold"`
	// Members are those who hold a share, and whether they have sent it.
	Members map[synod.MemberID]bool `json:"members"`
	// Read and Target are how far the node has read its private ledger, and how
	// far it has to; zero while it does not.
	Read   synod.SeqNo `json:"last_recovered_seqno,omitempty"`
	Target synod.SeqNo `json:"recovery_target_seqno,omitempty"`
	// Resumed says that it is the same service that goes on, from what a node had
	// sealed: it opens without members. While it waits for other nodes, WaitsFor of
	// Nodes are missing, and it opens at Until without them.
	Resumed  bool       `json:"resumed,omitempty"`
	WaitsFor int        `json:"resume_waits_for,omitempty"`
	Nodes    int        `json:"resume_nodes,omitempty"`
	Until    *time.Time `json:"resume_until,omitempty"`
}

// Sealing is whether members allow nodes to keep the service's secrets on their
// disks, and what the node that answered has sealed.
type Sealing struct {
	Allowed   bool        `json:"allowed"`
	Since     synod.SeqNo `json:"allowed_since,omitempty"` // where members allowed it
	Key       string      `json:"sealing_key"`             // what the platform's key is
	Directory string      `json:"directory"`               // "" if the node has none
	// At is what was committed when it sealed last, Secret the first entry of the
	// newest ledger secret in it; zero if it has not.
	At     synod.TxID  `json:"sealed_at,omitzero"`
	Secret synod.SeqNo `json:"ledger_secret_seqno,omitempty"`
	Error  string      `json:"error,omitempty"` // why it could not
}

// Sealing asks a node what it has sealed.
func (c *Client) Sealing(ctx context.Context) (*Sealing, error) {
	out := &Sealing{}
	_, err := c.Get(ctx, "/node/sealing", out)
	return out, err
}

// Recovery asks a node how far the recovery of its service has come. The error is
// a 404 *synod.Error if the service was never recovered.
func (c *Client) Recovery(ctx context.Context) (*Recovery, error) {
	out := &Recovery{}
	_, err := c.Get(ctx, "/node/recovery", out)
	return out, err
}
