//go:build e2e

package managed

import (
	"encoding/json"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"synod/internal/arm"
)

// load writes without end: deposits of one, each waited for until it is committed.
type load struct {
	stop    chan struct{}
	done    sync.WaitGroup
	u       *user
	account string

	mu        sync.Mutex
	committed int // deposits that are
	unknown   int // deposits that may be
	slowest   time.Duration
	last      error
}

func (u *user) load(account string) *load {
	u.t.Helper()
	u.must("PUT", "/app/account/"+account, "")
	l := &load{stop: make(chan struct{}), u: u, account: account}
	l.done.Go(l.run)
	return l
}

func (l *load) run() {
	last := time.Now()
	for {
		select {
		case <-l.stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
		_, err := l.u.do("POST", "/app/deposit/"+l.account, `{"value":1}`)
		if err != nil && (strings.Contains(err.Error(), "SessionConsistencyLost") || strings.Contains(err.Error(), "TransactionReplicationFailed")) {
			continue // another primary: nothing was done, the client is to try again
		}
		l.mu.Lock()
		if err == nil {
			l.committed++
			if gap := time.Since(last); gap > l.slowest {
				l.slowest = gap
			}
			last = time.Now()
		} else {
			l.unknown++
			l.last = err
		}
		l.mu.Unlock()
	}
}

// end stops the load and checks that what was committed is there.
func (l *load) end() {
	l.u.t.Helper()
	close(l.stop)
	l.done.Wait()
	var account struct{ Balance int }
	l.u.w.eventually(30*time.Second, "an answer", func() bool {
		text, err := l.u.do("GET", "/app/account/"+l.account, "")
		return err == nil && json.Unmarshal([]byte(text), &account) == nil
	}, func() any { return l.u.w.network(l.u.name).Status })
	if account.Balance < l.committed || account.Balance > l.committed+l.unknown {
		l.u.t.Errorf("the balance is %d: %d deposits were committed, of %d more nobody knows", account.Balance, l.committed, l.unknown)
	}
	l.u.t.Logf("%d deposits committed, %d without a certain answer, longest gap %v", l.committed, l.unknown, l.slowest.Round(time.Millisecond))
}

func (w *world) signal(name string, n arm.NodeStatus, s syscall.Signal) {
	w.t.Helper()
	if err := w.driver.Signal(name, n.Ordinal, s); err != nil {
		w.t.Fatal(err)
	}
}

// TestHeal kills nodes of a network of five under load, the primary too, and two at
// a time; each time it is whole again within a minute, and no committed write is lost.
func TestHeal(t *testing.T) {
	w := newWorld(t)
	m := newMember(t, false)
	w.succeed(put(t, w.store, "net1", arm.KindCreate, desired(5, m)), time.Minute)
	l := w.user("net1", m).load("alice")
	newest := 4
	for _, tc := range []struct {
		what   string
		signal syscall.Signal
		choose func([]arm.NodeStatus) []arm.NodeStatus
	}{
		{"a backup is killed", syscall.SIGKILL, func(all []arm.NodeStatus) []arm.NodeStatus { return backups(all)[:1] }},
		{"the primary is killed", syscall.SIGKILL, func(all []arm.NodeStatus) []arm.NodeStatus { return []arm.NodeStatus{primary(t, all)} }},
		{"two backups are killed", syscall.SIGKILL, func(all []arm.NodeStatus) []arm.NodeStatus { return backups(all)[:2] }},
		{"the primary and a backup are killed", syscall.SIGKILL, func(all []arm.NodeStatus) []arm.NodeStatus {
			return []arm.NodeStatus{primary(t, all), backups(all)[0]}
		}},
		{"a backup hangs", syscall.SIGSTOP, func(all []arm.NodeStatus) []arm.NodeStatus { return backups(all)[:1] }},
	} {
		victims := tc.choose(w.whole("net1", 5, time.Minute))
		begin := time.Now()
		for _, n := range victims {
			w.signal("net1", n, tc.signal)
		}
		newest += len(victims)
		w.eventually(time.Minute, "their successors", func() bool {
			all := w.network("net1").Status.Nodes
			return len(all) > 0 && all[len(all)-1].Ordinal >= newest
		}, func() any { return w.network("net1").Status })
		all := w.whole("net1", 5, time.Minute-time.Since(begin))
		t.Logf("%s: whole again after %v", tc.what, time.Since(begin).Round(time.Millisecond))
		for _, n := range all {
			for _, v := range victims {
				if n.Ordinal == v.Ordinal {
					t.Errorf("node %d is there again", n.Ordinal)
				}
			}
		}
		zones := map[string]int{}
		for _, n := range all {
			zones[n.Zone]++
		}
		if len(zones) != 3 {
			t.Errorf("zones %v", zones)
		}
	}
	l.end()
}

// TestScale has a network grow and shrink under load, and a node be replaced that
// somebody no longer wants: the primary.
func TestScale(t *testing.T) {
	w := newWorld(t)
	m := newMember(t, false)
	w.succeed(put(t, w.store, "net1", arm.KindCreate, desired(1, m)), time.Minute)
	l := w.user("net1", m).load("alice")
	for _, count := range []int{3, 5, 1, 3} {
		begin := time.Now()
		w.succeed(w.change("net1", arm.KindUpdate, func(d *arm.Desired) { d.NodeCount = count }), time.Minute)
		w.whole("net1", count, time.Second)
		t.Logf("%d nodes after %v", count, time.Since(begin).Round(time.Millisecond))
	}
	old := primary(t, w.whole("net1", 3, time.Second))
	input, err := json.Marshal(arm.ReplaceInput{Ordinal: old.Ordinal})
	if err != nil {
		t.Fatal(err)
	}
	op := &arm.Operation{Kind: arm.KindReplace, Network: id("net1"), Input: input}
	if err := w.store.StartOperation(t.Context(), op); err != nil {
		t.Fatal(err)
	}
	w.succeed(op, time.Minute)
	for _, n := range w.whole("net1", 3, time.Second) {
		if n.Ordinal == old.Ordinal {
			t.Errorf("node %d is still there", n.Ordinal)
		}
	}
	l.end()
	if l.unknown > 0 {
		t.Errorf("%d writes had no certain answer: %v", l.unknown, l.last)
	}
}
