package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// durableRounds is how often each load of measureDurable runs; the median
// counts.
const durableRounds = 3

// measureDurable compares writes that are answered once a majority has them on
// disk, ours signed too, with etcd's puts. The two take turns.
func (s *Suite) measureDurable(ctx context.Context) error {
	binary, err := filepath.Abs(filepath.Join(s.Bin, etcdBinary))
	if err == nil {
		_, err = os.Stat(binary)
	}
	if err != nil {
		s.printf("\nno etcd to compare with: %s\n", err)
		binary = ""
	}
	for _, nodes := range []int{1, 3} {
		err := s.with(ctx, Plan{Binary: "logging", Nodes: nodes}, func(service *Service) error {
			return s.besideEtcd(ctx, service, binary)
		})
		if err != nil {
			return fmt.Errorf("%d nodes: %w", nodes, err)
		}
	}
	return nil
}

func (s *Suite) besideEtcd(ctx context.Context, service *Service, binary string) (err error) {
	var etcd *Etcd
	if binary != "" {
		dir, err := os.MkdirTemp(s.Scratch, "etcd")
		if err != nil {
			return err
		}
		if etcd, err = StartEtcd(ctx, binary, dir, len(service.Nodes)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, etcd.Stop(), os.RemoveAll(dir)) }()
	}
	s.printf("\nwrites answered when committed (signed and on the disks of a majority), nodes: %d, beside etcd's puts, median of %d runs in turn (goal ≥ 3 × the writes/s; ≤ 1.5 × the p50 at 1 connection):\n", len(service.Nodes), durableRounds)
	t := tabwriter.NewWriter(s.Out, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "connections\twrites/s\tp50\tp99\tCPU µs/write\tsignatures/s\tledger B/tx\tetcd puts/s\tp50\tp99\tCPU µs/put\twrites ÷ puts\tp50 ÷ p50\t")
	for _, connections := range []int{1, 16, 64} {
		before, err := ledgerTotals(service.Nodes[0].Ledger())
		if err != nil {
			return err
		}
		var ours, theirs []Result
		for range durableRounds {
			load := Load{
				Targets: []Target{service.Nodes[0].Target}, Watch: service.PIDs(), Connections: connections,
				Duration: s.Duration, Request: postCommitted, Committed: true,
			}
			res, err := load.Run(ctx)
			if err != nil {
				return err
			}
			ours = append(ours, res)
			if etcd == nil {
				continue
			}
			if res, err = etcd.Load(ctx, connections, s.Duration); err != nil {
				return err
			}
			theirs = append(theirs, res)
		}
		after, err := ledgerTotals(service.Nodes[0].Ledger())
		if err != nil {
			return err
		}
		requests, seconds := 0, 0.0
		for _, r := range ours {
			requests, seconds = requests+r.Requests, seconds+r.Elapsed.Seconds()
		}
		us := middle(ours)
		values := loadValues(us)
		values["signatures_per_s"] = float64(after.signatures-before.signatures) / seconds
		s.figure(fmt.Sprintf("committed writes, nodes: %d", len(service.Nodes)), connections, values)
		fmt.Fprintf(t, "%d\t%.0f\t%s\t%s\t%s\t%.0f\t%d\t", connections, us.PerSecond(), millis(us.P50), millis(us.P99), perNode(us.CPU),
			float64(after.signatures-before.signatures)/seconds, (after.bytes-before.bytes)/int64(requests))
		if etcd == nil {
			fmt.Fprintln(t, strings.Repeat("–\t", 6))
			continue
		}
		them := middle(theirs)
		s.figure(fmt.Sprintf("etcd's puts, members: %d", len(service.Nodes)), connections, loadValues(them))
		values["of_etcd_ratio"], values["p50_of_etcd_ratio"] = us.PerSecond()/them.PerSecond(), micros(us.P50)/micros(them.P50)
		fmt.Fprintf(t, "%.0f\t%s\t%s\t%s\t%.1f\t%.2f\t\n", them.PerSecond(), millis(them.P50), millis(them.P99), perNode(them.CPU),
			us.PerSecond()/them.PerSecond(), micros(us.P50)/micros(them.P50))
	}
	return t.Flush()
}

// middle is the run with the median throughput.
func middle(runs []Result) Result {
	slices.SortFunc(runs, func(a, b Result) int { return int(a.PerSecond() - b.PerSecond()) })
	return runs[len(runs)/2]
}
