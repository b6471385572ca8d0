package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"sync/atomic"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"golang.org/x/sync/errgroup"

	"synod"
	"synod/app"
	"synod/internal/attest"
	"synod/internal/config"
	"synod/internal/consensus"
	"synod/internal/evidence"
	"synod/internal/frontend"
	"synod/internal/gov"
	"synod/internal/historical"
	"synod/internal/host"
	"synod/internal/httpd"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/peer"
	"synod/internal/secrets"
	"synod/internal/snapshot"
)

// Options are what a node is made of.
type Options struct {
	Config  *config.Config
	App     *app.App // nil: the JavaScript application that members deploy
	Logger  *slog.Logger
	Version string     // what /node/version says
	Scripts js.Backend // runs the JavaScript engine; "" is js.Wasm2Go
}

// Node is one node of a service.
type Node struct {
	opts Options
	cfg  *config.Config
	log  *slog.Logger

	id        *identityState
	service   *serviceState
	secrets   *secrets.Chain
	store     *kv.Store
	tree      *evidence.Tree
	machine   *machine.Machine
	ledger    *ledger.Log
	snapshots *snapshot.Dir
	// Digests of the files that clients fetch.
	snapshotDigests, chunkDigests fileDigests
	toSnapshot                    chan snapshotJob
	wantSnapshot                  chan struct{} // holds one: a newer one is needed
	toFetch                       chan uint64   // holds one: who offers one that this node needs
	offered                       offered
	overtaken                     atomic.Uint64  // the snapshot that this node went on after, or 0
	beginning                     *snapshot.File // that a joining node begins with, until it has loaded it; nil for none
	voucher                       string         // PEM of the service whose snapshot that is
	replica                       *consensus.Replica
	engine                        *js.Engine
	host                          *host.Host
	history                       *historical.History
	front                         *frontend.Server
	links                         *peer.Links
	roster                        *roster
	rpc                           map[string]*httpd.Listener
	sessions                      httpd.Gauge // over all client interfaces
	n2n                           net.Listener
	n2nAddr                       string
	verifier                      *evidence.Verifier // of other nodes' signatures; the verifying worker's
	driver                        attest.Driver
	attested                      attestation
	sealed                        sealed // what this node keeps on its disk of the service's secrets
	wrotePID                      bool
	genesis                       *genesis    // read at start, nil once the service is created
	recovering                    *recovering // of a node that recovers a service
	resumed                       atomic.Pointer[resumeBegin]
	startup                       synod.TxID // whose state this node began with: a snapshot's, or zero

	peerCert atomic.Pointer[tls.Certificate] // what peers see
	voters   atomic.Pointer[pb.ConfState]    // raft's committed configuration
	voting   atomic.Bool                     // this node has been a voter
	granted  atomic.Pointer[servedCert]      // endorsed by the service and committed
	changed  chan struct{}                   // something that keepMembership looks at
	tokens   tokenKeys

	origin      atomic.Uint64 // the first transaction of the service; noOrigin until that is known
	hidden      atomic.Bool   // the store holds public maps alone
	private     atomic.Pointer[privateRecovery]
	toSeal      chan struct{}    // something that keepSealed looks at
	toRead      chan synod.SeqNo // from this entry on the ledger secrets of the past are known
	ended       chan struct{}    // closed when the recovered service is open
	state       atomic.Pointer[startupState]
	unsettled   atomic.Bool // a recovery's: the ledger's files do not have their names yet
	govOpen     atomic.Bool
	appOpen     atomic.Bool
	serviceOpen atomic.Bool // the service is open, as far as this node knows
	stopNotice  atomic.Bool
	opened      chan struct{} // closed when the application's front end opens
}

// startupState is a node's own state (CCF: include/ccf/node_startup_state.h).
type startupState string

const (
	stateUninitialized        startupState = "Uninitialized"
	stateInitialized          startupState = "Initialized"
	statePending              startupState = "Pending"
	statePartOfNetwork        startupState = "PartOfNetwork"
	stateReadingPublicLedger  startupState = "ReadingPublicLedger"
	statePartOfPublicNetwork  startupState = "PartOfPublicNetwork"
	stateReadingPrivateLedger startupState = "ReadingPrivateLedger"
)

// takesPart are the states in which a node is one of the service's.
var takesPart = []startupState{statePartOfNetwork, statePartOfPublicNetwork, stateReadingPrivateLedger}

func (n *Node) setState(s startupState) { n.state.Store(&s) }

