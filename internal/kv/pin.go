package kv

import (
	"slices"
	"sort"

	"synod"
)

// A pin keeps the versions that snapshots at one place can see.
type pin struct {
	place
	count int
	dead  bool    // a roll back undid the place
	kept  []write // cells that hold a version only because of this pin (cell 0: the table's history)
}

// A pinList holds the pins by rising stamp. The store's mu guards it.
type pinList struct {
	list  []*pin
	loose []*pin // released, with cells to trim again
	spare []*pin
}

// add pins a place.
func (l *pinList) add(at place, dead bool) *pin {
	i := len(l.list)
	if i > 0 && l.list[i-1].stamp >= at.stamp {
		i = sort.Search(len(l.list), func(i int) bool { return l.list[i].stamp >= at.stamp })
		if i < len(l.list) && l.list[i].stamp == at.stamp {
			l.list[i].count++
			return l.list[i]
		}
	}
	var p *pin
	if n := len(l.spare); n > 0 {
		p = l.spare[n-1]
		l.spare = l.spare[:n-1]
	} else {
		p = &pin{}
	}
	p.place, p.count, p.dead = at, 1, dead
	l.list = slices.Insert(l.list, i, p)
	return p
}

const sparePins = 64

func (l *pinList) release(p *pin) {
	p.count--
	if p.count > 0 {
		return
	}
	i := sort.Search(len(l.list), func(i int) bool { return l.list[i].stamp >= p.stamp })
	l.list = slices.Delete(l.list, i, i+1)
	if len(p.kept) > 0 {
		l.loose = append(l.loose, p)
	} else if len(l.spare) < sparePins {
		l.spare = append(l.spare, p)
	}
}

// within returns the newest pin with from <= stamp < to, or nil.
func (l *pinList) within(from, to uint64) *pin {
	i := sort.Search(len(l.list), func(i int) bool { return l.list[i].stamp >= to })
	if i > 0 && l.list[i-1].stamp >= from {
		return l.list[i-1]
	}
	return nil
}

// Begin starts a transaction on the newest state. It costs O(1), and must be
// paired with Release.
func (s *Store) Begin() *Tx {
	tx := &Tx{store: s}
	s.mu.Lock()
	tx.place = s.tip
	tx.pin = s.pins.add(s.tip, false)
	s.mu.Unlock()
	return tx
}

// BeginAt starts a transaction on the state after seqno, which must be between
// the compacted one and the tip, or pinned by another transaction. The error
// is ErrCompacted or ErrNotYet. It must be paired with Release.
func (s *Store) BeginAt(seqno synod.SeqNo) (*Tx, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, err := s.find(seqno)
	if err != nil {
		return nil, err
	}
	return &Tx{store: s, place: at, pin: s.pins.add(at, false)}, nil
}

// find returns the place after seqno. The caller holds mu.
func (s *Store) find(seqno synod.SeqNo) (place, error) {
	switch {
	case seqno > s.tip.id.SeqNo:
		return place{}, ErrNotYet
	case seqno > s.floor.id.SeqNo:
		n := s.commits.len()
		i := sort.Search(n, func(i int) bool { return s.commits.at(i).id.SeqNo > seqno })
		if i == 0 {
			return place{}, ErrCompacted // an Advance is under way, beyond it
		}
		return s.commits.at(i - 1).place, nil
	case seqno == s.floor.id.SeqNo:
		return s.floor, nil
	}
	for _, p := range s.pins.list {
		if p.id.SeqNo == seqno && !p.dead {
			return p.place, nil
		}
	}
	return place{}, ErrCompacted
}

// Release unpins the transaction's snapshot. It may be called more than once
// and from any goroutine; nothing else may be called afterwards, except that a
// Check that has begun goes on.
func (tx *Tx) Release() {
	if tx.released.Swap(true) {
		return
	}
	tx.store.mu.Lock()
	tx.store.pins.release(tx.pin)
	tx.store.mu.Unlock()
}
