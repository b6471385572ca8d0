package historical

import (
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"synod"
	"synod/internal/identity"
	"synod/internal/merkle"
	"synod/internal/tables"
	"synod/receipt"
)

// seal is what a signature transaction that is believed signs. It never changes.
type seal struct {
	id     synod.TxID
	record tables.SignatureRecord
	root   [32]byte
	cose   []byte // nil in ledgers from before COSE signatures
}

// signed is a seal with the tree that leads there, which is large: states keep
// the seal alone.
type signed struct {
	*seal

	mu   sync.Mutex
	tree *merkle.Tree // guarded by mu
	min  synod.SeqNo  // the first leaf that tree holds
}

// covers says whether the tree still has the leaf of an entry.
func (s *signed) covers(seqno synod.SeqNo) bool { return seqno >= s.min && seqno < s.id.SeqNo }

// leaves is how many leaves the tree holds.
func (s *signed) leaves() int { return int(s.id.SeqNo - s.min) }

// path leads from an entry's leaf to the signed root. It fails unless the leaf
// is the one that was signed.
func (s *signed) path(seqno synod.SeqNo, leaf [32]byte) (merkle.Path, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, err := s.tree.Path(uint64(seqno), uint64(s.id.SeqNo-1))
	if err != nil {
		return nil, err
	}
	if path.Root(leaf) != s.root {
		return nil, fmt.Errorf("it is not the one that the signature at %s covers", s.id)
	}
	return path, nil
}

// leaf is one of those that are signed.
func (s *signed) leaf(seqno synod.SeqNo) ([32]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tree.Leaf(uint64(seqno))
}

func (s *seal) parts() receipt.Signature {
	return receipt.Signature{Sig: s.record.Sig, Cert: s.record.Cert, NodeID: s.record.Node, Root: s.root}
}

// signed takes a signature transaction apart and checks all of it, or finds it
// checked already.
func (h *History) signed(s *state) (*signed, error) {
	if known := h.signatures.get(s.id.SeqNo); known != nil && known.id == s.id {
		return known, nil
	}
	sig, err := readSigned(s)
	if err != nil {
		return nil, notBelieved(s.id.SeqNo, err)
	}
	h.signatures.put(sig)
	return sig, nil
}

func readSigned(s *state) (*signed, error) {
	sig := &signed{seal: &seal{id: s.id}}
	var tree []byte
	for _, m := range s.maps {
		for _, w := range m.Writes {
			var err error
			switch m.Name {
			case tables.Signatures:
				err = json.Unmarshal(w.Value, &sig.record)
			case tables.COSESignatures:
				err = json.Unmarshal(w.Value, &sig.cose)
			case tables.Tree:
				tree = w.Value
			}
			if err != nil {
				return nil, fmt.Errorf("table %s: %w", m.Name, err)
			}
		}
	}
	var err error
	if sig.tree, err = merkle.Deserialise(tree); err != nil {
		return nil, fmt.Errorf("its tree: %w", err)
	}
	sig.min = synod.SeqNo(sig.tree.MinIndex())
	sig.root = sig.tree.Root()
	switch {
	case synod.TxID{View: sig.record.View, SeqNo: sig.record.Seqno} != s.id:
		return nil, fmt.Errorf("it signs as %d.%d", sig.record.View, sig.record.Seqno)
	case synod.SeqNo(sig.tree.MaxIndex())+1 != s.id.SeqNo:
		return nil, errors.New("its tree does not end before it")
	case sig.record.Root != hex.EncodeToString(sig.root[:]):
		return nil, errors.New("the root that it signs is not its tree's")
	}
	return sig, sig.verify()
}

// verify checks the node's signature by the certificate that came with it. One
// without a certificate was made before the node had one.
func (s *seal) verify() error {
	if s.record.Cert == "" {
		return nil
	}
	cert, err := identity.ParseCertPEM([]byte(s.record.Cert))
	if err != nil {
		return fmt.Errorf("the certificate in the signature: %w", err)
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || identity.NodeIDOf(key) != s.record.Node {
		return errors.New("the certificate in the signature is not that of the node that signed")
	}
	if !identity.VerifyDigest(key, s.root, s.record.Sig) {
		return errors.New("the node's signature does not verify")
	}
	return nil
}

// signedAfter is the first signature above an entry.
func (h *History) signedAfter(seqno synod.SeqNo) (*signed, error) {
	if known := h.signatures.covering(seqno); known != nil {
		return known, nil
	}
	at, ok := h.cfg.SignatureAfter(seqno)
	if !ok {
		var err error
		if at, err = h.findSignature(seqno + 1); err != nil {
			return nil, err
		}
	}
	entries, err := h.entries(at, at)
	if err != nil {
		return nil, err
	}
	s, err := h.open(entries[0])
	if err == nil && !s.signature {
		err = errors.New("it is not the signature that it was")
	}
	if err != nil {
		return nil, notBelieved(at, err)
	}
	return h.signed(s)
}

// findSignature looks for the first signature from an entry on.
func (h *History) findSignature(from synod.SeqNo) (synod.SeqNo, error) {
	for last := h.cfg.Committed().SeqNo; from <= last; {
		entries, err := h.entries(from, last)
		if err != nil {
			return 0, err
		}
		for _, e := range entries {
			if e.IsSignature() {
				return e.TxID.SeqNo, nil
			}
		}
		from += synod.SeqNo(len(entries))
	}
	return 0, fmt.Errorf("no committed signature covers entry %d", from)
}

const (
	// signaturesMax and leavesMax bound the signatures that are remembered. Each
	// has the tree over what it covers, 64 bytes for each of these entries.
	signaturesMax = 4096
	leavesMax     = 1 << 20
)

// signatureCache remembers signatures that were checked: mostly those asked
// after are near each other. It may be used from several goroutines.
type signatureCache struct {
	mu     sync.Mutex
	all    []*signed // guarded by mu; most recently used last
	leaves int       // guarded by mu; of all
}

func newSignatureCache() *signatureCache { return &signatureCache{} }

func (c *signatureCache) get(seqno synod.SeqNo) *signed {
	return c.find(func(s *signed) bool { return s.id.SeqNo == seqno })
}

func (c *signatureCache) covering(seqno synod.SeqNo) *signed {
	return c.find(func(s *signed) bool { return s.covers(seqno) })
}

func (c *signatureCache) find(want func(*signed) bool) *signed {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.all) - 1; i >= 0; i-- {
		if s := c.all[i]; want(s) {
			copy(c.all[i:], c.all[i+1:])
			c.all[len(c.all)-1] = s
			return s
		}
	}
	return nil
}

func (c *signatureCache) put(s *signed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, s)
	c.leaves += s.leaves()
	drop := 0
	for ; drop < len(c.all)-1 && (len(c.all)-drop > signaturesMax || c.leaves > leavesMax); drop++ {
		c.leaves -= c.all[drop].leaves()
	}
	c.all = append(c.all[:0], c.all[drop:]...)
}
