package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"synod"
	"synod/client"
)

// pastWrites is how many public records the section about the past writes, over
// three keys as CCF's historical_query_perf.py does.
const pastWrites = 30_000

// measureHistory reads the past of a native service of one node: single
// transactions, receipts, ranges, and the feed of everything.
func (s *Suite) measureHistory(ctx context.Context) error {
	return s.with(ctx, Plan{Binary: "logging", Nodes: 1}, func(service *Service) error {
		target := service.Nodes[0].Target
		const writers = 16
		write := Load{
			Targets: []Target{target}, Connections: writers, Each: pastWrites / writers, Distinct: 600, Watch: service.PIDs(),
			Request: func(_, i int) []byte {
				key := []int{1, 1, 1, 2, 2, 3}[i%6] // 1/2, 1/3, 1/6
				return Post("/app/log/public", fmt.Sprintf(`{"id":%d,"msg":"%s"}`, key, message))
			},
		}
		written, err := write.Run(ctx)
		if err != nil {
			return err
		}
		last, err := waitQuiet(ctx, target)
		if err != nil {
			return err
		}
		s.printf("\nThe past, one native node: %d public records written (%.0f/s), the last at %s\n", written.Requests, written.PerSecond(), last)
		t := tabwriter.NewWriter(s.Out, 2, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "16 connections\treq/s\tp50\tp99\tCPU µs/request\tRSS MB\t")
		for _, kind := range []struct {
			name    string
			request func(seqno synod.SeqNo) []byte
			status  int
			cached  bool
		}{
			{"point reads, cold", readAt(last.View), 204, false}, // no private record was written
			{"point reads, cached", readAt(last.View), 204, true},
			{"receipts, cached", receiptAt(last.View), 200, true},
			{"receipts, cold", receiptAt(last.View), 200, false},
		} {
			load := Load{Status: kind.status, Again: 202, Request: func(c, i int) []byte { return kind.request(spreadOver(c*coldReads/pastConnections+i, last.SeqNo)) }}
			if load.Each = coldReads / pastConnections; kind.status == 200 && !kind.cached {
				// Others than those that the reads above have left in memory.
				load.Request = func(c, i int) []byte {
					return kind.request(spreadOver(coldReads+c*coldReads/pastConnections+i, last.SeqNo))
				}
			}
			if kind.cached {
				load.Each, load.Duration, load.Distinct = 0, s.Duration, 50
			}
			if err := s.pastRow(ctx, t, service, kind.name, load); err != nil {
				return fmt.Errorf("%s: %w", kind.name, err)
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if err := s.scan(ctx, service); err != nil {
			return err
		}
		return s.follow(ctx, service, written.Requests)
	})
}

// readAt reads a private record as a transaction wrote it.
func readAt(view synod.View) func(synod.SeqNo) []byte {
	return func(seqno synod.SeqNo) []byte {
		request := Get("/app/log/private/historical?id=1")
		header := fmt.Sprintf("x-ms-ccf-transaction-id: %d.%d\r\n\r\n", view, seqno)
		return append(bytes.TrimSuffix(request, []byte("\r\n")), header...)
	}
}

func receiptAt(view synod.View) func(synod.SeqNo) []byte {
	return func(seqno synod.SeqNo) []byte {
		return Get(fmt.Sprintf("/app/receipt?transaction_id=%d.%d", view, seqno))
	}
}

const (
	// coldReads is how many transactions are each asked after once.
	coldReads = 2000
	// pastConnections is how many connections ask at the same time.
	pastConnections = 16
)

// pastRow measures requests for transactions all over the ledger: each once, or
// some again and again.
func (s *Suite) pastRow(ctx context.Context, t io.Writer, service *Service, name string, load Load) error {
	load.Targets, load.Connections, load.Watch = []Target{service.Nodes[0].Target}, pastConnections, service.PIDs()
	r, err := load.Run(ctx)
	if err != nil {
		return err
	}
	s.figure(name, load.Connections, loadValues(r))
	fmt.Fprintf(t, "%s\t%.0f\t%s\t%s\t%.0f\t%.0f\t\n", name, r.PerSecond(), millis(r.P50), millis(r.P99), micros(r.CPU[0]), mb(r.Resident[0]))
	return nil
}

// spreadOver is the nth of numbers all over the ledger, each once while n is small.
func spreadOver(n int, last synod.SeqNo) synod.SeqNo {
	const stride = 7919 // a prime: neighbours are far apart
	return 1 + synod.SeqNo(uint64(n+1)*stride%uint64(last-1))
}

// scan pages through all that was written under each key, as a client does.
func (s *Suite) scan(ctx context.Context, service *Service) error {
	conn, err := dial(ctx, service.Nodes[0].Target)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, pass := range []string{"cold", "cached"} {
		entries, began := 0, time.Now()
		for key := 1; key <= 3; key++ {
			for path := fmt.Sprintf("/app/log/public/historical/range?id=%d", key); path != ""; {
				a, err := conn.exchange(Get(path))
				if err != nil {
					return err
				}
				if a.status == 202 {
					time.Sleep(time.Millisecond)
					continue
				}
				var page struct {
					NextLink string            `json:"@nextLink"`
					Entries  []json.RawMessage `json:"entries"`
				}
				if err := json.Unmarshal(a.body, &page); err != nil || a.status != 200 {
					return fmt.Errorf("%s: status %d: %w", path, a.status, err)
				}
				entries += len(page.Entries)
				path = page.NextLink
			}
		}
		s.printf("range scans over three keys, %s: %d entries, %.0f/s (CCF's script wants ≥ 100/s)\n", pass, entries, float64(entries)/time.Since(began).Seconds())
	}
	return nil
}

// follow reads the feed of everything that was written, from the start.
func (s *Suite) follow(ctx context.Context, service *Service, want int) error {
	auditor, err := client.Dial("https://"+service.Nodes[0].Address, client.WithServiceCertificate(service.cert),
		client.WithClientCertificate([]byte(service.auditor.CertPEM), []byte(service.auditor.KeyPEM)))
	if err != nil {
		return err
	}
	defer auditor.Close()
	enough := errors.New("enough")
	events, began := 0, time.Now()
	err = auditor.Follow(ctx, client.Feed{Path: "/node/changes?maps=public:records", FromStart: true}, func(client.Event) error {
		if events++; events == want {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		return err
	}
	s.printf("change feed, from the start: %d events, %.0f/s\n", events, float64(events)/time.Since(began).Seconds())
	return nil
}

// waitQuiet waits until the service's commit no longer moves, and returns it.
func waitQuiet(ctx context.Context, t Target) (synod.TxID, error) {
	conn, err := dial(ctx, t)
	if err != nil {
		return synod.TxID{}, err
	}
	defer conn.Close()
	var last synod.TxID
	for ctx.Err() == nil {
		a, err := conn.roundTrip(Get("/app/commit"), 200)
		if err != nil {
			return last, err
		}
		_, rest, _ := strings.Cut(string(a.body), `"transaction_id":"`)
		text, _, _ := strings.Cut(rest, `"`)
		id, err := synod.ParseTxID(text)
		if err != nil {
			return last, err
		}
		if id == last {
			return last, nil
		}
		last = id
		time.Sleep(200 * time.Millisecond)
	}
	return last, ctx.Err()
}
