package historical

import (
	"container/list"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"synod"
	"synod/app"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
	"synod/internal/tables"
)

const (
	// workers is how many requests are fetched at the same time.
	workers = 4
	// queueMax bounds the requests that wait for a worker.
	queueMax = 256
	// patience is how long a request waits for what it asked for before it is
	// told to come back: mostly nobody has to.
	patience = 250 * time.Millisecond
	// sweepEvery is how often expired requests are looked for.
	sweepEvery = time.Second
	// DefaultSoftLimit bounds what is kept, in bytes, if Config does not say
	// (CCF: src/host/configuration.h, historical_cache_soft_limit).
	DefaultSoftLimit = 512 << 20
)

// Config is what a History reads from. All functions may be called from several
// goroutines; those of *consensus.Replica have what is needed.
type Config struct {
	// Entries reads the bytes of the entries from..to, fewer if they are more
	// than maxBytes, but at least one.
	Entries func(from, to synod.SeqNo, maxBytes int) ([][]byte, error)
	// SignatureAfter is the first committed signature above seqno, false if that
	// must be looked for in the ledger.
	SignatureAfter func(seqno synod.SeqNo) (synod.SeqNo, bool)
	ViewOf         func(seqno synod.SeqNo) (synod.View, bool)
	Status         func(id synod.TxID) synod.TxStatus
	Committed      func() synod.TxID
	// Moved is closed when commit has moved since.
	Moved func() <-chan struct{}
	Store *kv.Store
	// Hidden says that Store lacks private maps, and is not told of writes to
	// them: the service is being recovered. Nil: never.
	Hidden func() bool
	// Secrets are those that the node knows; older ones are found.
	Secrets *secrets.Chain
	// Service is the service's present identity. key is nil on a node that does
	// not hold it; receipts from before a recovery then lack an endorsement.
	Service func() (key *ecdsa.PrivateKey, cert *x509.Certificate)

	SoftLimit int64            // bytes; DefaultSoftLimit if zero
	Now       func() time.Time // time.Now if nil
	Logger    *slog.Logger     // discards if nil
}

// History is the past of a service. See New.
type History struct {
	cfg        Config
	older      *olderSecrets
	signatures *signatureCache
	services   services
	queue      chan func(context.Context) // for the workers
	scan       chan struct{}              // there are followers that have not caught up
	feeds      feeds

	mu        sync.Mutex
	requests  map[uint64]*request           // guarded by mu; by handle
	recent    *list.List                    // guarded by mu; of *request, most recently used first
	states    map[synod.SeqNo]*shared       // guarded by mu; what the requests hold
	held      int64                         // guarded by mu; bytes of states, also those being fetched, timelines and checkpoints
	counts    struct{ hits, misses uint64 } // guarded by mu
	followers []*Follower                   // guarded by mu; for the next scan
	all       []*Follower                   // guarded by mu; that have not ended
	timelines map[string]*timeline          // guarded by mu; by their maps
	uses      int64                         // guarded by mu; of timelines
	saidLacks time.Time                     // guarded by mu; see lacks
	// checkpoints and tooLarge are guarded by mu, by the maps: what timelines can
	// begin with, and from which entry on they take too much.
	checkpoints map[string]*checkpoints
	tooLarge    map[string]synod.SeqNo

	checkpointEvery synod.SeqNo // the constant, but in tests
}

var _ app.History = (*History)(nil)

// New makes a history. Nothing is fetched before Run.
func New(cfg Config) *History {
	if cfg.SoftLimit <= 0 {
		cfg.SoftLimit = DefaultSoftLimit
	}
	if cfg.Hidden == nil {
		cfg.Hidden = func() bool { return false }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &History{
		cfg: cfg, older: &olderSecrets{chain: secrets.NewChain()}, signatures: newSignatureCache(),
		queue: make(chan func(context.Context), queueMax), scan: make(chan struct{}, 1),
		checkpointEvery: checkpointEvery, requests: map[uint64]*request{}, recent: list.New(), states: map[synod.SeqNo]*shared{},
	}
}

// Run fetches what is asked for, tells followers of the past, and forgets what
// has expired, until ctx ends.
func (h *History) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	for range workers {
		group.Go(func() { h.work(ctx) })
	}
	group.Go(func() { h.follow(ctx) })
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			h.sweep()
		}
	}
}

