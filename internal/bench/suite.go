package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"synod/internal/ledger"
)

// Suite measures a node as the project's baseline does: 1000 keys, messages of
// 32 bytes, mutual TLS with P-384 certificates, client and node on the same
// machine.
type Suite struct {
	Out      io.Writer
	Bin      string        // directory of the binaries that make build makes
	Duration time.Duration // of one load
	Scratch  string        // where services live; made and removed by the caller
}

// goal is a figure to reach, in microseconds of processor time for each
// request at 64 connections.
type goal struct{ write, read string }

// message is 32 bytes.
const message = "0123456789abcdef0123456789abcdef"

const keys = 1000

func post(c, i int) []byte {
	return Post("/app/log/private", fmt.Sprintf(`{"id":%d,"msg":"%s"}`, (c*131+i)%keys, message))
}

func get(c, i int) []byte { return Get(fmt.Sprintf("/app/log/private?id=%d", (c*131+i)%keys)) }

// Run prints every figure.
func (s *Suite) Run(ctx context.Context) error {
	fmt.Fprintf(s.Out, "HTTP/1.1 over mutual TLS, %d keys, 32-byte messages, %s a load; one node; client on the same machine\n", keys, s.Duration)
	for _, c := range []struct {
		name, binary string
		bundle       json.RawMessage
		goal         goal
	}{
		{"native", "logging", nil, goal{"≤ 40 (CCF 55)", "≤ 25 (CCF 32)"}},
		{"JS fresh", "synod-node", scriptBundle("", ""), goal{"≤ 110 (CCF 333)", "≤ 100 (CCF 331)"}},
		{"JS reuse", "synod-node", scriptBundle("k", ""), goal{"≤ 90 (CCF 109)", "≤ 65 (CCF 65)"}},
	} {
		if err := s.measure(ctx, c.name, c.binary, c.bundle, c.goal); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	if err := s.measureLarge(ctx); err != nil {
		return fmt.Errorf("large bundle: %w", err)
	}
	return nil
}

func (s *Suite) measure(ctx context.Context, name, binary string, bundle json.RawMessage, g goal) (err error) {
	dir, err := os.MkdirTemp(s.Scratch, "bench")
	if err != nil {
		return err
	}
	binary, err = filepath.Abs(filepath.Join(s.Bin, binary))
	if err != nil {
		return err
	}
	service, err := StartService(ctx, binary, dir, bundle)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, service.Stop()) }()
	fmt.Fprintf(s.Out, "\n%s: process start → open, three members, voted: %s (goal ≤ 0.7 s; CCF 6.3–7.5 s); at rest %.0f MB, %.1f %% of a core\n",
		name, service.Started.Round(time.Millisecond), mb(residentBytes(service.PID)), idle(ctx, service.PID))

	w := tabwriter.NewWriter(s.Out, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "load\tconnections\treq/s\tp50\tp99\tCPU µs/request\tgoal at 64\tsignatures/s\tledger B/tx\tRSS MB\t")
	for _, kind := range []string{"write", "read"} {
		for _, connections := range []int{1, 16, 64} {
			load := Load{Connections: connections, Duration: s.Duration, Request: post}
			want := g.write
			if kind == "read" {
				load.Request, want = get, g.read
			}
			before, err := ledgerTotals(service.Ledger())
			if err != nil {
				return err
			}
			res, err := load.Run(ctx, service.Target)
			if err != nil {
				return err
			}
			after, err := ledgerTotals(service.Ledger())
			if err != nil {
				return err
			}
			signatures, perTx := "–", "–"
			if kind == "write" {
				signatures = fmt.Sprintf("%.1f", float64(after.signatures-before.signatures)/res.Elapsed.Seconds())
				perTx = fmt.Sprintf("%d", (after.bytes-before.bytes)/int64(max(res.Requests, 1)))
			}
			if connections != 64 {
				want = ""
			}
			fmt.Fprintf(w, "%s\t%d\t%.0f\t%s\t%s\t%.0f\t%s\t%s\t%s\t%.0f\t\n", kind, connections, res.PerSecond(),
				res.P50.Round(10*time.Microsecond), res.P99.Round(10*time.Microsecond), float64(res.CPU)/1e3, want, signatures, perTx, mb(res.ResidentByte))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	commit, err := Commit{Writes: 200, Interval: 20 * time.Millisecond, Request: func(i int) []byte { return post(0, i) }}.Run(ctx, service.Target)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "answered → committed, one write each 20 ms: p50 %s, p99 %s (goal p50 ≤ 5 ms; CCF 491 ms)\n", commit.P50.Round(10*time.Microsecond), commit.P99.Round(10*time.Microsecond))
	totals, err := ledgerTotals(service.Ledger())
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "ledger entries: of writes %d B each (goal ≤ 257), of signatures %d B each\n", totals.perWrite, totals.perSignature)
	return nil
}

func mb(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// idle is the share of a core, in percent, that a process takes for a second.
func idle(ctx context.Context, pid int) float64 {
	before := processorTime(pid)
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
	return 100 * (processorTime(pid) - before).Seconds()
}

// totals sums up a ledger directory.
type totals struct {
	bytes                  int64
	signatures             int
	perWrite, perSignature int64 // bytes of the newest of each kind
}

// ledgerTotals reads the ledger of a running node: a chunk may be renamed
// between being listed and being opened, and then it reads again.
func ledgerTotals(dir string) (t totals, err error) {
	for range 10 {
		if t, err = readTotals(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return t, err
}

func readTotals(dir string) (totals, error) {
	var t totals
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a chunk was renamed meanwhile
		}
		t.bytes += info.Size()
		return err
	})
	if err != nil {
		return t, err
	}
	err = ledger.Walk(dir, ledger.WalkOptions{Uncommitted: true}, func(_ ledger.Place, e *ledger.Entry) error {
		if e.IsSignature() {
			t.signatures++
			t.perSignature = int64(len(e.Raw))
		} else {
			t.perWrite = int64(len(e.Raw))
		}
		return nil
	})
	var corrupt *ledger.CorruptError
	if errors.As(err, &corrupt) && corrupt.Tail {
		err = nil // the node is writing there
	}
	return t, err
}
