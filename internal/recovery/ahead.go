package recovery

import (
	"context"
	"runtime"
	"sync"

	"synod"
	"synod/internal/ledger"
)

// segmentBytes is how many bytes of the ledger are read and prepared at once.
const segmentBytes = 1 << 20

// segment is a run of entries that are being prepared.
type segment[T any] struct {
	raw      [][]byte
	prepared []T
	err      error         // of the entry after those prepared, or of the read
	done     chan struct{} // closed when the two above are set
}

// ahead reads the entries from..to of a log and passes them on in order, each
// prepared by some goroutine before its turn: those who take them have to do only
// what depends on the entries before. It holds a few segments in memory. It
// returns the first error of reading, preparing or taking, when all before it is
// taken.
func ahead[T any](ctx context.Context, log *ledger.Log, from, to synod.SeqNo, prepare func(raw []byte) (T, error), take func([]T) error) error {
	ctx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	workers := runtime.GOMAXPROCS(0)
	jobs, ordered := make(chan *segment[T], workers), make(chan *segment[T], workers)
	for range workers {
		all.Go(func() {
			for s := range jobs {
				s.prepare(prepare)
			}
		})
	}
	all.Go(func() {
		defer close(ordered)
		defer close(jobs)
		for next := from; next <= to; {
			s := &segment[T]{done: make(chan struct{})}
			if s.raw, s.err = log.Read(next, to, segmentBytes); s.err != nil {
				s.raw = nil
			}
			select {
			case <-ctx.Done():
				return
			case ordered <- s:
			}
			if s.err != nil {
				close(s.done)
				return
			}
			next += synod.SeqNo(len(s.raw))
			jobs <- s
		}
	})
	for s := range ordered {
		<-s.done
		if err := take(s.prepared); err != nil {
			return err
		}
		if s.err != nil {
			return s.err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *segment[T]) prepare(prepare func([]byte) (T, error)) {
	defer close(s.done)
	s.prepared = make([]T, 0, len(s.raw))
	for _, b := range s.raw {
		p, err := prepare(b)
		if err != nil {
			s.err = err
			break
		}
		s.prepared = append(s.prepared, p)
	}
	s.raw = nil
}