// State returns one transaction. See app.History.
func (h *History) State(id synod.TxID) (*app.State, error) {
	if err := h.available(id); err != nil {
		return nil, err
	}
	states, err := h.StateRange(uint64(id.SeqNo), id.SeqNo, id.SeqNo, app.DefaultExpiry)
	switch wire := (*synod.Error)(nil); {
	case errors.Is(err, app.ErrNotYet):
		return nil, &unavailableError{id, err}
	case errors.As(err, &wire):
		return nil, err
	case err != nil:
		return nil, synod.Errorf(500, synod.CodeTransactionPendingOrUnknown, "Historical transaction %s failed with error: %s", id, err)
	}
	return states[0], nil
}

// available refuses a transaction that is not committed, and during a recovery
// one of the service before: its secrets are not there yet. Texts are CCF's
// (CCF: src/node/historical_queries_adapter.cpp).
func (h *History) available(id synod.TxID) error {
	code := synod.CodeTransactionPendingOrUnknown
	switch status := h.cfg.Status(id); status {
	case synod.TxCommitted:
	case synod.TxInvalid:
		code = synod.CodeTransactionInvalid
		fallthrough
	default:
		return synod.Errorf(404, code, "Only committed transactions can be queried. Transaction %s is %s", id, status)
	}
	info, ok, err := h.serviceNow()
	if err != nil || !ok || info.Status == tables.ServiceOpen {
		return err
	}
	if created := info.CurrentServiceCreateTxID; created != nil && id.View < created.View {
		return synod.Errorf(404, synod.CodeTransactionInvalid,
			"Historical transaction %s is not signed by the current service identity key and cannot be retrieved until recovery is complete.", id)
	}
	return nil
}

// unavailableError says, in CCF's words, that a transaction may come later.
type unavailableError struct {
	id    synod.TxID
	cause error // is app.ErrNotYet
}

func (e *unavailableError) Error() string {
	text := "Historical transaction " + e.id.String() + " is not currently available."
	if errors.Is(e.cause, ledger.ErrNotFound) {
		text += " The ledger of this node does not hold it: ask another node, or put the chunk with it into one of the node's ledger.read_only_directories."
	}
	return text
}

func (e *unavailableError) Unwrap() error { return e.cause }

// notHeld says that the node's directories lack an entry. A chunk may be put
// there at any time, so that it is not there yet.
func notHeld(err error) error { return fmt.Errorf("%w: %w", app.ErrNotYet, err) }

// Usage is what a History holds, for metrics.
type Usage struct {
	Feeds        int
	FeedsBehind  int // far
	Requests     int
	States       int
	Bytes, Limit int64
	Hits, Misses uint64 // requests that were answered from memory, and those that were not
}

// Usage says what is held now.
func (h *History) Usage() Usage {
	h.feeds.mu.Lock()
	feeds := h.feeds.all
	h.feeds.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	return Usage{
		Feeds: feeds.open, FeedsBehind: feeds.behind, Requests: len(h.requests), States: len(h.states), Bytes: h.held, Limit: h.cfg.SoftLimit,
		Hits: h.counts.hits, Misses: h.counts.misses,
	}
}

// serviceNow is the service's row as it is now.
func (h *History) serviceNow() (tables.ServiceInfo, bool, error) {
	tx := h.cfg.Store.Begin()
	defer tx.Release()
	info, ok, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
	if err != nil {
		err = fmt.Errorf("the service's record: %w", err)
	}
	return info, ok, err
}
