package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"synod/internal/config"
	"synod/internal/consensus"
	"synod/internal/evidence"
	"synod/internal/httpd"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/secrets"
)

// Exit codes of a node that could not start (CCF: src/host/run.cpp).
const (
	ExitPIDFile    = 103 // the PID file is there already
	ExitValidation = 105 // configuration or directories that cannot be used
)

// Error is a failure to start, with the exit code that says so.
type Error struct {
	Exit int
	Err  error
}

// Error returns the cause's text.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// start does what leads up to serving. The order of its effects on files is
// what CCF's test infrastructure waits for: PID file, address files,
// attestation files, certificates.
func (n *Node) start() error {
	if err := n.checkStart(); err != nil {
		return err
	}
	if err := n.writePID(); err != nil {
		return err
	}
	if err := n.bind(); err != nil {
		return err
	}
	if err := n.writeAddresses(); err != nil {
		return err
	}
	if err := n.findPlatform(); err != nil {
		return err
	}
	if err := n.newIdentities(time.Now()); err != nil {
		return err
	}
	if err := n.openSnapshots(); err != nil {
		return err
	}
	if err := n.chooseSnapshot(context.Background()); err != nil {
		return err
	}
	if err := n.openLedger(); err != nil {
		return err
	}
	if err := n.attest(); err != nil {
		return err
	}
	n.setState(stateInitialized)
	if err := n.build(); err != nil {
		return err
	}
	switch n.cfg.Command.Type {
	case config.CommandJoin:
		n.setState(statePending)
	case config.CommandRecover:
		n.setState(stateReadingPublicLedger)
	}
	return n.writeCertificates()
}

// checkStart refuses a start that would fail later or overwrite something.
func (n *Node) checkStart() error {
	if _, err := os.Lstat(n.cfg.OutputFiles.PIDFile); err == nil {
		return pidFileExists(n.cfg.OutputFiles.PIDFile)
	}
	var err error
	switch n.cfg.Command.Type {
	case config.CommandJoin:
		return n.readServiceCertificate()
	case config.CommandRecover:
		if n.recovering, err = readPrevious(n.cfg); err != nil {
			return &Error{ExitValidation, err}
		}
		return nil
	}
	if n.genesis, err = readGenesis(n.cfg); err != nil {
		return &Error{ExitValidation, err}
	}
	return nil
}

// pidFileExists is what CCF says, as the last line of its log: its suites
// compare it.
func pidFileExists(name string) error {
	return &Error{ExitPIDFile, fmt.Errorf("PID file %s already exists. Exiting.", name)} //nolint:staticcheck // see above
}

func (n *Node) openLedger() error {
	dir := n.cfg.Ledger.Directory
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return fmt.Errorf("read ledger directory: %w", err)
	case len(entries) > 0 && n.cfg.Command.Type == config.CommandStart:
		return &Error{ExitValidation, fmt.Errorf("On start, ledger directory should not exist or be empty (%s)", dir)} //nolint:staticcheck // CCF's text, compared by its suites
	}
	n.ledger, err = ledger.Open(ledger.Config{
		Dir: dir, ReadOnlyDirs: n.cfg.Ledger.ReadOnlyDirectories, Log: n.log, After: n.startup.SeqNo,
		Recover: n.cfg.Command.Type == config.CommandRecover, FS: n.disk(),
	})
	if errors.Is(err, ledger.ErrInUse) {
		return &Error{ExitValidation, err}
	}
	return err
}

// disk is the machine's, whose slow operations are logged.
func (n *Node) disk() ledger.FS { return ledger.LogSlow(ledger.Disk(), n.cfg.SlowIOThreshold, n.log) }

// bind opens every listener; requests wait until Run.
func (n *Node) bind() error {
	if err := n.bindPeers(); err != nil {
		return err
	}
	n.rpc = map[string]*httpd.Listener{}
	for name, itf := range n.cfg.Network.RPCInterfaces {
		l, err := httpd.Listen(httpd.Interface{
			Name: name, BindAddress: itf.BindAddress, AppProtocol: itf.AppProtocol,
			MaxBody: itf.HTTP.BodySizeMax, MaxHeader: itf.HTTP.HeaderSizeMax, MaxHeaders: int(itf.HTTP.HeadersCountMax),
			SoftCap: int(itf.SessionsSoft), HardCap: int(itf.SessionsHard),
			Unsecured: itf.Authority == config.AuthorityUnsecured,
			HTTP2: httpd.HTTP2{
				MaxStreams: uint32(itf.HTTP.StreamsMax), InitialWindow: int32(itf.HTTP.InitialWindowSize), MaxFrame: uint32(itf.HTTP.FrameSizeMax),
			},
			IdleTimeout:    n.cfg.IdleConnectionTimeout,
			GetCertificate: n.certificateFor(itf.Authority),
			Total:          &n.sessions,
			Log:            n.log,
		})
		if err != nil {
			return fmt.Errorf("bind interface %s: %w", name, err)
		}
		n.rpc[name] = l
	}
	return nil
}

