package bench

import (
	"context"
	"fmt"
	"time"
)

// DefaultTransactions is how many transactions the section about memory writes,
// unless told otherwise.
const DefaultTransactions = 100_000

// measureMemory writes more and more transactions to a node, over the same keys and
// then to new ones: what each costs and what the node holds must not depend on how
// many there were.
func (s *Suite) measureMemory(ctx context.Context) error {
	return s.with(ctx, Plan{Binary: "logging", Nodes: 1}, func(service *Service) error {
		target := service.Nodes[0].Target
		last := s.Transactions
		if last == 0 {
			last = DefaultTransactions
		}
		s.printf("\nmemory, native, one node: up to %d transactions over %d keys, then a tenth as many new keys\n", last, keys)
		// Each row is shown when it is there: the last ones take long.
		s.printf("%14s%8s%20s%10s%10s%8s%9s\n", "transactions", "req/s", "CPU µs/transaction", "keys", "state MB", "RSS MB", "goal MB")
		const connections = 64
		done := 0
		row := func(load Load, more, keys int) error {
			load.Targets, load.Watch, load.Connections, load.Each = []Target{target}, service.PIDs(), connections, max(more/connections, 1)
			r, err := load.Run(ctx)
			if err != nil {
				return err
			}
			if _, err := waitQuiet(ctx, target); err != nil {
				return err
			}
			if err := sleepFor(ctx, settle); err != nil {
				return err
			}
			done += r.Requests
			state := float64(keys) * stateBytes / (1 << 20)
			values := loadValues(r)
			values["transactions"], values["keys"] = float64(done), float64(keys)
			values["state_mb"], values["resident_mb"] = state, mb(residentBytes(target.PID))
			s.figure("memory", load.Connections, values)
			s.printf("%14d%8.0f%20.1f%10d%10.1f%8.0f%9s\n", done, r.PerSecond(), micros(r.CPU[0]), keys, state,
				mb(residentBytes(target.PID)), fmt.Sprintf("≤ %.0f", 2*state+100))
			return nil
		}
		for total := 1000; ; total *= 10 {
			total = min(total, last)
			if err := row(Load{Distinct: 100, Request: post}, total-done, keys); err != nil {
				return err
			}
			if total == last {
				break
			}
		}
		const steps = 5
		each := max(last/10/steps/connections, 1)
		for i := range steps {
			first := keys + i*each*connections
			fresh := Load{Request: func(c, i int) []byte {
				return Post("/app/log/private", fmt.Sprintf(`{"id":%d,"msg":"%s"}`, first+c*each+i, message))
			}}
			if err := row(fresh, each*connections, first+each*connections); err != nil {
				return err
			}
		}
		return nil
	})
}

// stateBytes is what one record takes as the application has it: a key of 8 bytes
// and a value of a message as JSON.
const stateBytes = 8 + float64(len(message)+2)

// settle is how long a node is left alone before its memory is looked at: what the
// collector has freed goes back to the system little by little.
const settle = 5 * time.Second

func sleepFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
