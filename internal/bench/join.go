package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"synod/client"
)

// filling is how many records the service of measureJoin gets before it is
// measured: a ledger of about 50 MB.
const filling = 200_000

// measureJoin measures what snapshots cost the writers, and how long a new node
// takes to be a voter, with the whole log and with a snapshot.
func (s *Suite) measureJoin(ctx context.Context) error {
	return s.with(ctx, Plan{Binary: "logging", Nodes: 3, SnapshotEvery: 1 << 30}, func(service *Service) error {
		primary := service.Nodes[0]
		const connections = 64
		fill := Load{Targets: []Target{primary.Target}, Connections: connections, Each: filling / connections}
		fill.Request = func(c, i int) []byte {
			return Post("/app/log/private", fmt.Sprintf(`{"id":%d,"msg":"%s"}`, c*fill.Each+i, message))
		}
		if _, err := fill.Run(ctx); err != nil {
			return err
		}
		totals, err := ledgerTotals(primary.Ledger())
		if err != nil {
			return err
		}
		s.printf("\nnative, three nodes, %d keys, ledger of %.0f MB:\n", filling, mb(totals.bytes))
		if err := s.whileSnapshots(ctx, service); err != nil {
			return err
		}
		for _, snapshot := range []bool{false, true} {
			if err := s.catchUp(ctx, service, snapshot); err != nil {
				return err
			}
		}
		return nil
	})
}

// whileSnapshots compares writers without and with snapshots that are taken one
// after the other all the time.
func (s *Suite) whileSnapshots(ctx context.Context, service *Service) error {
	load := Load{Targets: []Target{service.Nodes[0].Target}, Watch: service.PIDs(), Connections: 16, Duration: s.Duration, Request: post}
	without, err := load.Run(ctx)
	if err != nil {
		return err
	}
	taken := 0
	end := time.Now().Add(s.Duration)
	with, err := during(ctx, load, func() error {
		for ; time.Now().Before(end); taken++ {
			if err := service.snapshot(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.figure("writes without snapshots", load.Connections, loadValues(without))
	s.figure("writes while snapshots are taken", load.Connections, loadValues(with))
	s.printf("  writes, 16 connections, without snapshots: %.0f/s, p50 %s, p99 %s; while %d are taken one after the other: %.0f/s, p50 %s, p99 %s\n",
		without.PerSecond(), millis(without.P50), millis(without.P99), taken, with.PerSecond(), millis(with.P50), millis(with.P99))
	return nil
}

// snapshots are the complete snapshots of the primary.
func (s *Service) snapshots() (int, error) {
	names, err := filepath.Glob(filepath.Join(s.Nodes[0].Dir, "snapshots", "*.committed"))
	return len(names), err
}

// snapshot has members ask for a snapshot, and waits until it is complete.
func (s *Service) snapshot(ctx context.Context) error {
	before, err := s.snapshots()
	if err != nil {
		return err
	}
	if err := s.pass(ctx, client.Action{Name: "trigger_snapshot"}); err != nil {
		return err
	}
	return poll(ctx, func() error {
		now, err := s.snapshots()
		if err == nil && now == before {
			err = errors.New("no snapshot was written")
		}
		return err
	})
}

// catchUp adds a node: it starts, asks to join, is voted for, takes the state
// and becomes a voter.
func (s *Suite) catchUp(ctx context.Context, service *Service, snapshot bool) error {
	totals, err := ledgerTotals(service.Nodes[0].Ledger())
	if err != nil {
		return err
	}
	start := time.Now()
	n, err := service.Join(ctx, snapshot)
	if err != nil {
		return err
	}
	if err := service.trust(ctx); err != nil {
		return err
	}
	trusted := time.Now()
	primary := service.Nodes[0].PID
	cpu, leads := processorTime(n.PID), processorTime(primary)
	if err := service.serving(ctx, n); err != nil {
		return err
	}
	took := time.Since(trusted)
	cpu, leads = processorTime(n.PID)-cpu, processorTime(primary)-leads
	how := "the whole log"
	if snapshot {
		how = "a snapshot"
	}
	s.figure("a new node with "+how, 0, map[string]float64{
		"until_trusted_ms": inMillis(trusted.Sub(start)), "until_voter_ms": inMillis(took), "ledger_mb": mb(totals.bytes),
		"ledger_mb_per_s": mb(totals.bytes) / took.Seconds(),
	})
	s.printf("  a new node with %s: process start → trusted %s, → voter %s", how, trusted.Sub(start).Round(time.Millisecond), took.Round(time.Millisecond))
	if !snapshot {
		s.printf(": %.0f MB/s, %.0f transactions/s (goal ≥ 100 MB/s), %.1f s of processor time of the node, %.1f s of the primary",
			mb(totals.bytes)/took.Seconds(), float64(totals.entries)/took.Seconds(), cpu.Seconds(), leads.Seconds())
	}
	s.printf("; RSS %.0f MB\n", mb(residentBytes(n.PID)))
	return nil
}

// trust has members vote for the node that waits.
func (s *Service) trust(ctx context.Context) error {
	var pending []string
	err := poll(ctx, func() (err error) {
		pending, err = s.nodes(ctx, "Pending")
		if err == nil && len(pending) == 0 {
			err = errors.New("no node asks to join")
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.pass(ctx, client.Action{Name: "transition_node_to_trusted", Args: map[string]any{
		"node_id": pending[0], "valid_from": time.Now().UTC().Format("060102150405Z"),
	}})
}
