package kv

import (
	"errors"
	"fmt"
	"sync"

	"synod"
)

// Errors that callers branch on.
var (
	// ErrConflict says that something a transaction read has changed since;
	// run it again on a fresh Begin.
	ErrConflict = errors.New("transaction conflicts with a later write")
	// ErrCompacted says that a snapshot is older than what is kept.
	ErrCompacted = errors.New("snapshot is already compacted")
	// ErrNotYet says that a sequence number is above the newest.
	ErrNotYet = errors.New("sequence number is not reached yet")
	// ErrMalformed is wrapped by every failure of DecodeDomain.
	ErrMalformed = errors.New("malformed map block")
)

// Store is the key-value store. See New.
type Store struct {
	tables sync.Map // name → *table; tables are added, never removed
	hooks  hooks    // set before use, then read only, but for the followers

	followMu sync.Mutex // held to change hooks.followers

	// Owned by the writer.
	writes fifo[write] // what the commits in the list below wrote
	stamp  uint64      // newest stamp given out
	rounds uint32      // compactions so far, for cell.mark

	mu      sync.Mutex
	commits fifo[commit] // above the compacted one; guarded by mu
	tip     place        // guarded by mu
	floor   place        // the compacted one; guarded by mu
	pins    pinList      // guarded by mu
}

// A place is a state of the store: after which transaction, and its stamp.
type place struct {
	id    synod.TxID
	stamp uint64
}

// A commit is a transaction, or the restoring done by a roll back to it, that
// can still be undone.
type commit struct {
	place
	writes int // how many elements of Store.writes are its
}

// A write is one cell that a commit wrote.
type write struct {
	table *table
	cell  uint32
}

// New makes an empty store whose tip is the zero TxID.
func New() *Store { return &Store{} }

// Tip returns the newest transaction.
func (s *Store) Tip() synod.TxID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tip.id
}

// Compacted returns the newest transaction that cannot be rolled back.
func (s *Store) Compacted() synod.TxID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.floor.id
}

// table returns nil if there is none.
func (s *Store) table(name string) *table {
	t, _ := s.tables.Load(name)
	found, _ := t.(*table)
	return found
}

// tableFor makes the table if there is none. Only the writer calls it.
func (s *Store) tableFor(name string) *table {
	t := s.table(name)
	if t == nil {
		t = newTable(name)
		s.tables.Store(name, t)
	}
	return t
}

// lockedWrites bounds how many keys are written under one hold of a table's
// lock, so that readers wait for microseconds whatever the transaction's size.
const lockedWrites = 64

// Commit runs the local hooks and installs a write set as transaction id. A
// nil or empty write set only moves the tip. id.SeqNo must be the tip's plus
// one; anything else is a broken invariant and panics. Only the writer calls
// Commit. Keys and values are copied; maps with a commit hook are kept as they
// were passed until that hook has run.
func (s *Store) Commit(ws *WriteSet, id synod.TxID) error {
	if want := s.tip.id.SeqNo + 1; id.SeqNo != want {
		panic(fmt.Sprintf("kv: commit of %s where seqno %d is next", id, want))
	}
	s.stamp++
	at := place{id, s.stamp}
	n := 0
	if ws != nil {
		for i := range ws.Maps {
			n += s.install(&ws.Maps[i], at)
		}
	}
	// Before anybody can read the transaction: what follows from it must be in
	// place for those who act on it.
	if ws != nil {
		s.hooks.local(ws, id)
	}
	s.mu.Lock()
	s.commits.push(commit{at, n})
	s.tip = at
	s.mu.Unlock()
	return nil
}

func (s *Store) install(m *MapWrites, at place) int {
	n := len(m.Writes) + len(m.Removes)
	if n == 0 {
		return 0
	}
	t := s.tableFor(m.Name)
	count := t.stateLocked(at.stamp).count // the writer needs no lock to read
	t.lock()
	for i := range n {
		if i%lockedWrites == lockedWrites-1 {
			t.mu.Unlock()
			t.lock()
		}
		var cell uint32
		if i < len(m.Writes) {
			w := &m.Writes[i]
			cell = t.push(w.Key, w.Value, false, at.stamp, uint64(at.id.SeqNo), &count)
		} else {
			cell = t.push(m.Removes[i-len(m.Writes)], nil, true, at.stamp, uint64(at.id.SeqNo), &count)
		}
		s.writes.push(write{t, cell})
	}
	t.hist.push(tableVersion{stamp: at.stamp, seqno: uint64(at.id.SeqNo), count: count})
	t.mu.Unlock()
	return n
}
