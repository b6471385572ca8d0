package sim

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"synod"
	"synod/internal/consensus"
	"synod/internal/evidence"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/tables"
)

// keys are those of all simulated services; who signs does not matter here.
type keys struct{ service, node *ecdsa.PrivateKey }

var realKeys = sync.OnceValue(func() *keys {
	k := &keys{}
	for _, to := range []**ecdsa.PrivateKey{&k.service, &k.node} {
		key, err := identity.NewKey("Secp384R1")
		if err != nil {
			panic(err)
		}
		*to = key
	}
	return k
})

func (w *world) signer() consensus.Signer {
	if w.keys == nil {
		return &signer{w, unsigned{}}
	}
	return &signer{w, &evidence.Signer{
		NodeID: identity.NodeIDOf(&w.keys.node.PublicKey), NodeKey: w.keys.node, NodeCert: func() string { return "" },
		ServiceKey: w.keys.service, ServiceKID: identity.ServiceKID(&w.keys.service.PublicKey),
		Now: func() time.Time { return w.now },
	}}
}

func (w *world) verify(s *evidence.Signature) error {
	if w.keys == nil {
		return nil
	}
	return s.Verify(&w.keys.service.PublicKey)
}

// signer plants a mistake, if that is wanted.
type signer struct {
	w    *world
	made interface {
		Sign(id synod.TxID, root [32]byte, tree []byte) (*evidence.Signature, error)
	}
}

func (s *signer) Sign(id synod.TxID, root [32]byte, tree []byte) (*evidence.Signature, error) {
	if s.w.cfg.Bug == WrongRoot && id.SeqNo > 20 {
		root[0] ^= 1
	}
	for {
		// A signature in ASN.1 is of two lengths or three. Of one, entries have
		// the same sizes each time, and a seed repeats.
		const usual = 103
		sig, err := s.made.Sign(id, root, tree)
		if s.w.keys == nil || err != nil || len(sig.Record.Sig) == usual {
			return sig, err
		}
	}
}

// Quick has some seeds sign while they order, and others on a worker.
func (s *signer) Quick() bool { return s.w.cfg.Seed%2 == 1 }

// Prepare has nothing to do: it does not matter here how long a signature takes.
func (s *signer) Prepare() (int, error) { return 0, nil }

// unsigned makes signature transactions of CCF's form with empty signatures:
// the root is what counts.
type unsigned struct{}

func (unsigned) Sign(id synod.TxID, root [32]byte, tree []byte) (*evidence.Signature, error) {
	rec := tables.SignatureRecord{Node: "sim", Root: hex.EncodeToString(root[:]), Seqno: id.SeqNo, View: id.View}
	row, err := json.Marshal(rec)
	if err != nil {
		return nil, err
	}
	unit := func(name string, v []byte) kv.MapWrites {
		return kv.MapWrites{Name: name, Writes: []kv.Write{{Key: tables.UnitKey(), Value: v}}}
	}
	cose := []byte(`"` + base64.StdEncoding.EncodeToString([]byte("sim")) + `"`)
	return &evidence.Signature{TxID: id, Record: rec, COSE: []byte("sim"), WriteSet: &kv.WriteSet{Maps: []kv.MapWrites{
		unit(tables.COSESignatures, cose), unit(tables.Signatures, row), unit(tables.Tree, tree),
	}}}, nil
}
