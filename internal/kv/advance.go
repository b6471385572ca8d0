package kv

import "fmt"

// Advance brings the store to the state of another one that was loaded and not
// written to since, as one transaction: the other's newest, which is compacted at
// once. What does not differ is left alone, and each key keeps the transaction that
// wrote it. The hooks are told what differs. Snapshots that were begun before go on
// seeing what they saw. Only the writer calls it; a state that is not newer than the
// tip is a broken invariant and panics.
func (s *Store) Advance(loaded *Store) {
	tip := loaded.Tip()
	if tip.SeqNo <= s.tip.id.SeqNo {
		panic(fmt.Sprintf("kv: advance from %s to %s", s.tip.id, tip))
	}
	s.stamp++
	at := place{tip, s.stamp}
	n := 0
	var told WriteSet
	for _, from := range loaded.sortedTables() {
		w, writes := s.overtake(from, at)
		n += writes
		told.Maps = append(told.Maps, w)
	}
	for _, t := range s.sortedTables() {
		if loaded.table(t.name) == nil {
			w, writes := s.overtake(newTable(t.name), at)
			n += writes
			told.Maps = append(told.Maps, w)
		}
	}
	s.hooks.local(&told, tip)
	s.mu.Lock()
	s.commits.push(commit{at, n})
	s.tip = at
	s.mu.Unlock()
	s.Compact(tip.SeqNo)
}

// overtake makes one map what another is, and returns what differed and how many
// writes that took.
func (s *Store) overtake(from *table, at place) (MapWrites, int) {
	w := MapWrites{Name: from.name}
	to := from.stateLocked(at.stamp)
	to.stamp = at.stamp
	t := s.tableFor(from.name)
	now := t.stateLocked(at.stamp) // the writer needs no lock to read
	if now.seqno == to.seqno && now.count == to.count {
		return w, 0 // nobody has written to it since
	}
	for id := uint32(1); id <= t.cells.used; id++ {
		if c := t.cells.at(id); c.used() && !c.tomb {
			if other := from.find(c.key()); other == 0 || from.cells.at(other).tomb {
				w.Removes = append(w.Removes, c.key())
			}
		}
	}
	count, n := now.count, 0
	push := func(key, value []byte, tomb bool, seqno uint64) {
		if n++; n%lockedWrites == 0 {
			t.mu.Unlock()
			t.lock()
		}
		s.writes.push(write{t, t.push(key, value, tomb, at.stamp, seqno, &count)})
	}
	t.lock()
	for _, key := range w.Removes {
		push(key, nil, true, uint64(at.id.SeqNo))
	}
	for id := uint32(1); id <= from.cells.used; id++ {
		c := from.cells.at(id)
		if !c.used() || c.tomb {
			continue
		}
		if own := t.find(c.key()); own != 0 && !t.cells.at(own).tomb && t.cells.at(own).seqno == c.seqno {
			continue
		}
		push(c.key(), c.value(), false, c.seqno)
		w.Writes = append(w.Writes, Write{Key: c.key(), Value: c.value()})
	}
	s.writes.push(write{table: t}) // the history is trimmed even if no key differs
	t.hist.push(to)
	t.mu.Unlock()
	if count != to.count {
		panic(fmt.Sprintf("kv: advance: %s has %d keys, not %d", t.name, count, to.count))
	}
	return w, n + 1
}
