package kv

import "synod"

// Hook is told what one transaction wrote to one map. It runs on the writer's
// goroutine and must not call Commit, Rollback or Compact.
type Hook func(id synod.TxID, w MapWrites)

type hooks struct {
	onLocal  map[string][]Hook
	onCommit map[string][]Hook
	pending  fifo[pendingWrites]
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
	if len(h.onLocal) == 0 && len(h.onCommit) == 0 {
		return
	}
	for _, m := range ws.Maps {
		if len(m.Writes)+len(m.Removes) == 0 {
			continue
		}
		if len(h.onCommit[m.Name]) > 0 {
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
	}
}

func (h *hooks) rolledBack(to synod.SeqNo) {
	n := 0
	for n < h.pending.len() && h.pending.at(h.pending.len()-1-n).id.SeqNo > to {
		n++
	}
	h.pending.cut(n)
}