// bindPeers opens the node-to-node interface. A host that has no address leaves
// the node unheard by its peers, as in CCF, whose clients it may serve all the
// same.
func (n *Node) bindPeers() error {
	bind := n.cfg.Network.NodeToNode.BindAddress
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", bind)
	if _, unknown := errors.AsType[*net.DNSError](err); unknown {
		n.log.LogAttrs(context.Background(), slog.LevelWarn, "no peer can reach this node: its node-to-node interface has no address",
			slog.String("bind_address", bind), slog.String("err", err.Error()))
		n.n2n, n.n2nAddr = &unheard{closed: make(chan struct{})}, bind
		return nil
	}
	if err != nil {
		return fmt.Errorf("bind the node-to-node interface: %w", err)
	}
	n.n2n, n.n2nAddr = l, l.Addr().String()
	return nil
}

// unheard is a listener to which nobody connects.
type unheard struct {
	closed chan struct{}
	once   sync.Once
}

func (u *unheard) Accept() (net.Conn, error) {
	<-u.closed
	return nil, net.ErrClosed
}

func (u *unheard) Close() error {
	u.once.Do(func() { close(u.closed) })
	return nil
}

func (u *unheard) Addr() net.Addr { return &net.TCPAddr{} }

// build wires the parts of a node.
func (n *Node) build() error {
	engine, err := js.NewEngine(js.Config{Log: n.log, Backend: n.opts.Scripts})
	if err != nil {
		return fmt.Errorf("start the JavaScript engine: %w", err)
	}
	n.engine = engine
	n.secrets = secrets.NewChain()
	n.store = kv.New()
	n.tree = evidence.NewTree()
	n.machine = machine.New(n.store, n.tree, n.secrets, uint64(n.cfg.Ledger.ChunkSize))
	n.machine.SnapshotEvery(uint64(n.cfg.Snapshots.TxCount))
	n.machine.OnSecrets = n.onNewLedgerSecret
	n.installHooks()
	name, err := consensus.RaftID(n.id.node)
	if err != nil {
		return err
	}
	var create func() (*machine.Prepared, error)
	switch n.cfg.Command.Type {
	case config.CommandStart:
		secret, err := secrets.NewSecret()
		if err != nil {
			return err
		}
		n.secrets.Set(1, secret)
		n.origin.Store(1)
		create = n.create
	case config.CommandRecover:
		n.hide()
		create = n.createRecovered
	}
	n.links = n.newLinks()
	n.replica, err = consensus.New(consensus.Config{
		ID: name, Log: n.ledger, Machine: n.machine, Signer: signer{sync.OnceValue(n.newSigner)}, Create: create, Recover: n.recovering != nil,
		Send: n.send, Verify: n.verifySignature, Wanted: n.roster.membership, Begins: n.roster.begins, Offer: n.offer, Fetch: n.fetchOffered, RecordChange: n.recordChange, Snapshot: n.snapshotDue,
		Tick: tick(n.cfg), ElectionTimeout: n.cfg.Consensus.ElectionTimeout, MessageTimeout: n.cfg.Consensus.MessageTimeout,
		SignatureTxCount: int(n.cfg.LedgerSignatures.TxCount), SignatureDelay: n.cfg.LedgerSignatures.Delay, Hold: consensus.DefaultHold,
		Logger: n.log,
	})
	if err != nil {
		return err
	}
	return n.buildFrontend()
}

func (n *Node) info(ctx context.Context, msg string, attrs ...slog.Attr) {
	n.log.LogAttrs(ctx, slog.LevelInfo, msg, attrs...)
}

// tick is raft's step of time: fine enough for the timeouts that are configured.
func tick(cfg *config.Config) time.Duration {
	return max(min(cfg.Consensus.MessageTimeout/4, 10*time.Millisecond), time.Millisecond)
}
