package secrets

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"synod"
)

// ErrNoSecret says that no secret is known for a seqno.
var ErrNoSecret = errors.New("no ledger secret is known")

// Entry is one secret of a chain.
type Entry struct {
	From   synod.SeqNo // first seqno that it seals
	Secret *Secret

	// StoredAt is the seqno of the write to historical_encrypted_ledger_secret
	// that was made when the secret came into service: there its predecessor
	// is encrypted with it. 0 if unknown or none.
	StoredAt synod.SeqNo
}

// Chain is every ledger secret that a node knows, by the first seqno that it
// seals. Readers never wait; it may be used from several goroutines.
type Chain struct {
	mu      sync.Mutex // serialises changes
	entries atomic.Pointer[[]Entry]
}

// NewChain returns an empty chain.
func NewChain() *Chain {
	c := &Chain{}
	c.entries.Store(&[]Entry{})
	return c
}

// Set takes a secret into use from a seqno on, replacing one for that seqno.
func (c *Chain) Set(from synod.SeqNo, s *Secret) { c.Add(Entry{From: from, Secret: s}) }

// Add is Set with all that is known of secrets. Readers see all of them or none.
func (c *Chain) Add(list ...Entry) {
	c.change(func(entries []Entry) []Entry {
		for _, e := range list {
			entries = insert(entries, e)
		}
		return entries
	})
}

func insert(entries []Entry, e Entry) []Entry {
	i, found := slices.BinarySearchFunc(entries, e.From, func(e Entry, from synod.SeqNo) int { return cmp.Compare(e.From, from) })
	if found {
		entries[i] = e
		return entries
	}
	return slices.Insert(entries, i, e)
}

// change replaces the entries by what edit makes of a copy.
func (c *Chain) change(edit func([]Entry) []Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := edit(slices.Clone(*c.entries.Load()))
	c.entries.Store(&next)
}

// At returns the secret that seals the entry at seqno. The error wraps
// ErrNoSecret.
func (c *Chain) At(seqno synod.SeqNo) (*Secret, error) {
	entries := *c.entries.Load()
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].From <= seqno {
			return entries[i].Secret, nil
		}
	}
	return nil, fmt.Errorf("%w for seqno %d", ErrNoSecret, seqno)
}

// Latest returns the newest secret and the first seqno that it seals; nil if
// the chain is empty.
func (c *Chain) Latest() (synod.SeqNo, *Secret) {
	entries := *c.entries.Load()
	if len(entries) == 0 {
		return 0, nil
	}
	e := entries[len(entries)-1]
	return e.From, e.Secret
}

// All returns the entries in ascending order. The slice is the caller's.
func (c *Chain) All() []Entry { return slices.Clone(*c.entries.Load()) }

// Truncate forgets the secrets that first seal an entry after the one that
// follows seqno: the entries that made them are undone.
func (c *Chain) Truncate(seqno synod.SeqNo) {
	entries := *c.entries.Load()
	if len(entries) == 0 || entries[len(entries)-1].From <= seqno+1 {
		return
	}
	c.change(func(entries []Entry) []Entry {
		return slices.DeleteFunc(entries, func(e Entry) bool { return e.From > seqno+1 })
	})
}

// Seal encrypts the private domain of the entry at id, or of the snapshot at
// its seqno, where it stands, with the secret for that seqno: SealInPlace.
// aad is the public domain without its length. The error wraps ErrNoSecret.
func (c *Chain) Seal(id synod.TxID, snapshot bool, text, aad []byte) (iv [IVSize]byte, tag [TagSize]byte, err error) {
	s, err := c.At(id.SeqNo)
	if err != nil {
		return iv, tag, err
	}
	iv = IV(id, snapshot)
	return iv, s.SealInPlace(iv, text, aad), nil
}

// Open decrypts a private domain that Seal encrypted. The error wraps
// ErrNoSecret or ErrAuthentication; a view that no IV can hold does not
// authenticate.
func (c *Chain) Open(id synod.TxID, snapshot bool, tag [TagSize]byte, ciphertext, aad []byte) ([]byte, error) {
	s, err := c.At(id.SeqNo)
	if err != nil {
		return nil, err
	}
	if id.View > viewMax {
		return nil, ErrAuthentication
	}
	text, err := s.Open(IV(id, snapshot), tag, ciphertext, aad)
	if err != nil {
		return nil, fmt.Errorf("private domain at %s: %w", id, err)
	}
	return text, nil
}
