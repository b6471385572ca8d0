package consensus

import (
	"bytes"
	"fmt"
	"sort"
	"sync"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/ledger"
)

// tailBytes bounds how many bytes of committed entries stay in memory behind
// the newest, so that slow readers and late receipts rarely touch the disk.
const tailBytes = 8 << 20

// store is raft's Storage over the ledger's files, with the newest entries in
// memory. The storage goroutine appends; any goroutine reads.
type store struct {
	log    *ledger.Log
	begin  synod.TxID  // what this replica's part in consensus follows
	first  synod.SeqNo // the oldest entry that others can have
	origin synod.SeqNo // the service's first transaction
	offer  synod.TxID  // of the snapshot that who is out of reach is offered; zero: none

	mu    sync.RWMutex
	conf  *pb.ConfState
	hard  *pb.HardState // at the start; never written: nodes do not come back
	views []viewStart   // of every entry on disk, oldest first
	tail  []*pb.Entry   // the newest entries, contiguous, ending at last
	// flight are entries that the disk was given and has not stored, contiguous
	flight []*pb.Entry
	bytes  int // of tail
	last   uint64
}

// viewStart is the first entry of a view.
type viewStart struct {
	view  synod.View
	first synod.SeqNo
}

// start lets the log follow a transaction, and nothing else.
func (s *store) start(conf *pb.ConfState, begin *Start, recovers bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin, s.conf, s.last = begin.After, conf, uint64(begin.After.SeqNo)
	s.views, s.tail, s.flight, s.bytes = nil, nil, nil, 0
	s.first, s.origin = begin.First, begin.Origin
	if s.first == 0 {
		s.first = begin.After.SeqNo + 1
	}
	// The first election of a new service makes view 2, that of a recovered one
	// the second above the ledger's last (CCF: src/node/node_state.h).
	term := max(uint64(begin.After.View), 1)
	if recovers {
		term = uint64(begin.After.View) + 1
	}
	s.hard = &pb.HardState{Term: new(term), Commit: new(uint64(begin.After.SeqNo))}
	for i, first := range begin.ViewStarts {
		view := viewStart{synod.View(i + 1), first}
		if n := len(s.views); n > 0 && s.views[n-1].first == first {
			s.views[n-1] = view // a view without entries
			continue
		}
		s.views = append(s.views, view)
	}
}

// give notes entries that the disk is about to be given: they can be read from now on.
func (s *store) give(entries []*pb.Entry) {
	if len(entries) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := len(s.flight); n > 0 && s.flight[n-1].GetIndex() >= entries[0].GetIndex(); n = len(s.flight) {
		s.flight = s.flight[:n-1]
	}
	s.flight = append(s.flight, entries...)
}

// landed forgets that entries are in flight, unless others have taken their places
// meanwhile. The caller holds mu.
func (s *store) landed(entries []*pb.Entry) {
	n := 0
	for n < len(s.flight) && n < len(entries) && s.flight[n] == entries[n] {
		n++
	}
	s.flight = s.flight[n:]
}

// inFlight returns the bytes of an entry that the disk has not stored yet, nil if it is
// none.
func (s *store) inFlight(seqno synod.SeqNo) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.flight) == 0 || uint64(seqno) < s.flight[0].GetIndex() || uint64(seqno) > s.flight[len(s.flight)-1].GetIndex() {
		return nil
	}
	return s.flight[uint64(seqno)-s.flight[0].GetIndex()].GetData()
}

// append makes entries durable and then visible.
func (s *store) append(entries []*pb.Entry) error {
	first := entries[0].GetIndex()
	raw := make([][]byte, len(entries))
	for i, e := range entries {
		if len(e.GetData()) == 0 {
			panic(fmt.Sprintf("consensus: entry %d.%d without bytes", e.GetTerm(), e.GetIndex()))
		}
		raw[i] = e.GetData()
	}
	if err := s.write(synod.SeqNo(first), raw); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut(first)
	for _, e := range entries {
		if n := len(s.views); n == 0 || s.views[n-1].view != synod.View(e.GetTerm()) {
			s.views = append(s.views, viewStart{synod.View(e.GetTerm()), synod.SeqNo(e.GetIndex())})
		}
		s.bytes += len(e.GetData())
	}
	s.landed(entries)
	s.tail = append(s.tail, entries...)
	s.last = entries[len(entries)-1].GetIndex()
	if drop := s.excess(); drop > 0 {
		s.tail = append([]*pb.Entry(nil), s.tail[drop:]...)
	}
	return nil
}

// write puts entries on disk. Those that a joining node found in its ledger
// directory as committed must be the same ones.
func (s *store) write(first synod.SeqNo, raw [][]byte) error {
	have := s.log.Committed()
	for len(raw) > 0 && first <= have {
		found, err := s.log.Read(first, first, 0)
		if err != nil {
			return err
		}
		if !bytes.Equal(found[0], raw[0]) {
			return fmt.Errorf("the ledger directory holds another entry %d than the service: it is of another service, or was changed", first)
		}
		first, raw = first+1, raw[1:]
	}
	if len(raw) == 0 {
		return nil
	}
	return s.log.Append(first, raw)
}