// Start makes a node as its configuration says, up to the point where Run can
// serve: files are written, listeners bound, identities made. On an error
// nothing is left listening, and no PID file is in the way of the next try.
func Start(opts Options) (*Node, error) {
	n := &Node{
		opts: opts, cfg: opts.Config, log: opts.Logger, opened: make(chan struct{}),
		roster: newRoster(), changed: make(chan struct{}, 1), tokens: tokenKeys{due: make(chan struct{}, 1)}, toSnapshot: make(chan snapshotJob, snapshotsWaitingMax),
		wantSnapshot: make(chan struct{}, 1), toFetch: make(chan uint64, 1),
	}
	n.toSeal = make(chan struct{}, 1)
	n.toRead, n.ended = make(chan synod.SeqNo, 1), make(chan struct{})
	n.origin.Store(noOrigin)
	n.setState(stateUninitialized)
	if err := n.start(); err != nil {
		n.close()
		n.removePID()
		return nil, err
	}
	return n, nil
}

// Run serves until ctx ends, then stops in order and returns nil; or returns
// the error that ended the node.
func (n *Node) Run(ctx context.Context) error {
	defer n.close()
	// Sessions end before the replica does, so that nobody who was answered
	// is left without an order.
	replicaCtx, stopReplica := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReplica()
	group, ctx := errgroup.WithContext(ctx)
	replicaDone := make(chan error, 1)
	group.Go(func() error { return n.runReplica(ctx, replicaCtx, replicaDone) })
	for name, l := range n.rpc {
		group.Go(func() error {
			if err := l.Serve(ctx, n.front); err != nil {
				return fmt.Errorf("serve interface %s: %w", name, err)
			}
			return nil
		})
	}
	group.Go(func() error { return n.keepMembership(ctx) })
	group.Go(func() error { return n.keepSealed(ctx) })
	group.Go(func() error { return n.keepSnapshots(ctx) })
	group.Go(func() error { return n.keepRecovery(ctx) })
	group.Go(func() error { return n.keepTokenKeys(ctx) })
	group.Go(func() error { return n.keepUp(ctx) })
	group.Go(func() error { return n.history.Run(ctx) })
	err := group.Wait()
	n.handOff()
	stopReplica()
	if rerr := <-replicaDone; err == nil {
		err = rerr
	}
	n.links.Close()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// close releases what Start took.
func (n *Node) close() {
	for _, l := range n.rpc {
		l.Close()
	}
	if n.n2n != nil {
		n.n2n.Close()
	}
	if n.ledger != nil {
		if err := n.ledger.Close(); err != nil {
			n.log.LogAttrs(context.Background(), slog.LevelWarn, "close ledger", slog.String("err", err.Error()))
		}
	}
	if n.engine != nil {
		n.engine.Close()
	}
}

// runReplica takes part in consensus, once the service lets this node or the
// ledger to recover is read, until it ends or ctx does. The replica's end is told to done.
func (n *Node) runReplica(ctx, replicaCtx context.Context, done chan<- error) error {
	var begin func(context.Context) error
	switch n.cfg.Command.Type {
	case config.CommandJoin:
		begin = n.join
	case config.CommandRecover:
		begin = n.recoverPublic
	}
	if begin != nil {
		err := begin(ctx)
		if err != nil || ctx.Err() != nil {
			done <- nil
			return err
		}
	}
	// What a snapshot brought is there by now, and no transaction of this node's
	// log yet: an index misses nothing.
	if n.opts.App != nil {
		if err := n.host.InstallIndexes(n.opts.App); err != nil {
			done <- nil
			return err
		}
	}
	ended := make(chan error, 1)
	go func() {
		err := n.replica.Run(replicaCtx)
		ended <- err
		done <- err
	}()
	links := make(chan error, 1)
	go func() { links <- n.links.Serve(replicaCtx, n.n2n) }()
	select {
	case err := <-ended:
		if err == nil {
			err = errors.New("consensus ended")
		}
		return err
	case err := <-links:
		if ctx.Err() == nil {
			return fmt.Errorf("serve the node-to-node interface: %w", err)
		}
		return nil
	case <-ctx.Done():
		return nil
	}
}

// handOffWait bounds how long a node that stops waits for its successor.
const handOffWait = time.Second

// handOff lets another node lead before this one goes. One that was handed the lead
// just now does not: all nodes are being stopped, and each would open a view of its
// own for nobody.
func (n *Node) handOff() {
	if !n.replica.Role().Leading || len(n.roster.trusted()) < 2 {
		return
	}
	if handed := n.replica.Peers().HandedTo; !handed.IsZero() && time.Since(handed) < n.cfg.Consensus.ElectionTimeout {
		return
	}
	n.replica.Transfer()
	deadline := time.After(handOffWait)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n.replica.Role().Leading {
		select {
		case <-deadline:
			return
		case <-tick.C:
		}
	}
}

// Opened is closed once the service is open on this node.
func (n *Node) Opened() <-chan struct{} { return n.opened }

// SetStopNotice makes the node say that it is about to stop.
func (n *Node) SetStopNotice() { n.stopNotice.Store(true) }

// Address is the bound address of a client interface, host:port.
func (n *Node) Address(name string) string {
	if l := n.rpc[name]; l != nil {
		return l.Addr().String()
	}
	return ""
}

// ServiceCertificate is the PEM of the service's certificate.
func (n *Node) ServiceCertificate() string { return n.service.cert() }

// Replica is this node's part in consensus, for metrics and benches.
func (n *Node) Replica() *consensus.Replica { return n.replica }

func (n *Node) buildFrontend() error {
	application := n.opts.App
	if application == nil {
		application = js.NewApp(n.engine, appHost{n}, n.log)
	}
	government := gov.New(gov.Config{Engine: n.engine, Node: govNode{n}, Log: n.log})
	always := func() bool { return true }
	accepted := map[string][]*regexp.Regexp{}
	unsecured := map[string]bool{}
	for name, itf := range n.cfg.Network.RPCInterfaces {
		unsecured[name] = itf.Authority == config.AuthorityUnsecured
		if itf.AcceptAll {
			continue
		}
		for _, text := range itf.AcceptedEndpoints {
			re, err := config.CompileEndpoint(text)
			if err != nil {
				return fmt.Errorf("interface %s: accepted endpoint %q: %w", name, text, err)
			}
			accepted[name] = append(accepted[name], re)
		}
	}
	documented, err := gov.Documented()
	if err != nil {
		return err
	}
	start := &n.cfg.Command.Start // of a node that joins, the service says
	n.history = n.newHistory()
	n.host = &host.Host{
		Replica: n.replica, Store: n.store, Secrets: n.secrets, Past: n.history,
		Issuer: start.COSEIssuer, Subject: start.COSESubject, NodeID: n.id.node,
	}
	front, err := frontend.New(frontend.Config{
		Replica: n.replica, Store: n.store, Cluster: cluster{n}, Interfaces: n.cfg.Network.RPCInterfaces, UncommittedMax: int(n.cfg.Consensus.UncommittedTxMax),
		Receipt: n.host.Receipt, Node: n.host, Accepted: accepted, Unsecured: unsecured, Logger: n.log, Now: time.Now,
		Mounts: []frontend.Mount{
			{Prefix: "/app", App: application, Open: n.appOpen.Load},
			{Prefix: "/gov", App: government, Open: n.govOpen.Load, Audit: true, Documented: documented},
			{Prefix: "/node", App: n.api(), Open: always},
		},
	})
	n.front = front
	return err
}

// appHost is what scripts may ask of consensus.
type appHost struct{ n *Node }

func (h appHost) LastCommitted() synod.TxID                   { return h.n.replica.Committed() }
func (h appHost) Status(id synod.TxID) synod.TxStatus         { return h.n.replica.Status(id) }
func (h appHost) ViewOf(seqno synod.SeqNo) (synod.View, bool) { return h.n.replica.ViewOf(seqno) }
func (h appHost) History() app.History                        { return h.n.history }

// govNode is what governance may ask of the node.
type govNode struct{ n *Node }

func (g govNode) RootAt(seqno synod.SeqNo) ([32]byte, error) { return g.n.tree.RootAt(seqno) }
func (g govNode) Committed() synod.TxID                      { return g.n.replica.Committed() }
func (g govNode) Status(id synod.TxID) synod.TxStatus        { return g.n.replica.Status(id) }
func (g govNode) Effects(tx app.Tx) *js.Effects              { return g.n.effects(tx) }
func (g govNode) SubmitShare(tx app.Tx, id synod.MemberID, share []byte) (int, bool, error) {
	return g.n.submitShare(tx, id, share)
}
func (g govNode) Recover(tx app.Tx) error { return g.n.recoverPrivate(tx) }
func (g govNode) ReadsPrivate() bool      { return *g.n.state.Load() == stateReadingPrivateLedger }
func (g govNode) OnMemberActive(tx app.Tx, id synod.MemberID) error {
	return g.n.memberActive(tx, id)
}

// ViewOf returns the view of an entry.
func (g govNode) ViewOf(seqno synod.SeqNo) (synod.View, bool) { return g.n.replica.ViewOf(seqno) }
