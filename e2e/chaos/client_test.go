//go:build e2e

package chaos

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"synod"
)

// kind is what a client asks for.
type kind string

const (
	kindPlain        kind = "write"           // answered once it is ordered
	kindCommitted    kind = "write committed" // x-synod-wait: committed
	kindRead         kind = "read"
	kindLinearizable kind = "read linearizable" // x-synod-consistency
	kindStatus       kind = "status"            // of an earlier write: /node/tx
)

// operation is one request and what was answered. Times are since the run
// began.
type operation struct {
	Session int64         `json:"session"` // one connection
	Node    string        `json:"node"`
	Kind    kind          `json:"kind"`
	Key     string        `json:"key,omitempty"`
	Value   string        `json:"value,omitempty"` // written or read
	Call    time.Duration `json:"call"`
	Answer  time.Duration `json:"answer"`
	Error   string        `json:"error,omitempty"`  // there was no answer
	Code    int           `json:"code,omitempty"`   // HTTP
	Wire    string        `json:"wire,omitempty"`   // the code of an error answer
	Again   bool          `json:"again,omitempty"`  // retry-after: nothing was done
	TxID    synod.TxID    `json:"txid,omitzero"`    // shown by the answer, or asked about
	Status  string        `json:"status,omitempty"` // x-synod-status, or of /node/tx
}

func (o *operation) write() bool { return o.Kind == kindPlain || o.Kind == kindCommitted }
func (o *operation) ok() bool    { return o.Error == "" && o.Code >= 200 && o.Code < 300 }

// session is one connection of one client to one node.
type session struct {
	conn   net.Conn
	reader *bufio.Reader
}

func (s *service) dial(ctx context.Context, n *node, within time.Duration) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", n.address)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, reader: bufio.NewReader(conn)}, nil
}

