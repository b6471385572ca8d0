package audit

import (
	"crypto/ecdsa"
	"fmt"

	"synod"
	"synod/internal/ledger"
	"synod/internal/merkle"
	"synod/internal/tables"
)

// Error says which entry cannot be believed, and why.
type Error struct {
	TxID   synod.TxID // as the entry calls itself
	Since  synod.TxID // last signature that verified: the entries after it are in doubt too
	Reason string
	File   string // set by Directory
	Offset int64  // of the entry in File, bytes
}

// Error names the place and the reason.
func (e *Error) Error() string {
	s := fmt.Sprintf("transaction %s: %s", e.TxID, e.Reason)
	if e.File != "" {
		s = fmt.Sprintf("%s: offset %d: %s", e.File, e.Offset, s)
	}
	return s
}

// Hint says which entries are concerned.
func (e *Error) Hint() string {
	if e.Since.IsZero() {
		return fmt.Sprintf("nothing in this ledger can be believed: compare it with another copy from entry 1 to %d", e.TxID.SeqNo)
	}
	return fmt.Sprintf("the ledger is good up to %s: take the entries from %d to %d from another copy, or recover from %s",
		e.Since, e.Since.SeqNo+1, e.TxID.SeqNo, e.Since)
}

// Verifier replays the entries of a ledger in order, from seqno 1 or after a
// state that is believed.
type Verifier struct {
	tree    *merkle.Tree
	hold    synod.SeqNo // leaves from here on stay in the tree; 0: those that RootAt needs
	last    synod.TxID
	signed  synod.TxID // last signature added
	state   state
	entries uint64
	cert    struct { // of the signature before: mostly the next one's too
		pem string
		key *ecdsa.PublicKey
	}

	signatures, coseSignatures uint64
}

// NewVerifier starts before the first entry of a ledger.
func NewVerifier() *Verifier {
	return &Verifier{tree: merkle.New(), state: newState()}
}

// NewVerifierAfter starts after a signature transaction whose state is believed,
// that of a verified snapshot: tree is over all up to it, and becomes the
// verifier's.
func NewVerifierAfter(id synod.TxID, tree *merkle.Tree, state tables.Reader) (*Verifier, error) {
	v := &Verifier{tree: tree, last: id, signed: id, state: newState()}
	if err := v.state.load(id, state); err != nil {
		return nil, fmt.Errorf("the state at %s: %w", id, err)
	}
	return v, nil
}

// Hold keeps the leaves from a seqno on in the tree, for Back.
func (v *Verifier) Hold(from synod.SeqNo) { v.hold = from }

// Back ends the verifier and returns its tree as it was after an entry, which
// must not be before what Hold keeps.
func (v *Verifier) Back(to synod.SeqNo) (*merkle.Tree, error) {
	err := v.tree.RetractTo(uint64(to))
	return v.tree, err
}

// Last is the last entry added; LastSignature the last signature among them,
// which is to be believed only when its Check succeeds.
func (v *Verifier) Last() synod.TxID { return v.last }

// LastSignature is described at Last.
func (v *Verifier) LastSignature() synod.TxID { return v.signed }

// rootsKept is how many entries before the last signature RootAt reaches.
const rootsKept = 1024

// RootAt is the root of the tree over the entries up to seqno, for those since
// the last signature and some before it; false for any other.
func (v *Verifier) RootAt(seqno synod.SeqNo) ([32]byte, bool) {
	root, err := v.tree.RootAt(uint64(seqno))
	return root, err == nil
}

// Add replays the next entry. For a signature transaction it returns a Check,
// which the caller runs when and where it likes; the root has been compared
// already. An error is an *Error without file; the verifier is of no use
// after it.
func (v *Verifier) Add(e *ledger.Entry) (*Check, error) { return v.AddDecoded(Decode(e)) }

// AddDecoded is Add for those who have decoded the entry already.
func (v *Verifier) AddDecoded(d *Decoded) (*Check, error) {
	check, err := v.add(d)
	if err != nil {
		return nil, &Error{TxID: d.entry.TxID, Since: v.signed, Reason: err.Error()}
	}
	return check, nil
}

func (v *Verifier) add(d *Decoded) (*Check, error) {
	e := d.entry
	if want := v.last.SeqNo + 1; e.TxID.SeqNo != want {
		return nil, fmt.Errorf("the entry after %s should be number %d", v.last, want)
	}
	if e.TxID.View < v.last.View {
		return nil, fmt.Errorf("the view is lower than that of %s before it", v.last)
	}
	if d.fault != nil {
		return nil, d.fault
	}
	var sig signatureWrites
	for _, m := range d.Maps {
		var err error
		switch m.Name {
		case tables.Nodes:
			err = v.state.nodes(m)
		case tables.NodeEndorsedCertificates:
			err = v.state.certificates(m)
		case tables.Service:
			err = v.state.service(e.TxID, m)
		case tables.Signatures, tables.COSESignatures, tables.Tree:
			err = sig.take(m)
		}
		if err != nil {
			return nil, err
		}
	}
	check, err := v.signature(d, &sig)
	if err != nil {
		return nil, err
	}
	v.tree.Append(d.leaf)
	v.last = e.TxID
	v.entries++
	if check != nil {
		v.signed = e.TxID
		v.signatures++
		if check.cose != nil {
			v.coseSignatures++
		}
		// Later signatures need the root only, RootAt those of some entries.
		if keep := e.TxID.SeqNo; keep > rootsKept {
			keep -= rootsKept
			if v.hold > 0 {
				keep = min(keep, v.hold)
			}
			v.tree.FlushTo(uint64(keep))
		}
	}
	return check, nil
}
