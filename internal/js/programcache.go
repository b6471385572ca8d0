package js

import (
	"context"
	"sync"

	"synod"
	"synod/app"
)

const (
	// programsMax is how many programs an application keeps; each has a
	// snapshot and idle instances of some MB.
	programsMax = 64
	// versionsMax is how many versions of one module are kept: transactions
	// on both sides of a deployment run at the same time.
	versionsMax = 2
)

// programCache keeps an application's programs by endpoint module.
type programCache struct {
	mu      sync.Mutex
	entries map[string]*programEntry // guarded by mu
	clock   uint64                   // guarded by mu; for finding the least recently used
}

// programEntry has the versions of one module, the newest used first.
type programEntry struct {
	used uint64 // guarded by programCache.mu

	mu       sync.Mutex // held while loading, so that it happens once
	versions []*program
	// checkedAt is the transaction at which the first version was found
	// unchanged: the same snapshot need not be compared again.
	checkedAt synod.TxID
}

func (c *programCache) entry(module string) *programEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock++
	e := c.entries[module]
	if e == nil {
		if len(c.entries) >= programsMax {
			c.evict()
		}
		e = &programEntry{}
		c.entries[module] = e
	}
	e.used = c.clock
	return e
}

// evict forgets the entry that was used least recently; calls that run keep
// their program.
func (c *programCache) evict() {
	var oldest string
	least := c.clock + 1
	for module, e := range c.entries {
		if e.used < least {
			oldest, least = module, e.used
		}
	}
	if e := c.entries[oldest]; e != nil && e.mu.TryLock() {
		for _, p := range e.versions {
			p.drop()
		}
		e.mu.Unlock()
	}
	delete(c.entries, oldest)
}

// program returns the program of a module as tx's snapshot has it. A program is
// right exactly if every module that it was loaded from is in the tables as
// it was then, which also holds after a rollback.
func (s *scriptApp) program(ctx context.Context, tx app.Tx, module string) (*program, error) {
	find := func(name []byte) ([]byte, bool) { return tx.Get(s.tables.Modules, name) }
	e := s.programs.entry(module)
	e.mu.Lock()
	defer e.mu.Unlock()
	at := tx.ReadVersion()
	if len(e.versions) > 0 && at == e.checkedAt && !at.IsZero() {
		return e.versions[0], nil
	}
	for i, p := range e.versions {
		if p.unchanged(find) {
			copy(e.versions[1:i+1], e.versions[:i])
			e.versions[0], e.checkedAt = p, at
			return p, nil
		}
	}
	p, err := s.eng.newProgram(ctx, s.kind(), s.preamble, module, find)
	if err != nil {
		return nil, err
	}
	if len(e.versions) == versionsMax {
		e.versions[versionsMax-1].drop()
		e.versions = e.versions[:versionsMax-1]
	}
	e.versions = append([]*program{p}, e.versions...)
	e.checkedAt = at
	return p, nil
}

// kind is the kind of realm that the application's programs run in.
func (s *scriptApp) kind() realmKind {
	if s.space == nil {
		return realmApp
	}
	return s.space.realm()
}
