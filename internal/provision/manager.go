package provision

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"synod/internal/archive"
	"synod/internal/arm"
)

// Options are what a Manager works with.
type Options struct {
	Store    *arm.Store
	Driver   Driver
	Operator *Operator
	Releases *Releases
	Log      *slog.Logger
	// Now is the clock by which certificates are renewed; nil is time.Now.
	Now func() time.Time

	// EndpointBind is the address that the networks' endpoints listen on, and
	// EndpointHost the one that clients are told; both default to 127.0.0.1. Ports
	// are taken from PortsFrom up to, without, PortsTo; defaults 8500 and 9500.
	EndpointBind, EndpointHost string
	PortsFrom, PortsTo         int
	// Hosts are names and addresses that certificates of nodes are valid for.
	Hosts []string
	// IdentityURI is where clients get a network's certificate from.
	IdentityURI func(network string) string

	// Stores are where backups may be kept; Scratch is a directory for copies of them.
	Stores  archive.Policy
	Scratch string

	// Handlers do the operations that are not brought about by what is wanted of a
	// network, such as backups, by kind.
	Handlers map[string]Handler

	// Fault is called before and after each step; tests end the process in it.
	Fault func(when string, s Step)
}

// Handler does an operation. It may be called again for the same one, after a crash.
// report adds a step, or ends the last one if it has the same name. While it runs
// nothing else is done for the network.
type Handler func(ctx context.Context, n arm.Network, op arm.Operation, report func(name, status, message string)) (result json.RawMessage, err error)

// Manager keeps every network of a store as its user wants it.
type Manager struct {
	o        Options
	running  context.Context // of Run
	nextPort atomic.Int64

	mu      sync.Mutex
	workers map[string]*worker     // guarded by mu, by the key of the network
	backups map[string]backupState // the same
}

// New makes a Manager. Run runs it.
func New(o Options) (*Manager, error) {
	if o.Store == nil || o.Driver == nil || o.Operator == nil || o.Releases == nil || o.Log == nil {
		return nil, errors.New("a manager needs a store, a driver, an operator, releases and a log")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, s := range []*string{&o.EndpointBind, &o.EndpointHost} {
		if *s == "" {
			*s = "127.0.0.1"
		}
	}
	if o.PortsFrom == 0 {
		o.PortsFrom, o.PortsTo = 8500, 9500
	}
	if o.PortsTo <= o.PortsFrom {
		return nil, fmt.Errorf("ports from %d to %d: there is none", o.PortsFrom, o.PortsTo)
	}
	o.Hosts = append([]string{o.EndpointHost}, o.Hosts...)
	m := &Manager{o: o, workers: map[string]*worker{}, backups: map[string]backupState{}}
	m.o.Handlers = map[string]Handler{arm.KindBackup: m.backup, arm.KindRehearse: m.rehearse}
	maps.Copy(m.o.Handlers, o.Handlers)
	return m, nil
}

// Run looks after all networks until the context ends. Their nodes go on then.
func (m *Manager) Run(ctx context.Context) error {
	var owned sync.WaitGroup
	defer owned.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m.running = ctx
	if err := m.tidyScratch(ctx); err != nil {
		m.o.Log.WarnContext(ctx, "copies of backups are left", "err", err.Error())
	}
	owned.Go(func() { m.keepBackups(ctx) })
	changes := m.o.Store.Watch(ctx)
	if err := m.all(ctx, &owned); err != nil && ctx.Err() == nil {
		return err
	}
	for change := range changes {
		switch change.Kind {
		case arm.ChangeNetwork, arm.ChangeOperation:
			m.tend(ctx, &owned, change.Network)
		case arm.ChangeAll:
			if err := m.all(ctx, &owned); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
	return nil
}

// all tends to every network that there is, and to those of which only an operation
// is left.
func (m *Manager) all(ctx context.Context, owned *sync.WaitGroup) error {
	networks, err := m.o.Store.Networks(ctx, arm.Filter{})
	if err != nil {
		return err
	}
	for _, n := range networks {
		m.tend(ctx, owned, n.ID)
	}
	operations, err := m.o.Store.RunningOperations(ctx)
	if err != nil {
		return err
	}
	for _, op := range operations {
		m.tend(ctx, owned, op.Network)
	}
	return nil
}

// tend has a network's worker look, which is started if it is not there.
func (m *Manager) tend(ctx context.Context, owned *sync.WaitGroup, id arm.NetworkID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.workers[id.Key()]; w != nil {
		w.wake()
		return
	}
	w := newWorker(m, id)
	m.workers[id.Key()] = w
	owned.Go(func() {
		w.run(ctx)
		m.mu.Lock()
		delete(m.workers, id.Key())
		m.mu.Unlock()
		// Somebody may have wanted the name again meanwhile.
		select {
		case <-w.nudge:
			if ctx.Err() == nil {
				m.tend(ctx, owned, id)
			}
		default:
		}
	})
}

func (m *Manager) fault(when string, s Step) {
	if m.o.Fault != nil {
		m.o.Fault(when, s)
	}
}

func trimScheme(uri string) string { return strings.TrimPrefix(uri, "https://") }

// sameKey says whether two PEM certificates are for the same key.
func sameKey(a, b string) bool {
	var keys [2]*ecdsa.PublicKey
	for i, text := range []string{a, b} {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return false
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return false
		}
		key, ok := cert.PublicKey.(*ecdsa.PublicKey)
		if !ok {
			return false
		}
		keys[i] = key
	}
	return keys[0].Equal(keys[1])
}
