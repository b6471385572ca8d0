package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"synod"
	"synod/internal/evidence"
	"synod/internal/kv"
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
	// ErrFull says that this node's disk is full: nothing was recorded and the
	// caller may try again once there is room.
	ErrFull = errors.New("the node's disk is full")
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
	// DefaultHold is how long a message waits for entries to go with it that tells
	// of commit alone.
	DefaultHold = time.Millisecond
	// signingShare is which part of one core signing may take: a signature
	// that cost d is followed by none for (signingShare-1)·d.
	signingShare = 10
	// awaitedShare is signingShare while a request waits for commit.
	awaitedShare = 1
	// verifyingShare is which part of one core verifying may take.
	verifyingShare = 20
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
	// inflightBytesMax bounds the entries on their way to one node: half of what a
	// link holds.
	inflightBytesMax = 32 << 20
	// inboxMax bounds the messages of other nodes that wait.
	inboxMax = 1024
	// readsMax bounds the linearizable reads that wait to be asked for.
	readsMax = 4096
	// signRetry is how long a signature that failed is not tried again.
	signRetry = 100 * time.Millisecond
)

// Config is what a Replica is made of. The durations and counts but Hold fall back
// to the defaults above.
type Config struct {
	ID      uint64 // raft's name of this node, see RaftID
	Log     *ledger.Log
	Machine *machine.Machine
	Signer  Signer
	// Create makes the first transaction of a new service; the replica releases
	// it. Nil for a node that joins one.
	Create func() (*machine.Prepared, error)
	// Recover says that the new service goes on after the ledger of an older one;
	// Join tells where.
	Recover bool

	// Send passes a message to the node of that raft name, or drops it. It does
	// not block and does not change the message. A service of one node needs
	// neither it nor the next three.
	Send func(*pb.Message)
	// Verify checks the two signatures of a signature transaction that another
	// node made. It runs on the verifying worker.
	Verify func(*evidence.Signature) error
	// Wanted is the membership that the committed state asks for, by raft name.
	// The replica goroutine of the leader asks.
	Wanted func() Membership
	// Begins is after which entry the log of a node begins, by raft name: 0 unless
	// it joined from a snapshot. Nil means that all do at 0.
	Begins func(uint64) synod.SeqNo
	// RecordChange makes the transaction that records a change of raft's
	// configuration and the configuration after it.
	RecordChange func(change, after []byte) (*machine.Prepared, error)

	// Offer is the state of the newest snapshot that this node has and others can
	// fetch, false if there is none. The replica goroutine of the leader asks, for a
	// node that lacks entries that no voter has any more; fresh says that it has been
	// of no use for a while, and that a newer one should be taken. It must be quick.
	// Nil: there never is one.
	Offer func(fresh bool) (synod.TxID, bool)
	// Fetch is told that such a node is this one: it gets a snapshot from the node
	// of that raft name, and then calls Overtake. It must be quick, and is told again
	// until that has helped. Nil: this node cannot be helped.
	Fetch func(from uint64)

	// Snapshot is told on a leader of each signature after which a snapshot is
	// due, before the store forgets the state then. It must be quick.
	Snapshot func(synod.SeqNo)

	Tick             time.Duration // 10 ms if zero
	ElectionTimeout  time.Duration // maximum; 5 s if zero
	MessageTimeout   time.Duration // heartbeat; 100 ms if zero
	SignatureTxCount int
	SignatureDelay   time.Duration
	Quiet            time.Duration
	Hold             time.Duration // see DefaultHold; there is none if zero

	Logger *slog.Logger
	Now    func() time.Time // time.Now if nil
}

// Signer makes signature transactions; see evidence.Signer.
type Signer interface {
	Sign(id synod.TxID, root [32]byte, tree []byte) (*evidence.Signature, error)
	// Quick says that the next Sign takes some microseconds.
	Quick() bool
	// Prepare makes some signatures quick and says how many, none if enough are.
	// It may be called beside Sign.
	Prepare() (int, error)
}

