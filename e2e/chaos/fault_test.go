//go:build e2e

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"synod"
)

// run is one run: a service, its clients, and what is done to it.
type run struct {
	t        *testing.T
	service  *service
	workload *workload
	rng      *rand.Rand
	figures  figures
	pulse    pulse

	mu       sync.Mutex
	schedule []string
	slow     []string // outages that took longer than they may

	// Set at the end.
	last  []*node
	final synod.TxID // which all of them have committed
}

// note adds a line to the schedule.
func (r *run) note(format string, args ...any) {
	line := fmt.Sprintf("%8.3f s  ", r.workload.now().Seconds()) + fmt.Sprintf(format, args...)
	r.mu.Lock()
	r.schedule = append(r.schedule, line)
	r.mu.Unlock()
	r.t.Log(line)
}

// fault is one kind of trouble. It ends with all nodes that are left in reach of
// each other, and with new ones for those that are gone.
type fault struct {
	name   string
	weight int
	nodes  int // that there must be at least
	strike func(*run, context.Context) error
}

var faults = []fault{
	{"kill the primary", 8, 3, func(r *run, ctx context.Context) error { return r.losePrimary(ctx, "primary killed", (*run).killed) }},
	{"the primary's machine dies", 4, 3, func(r *run, ctx context.Context) error {
		return r.losePrimary(ctx, "primary's machine dead", (*run).vanished)
	}},
	{"stop the primary gracefully", 2, 3, func(r *run, ctx context.Context) error {
		return r.losePrimary(ctx, "primary stopped by TERM", (*run).terminated)
	}},
	{"the primary's disk is full", 3, 3, func(r *run, ctx context.Context) error {
		return r.losePrimary(ctx, "primary's disk full", (*run).filled)
	}},
	{"kill backups", 3, 3, (*run).loseBackups},
	{"a backup's disk is full", 2, 3, (*run).fillBackup},
	{"retire the primary", 2, 3, (*run).retirePrimary},
	{"hold up the primary", 4, 3, (*run).holdPrimary},
	{"hold up backups", 2, 3, (*run).holdBackups},
	{"hold up a majority", 2, 3, (*run).holdMajority},
	{"cut the primary off", 4, 3, (*run).isolatePrimary},
	{"cut nodes off", 3, 3, (*run).partition},
	{"cut single directions", 3, 3, (*run).cutDirections},
	{"cut everybody off", 1, 3, (*run).cutAll},
	{"two halves and one between them", 2, 5, (*run).bridge},
	{"slow links", 3, 3, (*run).slowLinks},
	{"break connections", 3, 3, (*run).breakConnections},
}

// strike does one thing after the other until ctx ends. At least one strike is
// the first of the list.
func (r *run) strike(ctx context.Context, until time.Duration) error {
	var bag []fault
	for _, f := range faults {
		if f.nodes <= len(r.service.present()) {
			bag = append(bag, slices.Repeat([]fault{f}, f.weight)...)
		}
	}
	for first := true; first || r.workload.now() < until; first = false {
		f := bag[0]
		if !first {
			f = bag[r.rng.IntN(len(bag))]
		}
		r.note("%s", f.name)
		if err := f.strike(r, ctx); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		healed := time.Now()
		if err := r.settle(ctx); err != nil {
			return fmt.Errorf("after %s: %w", f.name, err)
		}
		r.figures.add("after a fault: all nodes serve", time.Since(healed))
		pause(ctx, time.Duration(r.rng.IntN(1000))*time.Millisecond)
	}
	return nil
}

// settle waits until the service is whole.
func (r *run) settle(ctx context.Context) error {
	return poll(ctx, patience, func() error { return r.service.settled(ctx) })
}

// minority is how many nodes may be lost.
func (r *run) minority() int { return (len(r.service.present()) - 1) / 2 }

// some picks up to most nodes out of a list, at least one.
func (r *run) some(list []*node, most int) []*node {
	list = slices.Clone(list)
	r.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:1+r.rng.IntN(min(most, len(list)))]
}

// span is a random time, in election timeouts.
func (r *run) span(least, most float64) time.Duration {
	return time.Duration((least + (most-least)*r.rng.Float64()) * float64(r.service.election))
}

func names(list []*node) string {
	var s []string
	for _, n := range list {
		s = append(s, n.name)
	}
	return strings.Join(s, ", ")
}

func without(list []*node, gone ...*node) []*node {
	return slices.DeleteFunc(slices.Clone(list), func(n *node) bool { return slices.Contains(gone, n) })
}

