package faultfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Model says what of the unsynced changes survives a crash.
type Model int

// The models.
const (
	// Ordered: a prefix of the changes of each file and of the names; the
	// change after it may be done up to any byte.
	Ordered Model = iota
	// Zeroed: like Ordered, and a torn write has set the size of the file but
	// left zeros where its bytes are missing.
	Zeroed
	// Unordered: any subset of the names' changes and of the written sectors;
	// where a sector is missing stands what was there before, or zeros.
	Unordered
	// Kept: everything survives for now, since only the process died, and
	// what was not synced is still not.
	Kept
)

const sector = 512

// Reboot returns the disk as it is after a crash, with what survived now
// durable. The old one is crashed from now on.
func (d *Disk) Reboot(model Model, rng *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed = true
	fresh := New()
	fresh.dirs = maps.Clone(d.dirs)
	if model == Kept {
		fresh.names, fresh.durable, fresh.pending = d.names, d.durable, d.pending
		return fresh
	}
	names := maps.Clone(d.durable)
	if model == Unordered {
		for _, c := range d.pending {
			if rng.IntN(2) == 0 && (c.from == "" || names[c.from] == c.node) {
				c.apply(names)
			}
		}
	} else {
		for _, c := range d.pending[:rng.IntN(len(d.pending)+1)] {
			c.apply(names)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(names)) {
		data := names[path].survives(model, rng)
		node := &inode{data: slices.Clone(data), durable: data}
		fresh.names[path], fresh.durable[path] = node, node
	}
	return fresh
}

func (n *inode) survives(model Model, rng *rand.Rand) []byte {
	data := slices.Clone(n.durable)
	if model == Unordered {
		for _, c := range n.pending {
			data = c.scatter(data, rng)
		}
		return data
	}
	whole := rng.IntN(len(n.pending) + 1)
	for _, c := range n.pending[:whole] {
		data = c.apply(data)
	}
	if whole == len(n.pending) || n.pending[whole].b == nil {
		return data
	}
	torn := n.pending[whole]
	size := torn.off + int64(len(torn.b))
	torn.b = torn.b[:rng.IntN(len(torn.b)+1)]
	if len(torn.b) > 0 {
		data = torn.apply(data)
	}
	if model == Zeroed && size > int64(len(data)) {
		data = append(data, make([]byte, size-int64(len(data)))...)
	}
	return data
}

// scatter applies some sectors of a write, or perhaps a truncation.
func (c change) scatter(data []byte, rng *rand.Rand) []byte {
	if c.b == nil {
		if rng.IntN(2) == 0 {
			data = c.apply(data)
		}
		return data
	}
	for off, b := c.off, c.b; len(b) > 0; {
		n := min(int64(len(b)), sector-off%sector)
		if rng.IntN(2) == 0 {
			data = change{off: off, b: b[:n]}.apply(data)
		}
		off, b = off+n, b[n:]
	}
	return data
}
