package js

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"synod"
	"synod/app"
)

var errNoMemory = errors.New("out of linear memory")

// call is one run of scripts: what host functions act for. A new call is
// made for each, so that a script that kept a function of an earlier call
// acts on the current one.
type call struct {
	ctx    context.Context
	tx     app.Tx
	access Access
	limits Limits

	app     *app.Context // of an endpoint's call
	host    AppHost
	effects *Effects // of apply
	unit    *UnitCall
	space   *Space                     // of an endpoint's call; nil for governance's
	state   *app.State                 // ccf.historicalState; nil for none
	states  map[synod.SeqNo]*app.State // past states that the script has been given

	deadline  time.Time
	watchdog  *time.Timer // kills the instance some time after the deadline
	timedOut  bool
	recording bool // effects end the evaluation; see program.go
	written   int  // bytes of keys and values that the script has set
}

const (
	// writtenMax bounds what one call may set, in bytes: the copies lie outside
	// the script's heap, and a ledger entry holds no more.
	writtenMax = 64 << 20
	// stackMax is the most of the engine's own stack of 1 MiB that scripts
	// may use; the rest is for functions that check nothing.
	stackMax = 896 << 10
	// CCF's stack limit counts machine stack. Frames in linear memory are
	// smaller, since locals live elsewhere: 5/8 gives a similar depth.
	stackNumerator, stackDenominator = 5, 8
	// heapMax is the largest heap limit that can be enforced.
	heapMax = 1 << 30
	// heapReserve is what the engine's allocator keeps back, to be able to
	// make the exception when the limit is reached.
	heapReserve = 64 << 10
	// entryHeap is what it takes to enter any function.
	entryHeap = 4 << 10
	// watchdogGrace is how long after the time limit the watchdog waits for
	// the engine to notice by itself.
	watchdogGrace = time.Second
	// compileTime bounds the parsing of modules, which runs nothing of theirs:
	// it takes what their size takes, on a machine as busy as it is.
	compileTime = time.Minute
)

// loadLimits hold while modules are loaded and evaluated, which CCF does not
// limit at all.
func loadLimits() Limits {
	l := DefaultLimits()
	l.HeapBytes = loadHeap
	return l
}

// limited runs f under c's limits, which are set when it begins and lifted
// when it ends. used is what the heap holds already and counts.
func (v *vm) limited(c *call, used int64, f func() error) error {
	if c.limits.HeapBytes < used+entryHeap {
		return &Exception{Reason: reasonOutOfMemory}
	}
	now := v.eng.now()
	if c.limits.Execution <= 0 {
		c.timedOut = true
		v.eng.logTimeout(c)
		return &Exception{Reason: reasonInterrupted, Timeout: true}
	}
	c.deadline = now.Add(c.limits.Execution)
	v.g.SetMemoryLimit(int32(min(c.limits.HeapBytes+heapReserve, heapMax)))
	v.g.SetMaxStackSize(int32(max(1, min(c.limits.StackBytes*stackNumerator/stackDenominator, stackMax))))
	c.watchdog = time.AfterFunc(c.limits.Execution+watchdogGrace, v.g.Kill)
	err := f()
	if !c.watchdog.Stop() {
		v.broken = true
		return &Exception{Reason: reasonInterrupted, Timeout: true}
	}
	c.deadline = time.Time{}
	return err
}

// unlimit lifts heap and stack limits, to describe an exception.
func (v *vm) unlimit() {
	v.g.SetMemoryLimit(loadHeap)
	v.g.SetMaxStackSize(stackMax)
}

// untimed runs f, work of the node's own on behalf of a script, and gives the
// script the time back that it took.
func (c *call) untimed(e *Engine, f func() error) error {
	if !c.watchdog.Stop() {
		return f() // too late already
	}
	began := e.now()
	err := f()
	c.deadline = c.deadline.Add(e.now().Sub(began))
	c.watchdog.Reset(c.deadline.Sub(e.now()) + watchdogGrace)
	return err
}

// result turns the outcome of a call into a value: exceptions become
// *Exception, and a promise is followed while there are jobs to run.
func (v *vm) result(r value) (value, error) {
	for {
		if isException(r) {
			v.unlimit()
			return valUndef, v.takeException()
		}
		if !isObject(r) {
			return r, nil
		}
		switch v.g.PromiseState(v.ctx, r) {
		case promiseFulfilled:
			next := v.g.PromiseResult(v.ctx, r)
			v.free(r)
			r = next
		case promiseRejected:
			x := v.g.PromiseResult(v.ctx, r)
			v.free(r)
			v.unlimit()
			return valUndef, v.describe(x)
		case promisePending:
			ran, err := v.runJob()
			if err != nil {
				return valUndef, err
			}
			if !ran {
				return r, nil // nothing will ever settle it
			}
		default:
			return r, nil
		}
	}
}

const (
	promisePending   = 0
	promiseFulfilled = 1
	promiseRejected  = 2
)

// runJob runs one job of the promise queue, and says whether there was one.
func (v *vm) runJob() (bool, error) {
	if v.g.IsJobPending(v.rt) == 0 {
		return false, nil
	}
	if v.g.ExecutePendingJob(v.rt, v.scratch+scratchOut) < 0 {
		v.unlimit()
		return true, v.takeException()
	}
	return true, nil
}

// tag is the log tag of what a call prints.
func (c *call) tag() string {
	if c.access == AppReadWrite || c.access == AppReadOnly {
		return "app"
	}
	return "gov"
}

func (e *Engine) logTimeout(c *call) {
	e.log.InfoContext(c.context(), "JS execution has timed out",
		slog.Duration("limit", c.limits.Execution), slog.String("tag", c.tag()))
}

func (c *call) context() context.Context {
	if c.ctx == nil {
		return context.Background()
	}
	return c.ctx
}

// logTrap reports what should not happen: the engine itself failed.
func (e *Engine) logTrap(cause error, stack []byte) {
	e.log.ErrorContext(context.Background(), "JavaScript engine stopped; its instance is dropped",
		slog.Any("err", cause), slog.String("stack", string(stack)))
}

// jsonOf is JSON.stringify of a result, nil for undefined.
func (v *vm) jsonOf(r value) (json.RawMessage, error) {
	s := v.stringify(r)
	if isException(s) {
		v.unlimit()
		return nil, v.takeException()
	}
	if !isString(s) {
		return nil, nil
	}
	text, ok := v.text(s)
	v.free(s)
	if !ok {
		v.unlimit()
		return nil, v.takeException()
	}
	return json.RawMessage(text), nil
}
