package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
)

// large is a service with keys of 16 bytes and values of 128, half of them
// public.
func large(b testing.TB, keys int) *service {
	s := newService(b, 2)
	value := bytes.Repeat([]byte{7}, 128)
	const each = 1000
	for done := 0; done < keys; done += each {
		ws := &kv.WriteSet{Maps: []kv.MapWrites{{Name: "private"}, {Name: "public:app"}}}
		for i := range each {
			m := &ws.Maps[i%2]
			m.Writes = append(m.Writes, kv.Write{Key: key(done + i), Value: value})
		}
		s.commit(ws, [32]byte{})
		clear(s.entries)
	}
	return s
}

func key(i int) []byte {
	k := make([]byte, 16)
	binary.BigEndian.PutUint64(k, uint64(i)*0x9e3779b97f4a7c15)
	return k
}

func BenchmarkWrite(b *testing.B) {
	for _, keys := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			s := large(b, keys)
			st := s.state()
			d, err := OpenDir(Config{Main: filepath.Join(b.TempDir(), "s")})
			must(b, err)
			for b.Loop() {
				p, err := d.Write(context.Background(), st)
				must(b, err)
				b.SetBytes(p.Size)
				must(b, p.Discard())
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	s := large(b, 1_000_000)
	file, trust := s.snapshot()
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		_, err := Load(bytes.NewReader(file), int64(len(file)), trust, s.chain, kv.New())
		must(b, err)
	}
}

func BenchmarkVerify(b *testing.B) {
	s := large(b, 1_000_000)
	file, trust := s.snapshot()
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		_, err := Verify(bytes.NewReader(file), int64(len(file)), trust)
		must(b, err)
	}
}

// BenchmarkWriters measures what a transaction of ten writes waits while a
// snapshot of 1,000,000 keys is written, and without.
func BenchmarkWriters(b *testing.B) {
	s := large(b, 1_000_000)
	for _, during := range []bool{false, true} {
		b.Run(fmt.Sprintf("snapshot=%v", during), func(b *testing.B) {
			st := s.state()
			d, err := OpenDir(Config{Main: filepath.Join(b.TempDir(), "s"), FS: ledger.Disk()})
			must(b, err)
			stop, stopped := make(chan struct{}), make(chan int)
			go func() {
				n := 0
				for ; during; n++ {
					p, err := d.Write(context.Background(), st)
					must(b, err)
					must(b, p.Discard())
					select {
					case <-stop:
						stopped <- n + 1
						return
					default:
					}
				}
				stopped <- n
			}()
			var waits []time.Duration
			for i := 0; b.Loop(); i++ {
				ws := &kv.WriteSet{Maps: []kv.MapWrites{{Name: "private"}}}
				for k := range 10 {
					ws.Maps[0].Writes = append(ws.Maps[0].Writes, kv.Write{Key: key(2 * (i*7919 + k) % 1_000_000), Value: []byte("new")})
				}
				start := time.Now()
				id := synod.TxID{View: 2, SeqNo: s.store.Tip().SeqNo + 1}
				must(b, s.store.Commit(ws, id))
				waits = append(waits, time.Since(start))
				s.tree.Append([32]byte{})
				if i%100 == 0 {
					s.store.Compact(id.SeqNo)
				}
				runtime.Gosched()
			}
			close(stop)
			b.ReportMetric(float64(<-stopped), "snapshots")
			slices.Sort(waits)
			for _, p := range []int{50, 99} {
				b.ReportMetric(float64(waits[len(waits)*p/100].Nanoseconds())/1000, fmt.Sprintf("p%d-µs", p))
			}
			b.ReportMetric(float64(waits[len(waits)-1].Nanoseconds())/1000, "max-µs")
		})
	}
}
