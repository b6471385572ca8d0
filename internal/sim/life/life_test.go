package life_test

import (
	"flag"
	"testing"

	"synod/internal/sim/life"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this life alone, and say what happens")
	seedsFlag = flag.Uint64("seeds", 200, "number of lives")
	nthFlag   = flag.Int("nth", 23, "every how many bytes one is changed")
)

// TestLife kills services at the steps of their disks.
func TestLife(t *testing.T) {
	first, last := uint64(1), *seedsFlag
	if testing.Short() {
		last = min(last, 60)
	}
	trace := func(string, ...any) {}
	if *seedFlag != 0 {
		first, last, trace = *seedFlag, *seedFlag, t.Logf
	}
	var all life.Result
	for seed := first; seed <= last; seed++ {
		r, err := life.Run(life.Config{Seed: seed, Trace: trace})
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		all.Add(r)
	}
	t.Logf("%+v", all)
	if *seedFlag == 0 && (all.Recovered == 0 || all.Resumed == 0 || all.Snapshots == 0 || all.Refused == 0) {
		t.Errorf("something never happened: %+v", all)
	}
}

// Every byte of a small ledger and of a small snapshot, changed or the last: it is
// noticed, or what is believed is what was written. All of them with -nth 1.
func TestChanged(t *testing.T) {
	for name, change := range map[string]func(int) (life.Changed, error){"ledger": life.ChangeLedger, "snapshot": life.ChangeSnapshot} {
		t.Run(name, func(t *testing.T) {
			c, err := change(*nthFlag)
			if err != nil {
				t.Error(err)
			}
			t.Logf("%+v", c)
			if c.Detected < c.Tried/2 {
				t.Errorf("most is not noticed: %+v", c)
			}
		})
	}
}

// TestBugs plants mistakes, one at a time: each is found.
func TestBugs(t *testing.T) {
	for name, bug := range life.Bugs {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(300) {
				if _, err := life.Run(life.Config{Seed: seed, Bug: bug}); err != nil {
					t.Logf("found by seed %d: %v", seed, err)
					return
				}
			}
			t.Error("nothing notices it")
		})
	}
}
