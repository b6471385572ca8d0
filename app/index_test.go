package app

import (
	"math/rand/v2"
	"slices"
	"testing"

	"synod"
)

func TestSeqnoList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	var all []synod.SeqNo
	l := &seqnoList{}
	for seqno := synod.SeqNo(0); len(all) < 3000; {
		seqno += synod.SeqNo(1 + r.IntN(400))
		all = append(all, seqno)
		l.add(seqno)
		l.add(seqno) // written twice by one transaction
	}
	last := all[len(all)-1]
	for range 500 {
		from, to := synod.SeqNo(r.IntN(int(last)+10)), synod.SeqNo(r.IntN(int(last)+10))
		var want []synod.SeqNo
		for _, s := range all {
			if from <= s && s <= to {
				want = append(want, s)
			}
		}
		if got := l.between(from, to); !slices.Equal(got, want) {
			t.Fatalf("%d to %d: %d numbers, want %d", from, to, len(got), len(want))
		}
	}
	if got := l.between(0, last); !slices.Equal(got, all) {
		t.Errorf("all: %d numbers, want %d", len(got), len(all))
	}
}
