package kv

import (
	"fmt"
	"sort"

	"synod"
)

// looseWork bounds how many cells that only a released snapshot held are
// trimmed by one Compact, beyond as many as there were new writes.
const looseWork = 1024

// Compact makes everything up to seqno final: it cannot be rolled back, its
// commit hooks run in order, and versions that nobody can see any more are
// freed. seqno must not be above the tip; at or below the compacted one
// nothing happens. Only the writer calls Compact. Its cost follows the writes
// since the last one.
func (s *Store) Compact(seqno synod.SeqNo) {
	if seqno > s.tip.id.SeqNo {
		panic(fmt.Sprintf("kv: compact to %d above the tip %s", seqno, s.tip.id))
	}
	if seqno <= s.floor.id.SeqNo {
		return
	}
	s.mu.Lock()
	at, err := s.find(seqno)
	if err != nil {
		panic(fmt.Sprintf("kv: compact to %d: %s", seqno, err))
	}
	done, writes := 0, 0
	for done < s.commits.len() && s.commits.at(done).id.SeqNo <= seqno {
		writes += s.commits.at(done).writes
		done++
	}
	s.commits.pop(done)
	s.floor = at
	r := round{store: s, floor: at.stamp}
	if len(s.pins.list) > 0 && s.pins.list[0].stamp < at.stamp {
		r.pinned = true
	}
	loose := s.takeLoose(writes + looseWork)
	s.mu.Unlock()

	s.rounds++
	r.number = s.rounds
	r.loose = true
	for _, w := range loose {
		r.trim(w)
	}
	r.loose = false
	for i := range writes {
		r.trim(*s.writes.at(i))
	}
	r.unlock()
	s.writes.pop(writes)
	s.hooks.committed(seqno)
}

// takeLoose removes up to n cells from the pins that were released. The caller
// holds mu.
func (s *Store) takeLoose(n int) []write {
	var out []write
	for len(s.pins.loose) > 0 && len(out) < n {
		last := len(s.pins.loose) - 1
		p := s.pins.loose[last]
		k := min(n-len(out), len(p.kept))
		cut := len(p.kept) - k
		out = append(out, p.kept[cut:]...)
		clear(p.kept[cut:])
		p.kept = p.kept[:cut]
		if cut == 0 {
			s.pins.loose[last] = nil
			s.pins.loose = s.pins.loose[:last]
		}
	}
	return out
}

// A round is one compaction's trimming.
type round struct {
	store  *Store
	floor  uint64
	number uint32
	pinned bool // a snapshot below the floor was pinned when the round began
	loose  bool // what is trimmed now is what released pins kept

	locked *table // whose mu is held
	held   int    // cells trimmed under this hold
}

func (r *round) lock(t *table) {
	if r.locked == t && r.held < lockedWrites {
		r.held++
		return
	}
	r.unlock()
	t.lock()
	r.locked, r.held = t, 1
}

func (r *round) unlock() {
	if r.locked != nil {
		r.locked.mu.Unlock()
		r.locked = nil
	}
}

// needed says whether a pinned snapshot sees what was written at from and
// superseded at to, and makes that pin remember the cell unless a pin does
// already, which held says. No new pin can appear there: Begin and BeginAt pin
// at or above the floor, or where a pin is.
func (r *round) needed(from, to uint64, w write, held *bool) bool {
	if !r.pinned {
		return false
	}
	s := r.store
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pins.within(from, to)
	if p == nil {
		return false
	}
	if !*held || r.loose {
		*held = true
		p.kept = append(p.kept, w)
	}
	return true
}

// trim frees what nobody can see of a cell and of its table's history. Several
// writes of one cell in a round cost one trim.
func (r *round) trim(w write) {
	r.lock(w.table)
	if w.table.mark != r.number {
		w.table.mark = r.number
		r.trimHistory(w.table)
	}
	if w.cell != 0 {
		r.trimCell(w)
	}
}

func (r *round) trimCell(w write) {
	t := w.table
	c := t.cells.at(w.cell)
	if !c.used() || c.mark == r.number {
		return
	}
	c.mark = r.number
	v := t.at(c, r.floor)
	if v == nil {
		return
	}
	to := v.stamp
	for link := &v.older; *link != 0; {
		id := *link
		old := t.past.at(id)
		from := old.stamp
		if r.needed(from, to, w, &old.held) {
			link = &old.older
		} else {
			*link = old.older
			t.past.release(id)
		}
		to = from
	}
	if v == &c.version && v.tomb && v.older == 0 {
		t.drop(w.cell)
	}
}

func (r *round) trimHistory(t *table) {
	n := t.hist.len()
	i := sort.Search(n, func(i int) bool { return t.hist.at(i).stamp > r.floor })
	kept := i - 1 // position of the newest at or below the floor
	if kept < 0 {
		return
	}
	for j := kept - 1; j >= 0; j-- {
		if old := t.hist.at(j); r.needed(old.stamp, t.hist.at(j+1).stamp, write{table: t}, &old.held) {
			kept-- // never below j: what is still to be looked at stays
			*t.hist.at(kept) = *old
		}
	}
	t.hist.pop(kept)
}
