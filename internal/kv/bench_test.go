//go:build unix

package kv

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"synod"
)

// The benchmarks that docs/decisions/001-kv.md quotes: keys of 16 bytes,
// values of 32, map "records".

var benchSizes = []int{1_000, 10_000, 100_000, 1_000_000}

func benchKey(i int) []byte {
	return fmt.Appendf(nil, "record-%09d", i)
}

// setKey makes key the benchKey of i without touching memory that would be
// cold.
func setKey(key []byte, i int) []byte {
	for p := len(key) - 1; p >= 7; p-- {
		key[p] = byte('0' + i%10)
		i /= 10
	}
	return key
}

// scramble is a bijection on 0..2^32-1, so that i -> scramble(i) % n visits
// keys in no order.
func scramble(i int) int { return int(uint32(i) * 2654435761) }

type benchStore struct {
	*Store
	key []byte // scratch
	seq synod.SeqNo
	ws  WriteSet
}

func newBench(n int) *benchStore {
	b := &benchStore{Store: New(), key: benchKey(0)}
	b.ws.Maps = []MapWrites{{Name: "records", Writes: make([]Write, 1)}}
	const batch = 1000
	value := make([]byte, 32)
	perm := rand.New(rand.NewPCG(1, 2)).Perm(n)
	for len(perm) > 0 {
		k := min(batch, len(perm))
		ws := &WriteSet{Maps: []MapWrites{{Name: "records"}}}
		for _, i := range perm[:k] {
			ws.Maps[0].Writes = append(ws.Maps[0].Writes, Write{benchKey(i), value})
		}
		perm = perm[k:]
		b.commit(ws)
		b.Compact(b.seq)
	}
	return b
}

func (b *benchStore) commit(ws *WriteSet) {
	b.seq++
	if err := b.Commit(ws, synod.TxID{View: 2, SeqNo: b.seq}); err != nil {
		panic(err)
	}
}

func (b *benchStore) put(i int, value []byte) {
	b.ws.Maps[0].Writes[0] = Write{setKey(b.key, i), value}
	b.commit(&b.ws)
}

func sizes(b *testing.B, run func(b *testing.B, s *benchStore, n int)) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newBench(n)
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			before := cpuTime()
			run(b, s, n)
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpuTime is the process's CPU time in nanoseconds: on a machine that others
// use too, the figure that can be compared.
func cpuTime() int64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return r.Utime.Nano() + r.Stime.Nano()
}

func BenchmarkGet(b *testing.B) {
	sizes(b, func(b *testing.B, s *benchStore, n int) {
		t, stamp := s.table("records"), s.tip.stamp
		for i := range b.N {
			if id, _, _ := t.get(stamp, setKey(s.key, scramble(i)%n)); id == 0 {
				b.Fatal("absent")
			}
		}
	})
}

// BenchmarkTxGet is Begin, Get and Release: a whole read-only transaction.
func BenchmarkTxGet(b *testing.B) {
	sizes(b, func(b *testing.B, s *benchStore, n int) {
		for i := range b.N {
			tx := s.Begin()
			if _, ok := tx.Get("records", setKey(s.key, scramble(i)%n)); !ok {
				b.Fatal("absent")
			}
			tx.Release()
		}
	})
}

func BenchmarkBeginRelease(b *testing.B) {
	sizes(b, func(b *testing.B, s *benchStore, n int) {
		for range b.N {
			s.Begin().Release()
		}
	})
}

// BenchmarkCommit overwrites one key in each transaction, with a compaction
// every 100.
func BenchmarkCommit(b *testing.B) {
	sizes(b, func(b *testing.B, s *benchStore, n int) {
		value := make([]byte, 32)
		for i := range b.N {
			binary.LittleEndian.PutUint64(value, uint64(i))
			s.put(scramble(i)%n, value)
			if i%100 == 99 {
				s.Compact(s.seq)
			}
		}
	})
}

// BenchmarkInsert commits keys that are new, in random order.
func BenchmarkInsert(b *testing.B) {
	sizes(b, func(b *testing.B, s *benchStore, n int) {
		value := make([]byte, 32)
		key := make([]byte, 16)
		for i := range b.N {
			copy(key, "record-")
			binary.BigEndian.PutUint64(key[7:], uint64(scramble(i))<<32|uint64(i))
			s.ws.Maps[0].Writes[0] = Write{key, value}
			s.commit(&s.ws)
			if i%100 == 99 {
				s.Compact(s.seq)
			}
		}
	})
}

