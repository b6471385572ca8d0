package sim

import (
	"fmt"
	"strconv"
	"time"

	"synod"
	"synod/internal/consensus"
	"synod/internal/history"
)

// client is everybody who uses the service. Operations are on one of a few
// keys, and linearizable: a write is done when it is known to be committed, a
// read sees every write that was done before it began.
type client struct {
	clock    int64        // counts calls and answers
	ordered  []synod.TxID // transactions that nodes have answered, oldest first
	pending  []operation  // writes that may be committed, or reads that wait
	finished []operation
	wrote    int
}

// operation is a write or a read, by when it was called and answered.
type operation struct {
	write  bool
	key    int
	value  int // 0: nothing there
	call   int64
	answer int64 // 0: not yet
	lost   bool  // a write: it is known that it never happened

	id   synod.TxID // of a write
	node *node      // of a read
	read *consensus.Read
}

// keyCount is how many keys clients share.
const keyCount = 10

func (c *client) tick() int64 { c.clock++; return c.clock }

// write has a client write, at each node that thinks that it leads.
func (w *world) write() {
	for _, n := range w.awake() {
		if !n.Role().Leading {
			continue
		}
		c := &w.client
		c.wrote++
		op := operation{write: true, key: w.rng.IntN(keyCount), value: c.wrote, call: c.tick()}
		var err error
		if op.id, err = n.put(key(uint64(op.key)), []byte(strconv.Itoa(op.value))); err != nil {
			continue
		}
		c.ordered = append(c.ordered, op.id)
		if w.cfg.Bug == AnswerUncommitted && w.rng.IntN(4) == 0 {
			w.finish(op)
			continue
		}
		c.pending = append(c.pending, op)
	}
}

// read has a client read, at any node.
func (w *world) read() {
	nodes := w.awake()
	if len(nodes) == 0 {
		return
	}
	n := nodes[w.rng.IntN(len(nodes))]
	op := operation{key: w.rng.IntN(keyCount), call: w.client.tick(), node: n}
	if w.cfg.Bug == StaleRead {
		op.value = w.valueAt(n, op.key)
		w.finish(op)
		return
	}
	op.read = n.Read()
	w.client.pending = append(w.client.pending, op)
}

// answers looks which operations are done.
func (w *world) answers() error {
	c := &w.client
	waiting := c.pending[:0]
	for _, op := range c.pending {
		done, err := w.look(&op)
		if err != nil {
			return err
		}
		switch {
		case !done:
			waiting = append(waiting, op)
		case op.write || op.read != nil:
			w.finish(op)
		}
	}
	c.pending = waiting
	return nil
}

// look says whether an operation is done; a read that was refused is none any
// more.
func (w *world) look(op *operation) (done bool, err error) {
	if !op.write {
		seqno, done, err := op.read.Result()
		if err != nil || !op.node.up {
			op.read = nil
			return true, nil //nolint:nilerr // refused, which is no failure
		}
		switch {
		case !done || op.node.paused:
			return false, nil
		case op.node.store.Compacted().SeqNo < seqno:
			return false, fmt.Errorf("node %d answers a read at %s that must see %d", op.node.name, op.node.store.Compacted(), seqno)
		}
		op.value = w.valueAt(op.node, op.key)
		return true, nil
	}
	view, known := w.seen.views[op.id.SeqNo]
	op.lost = known && view != op.id.View
	return known, nil
}

func (w *world) finish(op operation) {
	op.answer = w.client.tick()
	switch {
	case !op.write:
		w.result.Reads++
	case op.lost:
		w.result.Lost++
	default:
		w.result.Writes++
	}
	w.client.finished = append(w.client.finished, op)
}

// valueAt is what a node has committed under a key.
func (w *world) valueAt(n *node, k int) int {
	tx, err := n.store.BeginAt(n.store.Compacted().SeqNo)
	if err != nil {
		panic(err)
	}
	defer tx.Release()
	b, found := tx.Get(records, key(uint64(k)))
	if !found {
		return 0
	}
	value, err := strconv.Atoi(string(b))
	if err != nil {
		return -1
	}
	return value
}

// checkTime is far more than a history of one seed takes.
const checkTime = time.Minute

// linearizable sees that the answers are as if each operation had happened at
// one moment.
func (w *world) linearizable() error {
	var list []history.Operation
	for _, op := range w.client.finished {
		o := history.Operation{Write: op.write, Key: strconv.Itoa(op.key), Call: op.call, Answer: op.answer}
		if op.value != 0 {
			o.Value = strconv.Itoa(op.value)
		}
		if op.lost {
			o.Outcome = history.Failed
		}
		list = append(list, o)
	}
	for _, op := range w.client.pending {
		if op.write {
			list = append(list, history.Operation{
				Write: true, Key: strconv.Itoa(op.key), Value: strconv.Itoa(op.value), Call: op.call, Outcome: history.Unknown,
			})
		}
	}
	return history.Check(list, checkTime)
}
