package historical

import (
	"fmt"

	"synod"
	"synod/internal/merkle"
)

const (
	// checkpointsMax bounds the checkpoints of a set of maps: with more, every
	// second goes, so that a timeline is never built over more than a few of as many
	// parts of the ledger.
	checkpointsMax = 8
	// checkpointEvery is how many transactions lie between two at first.
	checkpointEvery = 1 << 15
)

// checkpoints are what the timelines of a set of maps can begin with, instead of
// the ledger's start.
type checkpoints struct {
	list  []*checkpoint // ascending
	every synod.SeqNo
}

// checkpoint is some maps as they were after a signature. It never changes.
type checkpoint struct {
	at   synod.TxID
	tree []byte // over all up to at, serialised
	maps []savedMap
	size int64
}

type savedMap struct {
	name string
	rows []savedRow
}

type savedRow struct {
	key, value []byte
	version    synod.SeqNo
}

// before is the newest that is not after a transaction, nil for none.
func (c *checkpoints) before(seqno synod.SeqNo) *checkpoint {
	var found *checkpoint
	if c != nil {
		for _, p := range c.list {
			if p.at.SeqNo <= seqno {
				found = p
			}
		}
	}
	return found
}

// due says whether there should be one more.
func (c *checkpoints) due(at synod.SeqNo) bool {
	newest := synod.SeqNo(0)
	for _, p := range c.list {
		newest = max(newest, p.at.SeqNo)
	}
	return at >= newest+c.every
}

// add takes one, and returns what it makes of their size.
func (c *checkpoints) add(p *checkpoint) (grown int64) {
	c.list, grown = append(c.list, p), p.size
	if len(c.list) <= checkpointsMax {
		return grown
	}
	c.every *= 2
	kept := c.list[:0]
	for i, p := range c.list {
		if i%2 == 1 {
			kept = append(kept, p)
		} else {
			grown -= p.size
		}
	}
	clear(c.list[len(kept):])
	c.list = kept
	return grown
}

// save makes a checkpoint of the timeline, which stands after the signature that its
// scanner has come to, if it is time and there is room to spare.
func (t *timeline) save() {
	s, h := t.scanner, t.h
	if s.upTo == 0 || s.next != s.upTo+1 || t.store.Tip().SeqNo != s.upTo {
		return
	}
	h.mu.Lock()
	if h.checkpoints == nil {
		h.checkpoints = map[string]*checkpoints{}
	}
	all := h.checkpoints[t.key]
	if all == nil {
		all = &checkpoints{every: h.checkpointEvery}
	}
	wanted := !t.dropped && all.due(s.upTo) && h.held+t.live+t.written < h.cfg.SoftLimit/2
	h.mu.Unlock()
	if !wanted {
		return
	}
	p, err := t.checkpoint()
	if err != nil {
		t.failed = err
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !t.dropped && h.held+p.size < h.cfg.SoftLimit/2 {
		h.checkpoints[t.key] = all
		h.held += all.add(p)
	}
}

func (t *timeline) checkpoint() (*checkpoint, error) {
	tree := t.scanner.tree
	p := &checkpoint{at: t.store.Tip()}
	var err error
	if p.tree, err = tree.Serialise(tree.MaxIndex(), tree.MaxIndex()); err != nil {
		return nil, err
	}
	p.size = int64(len(p.tree))
	tx := t.store.Begin()
	defer tx.Release()
	for _, name := range t.maps {
		m := savedMap{name: name}
		var arena []byte
		tx.EachKey(name, func(key, value []byte, version synod.SeqNo) bool {
			n := len(arena)
			arena = append(append(arena, key...), value...) // an older array stays whole when it grows
			k := n + len(key)
			m.rows = append(m.rows, savedRow{arena[n:k:k], arena[k:len(arena):len(arena)], version})
			p.size += int64(len(key)+len(value)) + rowOverhead/2
			return true
		})
		p.maps = append(p.maps, m)
	}
	return p, nil
}

// start makes the timeline's store what it begins with.
func (t *timeline) start() error {
	p := t.begin
	t.begin = nil
	if p == nil {
		t.scanner = t.h.newScanner(0)
	} else {
		tree, err := merkle.Deserialise(p.tree)
		if err != nil {
			return fmt.Errorf("a checkpoint's tree: %w", err)
		}
		t.scanner = &scanner{h: t.h, tree: tree, next: p.at.SeqNo + 1, upTo: p.at.SeqNo, after: p.at.SeqNo}
		if err := t.load(p); err != nil {
			return err
		}
		t.live = p.size
	}
	t.scanner.whole = true
	return t.h.charge(t, t.size())
}

func (t *timeline) load(p *checkpoint) error {
	l := t.store.Load()
	for _, m := range p.maps {
		if len(m.rows) == 0 {
			continue
		}
		newest := synod.SeqNo(0)
		for _, r := range m.rows {
			newest = max(newest, r.version)
		}
		if err := l.Map(m.name, newest); err != nil {
			return err
		}
		for _, r := range m.rows {
			if err := l.Put(r.key, r.value, r.version); err != nil {
				return err
			}
		}
	}
	l.Finish(p.at)
	return nil
}

// dropCheckpoints forgets those of a set of maps. mu is held.
func (h *History) dropCheckpoints(key string) {
	all := h.checkpoints[key]
	if all == nil {
		return
	}
	for _, p := range all.list {
		h.held -= p.size
	}
	delete(h.checkpoints, key)
}
