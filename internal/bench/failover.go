package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// measureFailover kills the primary of three, several times over. A backup
// stands for election between half of the timeout and the whole after it last
// heard of the primary.
func (s *Suite) measureFailover(ctx context.Context) error {
	s.printf("\nnative, three nodes, kill -9 of the primary: time until a survivor leads, from then until the service's commit is in its view, and from the kill until a write is answered as committed; minimum / median / maximum\n")
	for _, c := range []struct {
		timeout string
		runs    int
	}{{"5000ms", 3}, {"1000ms", 5}} {
		var took []failover
		for range c.runs {
			err := s.with(ctx, Plan{Binary: "logging", Nodes: 3, ElectionTimeout: c.timeout}, func(service *Service) error {
				f, err := loseThePrimary(ctx, service)
				took = append(took, f)
				return err
			})
			if err != nil {
				return fmt.Errorf("election timeout %s: %w", c.timeout, err)
			}
		}
		s.figure("election timeout "+c.timeout, 0, map[string]float64{
			"elected_ms": inMillis(median(took, func(f failover) time.Duration { return f.elected })),
			"commit_ms":  inMillis(median(took, func(f failover) time.Duration { return f.commit })),
			"write_ms":   inMillis(median(took, func(f failover) time.Duration { return f.write })),
		})
		s.printf("  election timeout %s: elected %s; commit %s; write %s\n", c.timeout,
			spread(took, func(f failover) time.Duration { return f.elected }),
			spread(took, func(f failover) time.Duration { return f.commit }),
			spread(took, func(f failover) time.Duration { return f.write }))
	}
	return nil
}

// failover is how long one took.
type failover struct {
	elected time.Duration // kill → a survivor leads
	commit  time.Duration // … → the service's commit is in the new view
	write   time.Duration // kill → a write is answered as committed
}

func sorted(all []failover, of func(failover) time.Duration) []time.Duration {
	v := make([]time.Duration, len(all))
	for i, f := range all {
		v[i] = of(f)
	}
	slices.Sort(v)
	return v
}

func median(all []failover, of func(failover) time.Duration) time.Duration {
	return sorted(all, of)[len(all)/2]
}

func spread(all []failover, of func(failover) time.Duration) string {
	v := sorted(all, of)
	text := ""
	for i, d := range []time.Duration{v[0], v[len(v)/2], v[len(v)-1]} {
		text += []string{"", " / ", " / "}[i] + millis(d)
	}
	return text
}

// loseThePrimary kills the first node and watches the others.
func loseThePrimary(ctx context.Context, service *Service) (failover, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	survivors := service.Nodes[1:]
	warm := Load{
		Targets:     []Target{service.Nodes[0].Target, survivors[0].Target, survivors[1].Target},
		Connections: 3, Each: 20, Request: postCommitted, Committed: true,
	}
	if _, err := warm.Run(ctx); err != nil {
		return failover{}, err
	}
	start := time.Now()
	if err := service.Nodes[0].Kill(); err != nil {
		return failover{}, err
	}
	var (
		f    failover
		mu   sync.Mutex // guards f and errs
		errs []error
		wg   sync.WaitGroup
	)
	note := func(to *time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		if d := time.Since(start); err == nil && (*to == 0 || d < *to) {
			*to = d
		}
		errs = append(errs, err)
	}
	// What one survivor shows ends the watch of the other.
	watching, seen := context.WithCancel(ctx)
	defer seen()
	writing, written := context.WithCancel(ctx)
	defer written()
	for _, n := range survivors {
		wg.Go(func() {
			if until(watching, n.Target, Get("/node/consensus"), leads) != nil {
				return
			}
			note(&f.elected, nil)
			note(&f.commit, until(ctx, n.Target, Get("/node/commit"), inNewView))
			seen()
		})
		wg.Go(func() {
			if until(writing, n.Target, postCommitted(0, 0), func(a answer) bool { return a.status == 200 && a.outcome == "Committed" }) == nil {
				note(&f.write, nil)
				written()
			}
		})
	}
	wg.Wait()
	f.commit -= f.elected
	if err := errors.Join(errs...); err != nil {
		return f, err
	}
	if f.write == 0 || f.elected == 0 {
		return f, errors.New("no survivor took over")
	}
	return f, nil
}

func leads(a answer) bool { return bytes.Contains(a.body, []byte(`"Leader"`)) }

// inNewView says whether the service's commit is beyond the first view, 2.
func inNewView(a answer) bool {
	var commit struct {
		ID string `json:"transaction_id"`
	}
	return json.Unmarshal(a.body, &commit) == nil && commit.ID != "" && commit.ID[:2] != "2."
}

// until asks a node the same, each millisecond or as fast as it answers, until
// the answer is right or ctx ends. A connection that breaks is made again.
func until(ctx context.Context, t Target, request []byte, right func(answer) bool) error {
	for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
		c, err := dial(ctx, t)
		if err != nil {
			continue
		}
		found := asks(ctx, c, request, right)
		_ = c.Close()
		if found {
			return nil
		}
	}
	return ctx.Err()
}

// asks is until on one connection, as long as that lasts.
func asks(ctx context.Context, c *conn, request []byte, right func(answer) bool) bool {
	// A request that waits for a primary must not outlive its use.
	defer context.AfterFunc(ctx, func() { _ = c.net.NetConn().Close() })()
	for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
		a, err := c.exchange(request)
		if err != nil {
			return false
		}
		if right(a) {
			return true
		}
	}
	return false
}
