package gov_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"synod"
	"synod/app"
	"synod/internal/auth"
	"synod/internal/cose"
	"synod/internal/gov"
	"synod/internal/identity"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// service is a service of one node that orders what handlers write, without
// consensus, ledger or network.
type service struct {
	t     testing.TB
	store *kv.Store
	node  *node
	app   *app.App
	log   *log
	now   time.Time
	keep  bool // whether run commits
}

// node is the node's side of governance. Its effects are written down.
type node struct {
	mu      sync.Mutex
	root    func(synod.SeqNo) ([32]byte, error)
	effects []string
	fault   error // of every effect
	active  []synod.MemberID
	store   *kv.Store
	reading bool // private data
}

func (n *node) RootAt(seqno synod.SeqNo) ([32]byte, error) { return n.root(seqno) }
func (n *node) Committed() synod.TxID                      { return n.store.Tip() }

func (n *node) Status(id synod.TxID) synod.TxStatus {
	var view synod.View
	if id.SeqNo <= n.store.Tip().SeqNo {
		view = 2
	}
	return synod.StatusOf(id, view, n.Committed())
}

func (n *node) did(format string, args ...any) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.effects = append(n.effects, fmt.Sprintf(format, args...))
	return n.fault
}

func (n *node) Effects(app.Tx) *js.Effects {
	return &js.Effects{
		TriggerLedgerRekey:           func() error { return n.did("rekey") },
		TriggerRecoverySharesRefresh: func() error { return n.did("refresh shares") },
		TriggerLedgerChunk:           func() error { return n.did("chunk") },
		TriggerSnapshot:              func() error { return n.did("snapshot") },
		SetSealedResume:              func(allowed bool) error { return n.did("seal %v", allowed) },
		TransitionServiceToOpen: func(previous, next []byte) error {
			return n.did("open %d %d", len(previous), len(next))
		},
		LatestLedgerSecretSeqno: func() (synod.SeqNo, error) { return 1, n.did("latest secret") },
		GenerateEndorsedCertificate: func(_, from string, days int) (string, error) {
			return "node certificate", n.did("endorse from %s for %d", from, days)
		},
		GenerateNetworkCertificate: func(from string, days int) (string, error) {
			return "service certificate", n.did("renew from %s for %d", from, days)
		},
	}
}

// SubmitShare takes shares of one byte: 0 is the whole key.
func (n *node) SubmitShare(tx app.Tx, id synod.MemberID, share []byte) (int, bool, error) {
	if len(share) != 1 {
		return 0, false, secrets.ErrShares
	}
	tx.Put(tables.SubmittedShares, []byte(id), share)
	return tx.Len(tables.SubmittedShares), share[0] == 0, nil
}

func (n *node) Recover(app.Tx) error { return n.did("recover") }
func (n *node) ReadsPrivate() bool   { return n.reading }

func (n *node) OnMemberActive(_ app.Tx, id synod.MemberID) error {
	n.active = append(n.active, id)
	return n.fault
}

// log keeps the lines of one service; the engine is shared by all.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) Enabled(context.Context, slog.Level) bool { return true }
func (l *log) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *log) WithGroup(string) slog.Handler            { return l }

func (l *log) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

// count says how many lines contain text.
func (l *log) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// newService is an open service under a constitution, without members.
func newService(t testing.TB, constitution string) *service {
	t.Helper()
	return newServiceAt(t, constitution, time.Now)
}

// newServiceAt is newService with the clock of its scripts.
func newServiceAt(t testing.TB, constitution string, clock func() time.Time) *service {
	t.Helper()
	l := &log{}
	return newServiceOn(t, constitution, newEngine(t, js.Config{Log: slog.New(l), Now: clock}), l)
}

func newEngine(t testing.TB, cfg js.Config) *js.Engine {
	t.Helper()
	engine, err := js.NewEngine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	return engine
}

// newServiceOn is newService with an engine, and a log for the rest.
func newServiceOn(t testing.TB, constitution string, engine *js.Engine, l *log) *service {
	t.Helper()
	store := kv.New()
	n := &node{store: store, root: func(seqno synod.SeqNo) ([32]byte, error) {
		return sha256.Sum256(fmt.Append(nil, seqno)), nil
	}}
	s := &service{
		t: t, store: store, node: n, log: l, now: time.Unix(1_750_000_000, 0), keep: true,
		app: gov.New(gov.Config{Engine: engine, Node: n, Log: slog.New(l)}),
	}
	s.write(func(tx *kv.Tx) {
		put(t, tx, tables.Constitution, "", constitution)
		put(t, tx, tables.Service, "", tables.ServiceInfo{Cert: "the service certificate", Status: tables.ServiceOpen})
		put(t, tx, tables.ServiceConfiguration, "", tables.ServiceConfig{RecoveryThreshold: 1})
		put(t, tx, tables.Signatures, "", tables.SignatureRecord{Root: strings.Repeat("ab", 32)})
	})
	return s
}

