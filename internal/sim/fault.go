package sim

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/consensus"
	"synod/internal/ledger/faultfs"
)

// kinds are what can go wrong or change, and how much more often than others.
var kinds = []struct {
	weight int
	happen func(*world, *node) error
}{
	{2, func(w *world, n *node) error { w.cutOff(n); return nil }},
	{3, func(w *world, _ *node) error {
		w.cfg.Trace("the network heals")
		clear(w.cut)
		return nil
	}},
	{2, func(w *world, n *node) error {
		if !w.expendable(n) {
			return nil
		}
		return w.lose(n, ending(w.rng.IntN(int(endings))))
	}},
	{1, func(w *world, _ *node) error { w.retireLost(); return nil }},
	{1, func(w *world, _ *node) error { w.release(); return nil }},
	{1, func(w *world, _ *node) error { w.invite(); return nil }},
	{1, func(w *world, n *node) error { // a node that is well leaves, the leader too
		if w.settled() && w.wants(n.name) {
			w.askFor(wish{n.name, retired})
		}
		return nil
	}},
	{1, func(w *world, _ *node) error { w.exchange(); return nil }},
	{2, func(w *world, n *node) error {
		w.cfg.Trace("%d is held up", n.name)
		n.paused = true
		return nil
	}},
	{1, func(w *world, n *node) error {
		w.cfg.Trace("the disk of %d is held up", n.name)
		n.stuck = true
		return nil
	}},
	{2, func(w *world, n *node) error {
		w.cfg.Trace("the signer of %d hangs", n.name)
		n.hanging = true
		return nil
	}},
	{3, func(w *world, _ *node) error {
		for _, o := range w.alive() {
			w.resume(o)
		}
		return nil
	}},
	{2, func(w *world, n *node) error { w.jump(n); return nil }},
	{3, func(w *world, n *node) error {
		if !n.paused {
			w.cfg.Trace("%d is to hand over", n.name)
			n.HandOver()
		}
		return nil
	}},
}

// temper is what a seed is fond of: how often anything happens, in a thousand
// steps, and how often each kind. Seeds that do much of a few things find what
// seeds that do a little of everything do not.
type temper struct {
	rate    int
	weights []int
}

func (w *world) newTemper() temper {
	t := temper{rate: []int{10, 20, 40}[w.rng.IntN(3)]}
	for _, k := range kinds {
		t.weights = append(t.weights, k.weight*[]int{0, 1, 1, 4}[w.rng.IntN(4)])
	}
	return t
}

// fault lets something go wrong, or changes who takes part.
func (w *world) fault() error {
	nodes := w.alive()
	n := nodes[w.rng.IntN(len(nodes))]
	if l := w.leader(); l != nil && w.rng.IntN(3) == 0 {
		n = l
	}
	total := 0
	for _, weight := range w.temper.weights {
		total += weight
	}
	if total == 0 {
		return nil
	}
	at := w.rng.IntN(total)
	for i, weight := range w.temper.weights {
		if at -= weight; at < 0 {
			return kinds[i].happen(w, n)
		}
	}
	return nil
}

// retireLost has governance retire what has ended.
func (w *world) retireLost() {
	for _, o := range w.nodes {
		if !o.up && w.wants(o.name) && w.settled() {
			w.askFor(wish{o.name, retired})
		}
	}
}

// release has governance let a retired node go.
func (w *world) release() {
	for _, o := range w.nodes {
		if w.idle(o) {
			w.askFor(wish{o.name, gone})
			return
		}
	}
}

// jump lets a node's timers run fast, or its clock go forward.
func (w *world) jump(n *node) {
	w.cfg.Trace("the clock of %d jumps", n.name)
	by := w.rng.IntN(2 * int(electionTimeout/tick))
	if w.rng.IntN(2) == 0 {
		n.ahead += time.Duration(by) * tick
		return
	}
	for range by {
		if !n.paused {
			n.Tick()
		}
	}
}

