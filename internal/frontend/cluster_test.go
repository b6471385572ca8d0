package frontend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"synod"
	"synod/app"
	"synod/internal/config"
	"synod/internal/consensus"
	"synod/internal/httpd"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/machine"
)

// link says what becomes of what is forwarded.
type link int

const (
	linkUp          link = iota
	linkDown             // nothing is sent
	linkLosesAsk         // sent, never arrives
	linkLosesAnswer      // executed, and the answer never arrives
	linkBreaks           // executed, and then the connection ends
	linkGarbles          // executed, and answered by nonsense
)

// fakeService is several front ends in one process, with a toy in place of
// consensus: one order, and a commit that moves when the test says so.
type fakeService struct {
	nodes map[synod.NodeID]*fakeNode

	mu        sync.Mutex
	primary   synod.NodeID  // guarded by mu, "" if there is none
	view      synod.View    // guarded by mu
	log       []ordered     // guarded by mu: the primary's
	committed int           // guarded by mu: how many of log
	moved     chan struct{} // guarded by mu: closed when committed moves
}

type ordered struct {
	id synod.TxID
	ws *kv.WriteSet
}

// fakeNode is one front end, its Replica and its Cluster.
type fakeNode struct {
	*Server
	service *fakeService
	id      synod.NodeID
	store   *kv.Store
	ifaces  map[string]config.Interface

	// Guarded by the service's mu.
	leader synod.NodeID // whom it takes for the primary
	ids    []synod.TxID // what its store holds
	known  int          // how many of ids it knows to be committed
	lazy   bool         // compacts nothing

	meanwhile func() // what happens while GET /get/meanwhile runs

	mu       sync.Mutex
	role     consensus.Role // guarded by mu
	link     link           // guarded by mu
	isolated bool           // guarded by mu: ReadIndex finds no majority
	onSubmit func()         // guarded by mu: runs before a transaction is ordered
	asked    int            // guarded by mu: forwarded requests
}

// newService makes n1, n2 …; n1 leads in view 2. change may set up the
// interfaces of each node.
func newService(t testing.TB, n int, change func(*fakeNode)) *fakeService {
	t.Helper()
	s := &fakeService{nodes: map[synod.NodeID]*fakeNode{}, moved: make(chan struct{})}
	for i := range n {
		id := synod.NodeID("n" + string(rune('1'+i)))
		node := &fakeNode{service: s, id: id, store: kv.New(), ifaces: map[string]config.Interface{"main": config.DefaultInterface()}}
		if change != nil {
			change(node)
		}
		s.nodes[id] = node
	}
	for _, node := range s.nodes {
		node.serve(t, n > 1)
	}
	s.elect("n1", 2)
	tx := s.nodes["n1"].store.Begin()
	tx.Put("public:genesis", []byte("k"), []byte("v"))
	if _, err := s.nodes["n1"].Submit(machine.Prepare(tx, [32]byte{})); err != nil {
		t.Fatal(err)
	}
	tx.Release()
	s.commit()
	return s
}

func (n *fakeNode) serve(t testing.TB, cluster bool) {
	t.Helper()
	open := func() bool { return true }
	cfg := Config{
		Replica: n, Store: n.store, Interfaces: n.ifaces, Unsecured: map[string]bool{},
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Mounts: []Mount{
			{Prefix: "/app", App: testApp(n), Open: open},
			{Prefix: "/gov", App: testApp(n), Open: open, Audit: true},
			{Prefix: "/node", App: testApp(n), Open: open},
		},
	}
	if cluster {
		cfg.Cluster = n
	}
	var err error
	if n.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
}

