package frontend

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"synod"
	"synod/internal/config"
	"synod/internal/consensus"
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