// cut forgets the entries from index first on.
func (s *store) cut(first uint64) {
	for n := len(s.tail); n > 0 && s.tail[n-1].GetIndex() >= first; n = len(s.tail) {
		s.bytes -= len(s.tail[n-1].GetData())
		s.tail = s.tail[:n-1]
	}
	for n := len(s.views); n > 0 && uint64(s.views[n-1].first) >= first; n = len(s.views) {
		s.views = s.views[:n-1]
	}
}

// excess is how many entries the tail can lose; it acts only once the tail is
// twice its bound, so that copying is rare.
func (s *store) excess() int {
	if s.bytes < 2*tailBytes {
		return 0
	}
	n := 0
	for s.bytes > tailBytes && n < len(s.tail)-1 {
		s.bytes -= len(s.tail[n].GetData())
		n++
	}
	return n
}

// entry returns the bytes of one entry.
func (s *store) entry(seqno synod.SeqNo) ([]byte, error) {
	if data := s.inFlight(seqno); data != nil {
		return data, nil
	}
	s.mu.RLock()
	if n := len(s.tail); n > 0 && uint64(seqno) >= s.tail[0].GetIndex() && uint64(seqno) <= s.last {
		data := s.tail[uint64(seqno)-s.tail[0].GetIndex()].GetData()
		s.mu.RUnlock()
		return data, nil
	}
	s.mu.RUnlock()
	entries, err := s.log.Read(seqno, seqno, 0)
	if err != nil {
		return nil, err
	}
	return entries[0], nil
}

// viewOf returns the view of an entry on disk.
func (s *store) viewOf(seqno synod.SeqNo) (synod.View, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if seqno == 0 || uint64(seqno) > s.last {
		return 0, false
	}
	i := sort.Search(len(s.views), func(i int) bool { return s.views[i].first > seqno })
	if i == 0 {
		return 0, false
	}
	return s.views[i-1].view, true
}

// InitialState implements raft.Storage.
func (s *store) InitialState() (*pb.HardState, *pb.ConfState, error) { return s.hard, s.conf, nil }

// Entries implements raft.Storage.
func (s *store) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if lo < uint64(s.first) {
		return nil, raft.ErrCompacted
	}
	if hi > s.last+1 {
		return nil, raft.ErrUnavailable
	}
	if len(s.tail) > 0 && lo >= s.tail[0].GetIndex() {
		base := s.tail[0].GetIndex()
		return limit(s.tail[lo-base:hi-base], maxSize), nil
	}
	raw, err := s.log.Read(synod.SeqNo(lo), synod.SeqNo(hi-1), int(min(maxSize, 1<<30)))
	if err != nil {
		return nil, fmt.Errorf("read ledger entries %d to %d for raft: %w", lo, hi-1, err)
	}
	entries := make([]*pb.Entry, len(raw))
	for i, b := range raw {
		e, err := ledger.ParseEntry(b)
		if err != nil {
			return nil, err
		}
		entries[i] = &pb.Entry{Type: s.kindOf(e).Enum(), Term: new(uint64(e.TxID.View)), Index: new(uint64(e.TxID.SeqNo)), Data: b}
	}
	return limit(entries, maxSize), nil
}

func limit(entries []*pb.Entry, maxSize uint64) []*pb.Entry {
	size, n := uint64(0), 0
	for n < len(entries) {
		size += uint64(len(entries[n].GetData()))
		if n > 0 && size > maxSize {
			break
		}
		n++
	}
	return append([]*pb.Entry(nil), entries[:n]...)
}

// Term implements raft.Storage.
func (s *store) Term(i uint64) (uint64, error) {
	if i == uint64(s.begin.SeqNo) {
		return uint64(s.begin.View), nil
	}
	if i+1 < uint64(s.first) {
		return 0, raft.ErrCompacted
	}
	if i == 0 {
		return 0, nil
	}
	view, ok := s.viewOf(synod.SeqNo(i))
	if !ok {
		return 0, raft.ErrUnavailable
	}
	return uint64(view), nil
}

// LastIndex implements raft.Storage.
func (s *store) LastIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.last, nil
}

// FirstIndex implements raft.Storage.
func (s *store) FirstIndex() (uint64, error) { return uint64(s.first), nil }

// Snapshot implements raft.Storage: which one is offered to who needs entries from
// before the first. The file is fetched elsewhere.
func (s *store) Snapshot() (*pb.Snapshot, error) {
	if s.offer.SeqNo == 0 {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: new(uint64(s.offer.SeqNo)), Term: new(uint64(s.offer.View))}}, nil
}
