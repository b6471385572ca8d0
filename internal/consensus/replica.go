package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"synod"
	"synod/internal/evidence"
	"synod/internal/ledger"
	"synod/internal/machine"
)

// Errors that Submit returns besides kv.ErrConflict.
var (
	// ErrNotPrimary says that this node does not lead, or stopped leading
	// before the transaction was ordered: nothing was recorded.
	ErrNotPrimary = errors.New("this node is not the primary")
	// ErrDropped says that raft refused the transaction for now: nothing was
	// recorded and the caller may try again.
	ErrDropped = errors.New("the transaction was refused by consensus")
	// ErrTooMuch says that too many bytes wait to be committed: nothing was
	// recorded and the caller may try again.
	ErrTooMuch = errors.New("too many bytes wait to be committed")
	// ErrStopped says that the replica has ended.
	ErrStopped = errors.New("the node is stopping")
)

// Defaults of Config.
const (
	// DefaultSignatureTxCount is how many transactions one signature covers at
	// most (CCF: ledger_signatures.tx_count).
	DefaultSignatureTxCount = 5000
	// DefaultSignatureDelay is how long a transaction stays unsigned at most
	// (CCF: ledger_signatures.delay).
	DefaultSignatureDelay = time.Second
	// DefaultQuiet is how long no transaction arrives before one signs anyway.
	DefaultQuiet = 2 * time.Millisecond
	// signingShare is which part of one core signing may take: a signature
	// that cost d is followed by none for (signingShare-1)·d.
	signingShare = 10
	// signingBurst is how many signatures' worth of that gap may be saved up
	// while idle, so that a lone client never waits for the gap.
	signingBurst = 4
	// batchMax bounds the entries of one proposal to raft.
	batchMax = 512
	// queueMax bounds the submissions that wait to be ordered.
	queueMax = 4096
	// diskMax bounds the appends handed to the storage goroutine and not done.
	diskMax = 64
	// uncommittedBytesMax bounds the memory of entries that are ordered and not
	// committed. It is held before ordering, so that raft never has to refuse.
	uncommittedBytesMax = 256 << 20
	// signRetry is how long a signature that failed is not tried again.
	signRetry = 100 * time.Millisecond
)

// Config is what a Replica is made of. Everything but the durations and counts
// is required; those fall back to the defaults above.
type Config struct {
	ID      uint64 // raft's name of this node; never used twice in a service
	Log     *ledger.Log
	Machine *machine.Machine
	Signer  *evidence.Signer
	// Create makes the first transaction of a new service; the replica releases
	// it.
	Create func() (*machine.Prepared, error)

	Tick             time.Duration // 10 ms if zero
	ElectionTimeout  time.Duration // maximum; 5 s if zero
	MessageTimeout   time.Duration // heartbeat; 100 ms if zero
	SignatureTxCount int
	SignatureDelay   time.Duration
	Quiet            time.Duration

	Logger *slog.Logger
}

// Replica is one node's part in consensus.
type Replica struct {
	cfg   Config
	store *store

	// owned by the replica goroutine
	raft    *raft.RawNode
	leading bool
	view    synod.View
	last    synod.SeqNo // newest ordered entry
	signing bool        // a signature is being made; ordering waits
	signer  signState
	sigs    []pendingSignature // ordered and not yet committed, oldest first
	pending uint64             // bytes of entries ordered since the start, signatures left out
	settled uint64             // how many of them are committed
	failed  error              // the disk refused; no more is ordered
	batch   []*Submission
	onDisk  int // appends handed to the storage goroutine and not done

	submissions chan *Submission
	disk        chan diskOp
	stored      chan storedOp
	toSign      chan signJob
	signatures  chan signResult
	wake        chan struct{}
	done        chan struct{}

	// published by the replica goroutine, read by any
	committed atomic.Pointer[synod.TxID]
	ordered   atomic.Uint64 // seqno of the newest ordered entry
	role      atomic.Pointer[Role]
	interest  atomic.Bool // somebody polled for an uncommitted transaction
	signed    signedIndex
	waiters   waiters
	counters  counters
}

// pendingSignature is a signature that is not committed.
type pendingSignature struct {
	*evidence.Signature
	upTo uint64 // Replica.pending when it was ordered
}

// Role is what a replica knows of who leads.
type Role struct {
	Leading bool
	Leader  uint64 // raft's name of the leader, 0 if unknown
	View    synod.View
}