// put writes a row as JSON; "" is the key of a table with one value.
func put(t testing.TB, tx *kv.Tx, table, key string, v any) {
	t.Helper()
	k := []byte(key)
	if key == "" {
		k = tables.UnitKey()
	}
	if err := tables.PutJSON(tx, table, k, v); err != nil {
		t.Fatal(err)
	}
}

// write commits what change writes.
func (s *service) write(change func(tx *kv.Tx)) {
	s.t.Helper()
	tx := s.store.Begin()
	defer tx.Release()
	change(tx)
	s.commit(tx)
}

func (s *service) commit(tx *kv.Tx) {
	s.t.Helper()
	ws := tx.WriteSet()
	if ws == nil {
		return
	}
	id := synod.TxID{View: 2, SeqNo: s.store.Tip().SeqNo + 1}
	if err := s.store.Commit(ws, id); err != nil {
		s.t.Fatal(err)
	}
}

// read returns a row as text and whether it is there.
func (s *service) read(table, key string) (string, bool) {
	tx := s.store.Begin()
	defer tx.Release()
	k := []byte(key)
	if key == "" {
		k = tables.UnitKey()
	}
	v, ok := tx.Get(table, k)
	return string(v), ok
}

// answer is what a client gets.
type answer struct {
	Status int
	Header app.Header
	Body   string
}

// code and message are of an error's body.
func (a *answer) code() string    { return a.field("code") }
func (a *answer) message() string { return a.field("message") }

func (a *answer) field(name string) string {
	var body struct {
		Error map[string]any `json:"error"`
	}
	if json.Unmarshal([]byte(a.Body), &body) != nil {
		return ""
	}
	text, _ := body.Error[name].(string)
	return text
}

// value reads a field of a JSON body.
func (a *answer) value(t testing.TB, name string) any {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		t.Fatalf("%s: %v", a.Body, err)
	}
	return body[name]
}

const version = "?api-version=2024-07-01"

// get sends a GET request to a path below /gov; the version is added.
func (s *service) get(path string) *answer {
	s.t.Helper()
	return s.send(&app.Request{Method: "GET", Path: "/gov" + path, Query: version[1:]})
}

// send does what a front end does with a request.
func (s *service) send(req *app.Request) *answer {
	s.t.Helper()
	a, _ := s.run(req)
	return a
}

// run is send; it also returns what the request wrote, committed or not.
func (s *service) run(req *app.Request) (*answer, *kv.WriteSet) {
	s.t.Helper()
	tx := s.store.Begin()
	defer tx.Release()
	endpoint, params := s.match(req)
	if endpoint == nil {
		s.t.Fatalf("no endpoint for %s %s", req.Method, req.Path)
	}
	c := app.NewContext(s.t.Context(), req, tx, endpoint, params)
	c.Prefix = "/gov"
	caller, err := auth.Authenticate(c, endpoint.Policies, s.now, &auth.Cache{})
	if err == nil {
		c.Caller = caller
		err = endpoint.Handler(c)
	}
	if err != nil {
		var shown *synod.Error
		if !errors.As(err, &shown) {
			shown = &synod.Error{Status: 500, Code: synod.CodeInternalError, Message: err.Error()}
		}
		c.Fail(shown)
	}
	if s.keep && c.AppliesWrites() {
		s.commit(tx)
	}
	r := c.Response()
	if r.Status == 0 {
		r.Status = 200
	}
	return &answer{r.Status, r.Header, string(r.Body)}, tx.WriteSet()
}

var placeholder = regexp.MustCompile(`\{([^}]+)\}(.?)`)

// match finds an endpoint by exact path, else by template.
func (s *service) match(req *app.Request) (*app.Endpoint, []app.Param) {
	path := strings.TrimPrefix(req.Path, "/gov")
	for _, e := range s.app.Endpoints() {
		if e.Method == req.Method && e.Path == path {
			return e, nil
		}
	}
	for _, e := range s.app.Endpoints() {
		var names []string
		pattern := placeholder.ReplaceAllStringFunc(e.Path, func(m string) string {
			sub := placeholder.FindStringSubmatch(m)
			names = append(names, sub[1])
			if sub[2] == "" || sub[2] == "/" {
				return "([^/]+)" + sub[2]
			}
			return "([^/" + sub[2] + "]+)" + sub[2]
		})
		found := regexp.MustCompile("^" + pattern + "$").FindStringSubmatch(path)
		if e.Method != req.Method || found == nil {
			continue
		}
		var params []app.Param
		for i, name := range names {
			params = append(params, app.Param{Name: name, Value: found[i+1]})
		}
		return e, params
	}
	return nil, nil
}