// Start is where the log of a node begins that joins or recovers a service.
type Start struct {
	// After is the transaction whose state the machine holds: that of a
	// snapshot or of a recovered ledger, or zero for a node that takes the log
	// from its beginning.
	After synod.TxID
	// First is the oldest entry that the ledger holds without a hole up to After,
	// for others who take the log from there; zero if it holds none.
	First synod.SeqNo
	// ViewStarts are the first seqnos of the views 1, 2, … up to After.
	ViewStarts []synod.SeqNo
	// Signatures are the signature transactions up to After that the ledger
	// holds, ascending.
	Signatures []synod.SeqNo
	// Origin is the first transaction of the service. Entries before it are of
	// services that it recovers, and change no configuration.
	Origin synod.SeqNo
	// Configuration is raft's after After, as RecordChange was given it, or, if
	// After is before Origin, the founding one.
	Configuration []byte
}

// Replica is one node's part in consensus.
type Replica struct {
	cfg   Config
	store *store

	// owned by the replica goroutine
	raft     *raft.RawNode
	wish     Membership // that was last asked for, and what was committed when it was seen
	wishAt   synod.SeqNo
	conf     *pb.ConfState // after the newest applied change
	leading  bool
	created  bool                   // the service's first transaction is ordered
	view     synod.View             // of the entries that this replica orders
	opened   synod.SeqNo            // the first of them
	last     synod.SeqNo            // newest entry of the log
	applied  synod.TxID             // newest entry that raft has committed
	tail     []logged               // the entries above applied, oldest first
	change   *change                // of the configuration, in the log and not applied
	feedFrom synod.SeqNo            // learners get entries once this one is applied
	heard    map[uint64]time.Time   // when each node was heard of last
	led      time.Time              // when this replica began to lead
	asked    time.Time              // when another leader asked it to lead last
	lost     map[uint64]time.Time   // nodes that no voter's log can help, and when they were offered a snapshot last
	arrived  *State                 // that was fetched, until the disk has nothing else to do
	learns   map[uint64]learning    // how learners come nearer, on a leader
	leaves   map[uint64]synod.SeqNo // what was committed when a learner was first seen to be wanted no more
	signing  bool                   // a signature of the view that it leads is being made; ordering waits
	signer   signState
	sigs     []pendingSignature // ordered and not yet committed, oldest first
	pending  uint64             // bytes of entries ordered since the start, signatures left out
	settled  uint64             // how many of them are committed
	failed   error              // the disk refused; no more is ordered
	batch    []*Submission
	onDisk   int // appends handed to the storage goroutine and not done

	submissions chan *Submission
	disk        chan diskOp
	stored      chan storedOp
	toSign      chan signJob
	prepare     chan struct{} // holds one: signatures are to be prepared
	signatures  chan signResult
	toVerify    chan *evidence.Signature
	refused     chan error // a signature that did not verify
	inbox       chan *pb.Message
	reads       chan *read
	transfers   chan struct{}
	calls       chan func()
	ending      chan struct{} // closed when the replica goroutine has left its loop
	wake        chan struct{}
	done        chan struct{}
	held        map[uint64]*pb.Message // that tell of commit alone, by whom they are for
	heldUntil   time.Time
	waitingRead map[uint64]*read // by the key that raft knows them by
	readKey     uint64

	// published by the replica goroutine, read by any
	committed atomic.Pointer[synod.TxID]
	ordered   atomic.Uint64 // seqno of the newest ordered entry
	role      atomic.Pointer[Role]
	preparing atomic.Int64 // nanoseconds that it takes to prepare a signature; the signing worker's
	interest  atomic.Bool  // somebody polled for an uncommitted transaction
	full      atomic.Bool  // the disk is full; the storage goroutine's
	signed    signedIndex
	moved     movement
	waiters   waiters
	counters  counters
	peers     atomic.Pointer[Status]
	joined    atomic.Bool
}

