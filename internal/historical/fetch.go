package historical

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"synod"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/secrets"
)

// runBytes bounds what is read of the ledger at once.
const runBytes = 1 << 20

// ErrNotBelieved is wrapped by every failure that means that the ledger on disk
// is not what the service wrote.
var ErrNotBelieved = errors.New("the ledger on this node's disk is not what the service wrote: replace the chunk by a copy from another node or a backup")

// notBelieved says why. A secret that is not known yet, as in a recovery, is no
// fault of the ledger's.
func notBelieved(id synod.SeqNo, reason error) error {
	if errors.Is(reason, secrets.ErrNoSecret) {
		return fmt.Errorf("entry %d: %w", id, reason)
	}
	return fmt.Errorf("%w (entry %d: %w)", ErrNotBelieved, id, reason)
}

// fetch reads the transactions of ascending numbers and passes on each, in
// order, once it is believed. It stops at the first error, also of pass.
func (h *History) fetch(ctx context.Context, seqnos []synod.SeqNo, pass func(*state) error) error {
	for len(seqnos) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		run := 1
		for run < len(seqnos) && seqnos[run] == seqnos[run-1]+1 {
			run++
		}
		n, err := h.fetchRun(seqnos[0], seqnos[run-1], pass)
		if err != nil {
			return err
		}
		seqnos = seqnos[n:]
	}
	return nil
}

// fetchRun reads adjacent transactions, at least one, and returns how many.
func (h *History) fetchRun(from, to synod.SeqNo, pass func(*state) error) (int, error) {
	entries, err := h.entries(from, to)
	if err != nil {
		return 0, err
	}
	states := make([]*state, len(entries))
	for i, e := range entries {
		if states[i], err = h.open(e); err != nil {
			return 0, notBelieved(e.TxID.SeqNo, err)
		}
	}
	if err := h.cover(states); err != nil {
		return 0, err
	}
	for _, s := range states {
		if err := pass(s.finish(h)); err != nil {
			return 0, err
		}
	}
	return len(states), nil
}

// entries reads and parses adjacent entries, at least one, of the views that
// consensus knows.
func (h *History) entries(from, to synod.SeqNo) ([]*ledger.Entry, error) {
	raw, err := h.cfg.Entries(from, to, runBytes)
	if err != nil {
		return nil, fmt.Errorf("read ledger entry %d: %w", from, err)
	}
	entries := make([]*ledger.Entry, len(raw))
	for i, b := range raw {
		seqno := from + synod.SeqNo(i)
		e, err := ledger.ParseEntry(b)
		if err != nil {
			return nil, notBelieved(seqno, err)
		}
		if view, ok := h.cfg.ViewOf(seqno); !ok || e.TxID != (synod.TxID{View: view, SeqNo: seqno}) {
			return nil, notBelieved(seqno, fmt.Errorf("it calls itself %s, and the service knows %d.%d", e.TxID, view, seqno))
		}
		entries[i] = e
	}
	return entries, nil
}

// open decrypts an entry and decodes what it writes. Tag and commit evidence
// show that a node made it that knew the secret.
func (h *History) open(e *ledger.Entry) (*state, error) {
	secret, err := h.secretAt(e.TxID.SeqNo)
	if err != nil {
		return nil, err
	}
	return openWith(secret, e)
}

func openWith(secret *secrets.Secret, e *ledger.Entry) (*state, error) {
	s := &state{id: e.TxID, leaf: e.Leaf(), signature: e.IsSignature(), size: stateSize(e)}
	s.components.WriteSetDigest = e.WriteSetDigest()
	s.components.ClaimsDigest = e.Claims
	s.components.WithoutClaims = !e.Type.HasClaims()
	if e.Type.HasEvidence() {
		evidence := secret.CommitEvidence(nil, e.TxID)
		if sha256.Sum256(evidence) != e.Evidence {
			return nil, errors.New("its commit evidence is not this service's")
		}
		s.components.CommitEvidence = string(evidence)
	}
	written, err := machine.Open(e, secret)
	if err != nil {
		return nil, err
	}
	s.maps = written.Maps
	return s, nil
}

// cover finds for each of adjacent transactions the signature that covers it,
// and checks that it does.
func (h *History) cover(states []*state) error {
	var sig *signed
	for i := len(states) - 1; i >= 0; i-- {
		s := states[i]
		if s.signature {
			var err error
			if sig, err = h.signed(s); err != nil {
				return err
			}
			s.signed = sig.seal
			continue
		}
		if sig == nil || !sig.covers(s.id.SeqNo) {
			var err error
			if sig, err = h.signedAfter(s.id.SeqNo); err != nil {
				return err
			}
		}
		path, err := sig.path(s.id.SeqNo, s.leaf)
		if err != nil {
			return notBelieved(s.id.SeqNo, err)
		}
		s.signed, s.path = sig.seal, path
	}
	return nil
}

// one reads a single transaction at once, for what this package itself needs
// of the past.
func (h *History) one(seqno synod.SeqNo) (*state, error) {
	var found *state
	err := h.fetch(context.Background(), []synod.SeqNo{seqno}, func(s *state) error { found = s; return nil })
	return found, err
}
