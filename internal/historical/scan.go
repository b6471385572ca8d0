package historical

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/merkle"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// scanner reads the ledger from its first entry on, in order. It keeps a tree
// of its own over what it has read, and believes the entries before a signature
// once that signs the tree's root.
type scanner struct {
	h       *History
	tree    *merkle.Tree
	next    synod.SeqNo // entry to read
	upTo    synod.SeqNo // the last signature whose entries were passed on
	waiting []scanned   // read, and not covered by a signature yet
	after   synod.SeqNo // entries up to here are read and not passed on
	whole   bool        // it stops at signatures, if there is one in what it reads at once
}

// scanned is what one entry writes to the maps that are asked for.
type scanned struct {
	id   synod.TxID
	maps []kv.MapWrites
}

func (h *History) newScanner(after synod.SeqNo) *scanner {
	return &scanner{h: h, tree: merkle.New(), next: 1, upTo: after, after: after}
}

// advance reads some more of the ledger, and passes on what a signature covers
// by now. It says whether there was anything to read.
func (s *scanner) advance(ctx context.Context, want func(mapName string) bool, pass func(scanned)) (bool, error) {
	committed := s.h.cfg.Committed().SeqNo
	if s.next > committed {
		return false, ctx.Err()
	}
	entries, err := s.h.entries(s.next, committed)
	if err != nil {
		return false, err
	}
	if s.whole {
		entries = toSignature(entries)
	}
	for _, e := range entries {
		if e.IsSignature() {
			if err := s.check(e); err != nil {
				return false, notBelieved(e.TxID.SeqNo, err)
			}
		}
		maps, err := s.read(e, want)
		if err != nil {
			return false, notBelieved(e.TxID.SeqNo, err)
		}
		if len(maps) > 0 && e.TxID.SeqNo > s.after {
			s.waiting = append(s.waiting, scanned{e.TxID, maps})
		}
		s.tree.Append(e.Leaf())
		s.next++
		if e.IsSignature() {
			s.tree.FlushTo(uint64(e.TxID.SeqNo))
			for _, w := range s.waiting {
				pass(w)
			}
			s.waiting, s.upTo = s.waiting[:0], max(s.upTo, e.TxID.SeqNo)
		}
	}
	return true, ctx.Err()
}

// toSignature leaves out what comes after the last signature, if there is one.
func toSignature(entries []*ledger.Entry) []*ledger.Entry {
	for n := len(entries); n > 0; n-- {
		if entries[n-1].IsSignature() {
			return entries[:n]
		}
	}
	return entries
}

// check wants a signature to be genuine, and to sign what was read.
func (s *scanner) check(e *ledger.Entry) error {
	sig, err := s.h.open(e)
	if err != nil {
		return err
	}
	row, _ := sig.Get(tables.Signatures, tables.UnitKey())
	var record tables.SignatureRecord
	if err := json.Unmarshal(row, &record); err != nil {
		return fmt.Errorf("table %s: %w", tables.Signatures, err)
	}
	if root := s.tree.Root(); record.Root != hex.EncodeToString(root[:]) {
		return errors.New("the entries before it are not those that it signs")
	}
	return nil
}

// read decodes what an entry writes to the wanted maps; without private ones
// among them it need not be decrypted.
func (s *scanner) read(e *ledger.Entry, want func(string) bool) ([]kv.MapWrites, error) {
	found, err := kv.DecodeDomain(e.PublicMaps, true)
	if err != nil {
		return nil, fmt.Errorf("public domain: %w", err)
	}
	if len(e.Cipher) > 0 && want("") {
		private, err := s.private(e)
		if err != nil {
			return nil, err
		}
		found = append(found, private...)
	}
	kept := found[:0]
	for _, m := range found {
		if want(m.Name) {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

func (s *scanner) private(e *ledger.Entry) ([]kv.MapWrites, error) {
	secret, err := s.h.secretAt(e.TxID.SeqNo)
	if err != nil {
		return nil, err
	}
	text, err := secret.Open(secrets.IV(e.TxID, false), e.Tag, e.Cipher, e.Public)
	if err != nil {
		return nil, err
	}
	return kv.DecodeDomain(text, false)
}