// logged is an entry that raft has not committed yet.
type logged struct {
	id   synod.TxID
	ws   *kv.WriteSet
	size uint64 // bytes that count as pending
}

// pendingSignature is a signature that is not committed.
type pendingSignature struct {
	*evidence.Signature
	upTo  uint64    // Replica.pending when it was ordered
	began time.Time // when a leader began to make it
}

// Role is what a replica knows of who leads.
type Role struct {
	Leading bool
	Leader  uint64 // raft's name of the leader, 0 if unknown
	View    synod.View
	Asking  Asking // whether this node asks for votes
}

// Asking is how far a node that wants to lead is.
type Asking byte

// What a node that wants to lead asks the others.
const (
	AskingNothing  Asking = iota
	AskingPreVotes        // whether they would vote for it
	AskingVotes
)

// New makes a replica. With Config.Create it is that of a new service, with an
// empty log and a configuration of itself alone, which Run elects in view 2.
// Otherwise, or with Config.Recover, it is nobody's yet: it orders nothing and
// knows no transaction until Join. One that recovers is elected two views above
// the last of the ledger.
func New(cfg Config) (*Replica, error) {
	cfg = withDefaults(cfg)
	r := &Replica{
		cfg:         cfg,
		store:       &store{log: cfg.Log},
		submissions: make(chan *Submission, queueMax),
		disk:        make(chan diskOp, 2*diskMax),
		stored:      make(chan storedOp, 2*diskMax),
		toSign:      make(chan signJob, 1),
		prepare:     make(chan struct{}, 1),
		signatures:  make(chan signResult, 1),
		toVerify:    make(chan *evidence.Signature, 1),
		refused:     make(chan error, 1),
		inbox:       make(chan *pb.Message, inboxMax),
		reads:       make(chan *read, readsMax),
		transfers:   make(chan struct{}, 1),
		calls:       make(chan func()),
		ending:      make(chan struct{}),
		wake:        make(chan struct{}, 1),
		done:        make(chan struct{}),
		held:        map[uint64]*pb.Message{},
		waitingRead: map[uint64]*read{},
		heard:       map[uint64]time.Time{},
		lost:        map[uint64]time.Time{},
		learns:      map[uint64]learning{},
		leaves:      map[uint64]synod.SeqNo{},
	}
	r.committed.Store(&synod.TxID{})
	r.role.Store(&Role{})
	r.peers.Store(&Status{Configuration: &pb.ConfState{}})
	if cfg.Create == nil || cfg.Recover {
		return r, nil
	}
	if last := cfg.Log.Last(); last != 0 {
		return nil, fmt.Errorf("start a service on a ledger that holds %d entries", last)
	}
	return r, r.Join(&Start{Configuration: Founding(cfg.ID)})
}

// Join makes the replica one of an existing service, or the first of a recovered
// one, whose log it takes from where its machine stands. It is called once,
// before Run. Entries that the
// ledger directory holds beyond are compared with those that come, and cut off
// if they were not committed.
func (r *Replica) Join(begin *Start) error {
	if last := r.cfg.Log.Last(); last < begin.After.SeqNo {
		return fmt.Errorf("the log must go on after %s, but the ledger directory ends at %d", begin.After, last)
	}
	conf := &pb.ConfState{}
	if err := proto.Unmarshal(begin.Configuration, conf); err != nil || len(conf.GetVoters()) == 0 {
		return fmt.Errorf("the configuration after %s cannot be read: %w", begin.After, err)
	}
	cfg := r.cfg
	r.conf, r.last, r.applied = conf, begin.After.SeqNo, begin.After
	r.signer.lastSigned = begin.After.SeqNo // it ends in a signature
	r.store.start(conf, begin, cfg.Recover)
	r.signed.seqnos = begin.Signatures
	r.signed.skip(0, begin.After.SeqNo)
	r.waiters.start(begin.After.SeqNo)
	r.committed.Store(&begin.After)
	r.ordered.Store(uint64(r.last))
	r.role.Store(&Role{View: begin.After.View})
	r.peers.Store(&Status{Configuration: conf})
	ticks := max(int(cfg.ElectionTimeout/2/cfg.Tick), 2)
	rn, err := raft.NewRawNode(&raft.Config{
		ID:                        cfg.ID,
		ElectionTick:              ticks,
		HeartbeatTick:             min(max(int(cfg.MessageTimeout/cfg.Tick), 1), ticks-1),
		Storage:                   r.store,
		Applied:                   uint64(begin.After.SeqNo),
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             1 << 20,
		MaxInflightMsgs:           256,
		MaxInflightBytes:          inflightBytesMax,
		CheckQuorum:               true,
		PreVote:                   true,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
		Logger:                    raftLogger{cfg.Logger},
	})
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	r.raft = rn
	r.joined.Store(true)
	return nil
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
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return cfg
}