// testApp is one table, and answers that begin with the node that ran them.
func testApp(n *fakeNode) *app.App {
	id := n.id
	const table = "public:records"
	a := app.New("test")
	write := func(c *app.Context) error {
		k, _ := c.Query("k")
		v, ok := c.Query("v")
		if !ok {
			v = string(c.Request.Body)
		}
		c.Tx().Put(table, []byte(k), []byte(v))
		c.Text(string(id) + " wrote " + v)
		return nil
	}
	read := func(c *app.Context) error {
		k, _ := c.Query("k")
		v, _ := c.Tx().Get(table, []byte(k))
		c.Text(string(id) + " has " + string(v))
		return nil
	}
	a.Post("/put", write)
	a.Post("/put/local", write).Forward(app.ForwardNever)
	a.Post("/put/fails", func(c *app.Context) error {
		c.Tx().Put(table, []byte("k"), []byte("v"))
		return synod.Errorf(418, "Teapot", "I am %s", string(id))
	})
	a.Get("/get", read).ReadOnly()
	a.Get("/get/always", read).ReadOnly().Forward(app.ForwardAlways)
	a.Get("/get/local", read).ReadOnly().Forward(app.ForwardNever)
	a.Get("/get/backup", read).ReadOnly().Redirect(app.RedirectToBackup)
	a.Get("/get/past", read).ReadOnly().Mode = app.Historical
	a.Get("/get/absent", func(c *app.Context) error {
		c.Tx().Has(table, []byte("k"))
		return synod.Errorf(404, synod.CodeResourceNotFound, "nothing")
	}).ReadOnly()
	a.Get("/get/meanwhile", func(c *app.Context) error { n.meanwhile(); return read(c) }).ReadOnly()
	a.Get("/state", func(c *app.Context) error { c.Text(string(id)); return nil }).NoTx()
	a.Post("/who", func(c *app.Context) error {
		c.Tx().Has(table, []byte("k"))
		c.Text(string(id) + " asked by " + hex.EncodeToString(sum(c.Caller.Cert)) + " on " + c.Request.URL + " with " + c.Request.Header.Get("x-mine") + " and " + string(c.Request.Body))
		c.SetHeader("x-answer", "yes")
		return nil
	}, app.AnyCert)
	return a
}

// elect makes a primary, of which the others learn at once.
func (s *fakeService) elect(id synod.NodeID, view synod.View) {
	s.win(id, view)
	for _, n := range s.nodes {
		s.learn(n)
	}
}

// win makes a primary, of which only itself knows yet. What the one before it
// had ordered and not committed is not in its log.
func (s *fakeService) win(id synod.NodeID, view synod.View) {
	s.mu.Lock()
	s.primary, s.view = id, view
	s.log = s.log[:s.committed:s.committed]
	s.mu.Unlock()
	if id != "" {
		s.learn(s.nodes[id])
	}
}

// learn tells a node who leads. It shows its new role before it forgets what
// the primary does not have.
func (s *fakeService) learn(n *fakeNode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.Role().View < s.view {
		n.become(consensus.Role{Leading: n.id == s.primary, View: s.view})
		n.forget()
	}
	n.leader = s.primary
	n.install()
}

// forget rolls back what is not known to be committed.
func (n *fakeNode) forget() {
	if len(n.ids) > n.known {
		n.ids = n.ids[:n.known]
		n.store.Rollback(n.ids[n.known-1])
	}
}

func (n *fakeNode) become(role consensus.Role) {
	n.mu.Lock()
	n.role = role
	n.mu.Unlock()
}

// standDown is a primary that has lost its majority.
func (s *fakeService) standDown(n *fakeNode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.become(consensus.Role{View: n.Role().View})
	n.forget()
	n.leader = ""
	if s.primary == n.id {
		s.primary = ""
		s.log = s.log[:s.committed:s.committed]
	}
}

// install gives a node what is committed.
func (n *fakeNode) install() {
	s := n.service
	for _, o := range s.log[min(len(n.ids), s.committed):s.committed] {
		n.put(o)
	}
	n.known = s.committed
	if !n.lazy {
		n.store.Compact(synod.SeqNo(n.known))
	}
}

func (n *fakeNode) put(o ordered) {
	if err := n.store.Commit(o.ws, o.id); err != nil {
		panic(err)
	}
	n.ids = append(n.ids, o.id)
}

// commit commits all that the primary has ordered; nodes of an earlier view
// do not hear of it.
func (s *fakeService) commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed = len(s.log)
	for _, n := range s.nodes {
		if n.Role().View == s.view {
			n.install()
		}
	}
	close(s.moved)
	s.moved = make(chan struct{})
}

func (n *fakeNode) Role() consensus.Role {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.role
}

func (n *fakeNode) Submit(p *machine.Prepared) (synod.TxID, error) {
	n.mu.Lock()
	hook := n.onSubmit
	n.onSubmit = nil
	n.mu.Unlock()
	if hook != nil {
		hook()
	}
	role := n.Role()
	if !role.Leading {
		return synod.TxID{}, consensus.ErrNotPrimary
	}
	s := n.service
	s.mu.Lock()
	defer s.mu.Unlock()
	o := ordered{synod.TxID{View: role.View, SeqNo: synod.SeqNo(len(n.ids) + 1)}, p.WriteSet()}
	n.put(o)
	if s.primary == n.id {
		s.log = append(s.log, o)
	}
	return o.id, nil
}

func (n *fakeNode) WaitCommitted(ctx context.Context, id synod.TxID, _ bool) (synod.TxStatus, *consensus.Proof, error) {
	for {
		n.service.mu.Lock()
		moved := n.service.moved
		n.service.mu.Unlock()
		if status := n.Status(id); status == synod.TxCommitted || status == synod.TxInvalid {
			return status, nil, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return "", nil, ctx.Err()
		}
	}
}

