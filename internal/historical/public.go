package historical

import (
	"errors"
	"fmt"

	"synod"
	"synod/app"
	"synod/internal/kv"
	"synod/internal/ledger"
)

// fetchPublic is fetchRun for those who look at public maps alone: nothing is
// decrypted. What is read is believed because its leaf is among those that the
// signature after it signs. A proof is read anew if somebody asks for it.
func (h *History) fetchPublic(from, to synod.SeqNo, pass func(*state) error) (int, error) {
	entries, err := h.entries(from, to)
	if err != nil {
		return 0, err
	}
	if err := h.coverPublic(entries); err != nil {
		return 0, err
	}
	for _, e := range entries {
		s := &state{id: e.TxID, size: stateSize(e)}
		if s.maps, err = kv.DecodeDomain(e.PublicMaps, true); err != nil {
			return 0, notBelieved(e.TxID.SeqNo, fmt.Errorf("public domain: %w", err))
		}
		s.finish(h)
		s.shown = app.NewState(s, func() (*app.Proof, error) {
			full, err := h.one(s.id.SeqNo)
			if err != nil {
				return nil, err
			}
			return full.shown.Proof()
		}, s.eachDeleted)
		if err := pass(s); err != nil {
			return 0, err
		}
	}
	return len(entries), nil
}

// coverPublic checks adjacent entries against the signatures that cover them.
func (h *History) coverPublic(entries []*ledger.Entry) error {
	var sig *signed
	for i := len(entries) - 1; i >= 0; i-- {
		e := entries[i]
		seqno := e.TxID.SeqNo
		var err error
		switch {
		case e.IsSignature():
			var s *state
			if s, err = h.open(e); err != nil {
				return notBelieved(seqno, err)
			}
			if sig, err = h.signed(s); err != nil {
				return err
			}
			continue
		case sig == nil || !sig.covers(seqno):
			if sig, err = h.signedAfter(seqno); err != nil {
				return err
			}
		}
		leaf, err := sig.leaf(seqno)
		if err == nil && leaf != e.Leaf() {
			err = errors.New("it is not the one that the signature after it covers")
		}
		if err != nil {
			return notBelieved(seqno, err)
		}
	}
	return nil
}
