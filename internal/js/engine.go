package js

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// Engine runs scripts. It may be used from several goroutines.
type Engine struct {
	log    *slog.Logger
	now    func() time.Time
	ops    []hostOp
	wazero *wazeroRuntime // nil for the translated engine
	random randomness
	// slots bounds how many calls run at once, and with it memory.
	slots chan struct{}
	// idleMax bounds the instances that a program keeps for later calls: as
	// many as really run at the same time.
	idleMax int

	bases [realmCount]base
	gov   govCache

	// observe, if set, sees each instance as its call left it: tests compare
	// the memories of the two back ends.
	observe func(*vm)
}

// base is the snapshot of a realm before any script, made when first needed.
type base struct {
	once sync.Once
	snap *snapshot
	err  error
}

// Now reads the clock by which the engine limits runs.
func (e *Engine) Now() time.Time { return e.now() }

// NewEngine makes an engine. It compiles or links the WebAssembly but runs
// nothing yet.
func NewEngine(cfg Config) (*Engine, error) {
	e := &Engine{log: cfg.Log, now: cfg.Now, slots: make(chan struct{}, 2*runtime.GOMAXPROCS(0)+2), idleMax: runtime.GOMAXPROCS(0) + 1}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	e.ops = hostTable()
	switch cfg.Backend {
	case "", Wasm2Go:
	case Wazero:
		w, err := newWazeroRuntime(context.Background())
		if err != nil {
			return nil, err
		}
		e.wazero = w
	default:
		return nil, fmt.Errorf("javascript engine: unknown back end %q", cfg.Backend)
	}
	return e, nil
}

// Version is the engine's version, as in /node/version and in the tables.
func (e *Engine) Version() string { return "quickjs-ng-0.17.0" }

// Close gives the engine's memory back. Calls must have ended.
func (e *Engine) Close() {
	e.gov.clear()
	if e.wazero != nil {
		_ = e.wazero.rt.Close(context.Background())
	}
}

func (e *Engine) newGuest(h hostSide) (guest, error) {
	if e.wazero != nil {
		return e.wazero.newGuest(context.Background(), h)
	}
	return newTranslated(h), nil
}

// base returns the snapshot of a realm before any script.
func (e *Engine) base(kind realmKind) (*snapshot, error) {
	b := &e.bases[kind]
	b.once.Do(func() {
		v, err := e.newRealm(kind)
		if err != nil {
			b.err = err
			return
		}
		b.snap, b.err = v.capture()
		v.g.Close()
	})
	return b.snap, b.err
}

func (e *Engine) observed(v *vm) {
	if e.observe != nil {
		e.observe(v)
	}
}

// enter waits for a slot to run in; the function that it returns gives the
// slot back.
func (e *Engine) enter(ctx context.Context) (leave func(), err error) {
	select {
	case e.slots <- struct{}{}:
		return func() { <-e.slots }, nil
	default:
	}
	select {
	case e.slots <- struct{}{}:
		return func() { <-e.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// randomness serves small requests from a buffer: the system call costs more
// than the bytes.
type randomness struct {
	mu  sync.Mutex
	buf [512]byte
	n   int // bytes left, at the end of buf
}

func (r *randomness) read(b []byte) {
	if len(b) > len(r.buf) {
		_, _ = rand.Read(b) // never fails: it ends the process instead
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n < len(b) {
		_, _ = rand.Read(r.buf[:])
		r.n = len(r.buf)
	}
	from := r.buf[len(r.buf)-r.n:]
	copy(b, from)
	clear(from[:len(b)])
	r.n -= len(b)
}
