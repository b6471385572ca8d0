package js

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// fakeTx is a transaction on a map: its writes are seen at once.
type fakeTx struct {
	maps     map[string]map[string][]byte
	versions map[string]synod.SeqNo
	at       synod.TxID
}

func newFakeTx() *fakeTx {
	return &fakeTx{
		maps: map[string]map[string][]byte{}, versions: map[string]synod.SeqNo{},
		at: synod.TxID{View: 2, SeqNo: 10},
	}
}

func (t *fakeTx) Get(m string, k []byte) ([]byte, bool) { v, ok := t.maps[m][string(k)]; return v, ok }
func (t *fakeTx) Has(m string, k []byte) bool           { _, ok := t.maps[m][string(k)]; return ok }
func (t *fakeTx) Put(m string, k, v []byte) {
	if t.maps[m] == nil {
		t.maps[m] = map[string][]byte{}
	}
	t.maps[m][string(k)] = bytes.Clone(v)
	t.versions[m+"\x00"+string(k)] = t.at.SeqNo
}
func (t *fakeTx) Delete(m string, k []byte) { delete(t.maps[m], string(k)) }
func (t *fakeTx) Clear(m string)            { clear(t.maps[m]) }
func (t *fakeTx) ForEach(m string, visit func(k, v []byte) bool) {
	t.Range(m, nil, nil, visit)
}

func (t *fakeTx) Range(m string, from, to []byte, visit func(k, v []byte) bool) {
	var keys []string
	for k := range t.maps[m] {
		if k >= string(from) && (to == nil || k < string(to)) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for _, k := range keys {
		if !visit([]byte(k), t.maps[m][k]) {
			return
		}
	}
}
func (t *fakeTx) Len(m string) int { return len(t.maps[m]) }
func (t *fakeTx) VersionOfPreviousWrite(m string, k []byte) (synod.SeqNo, bool) {
	v, ok := t.versions[m+"\x00"+string(k)]
	return v, ok
}
func (t *fakeTx) ReadVersion() synod.TxID { return t.at }

// copied is another transaction on the same state.
func (t *fakeTx) copied() *fakeTx {
	c := newFakeTx()
	c.at = t.at
	for m, rows := range t.maps {
		c.maps[m] = maps.Clone(rows)
	}
	c.versions = maps.Clone(t.versions)
	return c
}

// next makes a transaction after t's.
func (t *fakeTx) next() { t.at.SeqNo++ }

type fakeHost struct{}

func (fakeHost) LastCommitted() synod.TxID { return synod.TxID{View: 2, SeqNo: 7} }
func (fakeHost) Status(id synod.TxID) synod.TxStatus {
	return synod.StatusOf(id, 2, synod.TxID{View: 2, SeqNo: 7})
}
func (fakeHost) ViewOf(n synod.SeqNo) (synod.View, bool) { return 2, n < 10 }

// History has the transactions 2.1 to 2.7, each of which wrote its ID under "k"
// in public:t and t and in public:ccf.gov.x; the handle 99 is never ready.
func (fakeHost) History() app.History { return fakeHistory{} }

type fakeHistory struct{}

func (h fakeHistory) State(id synod.TxID) (*app.State, error) {
	switch {
	case id.SeqNo > 7:
		return nil, synod.Errorf(404, synod.CodeTransactionPendingOrUnknown, "%s is Unknown", id)
	case id.View != 2:
		return nil, synod.Errorf(404, synod.CodeTransactionInvalid, "%s is Invalid", id)
	}
	states, err := h.StateRange(uint64(id.SeqNo), id.SeqNo, id.SeqNo, 0)
	if err != nil {
		return nil, err
	}
	return states[0], nil
}

func (h fakeHistory) StateRange(handle uint64, from, to synod.SeqNo, expiry time.Duration) ([]*app.State, error) {
	var seqnos []synod.SeqNo
	for n := from; n <= to; n++ {
		seqnos = append(seqnos, n)
	}
	return h.States(handle, seqnos, expiry)
}

func (fakeHistory) States(handle uint64, seqnos []synod.SeqNo, _ time.Duration) ([]*app.State, error) {
	var states []*app.State
	for _, n := range seqnos {
		if n > 7 || handle == 99 {
			return nil, app.ErrNotYet
		}
		if n == 0 {
			return nil, errors.New("there is no transaction 0")
		}
		tx := newFakeTx()
		tx.at = synod.TxID{View: 2, SeqNo: n}
		for _, m := range []string{"t", "public:t", "public:ccf.gov.x"} {
			tx.Put(m, []byte("k"), []byte(tx.at.String()))
		}
		proof := &app.Proof{Receipt: []byte(`{"cert":"C","leaf_components":{"claims_digest":"cd","commit_evidence":"ce","write_set_digest":"wsd"},"node_id":"n","proof":[{"left":"l"}],"signature":"s"}`)}
		if n == 7 {
			proof.Receipt = []byte(`{"leaf":"root","node_id":"n","proof":[],"signature":"s"}`)
		}
		states = append(states, app.NewState(tx, func() (*app.Proof, error) { return proof, nil }, nil))
	}
	return states, nil
}

func (fakeHistory) Drop(handle uint64) bool { return handle == 1 }

func (fakeHistory) At(synod.SeqNo, []string, func(app.Reader) error) error { return nil }

func (fakeHistory) Resumable(synod.TxID) error { return nil }

// Admits lets anybody in.
func (fakeHistory) Admits(app.FeedQuery) error { return nil }

func (fakeHistory) Changes(context.Context, app.FeedQuery, func(*app.State) error, func(synod.TxID) error) error {
	return nil
}

// meeting holds the calls that ask for the last commit until both is closed.
type meeting struct {
	fakeHost
	waiting chan struct{}
	both    chan struct{}
}

func (m meeting) LastCommitted() synod.TxID {
	select {
	case m.waiting <- struct{}{}:
		<-m.both
	case <-m.both:
	}
	return m.fakeHost.LastCommitted()
}

// service is an application on one set of tables.
type service struct {
	t   testing.TB
	eng *Engine
	app *app.App
	tx  *fakeTx
	log *logBuffer
}

// logBuffer keeps what was logged as "LEVEL tag message".
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.buf.String()), "\n")
}

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func newService(t testing.TB, b Backend) *service {
	t.Helper()
	return newServiceOn(t, newTestEngine(t, b))
}

