package kv

import (
	"fmt"

	"synod"
)

// Rollback undoes every transaction above to, which must be one that the
// store holds and not be below the compacted one; anything else is a broken
// invariant and panics. Transactions that began on a state that is undone keep
// their snapshot; Check refuses them if they read anything that was undone.
// Only the writer calls Rollback. Its cost follows what is undone.
func (s *Store) Rollback(to synod.TxID) {
	if to.SeqNo < s.floor.id.SeqNo {
		panic(fmt.Sprintf("kv: roll back to %s below the compacted %s", to, s.floor.id))
	}
	s.mu.Lock()
	base, err := s.find(to.SeqNo)
	s.mu.Unlock()
	if err != nil || base.id != to {
		panic(fmt.Sprintf("kv: roll back to %s, but the store has %s (%v)", to, base.id, err))
	}
	undone, writes := 0, 0
	for i := s.commits.len() - 1; i >= 0 && s.commits.at(i).id.SeqNo > to.SeqNo; i-- {
		undone++
		writes += s.commits.at(i).writes
	}
	if undone == 0 {
		return
	}
	s.stamp++
	at := place{to, s.stamp}
	var restored []write
	for i := s.writes.len() - writes; i < s.writes.len(); i++ {
		if w := *s.writes.at(i); w.table.restore(w.cell, base.stamp, at) {
			restored = append(restored, w)
		}
	}
	s.writes.cut(writes)
	for _, w := range restored {
		s.writes.push(w)
	}
	s.mu.Lock()
	s.commits.cut(undone)
	s.commits.push(commit{at, len(restored)})
	s.tip = at
	for _, p := range s.pins.list {
		if p.stamp > base.stamp {
			p.dead = true
		}
	}
	s.mu.Unlock()
	s.hooks.rolledBack(to.SeqNo)
}

// restore makes a cell what it was at an earlier stamp, as a version of the
// stamp of the roll back. It returns false if that was done already.
func (t *table) restore(id uint32, base uint64, at place) bool {
	t.lock()
	defer t.mu.Unlock()
	c := t.cells.at(id)
	if c.stamp == at.stamp {
		return false
	}
	v := version{data: c.key(), klen: c.klen, tomb: true}
	if old := t.at(c, base); old != nil {
		v = *old
	}
	v.stamp, v.held = at.stamp, false
	if t.lastStamp() != at.stamp {
		before := t.stateLocked(base)
		before.stamp, before.held = at.stamp, false
		t.hist.push(before)
	}
	var ignored int // the history's entry has the count already
	t.replace(c, v, &ignored)
	return true
}
