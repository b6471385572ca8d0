package secrets

import (
	"fmt"
	"sort"
	"sync"

	"synod"
)

// Chain is every ledger secret that a node knows, by the first seqno that it
// seals.
type Chain struct {
	mu    sync.RWMutex
	links []link // guarded by mu, ascending
}

type link struct {
	from   synod.SeqNo
	secret *Secret
}

// NewChain returns an empty chain.
func NewChain() *Chain { return &Chain{} }

// Set takes a secret into use from a seqno on, replacing one for that seqno.
func (c *Chain) Set(from synod.SeqNo, s *Secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := sort.Search(len(c.links), func(i int) bool { return c.links[i].from >= from })
	if i < len(c.links) && c.links[i].from == from {
		c.links[i].secret = s
		return
	}
	c.links = append(c.links, link{})
	copy(c.links[i+1:], c.links[i:])
	c.links[i] = link{from, s}
}

// At returns the secret that seals the entry at seqno.
func (c *Chain) At(seqno synod.SeqNo) (*Secret, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i := len(c.links) - 1; i >= 0; i-- {
		if c.links[i].from <= seqno {
			return c.links[i].secret, nil
		}
	}
	return nil, fmt.Errorf("no ledger secret is known for seqno %d", seqno)
}

// Latest returns the newest secret and the first seqno that it seals; nil if
// the chain is empty.
func (c *Chain) Latest() (synod.SeqNo, *Secret) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.links) == 0 {
		return 0, nil
	}
	l := c.links[len(c.links)-1]
	return l.from, l.secret
}

// Truncate forgets the secrets that first seal an entry after the one that
// follows seqno: the entries that made them are undone.
func (c *Chain) Truncate(seqno synod.SeqNo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := len(c.links); n > 0 && c.links[n-1].from > seqno+1; n = len(c.links) {
		c.links = c.links[:n-1]
	}
}