// losePrimary loses the primary, and of five nodes perhaps a backup with it,
// measures how the others take over, and replaces what was lost.
func (r *run) losePrimary(ctx context.Context, what string, lose func(*run, *node) (time.Time, error)) error {
	primary, view, err := r.service.primary(ctx)
	if err != nil {
		return err
	}
	gone := []*node{primary}
	others := without(r.service.present(), primary)
	if extra := r.minority() - 1; extra > 0 && r.rng.IntN(3) == 0 {
		gone = append(gone, r.some(others, extra)...)
	}
	r.note("  %s: lose %s", primary.name, names(gone))
	for _, n := range gone[1:] {
		n.kill()
	}
	lost, err := lose(r, primary)
	if err != nil {
		return err
	}
	o, err := r.service.measure(ctx, without(others, gone...), view, lost)
	if err != nil {
		return err
	}
	r.figures.lost(what, o)
	pulse := r.pulse.since(lost)
	r.note("  another leads after %v, its commit moves %v later, a write is committed after %v; %s", o.elected.Round(time.Millisecond), o.commit.Round(100*time.Microsecond), o.recovered.Round(time.Millisecond), pulse)
	if o.recovered > 2*r.service.election {
		r.slow = append(r.slow, fmt.Sprintf("%s: %v until a write was committed; %s", what, o.recovered, pulse))
	}
	primary.kill() // if it goes on without a disk
	r.service.network.heal()
	return r.replace(ctx, gone...)
}

func (r *run) killed(n *node) (time.Time, error) {
	lost := time.Now()
	n.kill()
	return lost, nil
}

// vanished is the end of a machine: nobody says that the connections are gone.
func (r *run) vanished(n *node) (time.Time, error) {
	lost := time.Now()
	r.isolate(n)
	n.kill()
	return lost, nil
}

func (r *run) terminated(n *node) (time.Time, error) {
	lost := time.Now()
	n.leave()
	return lost, n.cmd.Process.Signal(syscall.SIGTERM)
}

// filled leaves some room for the last write to be torn, or none. A chunk that
// ends meanwhile makes more room, but not for long.
func (r *run) filled(n *node) (time.Time, error) {
	lost := time.Now()
	n.leave()
	if r.rng.IntN(2) == 0 {
		return lost, n.limit(0)
	}
	longest, err := n.longest()
	if err != nil {
		return lost, err
	}
	time.AfterFunc(300*time.Millisecond, func() { _ = n.limit(0) }) // or it has ended
	return lost, n.limit(longest + r.rng.Int64N(4<<10))
}

// loseBackups kills backups; nothing is to be felt of it.
func (r *run) loseBackups(ctx context.Context) error {
	primary, _, err := r.service.primary(ctx)
	if err != nil {
		return err
	}
	gone := r.some(without(r.service.present(), primary), r.minority())
	r.note("  lose %s", names(gone))
	lost := time.Now()
	for _, n := range gone {
		n.kill()
	}
	if err := r.committed(ctx, "backup killed: a write is committed", lost, without(r.service.present(), gone...)); err != nil {
		return err
	}
	return r.replace(ctx, gone...)
}

// fillBackup has the disk of a backup refuse.
func (r *run) fillBackup(ctx context.Context) error {
	primary, _, err := r.service.primary(ctx)
	if err != nil {
		return err
	}
	n := r.some(without(r.service.present(), primary), 1)[0]
	r.note("  %s", n.name)
	lost := time.Now()
	if _, err := r.filled(n); err != nil {
		return err
	}
	if err := r.committed(ctx, "backup's disk full: a write is committed", lost, r.service.present()); err != nil {
		return err
	}
	pause(ctx, r.span(0.2, 1.5))
	n.kill()
	return r.replace(ctx, n)
}

// committed waits until a write at one of the nodes is committed.
func (r *run) committed(ctx context.Context, what string, since time.Time, nodes []*node) error {
	err := poll(ctx, patience, func() error { return r.service.probe(ctx, nodes[r.rng.IntN(len(nodes))], time.Second) })
	r.figures.add(what, time.Since(since))
	return err
}

// replace has new nodes join in place of those that are gone.
func (r *run) replace(ctx context.Context, gone ...*node) error {
	for _, g := range gone {
		nodes := r.service.present()
		target, together := nodes[r.rng.IntN(len(nodes))], r.rng.IntN(2) == 0
		began := time.Now()
		n, err := r.join(ctx, target, g.name, func(n *node) error { return r.service.admit(ctx, n, together, g) })
		if err != nil {
			return err
		}
		r.note("  %s votes, %s is out: in one proposal %t", n.name, g.name, together)
		r.figures.add("new node: from its start to its vote", time.Since(began))
		if err := r.service.forget(ctx, []*node{g}); err != nil {
			return err
		}
	}
	return nil
}