func (n *fakeNode) Committed() synod.TxID {
	n.service.mu.Lock()
	defer n.service.mu.Unlock()
	return n.committed()
}

func (n *fakeNode) committed() synod.TxID {
	if n.known == 0 {
		return synod.TxID{}
	}
	return n.ids[n.known-1]
}

func (n *fakeNode) Status(id synod.TxID) synod.TxStatus {
	n.service.mu.Lock()
	defer n.service.mu.Unlock()
	var view synod.View
	if id.SeqNo != 0 && int(id.SeqNo) <= len(n.ids) {
		view = n.ids[id.SeqNo-1].View
	}
	return synod.StatusOf(id, view, n.committed())
}

func (n *fakeNode) Uncommitted() int                    { return 0 }
func (n *fakeNode) ViewHistory(synod.View) []synod.TxID { return nil }
func (n *fakeNode) Interest()                           {}

func (n *fakeNode) Primary() (synod.NodeID, bool) {
	n.service.mu.Lock()
	defer n.service.mu.Unlock()
	return n.leader, n.leader != "" && n.leader != n.id
}

func (n *fakeNode) Address(id synod.NodeID, iface string) (string, bool) {
	if _, ok := n.service.nodes[id].ifaces[iface]; !ok {
		return "", false
	}
	return string(id) + "." + iface + ":443", true
}

func (n *fakeNode) Backups() []synod.NodeID {
	var list []synod.NodeID
	for id := range n.service.nodes {
		if id != n.id {
			list = append(list, id)
		}
	}
	return list
}

func (n *fakeNode) Forward(ctx context.Context, to synod.NodeID, request []byte) ([]byte, error) {
	n.mu.Lock()
	n.asked++
	l := n.link
	n.mu.Unlock()
	if l == linkDown {
		return nil, ErrUnreachable
	}
	if l == linkLosesAsk {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	answer := n.service.nodes[to].HandleForwarded(context.Background(), n.id, request)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch l {
	case linkLosesAnswer:
		<-ctx.Done()
		return nil, ctx.Err()
	case linkBreaks:
		return nil, context.Canceled
	case linkGarbles:
		return answer[:len(answer)-1], nil
	default:
		return answer, nil
	}
}

func (n *fakeNode) ReadIndex(ctx context.Context) (synod.SeqNo, error) {
	n.mu.Lock()
	isolated := n.isolated
	n.mu.Unlock()
	if isolated {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	s := n.service
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.Role().View != s.view || s.primary == "" {
		return 0, errors.New("no majority is of this view")
	}
	n.install()
	return synod.SeqNo(n.known), nil
}

// set changes how a node is connected.
func (n *fakeNode) set(change func(n *fakeNode)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

// forwardings is how often the node forwarded.
func (n *fakeNode) forwardings() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

// client is one session.
type client struct {
	t    testing.TB
	node *fakeNode
	hs   httpd.Session
}

func (s *fakeService) dial(t testing.TB, id synod.NodeID) *client {
	return &client{t: t, node: s.nodes[id], hs: httpd.Session{ID: 7, Interface: "main"}}
}

// do sends "METHOD /url" with header fields "name: value".
func (c *client) do(line string, fields ...string) *app.Response {
	c.t.Helper()
	return c.send(line, nil, fields...)
}

func (c *client) send(line string, body []byte, fields ...string) *app.Response {
	c.t.Helper()
	method, url, _ := strings.Cut(line, " ")
	req := &app.Request{Method: method, URL: url, Body: body, ClientCert: c.hs.ClientCert}
	req.Path, req.Query, _ = strings.Cut(url, "?")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header = append(req.Header, app.Field{Name: name, Value: value})
	}
	return c.node.Serve(c.t.Context(), &c.hs, req)
}

// want checks status and a part of the body.
func (c *client) want(resp *app.Response, status int, part string) {
	c.t.Helper()
	if resp.Status != status || !strings.Contains(string(resp.Body), part) {
		c.t.Errorf("got %d %q, want %d with %q", resp.Status, resp.Body, status, part)
	}
}

// sum is a short name of bytes.
func sum(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:4]
}

// clientCert makes a certificate in DER.
func clientCert(t testing.TB) []byte {
	t.Helper()
	key, err := identity.NewKey(identity.Secp256r1)
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.SelfSigned(key, identity.SelfSignedRequest{Subject: "CN=user", NotBefore: time.Now().Add(-time.Hour), Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	return der
}
