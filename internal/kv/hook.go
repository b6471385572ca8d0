package kv

import (
	"slices"
	"sync/atomic"

	"synod"
)

// Hook is told what one transaction wrote to one map. It runs on the writer's
// goroutine and must not call Commit, Rollback or Compact.
type Hook func(id synod.TxID, w MapWrites)

type hooks struct {
	onLocal  map[string][]Hook
	onCommit map[string][]Hook
	pending  fifo[pendingWrites]

	followers atomic.Pointer[[]*follower] // replaced as a whole, under Store.followMu
}

// follower is a hook that came while the store was in use.
type follower struct {
	mapName string
	hook    Hook
}

// Follow is OnCommit for a store in use: the hook runs for the transactions
// that are committed to the store from now on, until stop. It may be called
// from any goroutine; when stop returns, one last run may be under way.
func (s *Store) Follow(mapName string, hook Hook) (stop func()) {
	f := &follower{mapName, hook}
	s.changeFollowers(func(list []*follower) []*follower { return append(list, f) })
	return func() {
		s.changeFollowers(func(list []*follower) []*follower {
			return slices.DeleteFunc(list, func(x *follower) bool { return x == f })
		})
	}
}

func (s *Store) changeFollowers(change func([]*follower) []*follower) {
	s.followMu.Lock()
	defer s.followMu.Unlock()
	list := change(slices.Clone(s.hooks.following()))
	s.hooks.followers.Store(&list)
}

func (h *hooks) following() []*follower {
	if list := h.followers.Load(); list != nil {
		return *list
	}
	return nil
}

// wanted says whether somebody will ask what was written to the map.
func (h *hooks) wanted(mapName string) bool {
	return len(h.onCommit[mapName]) > 0 ||
		slices.ContainsFunc(h.following(), func(f *follower) bool { return f.mapName == mapName })
}

type pendingWrites struct {
	id synod.TxID
	w  MapWrites
}

// OnLocal registers a hook that Commit runs for each transaction that writes
// to the map. Register before the store is used.
func (s *Store) OnLocal(mapName string, hook Hook) {
	if s.hooks.onLocal == nil {
		s.hooks.onLocal = map[string][]Hook{}
	}
	s.hooks.onLocal[mapName] = append(s.hooks.onLocal[mapName], hook)
}

// OnCommit registers a hook that Compact runs, in the order of sequence
// numbers, for each transaction that wrote to the map. Register before the
// store is used.
func (s *Store) OnCommit(mapName string, hook Hook) {
	if s.hooks.onCommit == nil {
		s.hooks.onCommit = map[string][]Hook{}
	}
	s.hooks.onCommit[mapName] = append(s.hooks.onCommit[mapName], hook)
}

func (h *hooks) local(ws *WriteSet, id synod.TxID) {
	if len(h.onLocal) == 0 && len(h.onCommit) == 0 && len(h.following()) == 0 {
		return
	}
	for _, m := range ws.Maps {
		if len(m.Writes)+len(m.Removes) == 0 {
			continue
		}
		if h.wanted(m.Name) {
			h.pending.push(pendingWrites{id, m})
		}
		for _, hook := range h.onLocal[m.Name] {
			hook(id, m)
		}
	}
}

func (h *hooks) committed(seqno synod.SeqNo) {
	for h.pending.len() > 0 && h.pending.at(0).id.SeqNo <= seqno {
		p := *h.pending.at(0)
		h.pending.pop(1)
		for _, hook := range h.onCommit[p.w.Name] {
			hook(p.id, p.w)
		}
		for _, f := range h.following() {
			if f.mapName == p.w.Name {
				f.hook(p.id, p.w)
			}
		}
	}
}

func (h *hooks) rolledBack(to synod.SeqNo) {
	n := 0
	for n < h.pending.len() && h.pending.at(h.pending.len()-1-n).id.SeqNo > to {
		n++
	}
	h.pending.cut(n)
}