// join has a new node join by a snapshot or by the log; meanwhile there may be
// more trouble, of a kind that passes. A node that began with a snapshot refuses
// a newcomer that knows nothing, as in CCF, even if the primary could help it:
// that one asks the primary then.
func (r *run) join(ctx context.Context, target *node, instead string, admit func(*node) error) (*node, error) {
	for attempt := 0; ; attempt++ {
		n, err := r.service.join(target, attempt > 0 || r.rng.IntN(2) == 0)
		if err != nil {
			return nil, err
		}
		r.note("  %s joins at %s for %s, with a snapshot if there is one: %t", n.name, target.name, instead, n.snapshot)
		var trouble sync.WaitGroup
		if r.rng.IntN(3) == 0 {
			nodes := r.service.present()
			after, kind, victim, span := r.span(0, 1), r.rng.IntN(3), nodes[r.rng.IntN(len(nodes))], r.span(0.2, 2)
			trouble.Go(func() { r.disturb(ctx, after, kind, victim, span) })
		}
		err = admit(n)
		trouble.Wait()
		if err == nil {
			return n, nil
		}
		if attempt > 2 || !n.logged("StartupSeqnoIsOld") {
			return nil, fmt.Errorf("%s joins for %s: %w", n.name, instead, err)
		}
		r.note("  %s began with a snapshot and refuses %s", target.name, n.name)
		n.leave()
		if err := poll(ctx, patience, func() error { target, _, err = r.service.primary(ctx); return err }); err != nil {
			return nil, err
		}
	}
}

// disturb makes trouble for some time while a node joins.
func (r *run) disturb(ctx context.Context, after time.Duration, kind int, victim *node, span time.Duration) {
	pause(ctx, after)
	r.note("  meanwhile %s of %s for %v", [...]string{"a hold", "a cut", "slow links"}[kind], victim.name, span.Round(time.Millisecond))
	switch kind {
	case 0:
		if victim.hold(true) == nil {
			pause(ctx, span)
			_ = victim.hold(false) // it runs, or has ended
		}
	case 1:
		r.isolate(victim)
		pause(ctx, span)
		r.service.network.heal()
	default:
		r.limit(rule{delay: 5 * time.Millisecond, jitter: 20 * time.Millisecond, rate: 256 << 10}, r.service.present())
		pause(ctx, span)
		r.service.network.heal()
	}
}

// retirePrimary has the members replace the primary while it leads.
func (r *run) retirePrimary(ctx context.Context) error {
	primary, _, err := r.service.primary(ctx)
	if err != nil {
		return err
	}
	others := without(r.service.present(), primary)
	_, err = r.join(ctx, others[r.rng.IntN(len(others))], primary.name, func(n *node) error { return r.service.admit(ctx, n, false) })
	if err != nil {
		return err
	}
	// Another may lead by now, if there was trouble meanwhile.
	if err := r.settle(ctx); err != nil {
		return err
	}
	primary, view, err := r.service.primary(ctx)
	if err != nil {
		return err
	}
	r.note("  %s is to go", primary.name)
	primary.leave()
	retired := time.Now()
	if err := r.service.govern(ctx, removal(primary)); err != nil {
		return err
	}
	o, err := r.service.measure(ctx, r.service.present(), view, retired)
	if err != nil {
		return err
	}
	r.figures.lost("primary retired", o)
	if err := r.service.forget(ctx, []*node{primary}); err != nil {
		return err
	}
	primary.kill()
	return nil
}

// holdPrimary stops the primary for a while that may be long enough for another
// to take its place.
func (r *run) holdPrimary(ctx context.Context) error {
	return r.withoutPrimary(ctx, "primary held up", func(n *node) error { return n.hold(true) }, func(n *node) error { return n.hold(false) })
}

// isolatePrimary cuts the primary off from the others, not from clients.
func (r *run) isolatePrimary(ctx context.Context) error {
	return r.withoutPrimary(ctx, "primary cut off", func(n *node) error { r.isolate(n); return nil },
		func(*node) error { r.service.network.heal(); return nil })
}

func (r *run) withoutPrimary(ctx context.Context, what string, begin, end func(*node) error) error {
	primary, view, err := r.service.primary(ctx)
	if err != nil {
		return err
	}
	others := without(r.service.present(), primary)
	span := r.span(0.1, 4)
	r.note("  %s, for %v", primary.name, span.Round(time.Millisecond))
	lost := time.Now()
	if err := begin(primary); err != nil {
		return err
	}
	if span > 2*r.service.election {
		o, err := r.service.measure(ctx, others, view, lost)
		if err != nil {
			return errors.Join(err, end(primary))
		}
		r.figures.lost(what, o)
	}
	pause(ctx, span-time.Since(lost))
	return end(primary)
}

// holdBackups stops a minority that the primary is not of.
func (r *run) holdBackups(ctx context.Context) error {
	primary, _, err := r.service.primary(ctx)
	if err != nil {
		return err
	}
	return r.holdAll(ctx, r.some(without(r.service.present(), primary), r.minority()))
}

