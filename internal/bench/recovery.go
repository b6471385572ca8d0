package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"synod/client"
)

// measureRecovery fills a service of one node, loses it, and recovers it from its
// ledger: the public part, then with the members' shares the private one, then the
// application's index of public records.
func (s *Suite) measureRecovery(ctx context.Context) error {
	return s.with(ctx, Plan{Binary: "logging", Nodes: 1, SnapshotEvery: 1 << 30}, func(service *Service) error {
		const connections = 64
		for _, kind := range []string{"private", "public"} {
			fill := Load{Targets: []Target{service.Nodes[0].Target}, Connections: connections, Each: filling / 2 / connections}
			fill.Request = func(c, i int) []byte {
				return Post("/app/log/"+kind, fmt.Sprintf(`{"id":%d,"msg":"%s"}`, c*fill.Each+i, message))
			}
			if _, err := fill.Run(ctx); err != nil {
				return err
			}
		}
		if _, err := waitQuiet(ctx, service.Nodes[0].Target); err != nil {
			return err
		}
		totals, err := ledgerTotals(service.Nodes[0].Ledger())
		if err != nil {
			return err
		}
		s.subject = "recovery"
		s.printf("\nrecovery, native, one node: ledger of %.0f MB, %d entries, %d of them signatures, half of the others public\n",
			mb(totals.bytes), totals.entries, totals.signatures)
		r, err := service.recover(ctx)
		if err != nil {
			return err
		}
		row := func(what string, d step) {
			s.figure(what, 0, map[string]float64{
				"took_ms": inMillis(d.took), "cpu_ms": inMillis(d.cpu), "ledger_mb_per_s": mb(totals.bytes) / d.took.Seconds(), "resident_mb": mb(d.resident),
			})
			s.printf("  %s: %s, %.1f s of processor time: %.0f MB/s, %.0f transactions/s (goal ≥ 100 MB/s); RSS %.0f MB\n", what, d.took.Round(time.Millisecond),
				d.cpu.Seconds(), mb(totals.bytes)/d.took.Seconds(), float64(totals.entries)/d.took.Seconds(), mb(d.resident))
		}
		row("process start → public part read", r.public)
		row("last share → private part read and open", r.private)
		s.figure("open → index of public records built", 0, map[string]float64{"took_ms": inMillis(r.index.took)})
		s.printf("  open → index of public records built: %s, %.0f MB/s\n", r.index.took.Round(time.Millisecond), mb(totals.bytes)/r.index.took.Seconds())
		return nil
	})
}

// step is what a part of a recovery costs the node.
type step struct {
	took, cpu time.Duration
	resident  int64
}

// recovered is how long the parts of a recovery take.
type recovered struct{ public, private, index step }

// recover stops the node and recovers the service from its ledger.
func (s *Service) recover(ctx context.Context) (r recovered, err error) {
	old := s.Nodes[0]
	if err := old.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return r, err
	}
	if err := old.cmd.Wait(); err != nil {
		return r, err
	}
	previous := s.cert
	file := filepath.Join(s.plan.Dir, "previous.pem")
	if err := os.WriteFile(file, previous, 0o600); err != nil {
		return r, err
	}
	s.Nodes = s.Nodes[:0]
	s.lives++
	s.ledger = old.Ledger()
	began := time.Now()
	n, err := s.start(ctx, map[string]any{
		"type": "Recover", "service_certificate_file": "service_cert.pem",
		"recover": map[string]any{"previous_service_identity_file": file},
	})
	if err != nil {
		return r, err
	}
	measured := func(since time.Time, cpu time.Duration) step {
		return step{time.Since(since), processorTime(n.PID) - cpu, residentBytes(n.PID)}
	}
	if err := s.reach(ctx, n); err != nil {
		return r, err
	}
	if err := s.wait(ctx, "/node/state", "state", "PartOfPublicNetwork"); err != nil {
		return r, err
	}
	r.public = measured(began, 0)
	s.members = nil
	for _, signer := range s.signers {
		s.members = append(s.members, client.NewMember(s.client, signer))
	}
	if err := poll(ctx, func() error { _, err := s.client.Get(ctx, "/node/ready/gov", nil); return err }); err != nil {
		return r, err
	}
	if err := s.pass(ctx, client.Action{Name: "transition_service_to_open", Args: map[string]any{
		"previous_service_identity": string(previous), "next_service_identity": string(s.cert),
	}}); err != nil {
		return r, err
	}
	cpu := processorTime(n.PID)
	for i, m := range s.members {
		encrypted, err := s.client.EncryptedShare(ctx, m.ID())
		if err != nil {
			return r, err
		}
		share, err := client.DecryptShare([]byte(s.encryption[i]), encrypted)
		if err != nil {
			return r, err
		}
		began, cpu = time.Now(), processorTime(n.PID)
		answer, err := m.SubmitShare(ctx, share)
		if err != nil {
			return r, err
		}
		if answer.Enough() {
			break
		}
	}
	if err := s.wait(ctx, "/node/network", "service_status", "Open"); err != nil {
		return r, err
	}
	r.private = measured(began, cpu)
	began, cpu = time.Now(), processorTime(n.PID)
	conn, err := dial(ctx, n.Target)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	err = poll(ctx, func() error {
		a, err := conn.exchange(Get("/app/log/public/historical/range?id=1"))
		if err == nil && a.status != 200 {
			err = fmt.Errorf("status %d: %s", a.status, a.body)
		}
		return err
	})
	r.index = measured(began, cpu)
	return r, err
}

// wait waits until a field of an answer of the first node has a value.
func (s *Service) wait(ctx context.Context, path, field, want string) error {
	return poll(ctx, func() error {
		var answer map[string]any
		if _, err := s.client.Get(ctx, path, &answer); err != nil {
			return err
		}
		if answer[field] != want {
			return errors.New(path + ": " + field + " is not " + want)
		}
		return nil
	})
}
