package machine

import "synod"

// schedule decides after which signatures a snapshot is due
// (CCF: src/node/snapshotter.h): the first one that is every entries above the
// last that was due in turn, and the next after somebody asked.
type schedule struct {
	off   bool        // none is due
	every synod.SeqNo // 0: only when asked
	last  synod.SeqNo // the signature that was due in turn last, or where the machine began
	asked synod.SeqNo // the newest transaction that asks for a snapshot and has none yet, or 0
	due   []due       // above the last commit, oldest first
}

type due struct {
	seqno synod.SeqNo
	last  synod.SeqNo // schedule.last before
	asked synod.SeqNo // likewise
}

// signed says whether a snapshot is due after the signature at seqno, and notes
// it.
func (s *schedule) signed(seqno synod.SeqNo) bool {
	if s.off {
		return false
	}
	inTurn := s.every > 0 && seqno >= s.last+s.every
	if !inTurn && s.asked == 0 {
		return false
	}
	s.due = append(s.due, due{seqno, s.last, s.asked})
	s.asked = 0
	if inTurn {
		s.last = seqno
	}
	return true
}

// rollback undoes what is above seqno.
func (s *schedule) rollback(seqno synod.SeqNo) {
	for n := len(s.due); n > 0 && s.due[n-1].seqno > seqno; n = len(s.due) {
		s.last, s.asked = s.due[n-1].last, s.due[n-1].asked
		s.due = s.due[:n-1]
	}
	if s.asked > seqno {
		s.asked = 0
	}
}

// committed forgets how to undo what is up to seqno.
func (s *schedule) committed(seqno synod.SeqNo) {
	n := 0
	for n < len(s.due) && s.due[n].seqno <= seqno {
		n++
	}
	s.due = append(s.due[:0], s.due[n:]...)
}

// SnapshotsDue are the signatures up to seqno after which a snapshot is due and
// that are above the last Commit.
func (m *Machine) SnapshotsDue(seqno synod.SeqNo) []synod.SeqNo {
	var list []synod.SeqNo
	for _, d := range m.snapshots.due {
		if d.seqno <= seqno {
			list = append(list, d.seqno)
		}
	}
	return list
}

// SnapshotEvery makes a snapshot due after that many entries; 0 means never in
// turn. Call it before the machine is used.
func (m *Machine) SnapshotEvery(entries uint64) { m.snapshots.every = synod.SeqNo(entries) }

// Begin lets the machine go on from a state that was loaded into store and
// tree, right after the signature at seqno.
func (m *Machine) Begin(seqno synod.SeqNo) { m.snapshots.last = seqno }
