package arm

import "context"

// What a Change is about.
const (
	ChangeNetwork   = "network"   // a user's write, or the network's end
	ChangeStatus    = "status"    // the reconciler's
	ChangeOperation = "operation" // its start, progress or end
	ChangeAudit     = "audit"
	// ChangeAll says that changes were missed: read everything again.
	ChangeAll = "all"
)

// Change says that something in the store is new. It carries no content: the
// receiver reads what it needs.
type Change struct {
	Kind      string
	Network   NetworkID // zero for ChangeAudit and ChangeAll
	Operation string    // of ChangeOperation
}

// watchMax is how many changes wait for one watcher before they become one
// ChangeAll.
const watchMax = 1024

type watcher struct{ changes chan Change }

// Watch returns the changes from now on that this process makes. A watcher that
// is slow gets one ChangeAll for what it missed. The channel is closed when ctx
// ends or the store is closed.
func (s *Store) Watch(ctx context.Context) <-chan Change {
	w := &watcher{changes: make(chan Change, watchMax)}
	s.mu.Lock()
	s.watchers[w] = struct{}{}
	s.mu.Unlock()
	context.AfterFunc(ctx, func() { s.endWatch(w) })
	return w.changes
}

func (s *Store) endWatch(w *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.watchers[w]; ok {
		delete(s.watchers, w)
		close(w.changes)
	}
}

func (s *Store) endWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		delete(s.watchers, w)
		close(w.changes)
	}
}

func (s *Store) tell(changes []Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		for _, c := range changes {
			w.put(c)
		}
	}
}

// put never waits. Only tell calls it, one at a time: nobody else fills the
// channel between the emptying and the ChangeAll.
func (w *watcher) put(c Change) {
	select {
	case w.changes <- c:
		return
	default:
	}
	for len(w.changes) > 0 {
		select {
		case <-w.changes:
		default:
		}
	}
	w.changes <- Change{Kind: ChangeAll}
}
