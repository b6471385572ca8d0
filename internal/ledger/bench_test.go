package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"synod"
	"synod/internal/ledger"
)

// syncTimer is the machine's disk, with the time spent in Sync.
type syncTimer struct {
	ledger.FS
	spent *time.Duration
}

type timedFile struct {
	ledger.File
	spent *time.Duration
}

func (s syncTimer) Create(path string) (ledger.File, error) {
	f, err := s.FS.Create(path)
	return timedFile{f, s.spent}, err
}

func (f timedFile) Sync() error {
	start := time.Now()
	err := f.File.Sync()
	*f.spent += time.Since(start)
	return err
}

// BenchmarkAppend writes batches of entries of 257 bytes, the size of a
// one-key transaction, to the machine's disk.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var spent time.Duration
			l := open(b, ledger.Config{Dir: b.TempDir(), FS: syncTimer{ledger.Disk(), &spent}})
			defer l.Close()
			first := synod.SeqNo(1)
			for b.Loop() {
				b.StopTimer()
				batch := series(2, first, make([]kind, n)...)
				b.StartTimer()
				if err := l.Append(first, batch); err != nil {
					b.Fatal(err)
				}
				first += synod.SeqNo(n)
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N*n), "ns/entry")
			b.ReportMetric(100*float64(spent)/float64(b.Elapsed()), "%sync")
			b.ReportMetric(float64(b.Elapsed()-spent)/float64(b.N*n), "ns/entry-nosync")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	l := open(b, ledger.Config{Dir: b.TempDir()})
	defer l.Close()
	const total = 10240
	for first := synod.SeqNo(1); first <= total; first += 1024 {
		kinds := make([]kind, 1024)
		kinds[1023] = ending
		must(b, l.Append(first, series(2, first, kinds...)))
	}
	must(b, l.Commit(total/2)) // half of them committed: positions from the file
	for _, n := range []synod.SeqNo{1, 16, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			from := synod.SeqNo(1)
			b.SetBytes(int64(n) * 257)
			for b.Loop() {
				if _, err := l.Read(from, from+n-1, 0); err != nil {
					b.Fatal(err)
				}
				if from += 997; from > total-n {
					from -= total - n
				}
			}
		})
	}
}

// BenchmarkWalk reads and parses a whole directory, as verifiers do.
func BenchmarkWalk(b *testing.B) {
	dir := b.TempDir()
	l := open(b, ledger.Config{Dir: dir})
	const total = 10240
	must(b, l.Append(1, series(2, 1, make([]kind, total)...)))
	must(b, l.Close())
	b.SetBytes(total * 257)
	for b.Loop() {
		must(b, ledger.Walk(dir, ledger.WalkOptions{Uncommitted: true}, func(ledger.Place, *ledger.Entry) error { return nil }))
	}
}
