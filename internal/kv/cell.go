package kv

import "bytes"

// A version is one value of one key. Key and value share one allocation:
// data is the key's bytes and then the value's.
type version struct {
	data  []byte
	stamp uint64 // when it was written, in the store's stamps
	seqno uint64 // which transaction wrote it; 0 for a tombstone that a roll back made
	klen  uint32
	older uint32 // the version before, in the table's pool; 0 if none
	tomb  bool   // the key is absent from here on
	held  bool   // a pin that sees it remembers the cell
}

// A cell is a key with its newest version.
type cell struct {
	version
	next uint32 // next cell with the same hash; 0 if none
	mark uint32 // the compaction that trimmed the cell last
}

// newVersion copies key and value.
func newVersion(key, value []byte, tomb bool, stamp, seqno uint64) version {
	data := make([]byte, len(key)+len(value))
	copy(data[copy(data, key):], value)
	return version{data: data, stamp: stamp, seqno: seqno, klen: uint32(len(key)), tomb: tomb}
}

func (v *version) key() []byte   { return v.data[:v.klen:v.klen] }
func (v *version) value() []byte { return v.data[v.klen:len(v.data):len(v.data)] }

func (c *cell) used() bool { return c.data != nil }

func (c *cell) is(key []byte) bool { return bytes.Equal(c.data[:c.klen], key) }

// A slab holds values of one type by number, from 1. Numbers instead of
// pointers keep the garbage collector's work at one pointer per key. What at
// returns may be moved by the next alloc.
type slab[T any] struct {
	// Of slabChunk values each, but while there is only one it is as long as
	// what it holds and grows by doubling: most maps are small.
	chunks [][]T
	free   []uint32
	used   uint32 // numbers handed out at least once
}

const slabChunk = 256

func (s *slab[T]) at(id uint32) *T {
	id--
	return &s.chunks[id/slabChunk][id%slabChunk]
}

// alloc returns a number whose value is zero.
func (s *slab[T]) alloc() uint32 {
	if n := len(s.free); n > 0 {
		id := s.free[n-1]
		s.free = s.free[:n-1]
		return id
	}
	switch {
	case s.used == 0:
		s.chunks = [][]T{make([]T, 1)}
	case s.used < slabChunk:
		var zero T
		s.chunks[0] = append(s.chunks[0], zero)
	case s.used%slabChunk == 0:
		s.chunks = append(s.chunks, make([]T, slabChunk))
	}
	s.used++
	return s.used
}

func (s *slab[T]) release(id uint32) {
	var zero T
	*s.at(id) = zero
	s.free = append(s.free, id)
}
