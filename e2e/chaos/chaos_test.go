//go:build e2e

package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	flagTime     = flag.Duration("time", 12*time.Second, "how long there are new faults; what has begun is finished")
	flagNodes    = flag.Int("nodes", 3, "nodes of the service, 3 to 9")
	flagSeed     = flag.Uint64("seed", 0, "which faults; 0: any")
	flagElection = flag.Duration("election", time.Second, "election timeout of the nodes")
	flagRate     = flag.Float64("rate", 60, "requests of clients per second")
	flagStrict   = flag.Bool("strict", false, "fail if the service is not back within twice the election timeout after its primary was lost")
	flagKeep     = flag.Bool("keep", false, "keep ledgers, logs and history of a run that passes")
)

// TestChaos runs a service under faults and checks what must hold.
func TestChaos(t *testing.T) {
	if *flagNodes < 3 || *flagNodes > 9 {
		t.Fatalf("-nodes %d: want 3 to 9", *flagNodes)
	}
	seed := *flagSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "synod-chaos-") //nolint:usetesting // it is kept if the run fails
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d, %d nodes, election timeout %v, %v; everything is in %s", seed, *flagNodes, *flagElection, *flagTime, dir)
	defer func() {
		if t.Failed() || *flagKeep {
			t.Logf("seed %d: ledgers and logs of all nodes, history.jsonl and schedule.txt are in %s", seed, dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	// Whoever interrupts the test wants the nodes to end, too.
	ctx, cancel := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	s, err := newService(ctx, filepath.Join(root, "bin", "synod-node"), dir, *flagNodes, *flagElection)
	if s != nil {
		defer s.stop()
	}
	if err != nil {
		t.Fatalf("start the service (make build makes the binaries): %v", err)
	}

	journal, err := os.Create(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	buffer := bufio.NewWriter(journal)
	w := &workload{service: s, began: time.Now(), rate: *flagRate, clients: 2 * *flagNodes, journal: json.NewEncoder(buffer)}
	r := &run{t: t, service: s, workload: w, rng: rand.New(rand.NewPCG(seed, 0))}
	working, rest := context.WithCancel(ctx)
	pulse, err := os.Create(filepath.Join(dir, "pulse"))
	if err != nil {
		t.Fatal(err)
	}
	defer pulse.Close()
	var ended sync.WaitGroup
	ended.Go(func() { r.pulse.run(working, pulse) })
	ended.Go(func() { w.run(working, seed) })
	err = r.strike(ctx, *flagTime)
	rest()
	ended.Wait()
	if err == nil {
		r.note("the clients have stopped")
		err = r.finish(ctx)
	}
	if flush := buffer.Flush(); flush != nil {
		t.Error(flush)
	}
	text := strings.Join(r.schedule, "\n") + "\n"
	if write := os.WriteFile(filepath.Join(dir, "schedule.txt"), []byte(text), 0o644); write != nil {
		t.Error(write)
	}
	if err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	for _, s := range r.slow {
		if *flagStrict {
			t.Error(s)
		} else {
			t.Log(s)
		}
	}
	r.check(root)
	t.Logf("figures:\n%s", &r.figures)
}
