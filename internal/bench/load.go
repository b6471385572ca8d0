package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Target is a node to load.
type Target struct {
	Address string // host:port
	TLS     *tls.Config
	PID     int // of the serving process
}

// Load is one closed-loop run: each connection sends its next request when it
// has the answer to the last.
type Load struct {
	Targets     []Target // the connections are spread over them in turn
	Watch       []int    // processes whose processor time is measured
	Connections int
	Duration    time.Duration
	// Each is how many different requests each connection sends, instead of
	// repeating some for a duration.
	Each int
	// Request makes request i of connection c, as bytes on the wire. Requests
	// are made before the clock starts and then repeated.
	Request func(c, i int) []byte
	// Distinct is how many requests each connection cycles through; 100 if 0.
	Distinct int
	// Status is the HTTP status that every answer must have; 200 if 0.
	Status int
	// Again is a status after which the request is sent again; 0 for none.
	Again int
	// Committed makes an answer count only if it says that the transaction is
	// committed.
	Committed bool
}

// Result is what a load measured.
type Result struct {
	Requests int
	Elapsed  time.Duration
	P50, P99 time.Duration
	CPU      []time.Duration // of each watched process, for each request
	Resident []int64         // bytes of memory of each watched process at the end
}

// PerSecond is the throughput.
func (r Result) PerSecond() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }

// Run makes the connections, warms them up with one request each, and loads
// the targets. An answer that does not count ends it.
func (l Load) Run(ctx context.Context) (Result, error) {
	if l.Each > 0 {
		l.Duration = time.Hour
	}
	if l.Distinct == 0 {
		l.Distinct = max(l.Each, 100)
	}
	if l.Status == 0 {
		l.Status = 200
	}
	conns := make([]*conn, l.Connections)
	for i := range conns {
		c, err := dial(ctx, l.Targets[i%len(l.Targets)])
		if err != nil {
			return Result{}, err
		}
		defer c.Close()
		conns[i] = c
		if err := l.once(c, l.Request(i, 0)); err != nil {
			return Result{}, err
		}
	}
	requests := make([][][]byte, l.Connections)
	for c := range requests {
		for i := range l.Distinct {
			requests[c] = append(requests[c], l.Request(c, i))
		}
	}

	before := processorTimes(l.Watch)
	start := time.Now()
	end := start.Add(l.Duration)
	latencies := make([][]time.Duration, l.Connections)
	errs := make([]error, l.Connections)
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil && (l.Each == 0 || n < l.Each); n++ {
				sent := time.Now()
				if sent.After(end) {
					return
				}
				if err := l.once(c, requests[i][n%l.Distinct]); err != nil {
					errs[i] = err
					return
				}
				latencies[i] = append(latencies[i], time.Since(sent))
			}
		})
	}
	wg.Wait()
	res := Result{Elapsed: time.Since(start), CPU: processorTimes(l.Watch)}
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return Result{}, err
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	res.Requests = len(all)
	if len(all) == 0 {
		return res, errors.New("no request was answered in time")
	}
	res.P50, res.P99 = quantile(all, 0.50), quantile(all, 0.99)
	for i, pid := range l.Watch {
		res.CPU[i] = (res.CPU[i] - before[i]) / time.Duration(len(all))
		res.Resident = append(res.Resident, residentBytes(pid))
	}
	return res, nil
}

// once sends a request and makes sure that the answer counts.
func (l Load) once(c *conn, request []byte) error {
	a, err := c.exchange(request)
	for err == nil && a.status == l.Again && l.Again != 0 {
		a, err = c.exchange(request)
	}
	if err == nil && a.status != l.Status {
		err = fmt.Errorf("status %d where %d was expected: %s", a.status, l.Status, a.body)
	}
	if err == nil && l.Committed && a.outcome != "Committed" {
		err = fmt.Errorf("transaction %s is answered as %q, not committed", a.txID, a.outcome)
	}
	return err
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// conn is one keep-alive connection with as little client around it as
// possible, since client and node share the machine.
type conn struct {
	net  *tls.Conn
	r    *bufio.Reader
	body []byte
}

func dial(ctx context.Context, t Target) (*conn, error) {
	c, err := (&tls.Dialer{Config: t.TLS}).DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.Address, err)
	}
	return &conn{net: c.(*tls.Conn), r: bufio.NewReaderSize(c, 16<<10)}, nil
}

// Close ends the connection.
func (c *conn) Close() error { return c.net.Close() }

// answer is what a round trip brought back.
type answer struct {
	status int
	txID   string
	// outcome is what became of the transaction, if the request waited for it.
	outcome string
	body    []byte // valid until the next round trip
}

// roundTrip sends a request, whose answer must have a status.
func (c *conn) roundTrip(request []byte, want int) (answer, error) {
	a, err := c.exchange(request)
	if err == nil && a.status != want {
		err = fmt.Errorf("status %d where %d was expected: %s", a.status, want, a.body)
	}
	return a, err
}

// exchange sends a request and reads the answer.
func (c *conn) exchange(request []byte) (answer, error) {
	if _, err := c.net.Write(request); err != nil {
		return answer{}, err
	}
	return c.read()
}

func (c *conn) read() (answer, error) {
	var a answer
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if len(line) < 12 {
		return a, fmt.Errorf("status line %q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, fmt.Errorf("status line %q", line)
	}
	length := 0
	for {
		line, err = c.r.ReadSlice('\n')
		if err != nil {
			return a, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return a, fmt.Errorf("content-length %q", value)
			}
		case bytes.EqualFold(name, []byte("x-ms-ccf-transaction-id")):
			a.txID = string(bytes.TrimSpace(value))
		case bytes.EqualFold(name, []byte("x-synod-status")):
			a.outcome = string(bytes.TrimSpace(value))
		}
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	a.body = c.body[:length]
	_, err = io.ReadFull(c.r, a.body)
	return a, err
}

// Post is a POST of JSON as bytes on the wire.
func Post(path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", path, len(body), body)
}

// PostCommitted is a Post whose answer waits until the transaction is committed.
func PostCommitted(path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nhost: bench\r\nx-synod-wait: committed\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", path, len(body), body)
}

// Get is a GET as bytes on the wire.
func Get(path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nhost: bench\r\n\r\n", path)
}
