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
	PID     int // of the serving process, for its processor time; 0 if unknown
}

// Load is one closed-loop run: each connection sends its next request when it
// has the answer to the last.
type Load struct {
	Connections int
	Duration    time.Duration
	// Request makes request i of connection c, as bytes on the wire. Requests
	// are made before the clock starts and then repeated.
	Request func(c, i int) []byte
	// Distinct is how many requests each connection cycles through; 100 if 0.
	Distinct int
	// Status is the HTTP status that every answer must have; 200 if 0.
	Status int
}

// Result is what a load measured.
type Result struct {
	Requests     int
	Elapsed      time.Duration
	P50, P99     time.Duration
	CPU          time.Duration // of the serving process, for each request; 0 if unknown
	ResidentByte int64         // of the serving process at the end; 0 if unknown
}

// PerSecond is the throughput.
func (r Result) PerSecond() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }

// Run makes the connections, warms them up with one request each, and loads
// the target. An answer with another status than expected ends it.
func (l Load) Run(ctx context.Context, t Target) (Result, error) {
	if l.Distinct == 0 {
		l.Distinct = 100
	}
	if l.Status == 0 {
		l.Status = 200
	}
	conns := make([]*conn, l.Connections)
	for i := range conns {
		c, err := dial(ctx, t)
		if err != nil {
			return Result{}, err
		}
		defer c.Close()
		conns[i] = c
		if _, err := c.roundTrip(l.Request(i, 0), l.Status); err != nil {
			return Result{}, err
		}
	}
	requests := make([][][]byte, l.Connections)
	for c := range requests {
		for i := range l.Distinct {
			requests[c] = append(requests[c], l.Request(c, i))
		}
	}

	before := processorTime(t.PID)
	start := time.Now()
	end := start.Add(l.Duration)
	latencies := make([][]time.Duration, l.Connections)
	errs := make([]error, l.Connections)
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() {
			for n := 0; ; n++ {
				sent := time.Now()
				if sent.After(end) {
					return
				}
				if _, err := c.roundTrip(requests[i][n%l.Distinct], l.Status); err != nil {
					errs[i] = err
					return
				}
				latencies[i] = append(latencies[i], time.Since(sent))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	spent := processorTime(t.PID) - before
	if err := errors.Join(errs...); err != nil {
		return Result{}, err
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	res := Result{Requests: len(all), Elapsed: elapsed, ResidentByte: residentBytes(t.PID)}
	if len(all) > 0 {
		res.P50, res.P99 = quantile(all, 0.50), quantile(all, 0.99)
		res.CPU = spent / time.Duration(len(all))
	}
	return res, nil
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
	body   []byte // valid until the next round trip
}

func (c *conn) roundTrip(request []byte, want int) (answer, error) {
	if _, err := c.net.Write(request); err != nil {
		return answer{}, err
	}
	a, err := c.read()
	if err != nil {
		return a, err
	}
	if a.status != want {
		return a, fmt.Errorf("status %d where %d was expected: %s", a.status, want, a.body)
	}
	return a, nil
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

// Get is a GET as bytes on the wire.
func Get(path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nhost: bench\r\n\r\n", path)
}