// ask sends a request and reads the answer; after an error, or after an answer
// that says so, the session has ended.
func (c *session) ask(req *http.Request, within time.Duration) (*http.Response, []byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(within)); err != nil {
		return nil, nil, err
	}
	if err := req.Write(c.conn); err != nil {
		return nil, nil, err
	}
	resp, err := http.ReadResponse(c.reader, req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// do performs the operation.
func (c *session) do(o *operation, within time.Duration, now func() time.Duration) (ended bool) {
	method, path, body := http.MethodGet, "/app/cells/"+o.Key, io.Reader(http.NoBody)
	switch {
	case o.write():
		method, body = http.MethodPut, strings.NewReader(o.Value)
	case o.Kind == kindStatus:
		path = "/node/tx?transaction_id=" + o.TxID.String()
	}
	req, err := http.NewRequest(method, "https://"+c.conn.RemoteAddr().String()+path, body)
	if err != nil {
		panic(err) // keys are letters and digits
	}
	switch o.Kind {
	case kindCommitted:
		req.Header.Set("x-synod-wait", "committed")
	case kindLinearizable:
		req.Header.Set("x-synod-consistency", "linearizable")
	case kindPlain, kindRead, kindStatus:
	}
	o.Call = now()
	resp, text, err := c.ask(req, within)
	o.Answer = now()
	if err != nil {
		o.Error = err.Error()
		return true
	}
	o.read(resp, text)
	return resp.Close || strings.HasPrefix(o.Wire, "SessionConsistencyLost") // which is not announced, as in CCF
}

// read takes in an answer.
func (o *operation) read(resp *http.Response, body []byte) {
	o.Code = resp.StatusCode
	o.Again = resp.Header.Get("retry-after") != ""
	if o.Kind == kindStatus {
		var answer struct {
			Status string `json:"status"`
		}
		if o.ok() && json.Unmarshal(body, &answer) == nil {
			o.Status = answer.Status
		}
		return
	}
	o.Status = resp.Header.Get("x-synod-status")
	if id := resp.Header.Get("x-ms-ccf-transaction-id"); id != "" {
		var err error
		if o.TxID, err = synod.ParseTxID(id); err != nil {
			o.Wire = err.Error()
		}
	}
	if !o.ok() {
		var answer struct {
			Error struct {
				Code    string `json:"code"`
				Message string `json:"message"`
			} `json:"error"`
		}
		if json.Unmarshal(body, &answer) == nil {
			o.Wire = answer.Error.Code + ": " + answer.Error.Message
		} else {
			o.Wire = string(bytes.TrimSpace(body))
		}
		return
	}
	if !o.write() {
		o.Value = string(body)
	}
}

// workload is the clients and what they were told.
type workload struct {
	service *service
	began   time.Time
	rate    float64 // requests per second, of all clients together
	clients int

	sessions atomic.Int64
	values   atomic.Int64

	mu      sync.Mutex
	history []*operation
	journal *json.Encoder
}

// now is the time that operations and faults are noted by.
func (w *workload) now() time.Duration { return time.Since(w.began) }

func (w *workload) note(o *operation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history = append(w.history, o)
	_ = w.journal.Encode(o) // for whoever looks for what went wrong
}

// run runs the clients until ctx ends.
func (w *workload) run(ctx context.Context, seed uint64) {
	var clients sync.WaitGroup
	for i := range w.clients {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		clients.Go(func() {
			for ctx.Err() == nil {
				if err := w.session(ctx, rng); err != nil {
					pause(ctx, 20*time.Millisecond)
				}
			}
		})
	}
	clients.Wait()
}

// answerWait is how long clients wait for an answer: long enough to hear what a
// node says when it gives up waiting for others.
const answerWait = 4 * time.Second

// session is one connection to a node, any of those that were not killed.
func (w *workload) session(ctx context.Context, rng *rand.Rand) error {
	nodes := w.service.present()
	if len(nodes) == 0 {
		return errors.New("no node")
	}
	n := nodes[rng.IntN(len(nodes))]
	c, err := w.service.dial(ctx, n, time.Second)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	defer context.AfterFunc(ctx, func() { _ = c.conn.Close() })()
	id := w.sessions.Add(1)
	own := fmt.Sprintf("s%d", id)
	var asked []synod.TxID
	// In some sessions requests follow each other at once.
	hurried := rng.IntN(20) == 0
	for range 1 + rng.IntN(60) {
		o := &operation{Session: id, Node: n.name}
		w.choose(o, rng, own, asked)
		ended := c.do(o, answerWait, w.now)
		w.note(o)
		if o.Kind == kindPlain && o.ok() {
			asked = append(asked, o.TxID)
		}
		if ended {
			return nil
		}
		if !o.ok() {
			return errors.New(o.Wire)
		}
		if !hurried {
			pause(ctx, time.Duration(rng.ExpFloat64()*float64(w.clients)/w.rate*float64(time.Second)))
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// epoch is how long clients share keys; then they take others, so that no
// key's history grows beyond what can be checked.
const epoch = 5 * time.Second

// choose decides what is asked next: mostly for keys that all clients share,
// sometimes for the session's own.
func (w *workload) choose(o *operation, rng *rand.Rand, own string, asked []synod.TxID) {
	const keys = 4
	switch p := rng.IntN(100); {
	case p < 5 && len(asked) > 0:
		o.Kind, o.TxID = kindStatus, asked[rng.IntN(len(asked))]
		return
	case p < 25:
		o.Kind = kindPlain
	case p < 50:
		o.Kind = kindCommitted
	case p < 70:
		o.Kind = kindRead
	default:
		o.Kind = kindLinearizable
	}
	o.Key = fmt.Sprintf("e%dk%d", w.now()/epoch, rng.IntN(keys))
	if rng.IntN(4) == 0 {
		o.Key = own
	}
	if o.write() {
		o.Value = w.value(rng.IntN(400))
	}
}

// value is one that was never written before, and so many bytes more.
func (w *workload) value(more int) string {
	return fmt.Sprintf("v%d%s", w.values.Add(1), strings.Repeat(".", more))
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
