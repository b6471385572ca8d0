package audit

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"synod"
	"synod/internal/cose"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/merkle"
	"synod/internal/tables"
)

// signatureWrites are the values of a signature transaction.
type signatureWrites struct{ node, cose, tree []byte }

func (s *signatureWrites) take(m kv.MapWrites) error {
	if len(m.Removes) != 0 || len(m.Writes) != 1 || !bytes.Equal(m.Writes[0].Key, tables.UnitKey()) {
		return fmt.Errorf("table %s: not the write of one value", m.Name)
	}
	value := m.Writes[0].Value
	switch m.Name {
	case tables.Signatures:
		s.node = value
	case tables.COSESignatures:
		s.cose = value
	default:
		s.tree = value
	}
	return nil
}

// signature makes the check of a signature transaction, nil for any other.
// What needs no public-key operation is checked here.
func (v *Verifier) signature(d *Decoded, w *signatureWrites) (*Check, error) {
	e := d.entry
	if w.node == nil && w.cose == nil && w.tree == nil {
		return nil, nil
	}
	// The table set is CCF's rule (CCF: src/kv/deserialise.h): a signature is a
	// transaction of its own.
	want := 2
	if w.cose != nil {
		want = 3
	}
	if w.node == nil || w.tree == nil || len(d.Maps) != want || len(e.Cipher) != 0 {
		return nil, errors.New("a signature transaction with other tables than a signature's")
	}
	var rec tables.SignatureRecord
	if err := json.Unmarshal(w.node, &rec); err != nil {
		return nil, fmt.Errorf("signature record: %w", err)
	}
	if id := (synod.TxID{View: rec.View, SeqNo: rec.Seqno}); id != e.TxID {
		return nil, fmt.Errorf("the signature is of transaction %s", id)
	}
	root := v.tree.Root()
	if rec.Root != hex.EncodeToString(root[:]) {
		return nil, fmt.Errorf("the signed root is not that of the entries before it: one of %d to %d was changed",
			v.signed.SeqNo+1, e.TxID.SeqNo-1)
	}
	switch {
	case d.tree.fault != nil:
		return nil, d.tree.fault
	case d.tree.last != e.TxID.SeqNo-1 || d.tree.root != root:
		return nil, errors.New("the serialised tree is not that of the entries before it")
	}
	check := &Check{TxID: e.TxID, Previous: v.signed, root: root, nodeSignature: rec.Sig, nodeCert: rec.Cert, serviceKey: v.state.serviceKey}
	var err error
	if check.nodeKey, err = v.signingKey(&rec); err != nil {
		return nil, err
	}
	if w.cose != nil {
		if err := check.setCOSE(w.cose); err != nil {
			return nil, fmt.Errorf("service signature: %w", err)
		}
	}
	return check, nil
}

// signingKey is the key of the node that a signature record names.
func (v *Verifier) signingKey(rec *tables.SignatureRecord) (*ecdsa.PublicKey, error) {
	status, known := v.state.nodeStatus[rec.Node]
	key := v.state.nodeKey[rec.Node]
	switch {
	case !known || key == nil:
		return nil, fmt.Errorf("signed by node %s, which the ledger does not know", rec.Node)
	case status == tables.NodePending:
		return nil, fmt.Errorf("signed by node %s, which is not trusted yet", rec.Node)
	}
	if rec.Cert == "" {
		return key, nil
	}
	if v.cert.pem != rec.Cert {
		of, err := certificateKey([]byte(rec.Cert))
		if err != nil {
			return nil, fmt.Errorf("certificate in the signature record: %w", err)
		}
		v.cert.pem, v.cert.key = rec.Cert, of
	}
	if !v.cert.key.Equal(key) {
		return nil, fmt.Errorf("the certificate in the signature record is not that of node %s", rec.Node)
	}
	return key, nil
}

// Check is the public-key part of one signature transaction. It holds nothing
// of the Verifier that made it and may run in any goroutine.
type Check struct {
	TxID     synod.TxID // the signature transaction
	Previous synod.TxID // the signature before it; zero if it is the first

	root          merkle.Hash
	nodeKey       *ecdsa.PublicKey
	nodeCert      string // PEM; "" if the node had none yet
	nodeSignature []byte
	serviceKey    *ecdsa.PublicKey // nil if the ledger has no service yet
	cose          *cose.Message    // nil if the service did not sign
}

func (c *Check) setCOSE(value []byte) error {
	var encoded tables.Bytes
	if err := json.Unmarshal(value, &encoded); err != nil {
		return err
	}
	sig, msg, err := cose.ParseLedgerSignature(encoded)
	if err != nil {
		return err
	}
	switch {
	case c.serviceKey == nil:
		return errors.New("the ledger has no service certificate before it")
	case sig.TxID != c.TxID:
		return fmt.Errorf("it is of transaction %s", sig.TxID)
	case sig.KID != identity.ServiceKID(c.serviceKey):
		return fmt.Errorf("it is by key %s, the service's is %s", sig.KID, identity.ServiceKID(c.serviceKey))
	}
	c.cose = msg
	return nil
}

// Run verifies the signatures. An error is an *Error without file.
func (c *Check) Run() error {
	if !identity.VerifyDigest(c.nodeKey, c.root, c.nodeSignature) {
		return &Error{TxID: c.TxID, Since: c.Previous, Reason: "the node's signature does not verify"}
	}
	if c.cose == nil {
		return nil
	}
	if err := c.cose.Verify(c.serviceKey, c.root[:]); err != nil {
		return &Error{TxID: c.TxID, Since: c.Previous, Reason: fmt.Sprintf("the service's signature does not verify: %s", err)}
	}
	return nil
}

// Vouched says whether the service's own key stands behind a signature whose Run
// succeeded: it has signed too, or has endorsed the node that did. Any other is
// only as good as the entries before it, which say who the nodes are: whoever
// writes the files could add a node there and sign as that. Signatures from before
// a service's COSE signatures lack it where the node had no certificate yet.
func (c *Check) Vouched() bool {
	if c.cose != nil {
		return true
	}
	cert, err := identity.ParseCertPEM([]byte(c.nodeCert))
	return err == nil && c.serviceKey != nil && identity.EndorsedBy(cert, c.serviceKey) == nil
}
