package machine

import (
	"synod"
	"synod/internal/kv"
)

// After says which entries are of this service: those from origin on. Earlier
// ones, of the services that it recovers, are taken as they are, and without
// their private part where the secret is not known. Call it before the machine
// is used.
func (m *Machine) After(origin synod.SeqNo) { m.origin = origin }

// Hide lets the store hold public maps alone, until Reveal: the secrets of what
// is to be recovered are not known yet. No snapshot is due meanwhile. Call it
// before the machine is used.
func (m *Machine) Hide() { m.hidden, m.snapshots.off = true, true }

// Reveal puts the private maps into the store, as they are after the newest
// committed entry, and ends Hide. It does nothing and returns false if the base
// is of an older entry.
func (m *Machine) Reveal(base *kv.Base, at synod.SeqNo) bool {
	committed := m.store.Compacted()
	if committed.SeqNo != at {
		return false
	}
	later := m.latest
	m.hidden, m.latest, m.snapshots.off = false, nil, false
	private := false
	for _, p := range later {
		private = private || p.ws.HasPrivate()
	}
	if !private {
		m.store.Adopt(base)
		return true
	}
	// Entries that are not committed write to the maps: they go in again.
	m.store.Rollback(committed)
	m.store.Adopt(base)
	for _, p := range later {
		m.Install(p.id, p.ws)
	}
	return true
}

// forgetPlaced drops what is committed.
func (m *Machine) forgetPlaced(seqno synod.SeqNo) {
	n := 0
	for n < len(m.latest) && m.latest[n].id.SeqNo <= seqno {
		n++
	}
	m.latest = append(m.latest[:0], m.latest[n:]...)
}