// cutOff cuts what a node sends to others, or what it gets too.
func (w *world) cutOff(n *node) {
	w.cfg.Trace("%d is cut off", n.name)
	both := w.rng.IntN(2) == 0
	for _, o := range w.alive() {
		w.cut[[2]uint64{n.name, o.name}] = true
		if both {
			w.cut[[2]uint64{o.name, n.name}] = true
		}
	}
}

// resume lets a node that was held up go on, with the messages that came
// meanwhile, and its disk and signer.
func (w *world) resume(n *node) {
	if n.paused || n.stuck || n.hanging {
		w.cfg.Trace("%d goes on", n.name)
	}
	n.paused, n.stuck, n.hanging = false, false, false
	w.flying = append(w.flying, n.backlog...)
	n.backlog = nil
}

// nodesMax bounds the nodes that run.
const nodesMax = 9

// invite has governance trust one more node.
func (w *world) invite() {
	if name := w.last + 1; len(w.alive()) < nodesMax && !w.wants(name) {
		w.askFor(wish{name, trusted})
	}
}

// exchange has governance trust some nodes and retire some others, perhaps all,
// at once.
func (w *world) exchange() {
	if !w.settled() {
		return
	}
	const most = 3
	nodes := w.alive()
	var wishes []wish
	for i := range 1 + w.rng.IntN(most) {
		if name := w.last + 1 + uint64(i); len(nodes)+i < nodesMax && !w.wants(name) { //nolint:gosec // small
			wishes = append(wishes, wish{name, trusted})
		}
	}
	for _, o := range nodes {
		if w.rng.IntN(2) == 0 && w.wants(o.name) {
			wishes = append(wishes, wish{o.name, retired})
		}
	}
	if len(wishes) > 0 {
		w.askFor(wishes...)
	}
}

// admit lets the next node begin if the service trusts it, as its polling does.
func (w *world) admit() error {
	name := w.last + 1
	source := w.trusting(name)
	if source == nil {
		return nil
	}
	if !w.log.everTrusted(name) {
		return fmt.Errorf("node %d is given secrets, and the service has not committed that it trusts it", name)
	}
	return w.add(source)
}

// ending is how a node ends, for good.
type ending int

const (
	killed  ending = iota // in the middle of what its disk is doing
	full                  // its disk is
	broken                // its disk is: an fsync fails
	stopped               // by its operator: it hands over and stores what it has
	endings
)

func (e ending) String() string {
	return [...]string{"crashes", "ends: its disk is full", "ends: its disk fails", "stops"}[e]
}

// lose ends a node, and sees that everything is on the disk that the node said
// was there.
func (w *world) lose(n *node, how ending) error {
	w.cfg.Trace("%d %s", n.name, how)
	if how == stopped && !n.paused {
		n.HandOver()
	}
	n.up, w.lost = false, w.now
	sure := n.durable
	if n.Appends() > 0 {
		entries, size := n.Entries(n.Appends()), int64(0)
		for _, e := range entries {
			// What is being overwritten was never committed.
			sure.SeqNo = min(sure.SeqNo, synod.SeqNo(e.GetIndex()-1))
			size += int64(len(e.GetData()))
		}
		switch how {
		case killed:
			n.disk.CrashAt(n.disk.Steps() + 1 + w.rng.IntN(8))
		case full:
			n.disk.SetCapacity(n.disk.Used() + w.rng.Int64N(size+1))
		case broken:
			n.disk.Fail(func(op faultfs.Op, _ string) error {
				if op == faultfs.OpSync {
					return syscall.EIO
				}
				return nil
			})
		}
		err := w.store(n, n.Appends())
		switch {
		case err == nil:
			sure = n.durable
		case how == stopped:
			return err
		}
	}
	if err := w.inspect(n, sure); err != nil {
		return fmt.Errorf("the disk of node %d, which %s: %w", n.name, how, err)
	}
	if w.cfg.Bug == ForgetVote {
		return w.make(n.name, w.nodes[0])
	}
	return nil
}

