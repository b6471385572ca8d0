package bench

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"
)

// pollGap is between two polls: they are a load themselves.
const pollGap = 100 * time.Microsecond

// Commit measures answered → globally committed: writes arrive one at a time,
// spread evenly over interval, and each is polled for until it is committed.
type Commit struct {
	Writes   int
	Interval time.Duration // between two writes
	Request  func(i int) []byte
}

// CommitResult is what a Commit measured.
type CommitResult struct{ P50, P99 time.Duration }

// Run measures over one connection for the writes and one for the polls.
func (m Commit) Run(ctx context.Context, t Target) (CommitResult, error) {
	writes, err := dial(ctx, t)
	if err != nil {
		return CommitResult{}, err
	}
	defer writes.Close()
	polls, err := dial(ctx, t)
	if err != nil {
		return CommitResult{}, err
	}
	defer polls.Close()
	ticker := time.NewTicker(m.Interval)
	defer ticker.Stop()
	var latencies []time.Duration
	for i := range m.Writes {
		select {
		case <-ctx.Done():
			return CommitResult{}, ctx.Err()
		case <-ticker.C:
		}
		a, err := writes.roundTrip(m.Request(i), 200)
		if err != nil {
			return CommitResult{}, err
		}
		answered := time.Now()
		poll := Get("/app/tx?transaction_id=" + a.txID)
		for {
			time.Sleep(pollGap)
			p, err := polls.roundTrip(poll, 200)
			if err != nil {
				return CommitResult{}, err
			}
			if bytes.Contains(p.body, []byte(`"Committed"`)) {
				break
			}
			if bytes.Contains(p.body, []byte(`"Invalid"`)) {
				return CommitResult{}, fmt.Errorf("transaction %s became invalid", a.txID)
			}
		}
		latencies = append(latencies, time.Since(answered))
	}
	slices.Sort(latencies)
	return CommitResult{P50: quantile(latencies, 0.50), P99: quantile(latencies, 0.99)}, nil
}