// Run is the replica goroutine. It elects the replica of a new service, then
// serves until ctx ends (nil), or until the disk fails or another node sent what
// cannot be believed (the error). Transactions that were answered before are on
// disk when it returns.
func (r *Replica) Run(ctx context.Context) error {
	defer close(r.done)
	var workers sync.WaitGroup
	workers.Go(r.runStorage)
	workers.Go(r.runSigner)
	workers.Go(func() { r.runVerifier(ctx) })
	defer func() {
		close(r.ending)
		close(r.toSign)
		close(r.disk)
		close(r.toVerify)
		workers.Wait()
	}()

	ticker := time.NewTicker(r.cfg.Tick)
	defer ticker.Stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()

	if err := r.begin(); err != nil {
		return err
	}
	for r.failed == nil {
		timer.Reset(r.act())
		select {
		case <-ctx.Done():
			r.stop()
			return nil
		case s := <-r.accepting():
			r.order(s)
		case m := <-r.receiving():
			r.stepAll(m)
		case op := <-r.stored:
			r.finishStore(op)
		case s := <-r.signatures:
			r.finishSign(s)
		case err := <-r.refused:
			r.failed = err
		case q := <-r.reads:
			r.startRead(q)
		case <-r.transfers:
			r.transfer()
		case call := <-r.calls:
			call()
		case <-ticker.C:
			r.tick()
		case <-timer.C:
		case <-r.wake:
		}
	}
	r.stop()
	return r.failed
}

// begin elects the only replica of a new or recovered service.
func (r *Replica) begin() error {
	if r.cfg.Create == nil {
		return nil
	}
	if err := r.raft.Campaign(); err != nil {
		return fmt.Errorf("campaign: %w", err)
	}
	return nil
}

// Do runs a function on the replica goroutine, between two of its steps: nothing
// is ordered, installed or committed meanwhile. It must be quick. The errors are
// ErrStopped and ctx's; then it has not run.
func (r *Replica) Do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case r.calls <- func() { defer close(done); f() }:
		<-done
		return nil
	case <-r.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// act does all that follows from what came in, and says when to look again.
func (r *Replica) act() time.Duration {
	r.ready()
	r.overtake()
	r.reconfigure()
	r.ready()
	now := r.cfg.Now()
	again := r.sign(now)
	r.ready()
	return min(again, r.release(now))
}

// tick is the passing of one Config.Tick.
func (r *Replica) tick() {
	r.raft.Tick()
	r.publish()
	r.rescue()
	r.watchLearners()
}

// receiving is the queue of messages while their entries can be stored.
func (r *Replica) receiving() chan *pb.Message {
	if r.onDisk >= diskMax {
		return nil
	}
	return r.inbox
}

// accepting is the queue of submissions while they can be ordered, else nil.
func (r *Replica) accepting() chan *Submission {
	if r.signing || r.leading && r.change != nil || r.onDisk >= diskMax {
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
			r.dropReads(ErrStopped)
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
