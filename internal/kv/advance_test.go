package kv_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"synod"
	"synod/internal/kv"
)

// writeSome commits a transaction of random writes to a few maps.
func writeSome(t *testing.T, s *kv.Store, rng *rand.Rand, seqno synod.SeqNo) {
	t.Helper()
	ws := &kv.WriteSet{}
	for _, name := range []string{"public:a", "public:b", "c"} {
		if rng.IntN(3) == 0 {
			continue
		}
		m := kv.MapWrites{Name: name}
		for k := range 20 {
			key := fmt.Appendf(nil, "%d", k)
			switch rng.IntN(12) {
			case 0:
				m.Removes = append(m.Removes, key)
			case 1, 2:
				m.Writes = append(m.Writes, kv.Write{Key: key, Value: fmt.Appendf(nil, "%d", seqno)})
			}
		}
		ws.Maps = append(ws.Maps, m)
	}
	if err := s.Commit(ws, synod.TxID{View: 2, SeqNo: seqno}); err != nil {
		t.Fatal(err)
	}
}

// everything is all that a transaction sees, with who wrote it.
func everything(tx *kv.Tx) string {
	var b strings.Builder
	tx.EachMap(func(name string, version synod.SeqNo, keys int) bool {
		fmt.Fprintf(&b, "%s@%d %d:", name, version, keys)
		tx.EachKey(name, func(k, v []byte, version synod.SeqNo) bool {
			fmt.Fprintf(&b, " %s=%s@%d", k, v, version)
			return true
		})
		b.WriteByte('\n')
		return true
	})
	return b.String()
}

// loadedFrom is a store that was loaded with what another one holds.
func loadedFrom(t *testing.T, s *kv.Store) *kv.Store {
	t.Helper()
	to := kv.New()
	l := to.Load()
	tx := s.Begin()
	defer tx.Release()
	tx.EachMap(func(name string, version synod.SeqNo, _ int) bool {
		if err := l.Map(name, version); err != nil {
			t.Fatal(err)
		}
		tx.EachKey(name, func(k, v []byte, version synod.SeqNo) bool {
			if err := l.Put(k, v, version); err != nil {
				t.Fatal(err)
			}
			return true
		})
		return true
	})
	l.Finish(s.Tip())
	return to
}

// TestAdvance brings stores that were left behind to a later state: all is as if
// they had seen every transaction, and who looks at what was before goes on.
func TestAdvance(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		all, behind := kv.New(), kv.New()
		told := map[string]string{}
		behind.OnCommit("public:a", func(_ synod.TxID, w kv.MapWrites) {
			for _, x := range w.Writes {
				told[string(x.Key)] = string(x.Value)
			}
			for _, key := range w.Removes {
				delete(told, string(key))
			}
		})
		left, last := synod.SeqNo(1+rng.IntN(10)), synod.SeqNo(12+rng.IntN(10))
		for seqno := synod.SeqNo(1); seqno <= last; seqno++ {
			r := *rand.NewPCG(seed, uint64(seqno))
			writeSome(t, all, rand.New(&r), seqno)
			if seqno <= left {
				r := *rand.NewPCG(seed, uint64(seqno))
				writeSome(t, behind, rand.New(&r), seqno)
			}
		}
		behind.Compact(synod.SeqNo(rng.IntN(int(left) + 1)))
		before := behind.Begin()
		was := everything(before)
		behind.Advance(loadedFrom(t, all))
		if is := everything(before); is != was {
			t.Errorf("seed %d: an older snapshot sees\n%s, not\n%s", seed, is, was)
		}
		before.Release()
		now, want := behind.Begin(), all.Begin()
		if a, b := everything(now), everything(want); a != b || behind.Compacted() != all.Tip() || behind.Tip() != all.Tip() {
			t.Errorf("seed %d: at %s\n%s, want\n%s", seed, behind.Compacted(), a, b)
		}
		held := map[string]string{}
		want.ForEach("public:a", func(k, v []byte) bool { held[string(k)] = string(v); return true })
		if fmt.Sprint(held) != fmt.Sprint(told) {
			t.Errorf("seed %d: hooks were told %v, it is %v", seed, told, held)
		}
		now.Release()
		want.Release()
		for seqno := last + 1; seqno <= last+5; seqno++ {
			for _, s := range []*kv.Store{all, behind} {
				r := *rand.NewPCG(seed, uint64(seqno))
				writeSome(t, s, rand.New(&r), seqno)
				s.Compact(seqno)
			}
		}
		now, want = behind.Begin(), all.Begin()
		if a, b := everything(now), everything(want); a != b {
			t.Errorf("seed %d: goes on to\n%s, want\n%s", seed, a, b)
		}
		now.Release()
		want.Release()
	}
}