func (w *world) inspect(n *node, sure synod.TxID) error {
	model := []faultfs.Model{faultfs.Ordered, faultfs.Zeroed, faultfs.Unordered}[w.rng.IntN(3)]
	log, err := n.openLog(n.disk.Reboot(model, w.rng))
	if err != nil {
		return err
	}
	if log.Last() < sure.SeqNo {
		return fmt.Errorf("it ends at %d, the node had stored up to %s", log.Last(), sure)
	}
	for seqno := n.begun + 1; seqno <= min(sure.SeqNo, n.checked); seqno++ {
		found, err := log.Read(seqno, seqno, 0)
		if err != nil {
			return err
		}
		if !bytes.Equal(found[0], w.seen.entries[seqno]) {
			return fmt.Errorf("entry %d is another", seqno)
		}
	}
	return log.Close()
}

// expendable says whether the service goes on without a node that ends: every
// configuration that is known of keeps a majority, and so does whichever may come
// next, for what anybody has asked for, while it is still thought to be there.
func (w *world) expendable(leaving *node) bool {
	up := func(name uint64) bool {
		o := w.named(name)
		return o != nil && o.up && o != leaving
	}
	there := func(name uint64) bool { return up(name) || name == leaving.name }
	if !w.settled() {
		return false
	}
	for _, n := range w.alive() {
		for _, c := range append([]*pb.ConfState{n.Peers().Configuration}, w.proposed...) {
			if !majority(c.GetVoters(), up) || !majority(c.GetVotersOutgoing(), up) {
				return false
			}
		}
		for _, wanted := range w.memberships(n) {
			for _, next := range nextVoters(n.Peers().Configuration, wanted, leaving.name) {
				if majority(next, there) && !majority(next, up) {
					return false
				}
			}
		}
	}
	return true
}

// memberships are those that a node may come to want: the committed one, and what
// each wish after it makes of the one before, as long as the wish may yet be
// committed. It need not be in the node's store: only that of who ordered it has it
// before a majority does.
func (w *world) memberships(n *node) []consensus.Membership {
	now := n.wanted()
	list := []consensus.Membership{now}
	for _, a := range w.asked {
		view, known := w.seen.views[a.id.SeqNo]
		if a.id.SeqNo <= n.store.Compacted().SeqNo || known && view != a.id.View {
			continue
		}
		now = maps.Clone(now)
		for _, o := range a.wishes {
			switch {
			case now == nil:
			case o.state == gone:
				delete(now, o.name)
			default:
				now[o.name] = o.state == trusted
			}
		}
		list = append(list, now)
	}
	return list
}

// nextVoters are the voters that may come next, if of all learners only one is
// ready, or if it is no learner: those besides it who stay, or all.
func nextVoters(c *pb.ConfState, wanted consensus.Membership, learner uint64) [][]uint64 {
	var stay, all []uint64
	for _, name := range c.GetVoters() {
		all = append(all, name)
		if wanted[name] {
			stay = append(stay, name)
		}
	}
	if wanted[learner] && !slices.Contains(all, learner) {
		stay, all = append(stay, learner), append(all, learner)
	}
	return [][]uint64{stay, all}
}

func majority(voters []uint64, ok func(uint64) bool) bool {
	have := 0
	for _, name := range voters {
		if ok(name) {
			have++
		}
	}
	return len(voters) == 0 || have > len(voters)/2
}

// settled says whether everybody can know who has ended: it is a while ago, and
// nothing that they sent is still on its way.
func (w *world) settled() bool {
	const while = 40 * tick
	if w.now.Before(w.lost.Add(while)) {
		return false
	}
	ended := func(m *pb.Message) bool {
		o := w.named(m.GetFrom())
		return o == nil || !o.up
	}
	return !slices.ContainsFunc(w.flying, ended) &&
		!slices.ContainsFunc(w.alive(), func(n *node) bool { return slices.ContainsFunc(n.backlog, ended) })
}

// idle says whether a member is retired and no configuration counts on it.
func (w *world) idle(o *node) bool {
	l := w.leader()
	if l == nil {
		return false
	}
	if voter, listed := l.wanted()[o.name]; !listed || voter {
		return false
	}
	for _, n := range w.alive() {
		c := n.Peers().Configuration
		for _, name := range append(append([]uint64(nil), c.GetVoters()...), c.GetVotersOutgoing()...) {
			if name == o.name {
				return false
			}
		}
	}
	return true
}