// member is a person who signs.
type member struct {
	*identity.Participant
	id string
}

func newMember(t testing.TB) *member {
	t.Helper()
	p, err := identity.NewMember("someone", "", time.Unix(1_749_999_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return &member{p, string(identity.MemberIDOf(p.CertDER))}
}

// addMembers adds active members; each has an encryption key.
func (s *service) addMembers(n int) []*member {
	s.t.Helper()
	var all []*member
	s.write(func(tx *kv.Tx) {
		for range n {
			m := newMember(s.t)
			all = append(all, m)
			tx.Put(tables.MemberCerts, []byte(m.id), []byte(m.CertPEM))
			tx.Put(tables.MemberEncryptionKeys, []byte(m.id), []byte("a key"))
			put(s.t, tx, tables.Members, m.id, tables.MemberInfo{Status: tables.MemberActive})
		}
	})
	return all
}

// post is a member's signed request. Time passes with each, so that no two
// are alike.
func (s *service) post(m *member, path string, h cose.GovHeader, payload string) *answer {
	s.t.Helper()
	return s.send(s.request(m, path, h, payload))
}

func (s *service) request(m *member, path string, h cose.GovHeader, payload string) *app.Request {
	s.t.Helper()
	if h.CreatedAt == 0 {
		s.now = s.now.Add(time.Second)
		h.CreatedAt = uint64(s.now.Unix())
	}
	b, err := cose.SignGov(m.Key, m.id, h, []byte(payload))
	if err != nil {
		s.t.Fatal(err)
	}
	return signedRequest(path, b)
}

func signedRequest(path string, body []byte) *app.Request {
	path, query, ok := strings.Cut(path, "?")
	if !ok {
		query = version[1:]
	}
	return &app.Request{
		Method: "POST", Path: "/gov" + path, Query: query, Body: body,
		Header: app.Header{{Name: "content-type", Value: "application/cose"}},
	}
}

func (s *service) propose(m *member, body string) *answer {
	s.t.Helper()
	return s.post(m, "/members/proposals:create", cose.GovHeader{MsgType: cose.MsgProposal}, body)
}

func (s *service) vote(m *member, proposal, ballot string) *answer {
	s.t.Helper()
	payload, err := json.Marshal(map[string]string{"ballot": ballot})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.post(m, "/members/proposals/"+proposal+"/ballots/"+m.id+":submit",
		cose.GovHeader{MsgType: cose.MsgBallot, ProposalID: proposal}, string(payload))
}

func (s *service) withdraw(m *member, proposal string) *answer {
	s.t.Helper()
	return s.post(m, "/members/proposals/"+proposal+":withdraw",
		cose.GovHeader{MsgType: cose.MsgWithdrawal, ProposalID: proposal}, "")
}

const (
	yes = "export function vote(proposal, proposerId) { return true; }"
	no  = "export function vote(proposal, proposerId) { return false; }"
)

// action is a proposal of one action.
func action(t testing.TB, name string, args any) string {
	t.Helper()
	a := map[string]any{"name": name}
	if args != nil {
		a["args"] = args
	}
	b, err := json.Marshal(map[string]any{"actions": []any{a}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// accept passes a proposal by the votes of every member.
func (s *service) accept(members []*member, body string) *answer {
	s.t.Helper()
	a := s.propose(members[0], body)
	if a.Status != 200 {
		return a
	}
	id, _ := a.value(s.t, "proposalId").(string)
	for _, m := range members {
		if a.value(s.t, "proposalState") != "Open" {
			break
		}
		if a = s.vote(m, id, yes); a.Status != 200 {
			return a
		}
	}
	return a
}

// sameJSON compares texts as JSON.
func sameJSON(t testing.TB, want, got string) bool {
	t.Helper()
	var w, g bytes.Buffer
	return canonical(want, &w) == nil && canonical(got, &g) == nil && bytes.Equal(w.Bytes(), g.Bytes())
}

func canonical(text string, into *bytes.Buffer) error {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	return json.NewEncoder(into).Encode(v)
}

// pathEscape is url.PathEscape, named for what tests use it.
func pathEscape(s string) string { return url.PathEscape(s) }
