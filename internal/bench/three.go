package bench

import (
	"context"
	"fmt"
	"time"
)

// forwardedConnections is how many connections are spread over all nodes.
const forwardedConnections = 15

// measureThree loads services of three nodes.
func (s *Suite) measureThree(ctx context.Context) error {
	err := s.with(ctx, Plan{Binary: "logging", Nodes: 3}, func(service *Service) error {
		rest := idle(ctx, 5*time.Second, service.PIDs()...)
		s.subject = "native, three nodes"
		s.figure("start and rest", 0, map[string]float64{
			"until_open_ms": inMillis(service.Started), "primary_core_percent": rest[0], "backup_core_percent": max(rest[1], rest[2]),
		})
		s.printf("\nnative, three nodes: first process start → open, three members, voted, three voters: %s; at rest primary %.1f %% of a core (goal ≤ 2; CCF 8.5), backups %.1f and %.1f (CCF 4)\n",
			service.Started.Round(time.Millisecond), rest[0], rest[1], rest[2])
		if err := s.loads(ctx, service, goal{"≤ 55 (≤ 20) (CCF 73 (23))", "CCF 32"}); err != nil {
			return err
		}
		if err := s.everywhere(ctx, service); err != nil {
			return err
		}
		if err := s.quiet(ctx, service, "≤ 8 ms; CCF 556 ms"); err != nil {
			return err
		}
		return s.busy(ctx, service)
	})
	if err != nil {
		return fmt.Errorf("native: %w", err)
	}
	err = s.with(ctx, Plan{Binary: "synod-node", Nodes: 3, Bundle: scriptBundle("k", "")}, func(service *Service) error {
		s.subject = "JS reuse, three nodes"
		s.printf("\nJS reuse, three nodes:\n")
		t := newTable(s.Out)
		for _, connections := range []int{16, 64} {
			load := Load{Targets: []Target{service.Nodes[0].Target}, Connections: connections, Request: post}
			want := map[int]string{16: "CCF 146", 64: "CCF 131 (21)"}[connections]
			if err := s.row(ctx, t, service, load, "write", want); err != nil {
				return err
			}
		}
		return t.Flush()
	})
	if err != nil {
		return fmt.Errorf("JS reuse: %w", err)
	}
	return nil
}

// everywhere sends writes to all nodes; the backups forward theirs.
func (s *Suite) everywhere(ctx context.Context, service *Service) error {
	s.printf("sent to all nodes, two of three forwarded:\n")
	t := newTable(s.Out)
	load := Load{Connections: forwardedConnections, Request: post}
	for _, n := range service.Nodes {
		load.Targets = append(load.Targets, n.Target)
	}
	subject := s.subject
	s.subject += ", sent to all"
	err := s.row(ctx, t, service, load, "write", "CCF 87 (49)")
	s.subject = subject
	if err != nil {
		return err
	}
	return t.Flush()
}

// busy measures how soon a write is committed while others write.
func (s *Suite) busy(ctx context.Context, service *Service) error {
	for _, connections := range []int{16, 64} {
		load := Load{Targets: []Target{service.Nodes[0].Target}, Connections: connections, Duration: s.Duration, Request: post}
		probe := Commit{
			Writes: int(s.Duration / (20 * time.Millisecond)), Interval: 20 * time.Millisecond,
			Request: func(i int) []byte { return post(0, i) },
		}
		var commit CommitResult
		res, err := during(ctx, load, func() (err error) {
			commit, err = probe.Run(ctx, service.Nodes[0].Target)
			return err
		})
		if err != nil {
			return err
		}
		s.figure("answered to committed, while others write", connections, map[string]float64{
			"requests_per_s": res.PerSecond(), "commit_p50_ms": inMillis(commit.P50), "commit_p99_ms": inMillis(commit.P99),
		})
		s.printf("answered → committed, while %d connections make %.0f writes/s: p50 %s, p99 %s (goal p99 ≤ 25 ms)\n",
			connections, res.PerSecond(), millis(commit.P50), millis(commit.P99))
	}
	return nil
}

// during runs something beside a load.
func during(ctx context.Context, load Load, beside func() error) (Result, error) {
	type outcome struct {
		res Result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		res, err := load.Run(ctx)
		done <- outcome{res, err}
	}()
	err := beside()
	o := <-done
	if err == nil {
		err = o.err
	}
	if err != nil {
		return Result{}, fmt.Errorf("under load: %w", err)
	}
	return o.res, nil
}