// holdMajority leaves too few nodes for anything to be committed.
func (r *run) holdMajority(ctx context.Context) error {
	nodes := r.service.present()
	r.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	return r.holdAll(ctx, nodes[:len(nodes)/2+1])
}

func (r *run) holdAll(ctx context.Context, nodes []*node) error {
	span := r.span(0.1, 4)
	r.note("  %s, for %v", names(nodes), span.Round(time.Millisecond))
	var errs []error
	for _, n := range nodes {
		errs = append(errs, n.hold(true))
	}
	pause(ctx, span)
	for _, n := range nodes {
		errs = append(errs, n.hold(false))
	}
	return errors.Join(errs...)
}

// partition cuts a minority off, which may hold the primary.
func (r *run) partition(ctx context.Context) error {
	nodes := r.service.present()
	cut := r.some(nodes, r.minority())
	span := r.span(0.5, 4)
	r.note("  %s, for %v", names(cut), span.Round(time.Millisecond))
	for _, a := range cut {
		for _, b := range without(nodes, cut...) {
			r.cut(a, b)
			r.cut(b, a)
		}
	}
	pause(ctx, span)
	r.service.network.heal()
	return nil
}

// cutDirections has some nodes not hear some others, who may hear them.
func (r *run) cutDirections(ctx context.Context) error {
	nodes := r.service.present()
	span := r.span(0.5, 4)
	var said []string
	for range 1 + r.rng.IntN(len(nodes)) {
		a := nodes[r.rng.IntN(len(nodes))]
		others := without(nodes, a)
		b := others[r.rng.IntN(len(others))]
		r.cut(a, b)
		said = append(said, a.name+" to "+b.name)
	}
	r.note("  %s, for %v", strings.Join(said, ", "), span.Round(time.Millisecond))
	pause(ctx, span)
	r.service.network.heal()
	return nil
}

func (r *run) cutAll(ctx context.Context) error {
	span := r.span(0.5, 3)
	r.note("  for %v", span.Round(time.Millisecond))
	for _, n := range r.service.present() {
		r.isolate(n)
	}
	pause(ctx, span)
	r.service.network.heal()
	return nil
}

// bridge cuts two halves off from each other, both of which reach one node.
func (r *run) bridge(ctx context.Context) error {
	nodes := r.service.present()
	r.rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	middle := len(nodes) / 2
	span := r.span(0.5, 4)
	r.note("  %s | %s | %s, for %v", names(nodes[:middle]), nodes[middle].name, names(nodes[middle+1:]), span.Round(time.Millisecond))
	for _, a := range nodes[:middle] {
		for _, b := range nodes[middle+1:] {
			r.cut(a, b)
			r.cut(b, a)
		}
	}
	pause(ctx, span)
	r.service.network.heal()
	return nil
}

// slowLinks makes a network of one node, or of all, as bad as a far one.
func (r *run) slowLinks(ctx context.Context) error {
	nodes := r.service.present()
	if r.rng.IntN(2) == 0 {
		nodes = r.some(nodes, 1)
	}
	slow := rule{
		delay:  time.Duration(1+r.rng.IntN(40)) * time.Millisecond,
		jitter: time.Duration(1+r.rng.IntN(40)) * time.Millisecond,
		rate:   (64 + r.rng.IntN(1000)) << 10,
	}
	span := r.span(1, 5)
	r.note("  %s: %v + %v, %d kB/s, for %v", names(nodes), slow.delay, slow.jitter, slow.rate>>10, span.Round(time.Millisecond))
	r.limit(slow, nodes)
	pause(ctx, span)
	r.service.network.heal()
	return nil
}

// breakConnections breaks the connections of nodes again and again.
func (r *run) breakConnections(ctx context.Context) error {
	nodes := r.service.present()
	span := r.span(0.5, 3)
	r.note("  for %v", span.Round(time.Millisecond))
	for until := time.Now().Add(span); time.Now().Before(until); {
		a := nodes[r.rng.IntN(len(nodes))]
		others := without(nodes, a)
		r.service.network.reset(a.door, others[r.rng.IntN(len(others))].door)
		pause(ctx, time.Duration(r.rng.IntN(200))*time.Millisecond)
	}
	return nil
}

func (r *run) cut(from, to *node) { r.service.network.set(rule{cut: true}, from.door, to.door) }

// isolate cuts a node off from all others, also from those that are to come.
func (r *run) isolate(n *node) {
	r.limit(rule{cut: true}, []*node{n})
}

// limit makes the rule for all links of some nodes.
func (r *run) limit(rule rule, nodes []*node) {
	for _, n := range nodes {
		for _, o := range r.service.everybody() {
			if o != n {
				r.service.network.set(rule, n.door, o.door)
				r.service.network.set(rule, o.door, n.door)
			}
		}
	}
}