// New makes the replica of a new service: an empty log and a configuration of
// itself alone. Run then elects it in view 2.
func New(cfg Config) (*Replica, error) {
	if cfg.Log.Last() != 0 {
		return nil, fmt.Errorf("start a service on a ledger that holds %d entries", cfg.Log.Last())
	}
	cfg = withDefaults(cfg)
	r := &Replica{
		cfg:         cfg,
		store:       newStore(cfg.Log, &pb.ConfState{Voters: []uint64{cfg.ID}}, &pb.HardState{Term: new(uint64(1))}, nil),
		submissions: make(chan *Submission, queueMax),
		disk:        make(chan diskOp, 2*diskMax),
		stored:      make(chan storedOp, 2*diskMax),
		toSign:      make(chan signJob, 1),
		signatures:  make(chan signResult, 1),
		wake:        make(chan struct{}, 1),
		done:        make(chan struct{}),
	}
	r.waiters.bySeqNo = map[synod.SeqNo][]*waiter{}
	r.committed.Store(&synod.TxID{})
	r.role.Store(&Role{})
	ticks := max(int(cfg.ElectionTimeout/2/cfg.Tick), 2)
	rn, err := raft.NewRawNode(&raft.Config{
		ID:                        cfg.ID,
		ElectionTick:              ticks,
		HeartbeatTick:             min(max(int(cfg.MessageTimeout/cfg.Tick), 1), ticks-1),
		Storage:                   r.store,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             1 << 20,
		MaxInflightMsgs:           256,
		CheckQuorum:               true,
		PreVote:                   true,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		Logger:                    raftLogger{cfg.Logger},
	})
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	r.raft = rn
	return r, nil
}

func withDefaults(cfg Config) Config {
	if cfg.Tick == 0 {
		cfg.Tick = 10 * time.Millisecond
	}
	if cfg.ElectionTimeout == 0 {
		cfg.ElectionTimeout = 5 * time.Second
	}
	if cfg.MessageTimeout == 0 {
		cfg.MessageTimeout = 100 * time.Millisecond
	}
	if cfg.SignatureTxCount == 0 {
		cfg.SignatureTxCount = DefaultSignatureTxCount
	}
	if cfg.SignatureDelay == 0 {
		cfg.SignatureDelay = DefaultSignatureDelay
	}
	if cfg.Quiet == 0 {
		cfg.Quiet = DefaultQuiet
	}
	return cfg
}

// Run is the replica goroutine. It elects the replica of a new service, then
// serves until ctx ends (nil) or the disk fails (the error). Transactions that
// were answered before are on disk when it returns.
func (r *Replica) Run(ctx context.Context) error {
	defer close(r.done)
	workers := make(chan struct{}, 2)
	go func() { r.runStorage(); workers <- struct{}{} }()
	go func() { r.runSigner(); workers <- struct{}{} }()
	defer func() {
		close(r.toSign)
		close(r.disk)
		for range 2 {
			<-workers
		}
	}()

	ticker := time.NewTicker(r.cfg.Tick)
	defer ticker.Stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()

	if err := r.raft.Campaign(); err != nil {
		return fmt.Errorf("campaign: %w", err)
	}
	for {
		r.ready()
		timer.Reset(r.sign(time.Now()))
		select {
		case <-ctx.Done():
			r.stop()
			return nil
		case s := <-r.accepting():
			r.order(s)
		case op := <-r.stored:
			if r.finishStore(op); r.failed != nil {
				r.stop()
				return r.failed
			}
		case s := <-r.signatures:
			r.finishSign(s)
		case <-ticker.C:
			r.raft.Tick()
		case <-timer.C:
		case <-r.wake:
		}
	}
}

// accepting is the queue of submissions while they can be ordered, else nil.
func (r *Replica) accepting() chan *Submission {
	if r.signing || r.onDisk >= diskMax {
		return nil
	}
	return r.submissions
}

// stop answers whoever waits; nothing is ordered any more.
func (r *Replica) stop() {
	for {
		select {
		case s := <-r.submissions:
			s.reply(synod.TxID{}, ErrStopped)
		default:
			r.waiters.stop()
			return
		}
	}
}

// raftLogger sends raft's own log lines to ours, at debug.
type raftLogger struct{ log *slog.Logger }

func (l raftLogger) line(level slog.Level, msg string) {
	l.log.LogAttrs(context.Background(), level, msg, slog.String("tag", "raft"))
}
func (l raftLogger) Debug(v ...any)            { l.line(slog.LevelDebug, fmt.Sprint(v...)) }
func (l raftLogger) Debugf(f string, v ...any) { l.line(slog.LevelDebug, fmt.Sprintf(f, v...)) }
func (l raftLogger) Info(v ...any)             { l.line(slog.LevelDebug, fmt.Sprint(v...)) }
func (l raftLogger) Infof(f string, v ...any)  { l.line(slog.LevelDebug, fmt.Sprintf(f, v...)) }
func (l raftLogger) Warning(v ...any)          { l.line(slog.LevelInfo, fmt.Sprint(v...)) }
func (l raftLogger) Warningf(f string, v ...any) {
	l.line(slog.LevelInfo, fmt.Sprintf(f, v...))
}
func (l raftLogger) Error(v ...any)            { l.line(slog.LevelError, fmt.Sprint(v...)) }
func (l raftLogger) Errorf(f string, v ...any) { l.line(slog.LevelError, fmt.Sprintf(f, v...)) }
func (l raftLogger) Fatal(v ...any)            { l.Panic(v...) }
func (l raftLogger) Fatalf(f string, v ...any) { l.Panicf(f, v...) }
func (l raftLogger) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
