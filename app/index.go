package app

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"synod"
)

// Index follows one map as it is committed. It is state of this process, gone
// with it: for reads, not for decisions.
type Index struct {
	Name string // unique on the node
	Map  string
	// FromStart has the index told of every transaction since the service
	// began: a node that starts reads them back from its ledger, in the
	// background. Otherwise it is told of what is ordered from now on.
	FromStart bool
	// Apply is told what each transaction wrote to the map, in order. It must be
	// quick, since it may run on the goroutine that commits; it may not keep or
	// change the slices.
	Apply func(id synod.TxID, writes []Write)
}

// Write is one change of a map.
type Write struct {
	Key     []byte
	Value   []byte // nil if Deleted
	Deleted bool
}

// KeyIndex knows which transactions wrote each key of a map since the service
// began. It takes a few bytes for each write. It may be used from several
// goroutines, and belongs to one node.
type KeyIndex struct {
	name, mapName string
	extract       func(Write) [][]byte

	mu    sync.RWMutex
	keys  map[string]*seqnoList // guarded by mu
	bytes int64                 // guarded by mu; about what keys takes
	full  bool                  // guarded by mu
}

// indexBytesMax bounds the memory of one KeyIndex, about.
const indexBytesMax = 1 << 30

// IndexKeys has the application's nodes keep an index of the transactions that
// wrote, or deleted, each key of a map (CCF: src/indexing/strategies/
// seqnos_by_key_bucketed.cpp). It is built from the ledger when a node starts.
func (a *App) IndexKeys(mapName string) *KeyIndex {
	return a.IndexBy("keys of "+mapName, mapName, func(w Write) [][]byte { return [][]byte{w.Key} })
}

// IndexBy is IndexKeys for keys of the application's choice: extract makes
// them of each change of the map, for instance of a field of the value. It may
// not keep what it is given.
func (a *App) IndexBy(name, mapName string, extract func(Write) [][]byte) *KeyIndex {
	ix := &KeyIndex{name: name, mapName: mapName, extract: extract, keys: map[string]*seqnoList{}}
	a.indexes = append(a.indexes, Index{Name: name, Map: mapName, FromStart: true, Apply: ix.apply})
	return ix
}

// Indexes is for nodes: what IndexKeys and IndexBy declared.
func (a *App) Indexes() []Index { return a.indexes }

// ErrIndexFull says that an index would take more memory than it may: it knows
// nothing of the transactions since.
var ErrIndexFull = errors.New("the index holds as many keys as it may")

// UpTo is the last transaction that the index of a node covers. The error says
// why it cannot cover more.
func (ix *KeyIndex) UpTo(n Node) (synod.SeqNo, error) {
	upTo, err := n.Indexed(ix.name)
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	if ix.full {
		return 0, fmt.Errorf("index %s: %w", ix.name, ErrIndexFull)
	}
	return upTo, err
}

// Seqnos lists the transactions from..to that wrote a key, ascending. Ask UpTo
// before: what is above is not there yet.
func (ix *KeyIndex) Seqnos(key []byte, from, to synod.SeqNo) []synod.SeqNo {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	list := ix.keys[string(key)]
	if list == nil {
		return nil
	}
	return list.between(from, to)
}

// Keys is how many keys the index has.
func (ix *KeyIndex) Keys() int {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return len(ix.keys)
}

// keyOverhead is about what a key takes besides its bytes.
const keyOverhead = 160

func (ix *KeyIndex) apply(id synod.TxID, writes []Write) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	for _, w := range writes {
		for _, key := range ix.extract(w) {
			if ix.full {
				return
			}
			list := ix.keys[string(key)]
			if list == nil {
				list = &seqnoList{}
				ix.keys[string(key)] = list
				ix.bytes += int64(len(key)) + keyOverhead
			}
			before := cap(list.deltas)
			list.add(id.SeqNo)
			ix.bytes += int64(cap(list.deltas) - before)
			ix.full = ix.bytes > indexBytesMax
		}
	}
}

// seqnoList is a list of rising numbers in one or two bytes each.
type seqnoList struct {
	deltas []byte // uvarints
	last   synod.SeqNo
	count  int
	marks  []mark // every marksEvery numbers
}

// mark is a place in a list from which it can be read.
type mark struct {
	after synod.SeqNo // the number before
	at    int         // where the next delta is
}

const marksEvery = 256

// add appends a number; one that is there already, at the end, is not added
// again.
func (l *seqnoList) add(seqno synod.SeqNo) {
	if l.count > 0 && seqno <= l.last {
		return
	}
	if l.count%marksEvery == 0 {
		l.marks = append(l.marks, mark{l.last, len(l.deltas)})
	}
	l.deltas = binary.AppendUvarint(l.deltas, uint64(seqno-l.last))
	l.last = seqno
	l.count++
}

// between lists the numbers from..to.
func (l *seqnoList) between(from, to synod.SeqNo) []synod.SeqNo {
	i, _ := slices.BinarySearchFunc(l.marks, max(from, 1), func(m mark, from synod.SeqNo) int {
		if m.after < from {
			return -1
		}
		return 1
	})
	if i == 0 {
		return nil
	}
	seqno, rest := l.marks[i-1].after, l.deltas[l.marks[i-1].at:]
	var found []synod.SeqNo
	for len(rest) > 0 {
		delta, n := binary.Uvarint(rest)
		rest = rest[n:]
		if seqno += synod.SeqNo(delta); seqno > to {
			break
		}
		if seqno >= from {
			found = append(found, seqno)
		}
	}
	return found
}