// BenchmarkTxWrite is a whole transaction as the pipeline runs it: Begin, Get
// and Put of one key, WriteSet, Check, Commit, Release.
func BenchmarkTxWrite(b *testing.B) {
	sizes(b, func(b *testing.B, s *benchStore, n int) {
		value := make([]byte, 32)
		for i := range b.N {
			tx := s.Begin()
			k := setKey(s.key, scramble(i)%n)
			tx.Get("records", k)
			tx.Put("records", k, value)
			ws := tx.WriteSet()
			if err := s.Check(tx); err != nil {
				b.Fatal(err)
			}
			s.commit(ws)
			tx.Release()
			if i%100 == 99 {
				s.Compact(s.seq)
			}
		}
	})
}

// BenchmarkCheckCommit is what the writer alone does for a transaction that
// read and wrote one key while another one was committed.
func BenchmarkCheckCommit(b *testing.B) {
	sizes(b, func(b *testing.B, s *benchStore, n int) {
		const batch = 1000
		value := make([]byte, 32)
		txs := make([]*Tx, batch)
		sets := make([]*WriteSet, batch)
		for done := 0; done < b.N; done += batch {
			b.StopTimer()
			for i := range txs {
				tx := s.Begin()
				k := benchKey(scramble(done+i) % n)
				tx.Get("records", k)
				tx.Put("records", k, value)
				txs[i], sets[i] = tx, tx.WriteSet()
			}
			b.StartTimer()
			for i := range min(batch, b.N-done) {
				if s.Check(txs[i]) == nil {
					s.commit(sets[i])
				}
			}
			b.StopTimer()
			for _, tx := range txs {
				tx.Release()
			}
			s.Compact(s.seq)
			b.StartTimer()
		}
	})
}

// BenchmarkRange100 reads 100 keys from a random one on.
func BenchmarkRange100(b *testing.B) {
	sizes(b, func(b *testing.B, s *benchStore, n int) {
		for i := range b.N {
			tx := s.Begin()
			left := 100
			tx.Range("records", setKey(s.key, scramble(i)%n), nil, func(_, _ []byte) bool {
				left--
				return left > 0
			})
			tx.Release()
		}
	})
}

// BenchmarkRollback10 undoes ten transactions of one key each; the time
// includes committing them.
func BenchmarkRollback10(b *testing.B) {
	sizes(b, func(b *testing.B, s *benchStore, n int) {
		value := make([]byte, 32)
		for i := range b.N {
			to := s.Tip()
			for j := range 10 {
				s.put(scramble(10*i+j)%n, value)
			}
			s.Rollback(to)
			s.seq = to.SeqNo
			if i%100 == 99 {
				s.put(0, value)
				s.Compact(s.seq)
			}
		}
	})
}

// BenchmarkCompact10 compacts ten transactions of one key each; the time
// includes committing them.
func BenchmarkCompact10(b *testing.B) {
	sizes(b, func(b *testing.B, s *benchStore, n int) {
		value := make([]byte, 32)
		for i := range b.N {
			for j := range 10 {
				s.put(scramble(10*i+j)%n, value)
			}
			s.Compact(s.seq)
		}
	})
}

// BenchmarkCommitWithReaders commits while two goroutines read.
func BenchmarkCommitWithReaders(b *testing.B) {
	sizes(b, func(b *testing.B, s *benchStore, n int) {
		var stop atomic.Bool
		var reads atomic.Int64
		var wg sync.WaitGroup
		for r := range 2 {
			wg.Go(func() {
				key := benchKey(0)
				for i := r; !stop.Load(); i++ {
					tx := s.Begin()
					tx.Get("records", setKey(key, scramble(i)%n))
					tx.Release()
					reads.Add(1)
				}
			})
		}
		value := make([]byte, 32)
		b.ResetTimer()
		for i := range b.N {
			s.put(scramble(i)%n, value)
			if i%100 == 99 {
				s.Compact(s.seq)
			}
		}
		b.StopTimer()
		stop.Store(true)
		wg.Wait()
		b.ReportMetric(float64(reads.Load())/float64(b.N), "reads/op")
	})
}

// BenchmarkMemory reports heap bytes per key beyond key and value, and the
// time of a garbage collection.
func BenchmarkMemory(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			s := newBench(n)
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ResetTimer()
			for range b.N {
				runtime.GC()
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n)-16-32, "overhead-B/key")
			runtime.KeepAlive(s)
		})
	}
}
