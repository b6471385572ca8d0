package evidence

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"synod"
	"synod/internal/cose"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/tables"
)

// Read returns the signature that a transaction is, nil for any other. It
// checks that the signature is of this transaction and over the root of the
// entries before it, which only a signature asks for; Verify checks the rest.
func Read(id synod.TxID, ws *kv.WriteSet, root func() [32]byte) (*Signature, error) {
	if !slices.ContainsFunc(ws.Maps, func(m kv.MapWrites) bool {
		return m.Name == tables.Signatures || m.Name == tables.COSESignatures || m.Name == tables.Tree
	}) {
		return nil, nil
	}
	s := &Signature{TxID: id, WriteSet: ws}
	found := 0
	for _, m := range ws.Maps {
		var into func([]byte) error
		switch m.Name {
		case tables.Signatures:
			into = func(b []byte) error { return json.Unmarshal(b, &s.Record) }
		case tables.COSESignatures:
			into = func(b []byte) error {
				var encoded tables.Bytes
				err := json.Unmarshal(b, &encoded)
				s.COSE = encoded
				return err
			}
		case tables.Tree:
			into = func([]byte) error { return nil }
		default:
			continue
		}
		found++
		if len(m.Removes) != 0 || len(m.Writes) != 1 || !bytes.Equal(m.Writes[0].Key, tables.UnitKey()) {
			return nil, fmt.Errorf("table %s: not the write of one value", m.Name)
		}
		if err := into(m.Writes[0].Value); err != nil {
			return nil, fmt.Errorf("table %s: %w", m.Name, err)
		}
	}
	want := root()
	switch {
	case found != 3 || len(ws.Maps) != 3:
		return nil, errors.New("a signature transaction with other tables than a signature's")
	case synod.TxID{View: s.Record.View, SeqNo: s.Record.Seqno} != id:
		return nil, fmt.Errorf("the signature is of transaction %d.%d", s.Record.View, s.Record.Seqno)
	case s.Record.Root != hex.EncodeToString(want[:]):
		return nil, errors.New("the signed root is not that of the entries before it")
	}
	return s, nil
}

// Verify checks both signatures: the service's, and the node's by the
// certificate in the record, which the service must have endorsed; its dates
// do not matter. A record without a certificate is of a node that had none
// yet, and only the service's signature counts.
func (s *Signature) Verify(service *ecdsa.PublicKey) error {
	return NewVerifier(service).Verify(s)
}

// Verifier is Signature.Verify for many signatures of one service. It remembers
// the last certificate that it found endorsed. One goroutine uses it at a time.
type Verifier struct {
	service  *ecdsa.PublicKey
	kid      string
	endorsed string // PEM
	key      crypto.PublicKey
	node     synod.NodeID
}

// NewVerifier makes a verifier for the service of a key.
func NewVerifier(service *ecdsa.PublicKey) *Verifier {
	return &Verifier{service: service, kid: identity.ServiceKID(service)}
}

// Verify checks both signatures.
func (v *Verifier) Verify(s *Signature) error {
	root, err := hex.DecodeString(s.Record.Root)
	if err != nil || len(root) != 32 {
		return errors.New("the signed root is not 32 bytes in hex")
	}
	ledger, message, err := cose.ParseLedgerSignature(s.COSE)
	if err != nil {
		return fmt.Errorf("service signature: %w", err)
	}
	switch {
	case ledger.TxID != s.TxID:
		return fmt.Errorf("the service signature is of transaction %s", ledger.TxID)
	case ledger.KID != v.kid:
		return fmt.Errorf("the service signature is by key %s, not by the service's", ledger.KID)
	}
	if err := message.Verify(v.service, root); err != nil {
		return fmt.Errorf("service signature: %w", err)
	}
	if s.Record.Cert == "" {
		return nil
	}
	if err := v.certificate(s.Record.Cert); err != nil {
		return fmt.Errorf("certificate in the signature record: %w", err)
	}
	if v.node != s.Record.Node {
		return errors.New("the certificate in the signature record is another node's")
	}
	if !identity.VerifyDigest(v.key, [32]byte(root), s.Record.Sig) {
		return fmt.Errorf("the signature of node %s does not verify", s.Record.Node)
	}
	return nil
}

// certificate makes sure that the service has endorsed a certificate.
func (v *Verifier) certificate(pem string) error {
	if pem == v.endorsed {
		return nil
	}
	cert, err := identity.ParseCertPEM([]byte(pem))
	if err != nil {
		return err
	}
	if err := identity.EndorsedBy(cert, v.service); err != nil {
		return err
	}
	v.endorsed, v.key, v.node = pem, cert.PublicKey, identity.NodeIDOf(cert.PublicKey)
	return nil
}
