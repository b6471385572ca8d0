package kv

import (
	"bytes"
	"slices"
)

// An overlay is what a transaction wrote to one map: the last write of each
// key.
type overlay struct {
	items  []own
	items1 [1]own           // room for the first
	index  map[string]int32 // key → position in items, once there are many
	order  []int32          // positions by ascending key; valid if as long as items
}

// own is one write of a transaction.
type own struct {
	key, value []byte
	remove     bool
}

// smallOverlay is how many writes are searched one by one.
const smallOverlay = 8

func (o *overlay) position(key []byte) int {
	if o.index != nil {
		if i, ok := o.index[string(key)]; ok {
			return int(i)
		}
		return -1
	}
	for i := range o.items {
		if bytes.Equal(o.items[i].key, key) {
			return i
		}
	}
	return -1
}

func (o *overlay) find(key []byte) *own {
	if i := o.position(key); i >= 0 {
		return &o.items[i]
	}
	return nil
}

func (o *overlay) set(w own) {
	if i := o.position(w.key); i >= 0 {
		o.items[i].value, o.items[i].remove = w.value, w.remove
		return
	}
	if o.index != nil {
		o.index[string(w.key)] = int32(len(o.items))
	} else if len(o.items) == smallOverlay {
		o.index = make(map[string]int32, 4*smallOverlay)
		for i := range o.items {
			o.index[string(o.items[i].key)] = int32(i)
		}
		o.index[string(w.key)] = int32(len(o.items))
	}
	if o.items == nil {
		o.items = o.items1[:0]
	}
	o.items = append(o.items, w)
}

func (o *overlay) sorted() []int32 {
	if len(o.order) != len(o.items) {
		// A new slice: a visit in progress may hold the old one.
		order := make([]int32, len(o.items))
		for i := range order {
			order[i] = int32(i)
		}
		slices.SortFunc(order, func(a, b int32) int {
			return bytes.Compare(o.items[a].key, o.items[b].key)
		})
		o.order = order
	}
	return o.order
}

// within returns a copy of the writes with from <= key < to, by ascending key.
func (o *overlay) within(from, to []byte) []own {
	if len(o.items) == 0 {
		return nil
	}
	order := o.sorted()
	at := func(i int32, key []byte) int { return bytes.Compare(o.items[i].key, key) }
	if from != nil {
		i, _ := slices.BinarySearchFunc(order, from, at)
		order = order[i:]
	}
	if to != nil {
		i, _ := slices.BinarySearchFunc(order, to, at)
		order = order[:i]
	}
	out := make([]own, len(order))
	for i, j := range order {
		out[i] = o.items[j]
	}
	return out
}

// writes returns the overlay as part of a write set.
func (o *overlay) writes(name string) MapWrites {
	m := MapWrites{Name: name}
	if len(o.items) == 1 {
		if w := o.items[0]; w.remove {
			m.Removes = [][]byte{w.key}
		} else {
			m.Writes = []Write{{w.key, w.value}}
		}
		return m
	}
	removes := 0
	for i := range o.items {
		if o.items[i].remove {
			removes++
		}
	}
	if n := len(o.items) - removes; n > 0 {
		m.Writes = make([]Write, 0, n)
	}
	if removes > 0 {
		m.Removes = make([][]byte, 0, removes)
	}
	for _, i := range o.sorted() {
		if w := &o.items[i]; w.remove {
			m.Removes = append(m.Removes, w.key)
		} else {
			m.Writes = append(m.Writes, Write{w.key, w.value})
		}
	}
	return m
}

// A walk merges a snapshot of a table with own writes in key order.
type walk struct {
	table    *table
	stamp    uint64
	from, to []byte
	own      []own

	rows  []row
	i     int
	limit int
	done  bool // the table has nothing beyond rows
}

// Batches grow, so that a short visit looks at few cells and a long one takes
// the lock seldom.
const (
	firstBatch = 16
	lastBatch  = 128
)

// fill makes rows[i] the next row of the table, or i == len(rows) at its end.
func (w *walk) fill() {
	for w.i == len(w.rows) && !w.done {
		if w.table == nil {
			w.done = true
			return
		}
		switch w.limit {
		case 0:
			w.limit, w.rows = firstBatch, make([]row, 0, firstBatch)
		case firstBatch:
			w.limit, w.rows = 2*firstBatch, make([]row, 0, lastBatch)
		default:
			w.limit = min(2*w.limit, lastBatch)
		}
		w.rows, w.from = w.table.batch(w.rows[:0], w.stamp, w.from, w.to, w.limit)
		w.i = 0
		w.done = w.from == nil
	}
}

func (w *walk) next() (key, value []byte, ok bool) {
	for {
		w.fill()
		switch {
		case w.i == len(w.rows) && len(w.own) == 0:
			return nil, nil, false
		case len(w.own) == 0:
			r := &w.rows[w.i]
			w.i++
			return r.key(), r.value(), true
		}
		o := w.own[0]
		if w.i < len(w.rows) {
			switch bytes.Compare(w.rows[w.i].key(), o.key) {
			case -1:
				r := &w.rows[w.i]
				w.i++
				return r.key(), r.value(), true
			case 0:
				w.i++ // overwritten
			}
		}
		w.own = w.own[1:]
		if !o.remove {
			return o.key, o.value, true
		}
	}
}
