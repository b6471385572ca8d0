package kv

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"synod"
)

// TestConcurrentReaders reads while the writer commits, rolls back and
// compacts. Each transaction writes the same number to every key of two maps,
// so a snapshot in which two numbers differ is torn.
func TestConcurrentReaders(t *testing.T) {
	const keys = 200
	rounds := 1500
	if testing.Short() {
		rounds = 500
	}
	s := New()
	maps := []string{"public:x", "y"}
	key := func(i int) []byte { return fmt.Appendf(nil, "%03d", i) }
	var number uint64
	view := synod.View(2)
	commit := func() {
		number++
		value := binary.BigEndian.AppendUint64(nil, number)
		ws := &WriteSet{}
		for _, m := range maps {
			w := MapWrites{Name: m}
			for i := range keys {
				if (uint64(i)+number)%7 == 0 { // absent this time
					w.Removes = append(w.Removes, key(i))
				} else {
					w.Writes = append(w.Writes, Write{key(i), value})
				}
			}
			ws.Maps = append(ws.Maps, w)
		}
		if err := s.Commit(ws, synod.TxID{View: view, SeqNo: s.Tip().SeqNo + 1}); err != nil {
			t.Error(err)
		}
	}
	commit()
	s.Compact(1)

	check := func(tx *Tx, start int) {
		var want []byte
		for _, m := range maps {
			n := 0
			tx.ForEach(m, func(k, v []byte) bool {
				if want == nil {
					want = v
				}
				if string(v) != string(want) {
					t.Errorf("torn snapshot %s: %x and %x", tx.ReadVersion(), v, want)
				}
				n++
				return true
			})
			if n != tx.Len(m) {
				t.Errorf("snapshot %s: %d keys, Len %d", tx.ReadVersion(), n, tx.Len(m))
			}
			present := (uint64(start)+binary.BigEndian.Uint64(want))%7 != 0
			if v, ok := tx.Get(m, key(start)); ok != present || ok && string(v) != string(want) {
				t.Errorf("snapshot %s: Get %x %v, want %x %v", tx.ReadVersion(), v, ok, want, present)
			}
		}
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for r := range 4 {
		wg.Go(func() {
			var kept *Tx // a snapshot that stays for a while
			for i := r; !stop.Load(); i++ {
				tx := s.Begin()
				check(tx, i%keys)
				switch {
				case kept == nil:
					kept = tx
				case i%16 == 0:
					check(kept, i%keys)
					kept.Release()
					kept = nil
					tx.Release()
				default:
					tx.Release()
				}
				if at, err := s.BeginAt(s.Compacted().SeqNo + synod.SeqNo(i%3)); err == nil {
					check(at, i%keys)
					at.Release()
				}
			}
			if kept != nil {
				check(kept, 0)
				kept.Release()
			}
		})
	}
	var ids []synod.TxID
	for i := range rounds {
		commit()
		ids = append(ids, s.Tip())
		switch i % 8 {
		case 3:
			s.Compact(s.Tip().SeqNo - 2)
			ids = ids[max(0, len(ids)-3):]
		case 6:
			s.Rollback(ids[len(ids)-2])
			ids = ids[:len(ids)-1]
			view++
		}
	}
	stop.Store(true)
	wg.Wait()
}
