package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"synod"
	"synod/internal/evidence"
	"synod/internal/kv"
	"synod/internal/machine"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// calmRounds bounds how long a service in good weather may take.
const calmRounds = 4000

// calm lets everything work, in order, until ok.
func (w *world) calm(what string, ok func() bool) error {
	for range calmRounds {
		if ok() {
			return nil
		}
		flying := w.flying
		w.flying = nil
		for _, m := range flying {
			w.hand(m)
		}
		for _, n := range w.awake() {
			if n.Appends() > 0 {
				if err := w.store(n, n.Appends()); err != nil {
					return fmt.Errorf("node %d: %w", n.name, err)
				}
			}
		}
		w.sign()
		if len(w.flying) == 0 {
			w.pass()
		}
		if err := w.check(); err != nil {
			return err
		}
	}
	return fmt.Errorf("not in good weather: %s; %s", what, w.summary())
}

// end heals everything and sees that the service comes back, and that all
// nodes say the same of everything.
func (w *world) end() error {
	clear(w.cut)
	for _, n := range w.alive() {
		w.resume(n)
		n.hanging = false
	}
	// A write that is taken may yet be lost with its leader: then another is.
	var id synod.TxID
	err := w.calm("a write is committed by all voters", func() bool {
		l := w.leader()
		if l == nil {
			return false
		}
		if id.View != l.Role().View {
			if next, err := l.put(records, []byte("end"), []byte("0")); err == nil {
				id = next
			}
			return false
		}
		return w.allHave(id.SeqNo)
	})
	if err != nil {
		return err
	}
	if err := w.calm("the configuration is the wanted one", w.configured); err != nil {
		return err
	}
	voters := w.voters()
	for _, n := range voters {
		if err := w.statuses(n, append(w.client.asked, id)); err != nil {
			return fmt.Errorf("node %d %w", n.name, err)
		}
	}
	commit := voters[0].Committed()
	w.result.Committed, w.result.View, w.result.Nodes = commit.SeqNo, commit.View, len(w.nodes)
	if err := w.replay(voters); err != nil {
		return fmt.Errorf("replay of the log: %w", err)
	}
	return w.linearizable()
}

// statuses sees that a node says of each transaction what came of it.
func (w *world) statuses(n *node, asked []synod.TxID) error {
	for _, op := range w.client.finished {
		if op.write {
			asked = append(asked, op.id)
		}
		if op.write && !op.lost && w.seen.views[op.id.SeqNo] != op.id.View {
			return fmt.Errorf("never had %s, which was confirmed", op.id)
		}
	}
	for _, id := range asked {
		want := synod.TxInvalid
		if w.seen.views[id.SeqNo] == id.View {
			want = synod.TxCommitted
		}
		if got := n.Status(id); got != want && id.SeqNo <= n.Committed().SeqNo {
			return fmt.Errorf("says %s of %s, which is %s", got, id, want)
		}
	}
	return nil
}

// voters are the running nodes that the leader counts on.
func (w *world) voters() []*node {
	var list []*node
	if l := w.leader(); l != nil {
		for _, name := range l.Peers().Configuration.GetVoters() {
			if n := w.named(name); n != nil && n.up {
				list = append(list, n)
			}
		}
	}
	return list
}

// configured says whether those vote who should and can: of the nodes that run,
// the wanted ones, if there are any.
func (w *world) configured() bool {
	l := w.leader()
	if l == nil {
		return false
	}
	c, wanted := l.Peers().Configuration, l.wanted()
	possible := false
	for _, n := range w.alive() {
		possible = possible || wanted[n.name]
	}
	for _, n := range w.alive() {
		if votes := slices.Contains(c.GetVoters(), n.name); possible && votes != wanted[n.name] && w.canBeHelped(n) {
			return false
		}
	}
	return len(c.GetVotersOutgoing()) == 0
}

// canBeHelped says whether some voter's log begins early enough for a node to
// get what it lacks.
func (w *world) canBeHelped(n *node) bool {
	return slices.ContainsFunc(w.voters(), func(v *node) bool { return v.begun <= n.Ordered() })
}

func (w *world) allHave(seqno synod.SeqNo) bool {
	voters := w.voters()
	for _, n := range voters {
		if n.Committed().SeqNo < seqno {
			return false
		}
	}
	return len(voters) > 0
}

// replay reads the committed log into an empty store, as a new node does, and
// compares what the nodes hold. On the way it sees that a view begins with a
// signature, that no two signatures of a view are neighbours, and that secrets
// went only to whom the service had trusted.
func (w *world) replay(nodes []*node) error {
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b *node) int { return int(a.Committed().SeqNo) - int(b.Committed().SeqNo) })
	chain := secrets.NewChain()
	chain.Set(1, w.secret)
	store := kv.New()
	m := machine.New(store, evidence.NewTree(), chain, chunkSize)
	everTrusted := map[string]bool{}
	last, signed := synod.TxID{View: 2}, false
	for seqno := synod.SeqNo(1); len(nodes) > 0; seqno++ {
		rec, err := m.Receive(w.seen.entries[seqno])
		if err != nil {
			return err
		}
		m.Install(rec.ID, rec.WriteSet)
		switch {
		case rec.ID.View != last.View && rec.Signature == nil:
			return fmt.Errorf("%s opens a view and is no signature", rec.ID)
		case rec.ID.View == last.View && rec.Signature != nil && signed:
			return fmt.Errorf("%s and %s are both signatures", last, rec.ID)
		}
		last, signed = rec.ID, rec.Signature != nil
		noteTrust(rec.WriteSet, everTrusted)
		for len(nodes) > 0 && nodes[0].Committed().SeqNo == seqno {
			if err := w.same(nodes[0], store, m); err != nil {
				return fmt.Errorf("node %d at %s: %w", nodes[0].name, rec.ID, err)
			}
			nodes = nodes[1:]
		}
	}
	for _, name := range w.seen.given {
		if !everTrusted[strconv.FormatUint(name, 10)] {
			return fmt.Errorf("node %d was given secrets, and was never trusted", name)
		}
	}
	return nil
}

func noteTrust(ws *kv.WriteSet, everTrusted map[string]bool) {
	for _, m := range ws.Maps {
		for _, write := range m.Writes {
			if m.Name == members && string(write.Value) == trusted {
				everTrusted[string(write.Key)] = true
			}
		}
	}
}

// same compares a node's committed state with one that its log makes.
func (w *world) same(n *node, again *kv.Store, m *machine.Machine) error {
	if m.Tree.Root() != w.seen.roots[n.Committed().SeqNo] {
		return errors.New("the root is another")
	}
	mine, err := n.store.BeginAt(n.Committed().SeqNo)
	if err != nil {
		return err
	}
	defer mine.Release()
	replayed := again.Begin()
	defer replayed.Release()
	for _, table := range []string{records, members, tables.Raft} {
		if a, b := contents(mine, table), contents(replayed, table); a != b {
			return fmt.Errorf("table %s holds %s, its log says %s", table, a, b)
		}
	}
	return nil
}

func contents(tx *kv.Tx, table string) string {
	s := ""
	tx.ForEach(table, func(k, v []byte) bool { s += fmt.Sprintf("%s=%x ", k, v); return true })
	return s
}
