package evidence

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"synod"
	"synod/internal/cose"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/tables"
)

// Signer makes signature transactions: by the node's key over the root, and by
// the service's key as COSE_Sign1 (CCF: src/node/history.h). Its fields are
// set before use and only read afterwards.
type Signer struct {
	NodeID     synod.NodeID
	NodeKey    *ecdsa.PrivateKey
	NodeCert   func() string // PEM of the service-endorsed certificate, or ""
	ServiceKey *ecdsa.PrivateKey
	ServiceKID string
	Issuer     string
	Subject    string
	Now        func() time.Time

	once          sync.Once
	node, service *identity.Presigner // of the two keys
}

// ready makes what signs, once.
func (s *Signer) ready() {
	s.once.Do(func() {
		s.node, s.service = identity.NewPresigner(s.NodeKey), identity.NewPresigner(s.ServiceKey)
	})
}

// Quick says that the next Sign takes some microseconds: Prepare has done what is
// slow about it.
func (s *Signer) Quick() bool {
	s.ready()
	return s.node.Quick() && s.service.Quick()
}

// Prepare does ahead what is slow about some signatures, and says of how many:
// none once enough are prepared.
func (s *Signer) Prepare() (int, error) {
	s.ready()
	n, err := s.node.Prepare()
	if err != nil {
		return 0, err
	}
	m, err := s.service.Prepare()
	return max(n, m), err
}

// Signature is a signature transaction before it is encoded.
type Signature struct {
	TxID     synod.TxID
	Record   tables.SignatureRecord
	COSE     []byte
	WriteSet *kv.WriteSet
}

// Sign signs root, the one over 0..id.SeqNo-1, for the signature transaction
// id; tree is that tree, serialised. It costs two ECDSA signatures. If they are not
// prepared they are made side by side, the service's on a goroutine of its own.
func (s *Signer) Sign(id synod.TxID, root [32]byte, tree []byte) (*Signature, error) {
	claims := cose.LedgerSignature{KID: s.ServiceKID, IssuedAt: s.Now().Unix(), Issuer: s.Issuer, Subject: s.Subject, TxID: id}
	var envelope []byte
	seal := func() (err error) {
		envelope, err = cose.SignLedger(s.service, claims, root)
		return err
	}
	sealed := make(chan error, 1)
	if s.Quick() {
		sealed <- seal()
	} else {
		go func() { sealed <- seal() }()
	}
	nodeSig, err := identity.SignDigest(s.node, root)
	if serviceErr := <-sealed; serviceErr != nil {
		return nil, fmt.Errorf("sign root at %s with the service key: %w", id, serviceErr)
	}
	if err != nil {
		return nil, fmt.Errorf("sign root at %s with the node key: %w", id, err)
	}
	rec := tables.SignatureRecord{
		Cert:        s.NodeCert(),
		HashedNonce: hex.EncodeToString(make([]byte, 32)),
		Node:        s.NodeID,
		Root:        hex.EncodeToString(root[:]),
		Seqno:       id.SeqNo,
		Sig:         nodeSig,
		View:        id.View,
	}
	record, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("encode signature at %s: %w", id, err)
	}
	quoted := []byte(`"` + base64.StdEncoding.EncodeToString(envelope) + `"`)
	unit := func(name string, value []byte) kv.MapWrites {
		return kv.MapWrites{Name: name, Writes: []kv.Write{{Key: tables.UnitKey(), Value: value}}}
	}
	return &Signature{TxID: id, Record: rec, COSE: envelope, WriteSet: &kv.WriteSet{Maps: []kv.MapWrites{
		unit(tables.COSESignatures, quoted),
		unit(tables.Signatures, record),
		unit(tables.Tree, tree),
	}}}, nil
}
