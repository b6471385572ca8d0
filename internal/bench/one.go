package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"
)

// goal is a figure to reach, in microseconds of processor time for each
// request at 64 connections.
type goal struct{ write, read string }

// measureOne loads services of one node.
func (s *Suite) measureOne(ctx context.Context) error {
	for _, c := range []struct {
		name, binary string
		bundle       json.RawMessage
		goal         goal
	}{
		{"native", "logging", nil, goal{"≤ 40 (CCF 55)", "≤ 25 (CCF 32)"}},
		{"JS fresh", "synod-node", scriptBundle("", ""), goal{"≤ 110 (CCF 333)", "≤ 100 (CCF 331)"}},
		{"JS reuse", "synod-node", scriptBundle("k", ""), goal{"≤ 90 (CCF 109)", "≤ 65 (CCF 65)"}},
	} {
		err := s.with(ctx, Plan{Binary: c.binary, Nodes: 1, Bundle: c.bundle}, func(service *Service) error {
			s.subject = c.name + ", one node"
			s.figure("start", 0, map[string]float64{"until_open_ms": inMillis(service.Started)})
			s.printf("\n%s, one node: process start → open, three members, voted: %s (goal ≤ 0.7 s; CCF 6.3–7.5 s); at rest %.0f MB, %.1f %% of a core\n",
				c.name, service.Started.Round(time.Millisecond), mb(residentBytes(service.Nodes[0].PID)), idle(ctx, time.Second, service.PIDs()...)[0])
			if err := s.loads(ctx, service, c.goal); err != nil {
				return err
			}
			return s.quiet(ctx, service, "≤ 5 ms; CCF 491 ms")
		})
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// loads measures writes and reads on the primary, with 1, 16 and 64 connections.
func (s *Suite) loads(ctx context.Context, service *Service, g goal) error {
	t := newTable(s.Out)
	for _, kind := range []string{"write", "read"} {
		for _, connections := range []int{1, 16, 64} {
			load := Load{Connections: connections, Request: post}
			want := g.write
			if kind == "read" {
				load.Request, want = get, g.read
			}
			if connections != 64 {
				want = ""
			}
			load.Targets = []Target{service.Nodes[0].Target}
			if err := s.row(ctx, t, service, load, kind, want); err != nil {
				return err
			}
		}
	}
	return t.Flush()
}

func newTable(out interface{ Write([]byte) (int, error) }) *tabwriter.Writer {
	t := tabwriter.NewWriter(out, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "load\tconnections\treq/s\tp50\tp99\tCPU µs/request\tgoal\tsignatures/s\tledger B/tx\tRSS MB\t")
	return t
}

// row measures one load and prints its line. Of several nodes the processor
// time is that of the primary, and in parentheses that of each other.
func (s *Suite) row(ctx context.Context, t *tabwriter.Writer, service *Service, load Load, kind, want string) error {
	load.Duration, load.Watch = s.Duration, service.PIDs()
	before, err := ledgerTotals(service.Nodes[0].Ledger())
	if err != nil {
		return err
	}
	res, err := load.Run(ctx)
	if err != nil {
		return err
	}
	after, err := ledgerTotals(service.Nodes[0].Ledger())
	if err != nil {
		return err
	}
	values := loadValues(res)
	s.figure(kind, load.Connections, values)
	signatures, perTx := "–", "–"
	if kind != "read" {
		values["signatures_per_s"] = float64(after.signatures-before.signatures) / res.Elapsed.Seconds()
		values["ledger_bytes_per_request"] = float64(after.bytes-before.bytes) / float64(res.Requests)
		signatures = fmt.Sprintf("%.1f", float64(after.signatures-before.signatures)/res.Elapsed.Seconds())
		perTx = fmt.Sprintf("%d", (after.bytes-before.bytes)/int64(res.Requests))
	}
	fmt.Fprintf(t, "%s\t%d\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t\n", kind, load.Connections, res.PerSecond(),
		millis(res.P50), millis(res.P99), perNode(res.CPU), want, signatures, perTx, mb(res.Resident[0]))
	return nil
}

// perNode writes the processor time of the primary, and of the others in
// parentheses.
func perNode(cpu []time.Duration) string {
	text := fmt.Sprintf("%.0f", micros(cpu[0]))
	for i, d := range cpu[1:] {
		text += fmt.Sprintf("%s%.0f", []string{" (", ", "}[min(i, 1)], micros(d))
	}
	if len(cpu) > 1 {
		text += ")"
	}
	return text
}

// quiet measures how soon a lone write is committed, and the ledger's entries.
func (s *Suite) quiet(ctx context.Context, service *Service, want string) error {
	commit, err := Commit{Writes: 200, Interval: 20 * time.Millisecond, Request: func(i int) []byte { return post(0, i) }}.Run(ctx, service.Nodes[0].Target)
	if err != nil {
		return err
	}
	s.figure("answered to committed, idle", 0, map[string]float64{"p50_ms": inMillis(commit.P50), "p99_ms": inMillis(commit.P99)})
	s.printf("answered → committed, one write each 20 ms: p50 %s, p99 %s (goal p50 %s)\n", millis(commit.P50), millis(commit.P99), want)
	totals, err := ledgerTotals(service.Nodes[0].Ledger())
	if err != nil {
		return err
	}
	s.figure("ledger entries", 0, map[string]float64{"write_bytes": float64(totals.perWrite), "signature_bytes": float64(totals.perSignature)})
	s.printf("ledger entries: of writes %d B each (goal ≤ 257), of signatures %d B each\n", totals.perWrite, totals.perSignature)
	return nil
}