func newServiceOn(t testing.TB, eng *Engine) *service {
	s := &service{t: t, tx: newFakeTx(), log: &logBuffer{}, eng: eng}
	eng.log = s.log.logger()
	s.app = NewApp(eng, fakeHost{}, eng.log)
	return s
}

// exceptionOf is what a script threw, nil if nothing failed.
func exceptionOf(t testing.TB, err error) *Exception {
	t.Helper()
	var x *Exception
	if err != nil && !errors.As(err, &x) {
		t.Fatal(err)
	}
	return x
}

// deploy does what set_js_app does: modules by name, endpoints by
// "METHOD /path module function" with optional JSON properties after it.
func (s *service) deploy(modules map[string]string, endpoints ...string) {
	s.t.Helper()
	s.tx.next()
	s.tx.Clear(tables.Modules)
	s.tx.Clear(tables.Endpoints)
	for name, source := range modules {
		s.tx.Put(tables.Modules, []byte("/"+name), []byte(source))
	}
	for _, e := range endpoints {
		f := strings.SplitN(e, " ", 5)
		props := map[string]any{
			"js_module": "/" + f[2], "js_function": f[3], "forwarding_required": "sometimes",
			"authn_policies": []string{"no_auth"}, "mode": "readwrite",
		}
		if len(f) == 5 {
			if err := json.Unmarshal([]byte(f[4]), &props); err != nil {
				s.t.Fatal(err)
			}
		}
		row, err := json.Marshal(props)
		if err != nil {
			s.t.Fatal(err)
		}
		s.tx.Put(tables.Endpoints, []byte(f[0]+" "+f[1]), row)
	}
	s.tx.Put(tables.InterpreterFlush, tables.UnitKey(), []byte("true"))
}

func (s *service) options(o string) {
	s.tx.next()
	s.tx.Put(tables.JSRuntime, tables.UnitKey(), []byte(o))
}

// answer is a response as a client sees it.
type answer struct {
	Status  int
	Type    string
	Body    string
	Header  app.Header
	Applies bool
	Claims  [32]byte
}

// do sends a request; change may adapt it.
func (s *service) do(method, path, body string, change ...func(*app.Context)) answer {
	s.t.Helper()
	a, err := s.try(method, path, body, change...)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (s *service) try(method, path, body string, change ...func(*app.Context)) (answer, error) {
	s.tx.next()
	bare, query, _ := strings.Cut(path, "?")
	m, err := s.app.Resolver().Resolve(s.tx, method, bare)
	if err != nil {
		var e *synod.Error
		if errors.As(err, &e) {
			return errorAnswer(e), nil
		}
		return answer{}, err
	}
	if m == nil {
		return answer{Status: 404}, nil
	}
	if m.Endpoint == nil {
		return answer{Status: 405, Body: strings.Join(slices.Sorted(slices.Values(m.Allow)), ",")}, nil
	}
	req := &app.Request{
		Method: method, URL: "/app" + path, Path: "/app" + bare, Query: query, Body: []byte(body),
		Header: app.Header{{Name: "host", Value: "example.com:8000"}, {Name: "x-b", Value: "2"}, {Name: "accept", Value: "*/*"}},
	}
	if m.Endpoint.Mode == app.Historical {
		req.Header.Set(app.TransactionHeader, "2.3")
	}
	c := app.NewContext(s.t.Context(), req, s.tx, m.Endpoint, m.Params)
	c.Prefix = "/app"
	c.Caller = &app.Caller{Policy: "no_auth"}
	for _, f := range change {
		f(c)
	}
	if err := m.Endpoint.Handler(c); err != nil {
		var e *synod.Error
		if !errors.As(err, &e) {
			return answer{}, err
		}
		return errorAnswer(e), nil
	}
	r := c.Response()
	return answer{
		Status: r.Status, Type: r.Header.Get("content-type"), Body: string(r.Body), Header: r.Header,
		Applies: c.AppliesWrites(), Claims: c.Claims(),
	}, nil
}

func errorAnswer(e *synod.Error) answer {
	b, err := e.MarshalJSON()
	if err != nil {
		panic(err)
	}
	return answer{Status: e.Status, Body: string(b)}
}
