//go:build unix

package kv

import (
	"fmt"
	"runtime"
	"testing"

	"synod"
)

// smallMaps makes maps of one key each, a transaction for each, and returns the
// CPU time and the memory that one took, in nanoseconds and bytes.
func smallMaps(tb testing.TB, n int) (cpu, memory float64) {
	tb.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("scope-%09d", i)
	}
	ws := &WriteSet{Maps: []MapWrites{{Writes: []Write{{Key: benchKey(1), Value: make([]byte, 32)}}}}}
	before := heap()
	s := New()
	began := cpuTime()
	for i, name := range names {
		ws.Maps[0].Name = name
		id := synod.TxID{View: 2, SeqNo: synod.SeqNo(i + 1)}
		if err := s.Commit(ws, id); err != nil {
			tb.Fatal(err)
		}
		s.Compact(id.SeqNo)
	}
	cpu = float64(cpuTime()-began) / float64(n)
	memory = float64(heap()-before) / float64(n)
	for _, name := range names {
		tx := s.Begin()
		if !tx.Has(name, benchKey(1)) {
			tb.Fatalf("map %s is empty", name)
		}
		tx.Release()
	}
	return cpu, memory
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestSmallMaps wants an application with a map for each of its clients to pay
// for a map what it is worth, however many there are.
func TestSmallMaps(t *testing.T) {
	few, many := 10_000, 100_000
	if testing.Short() {
		few, many = 1_000, 10_000
	}
	cpuFew, _ := smallMaps(t, few)
	cpu, memory := smallMaps(t, many)
	t.Logf("%d maps: %.0f ns and %.0f bytes each; %d maps: %.0f ns each", many, cpu, memory, few, cpuFew)
	// Ten times as many: a cost that follows their number shows as about 10.
	if cpu > 5*cpuFew {
		t.Errorf("with %d maps one costs %.0f ns, with %d maps %.0f ns", few, cpuFew, many, cpu)
	}
	if memory > 2048 {
		t.Errorf("%.0f bytes for a map of one key", memory)
	}
}

// TestSlabGrows wants numbers to keep their values while the slab grows.
func TestSlabGrows(t *testing.T) {
	var s slab[int]
	const n = 3*slabChunk + 1
	for i := range n {
		id := s.alloc()
		if id != uint32(i+1) || *s.at(id) != 0 {
			t.Fatalf("number %d of value %d, want %d", id, *s.at(id), i+1)
		}
		*s.at(id) = i
	}
	for i := range n {
		if got := *s.at(uint32(i + 1)); got != i {
			t.Errorf("number %d: got %d, want %d", i+1, got, i)
		}
	}
	s.release(7)
	if id := s.alloc(); id != 7 || *s.at(id) != 0 {
		t.Errorf("number %d of value %d after the release of 7", id, *s.at(id))
	}
}

// BenchmarkNewMap is the first key of a new map.
func BenchmarkNewMap(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var cpu, memory float64
			for range b.N {
				c, m := smallMaps(b, n)
				cpu, memory = cpu+c, memory+m
			}
			b.ReportMetric(cpu/float64(b.N), "cpu-ns/map")
			b.ReportMetric(memory/float64(b.N), "bytes/map")
		})
	}
}
