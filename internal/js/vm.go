package js

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"synod/internal/js/engine"
)

// scratchSize is the length of the buffer in linear memory that short texts
// and buffers pass through.
const scratchSize = 4096

// Offsets in the scratch buffer for results that the C API writes.
const (
	scratchOut = 0  // three words
	scratchArg = 16 // arguments of Call and of error formats
	scratchBuf = 64 // the rest
)

// refs are what the host knows of a realm: addresses and values in linear
// memory. They are the same in every instance of a snapshot.
type refs struct {
	rt, ctx int32
	scratch int32
	format  int32 // C text "%s"
	json    int32 // C text "<json>"
	body    int32 // C text "<body>"
	request value // function of the prelude: makes a request object
	settle  value // function of the prelude: reads what is still lazy of one
	// setState is a function of the prelude: sets ccf.historicalState.
	setState value
	spare    value // a request object made beforehand, or 0
	atoms    [atomCount]int32
}

// vm is one engine with its memory. It belongs to one goroutine at a time.
type vm struct {
	eng *Engine
	g   guest
	refs
	// call is what runs now, for host functions; nil between calls.
	call *call
	// outside is set while a transaction, an effect or the node runs for a
	// host function: a panic then is not the engine's, and is not caught.
	outside bool
	// broken says that the memory may be in any state.
	broken bool
	// metricsLogging is ccf.enableMetricsLogging's state; it lasts as long as
	// the interpreter.
	metricsLogging bool
	// modules resolves imports while a program is loaded.
	modules *loader
	// baseline says that a realm is being built, with a fixed clock and no
	// randomness, so that equal builds give equal memories.
	baseline bool
}

// trap is a fault of the engine or a stop by its watchdog: the instance is
// lost, the process is not.
type trap struct{ cause error }

func (t *trap) Error() string { return "javascript engine: " + t.cause.Error() }
func (t *trap) Unwrap() error { return t.cause }

// exception is what the caller of a script is told.
func (t *trap) exception() *Exception {
	switch {
	case errors.Is(t.cause, engine.ErrKilled):
		return &Exception{Reason: reasonInterrupted, Timeout: true}
	case errors.Is(t.cause, engine.ErrStackOverflow):
		return &Exception{Reason: reasonStackOverflow}
	case errors.Is(t.cause, errNoMemory):
		return &Exception{Reason: reasonOutOfMemory}
	default:
		return &Exception{Reason: "InternalError: " + t.Error()}
	}
}

// expected says that a script can cause the trap: it needs no alarm.
func (t *trap) expected() bool {
	return errors.Is(t.cause, engine.ErrKilled) || errors.Is(t.cause, engine.ErrStackOverflow) ||
		errors.Is(t.cause, errNoMemory) || errors.Is(t.cause, errImpure)
}

// errImpure stops the evaluation of a module that has effects.
var errImpure = errors.New("module has effects when it is evaluated")

// protect runs f and turns what stopped the engine inside it into a *trap.
// A panic of what host functions call outside this package goes on.
func (v *vm) protect(f func() error) (err error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		v.broken = true
		if v.outside {
			panic(r)
		}
		cause, ok := r.(error)
		if !ok {
			cause = fmt.Errorf("%v", r)
		}
		t := &trap{cause: cause}
		if !t.expected() {
			v.eng.logTrap(cause, debug.Stack())
		}
		err = t
	}()
	return f()
}

// alloc copies b into linear memory, followed by a zero byte. It panics if
// the engine has no memory left.
func (v *vm) alloc(b string) int32 {
	p := v.g.Malloc(int32(len(b)) + 1)
	if p == 0 {
		panic(errNoMemory)
	}
	mem := v.g.Memory()
	copy(mem[uint32(p):], b)
	mem[uint32(p)+uint32(len(b))] = 0
	return p
}

// lend makes b readable by the engine, with a zero byte after it, for the
// time of f.
func (v *vm) lend(b string, f func(ptr int32) value) value {
	if len(b) < scratchSize-scratchBuf {
		p := v.scratch + scratchBuf
		mem := v.g.Memory()
		copy(mem[uint32(p):], b)
		mem[uint32(p)+uint32(len(b))] = 0
		return f(p)
	}
	p := v.alloc(b)
	r := f(p)
	v.g.Free(p)
	return r
}

// newString makes a string of UTF-8 text.
func (v *vm) newString(s string) value {
	return v.lend(s, func(p int32) value { return v.g.NewStringLen(v.ctx, p, int32(len(s))) })
}

// newBuffer makes an ArrayBuffer.
func (v *vm) newBuffer(b []byte) value {
	return v.lend(bytesAsString(b), func(p int32) value { return v.g.NewArrayBufferCopy(v.ctx, p, int32(len(b))) })
}

// newNumber makes a number.
func (v *vm) newNumber(f float64) value {
	if i := int32(f); float64(i) == f && (i != 0 || !signbit(f)) {
		return value(uint32(i))
	}
	return floatValue(f)
}

// parseJSON makes a value of JSON text; the file name appears in errors.
func (v *vm) parseJSON(s string, filename int32) value {
	return v.lend(s, func(p int32) value { return v.g.ParseJSON(v.ctx, p, int32(len(s)), filename) })
}

// text is String(x) as UTF-8; ok is false if that threw, and the exception
// is pending.
func (v *vm) text(x value) (s string, ok bool) {
	p := v.g.ToCStringLen(v.ctx, v.scratch+scratchOut, x)
	if p == 0 {
		return "", false
	}
	mem := v.g.Memory()
	n := getUint32(mem, v.scratch+scratchOut)
	s = string(mem[uint32(p) : uint32(p)+n])
	v.g.FreeCString(v.ctx, p)
	return s, true
}

// stringify is JSON.stringify(x) as a value: a string, undefined or an
// exception.
func (v *vm) stringify(x value) value { return v.g.JSONStringify(v.ctx, x, valUndef, valUndef) }

// buffer returns a copy of an ArrayBuffer's bytes; ok is false for anything
// else, and nothing is thrown.
func (v *vm) buffer(x value) (b []byte, ok bool) {
	view, ok := v.bufferView(x)
	if !ok {
		return nil, false
	}
	return append(make([]byte, 0, len(view)), view...), true
}

// bufferView is buffer without the copy: the bytes are valid until the next
// call into the engine.
func (v *vm) bufferView(x value) ([]byte, bool) {
	if !isObject(x) || v.g.IsArrayBuffer(x) == 0 {
		return nil, false
	}
	p := v.g.GetArrayBuffer(v.ctx, v.scratch+scratchOut, x)
	mem := v.g.Memory()
	n := getUint32(mem, v.scratch+scratchOut)
	if p == 0 { // detached
		v.free(v.g.GetException(v.ctx))
		return nil, false
	}
	return mem[uint32(p) : uint32(p)+n], true
}

// invoke calls a function with `this` undefined. The arguments lie on the engine's stack, since
// native functions may read them late.
func (v *vm) invoke(fn value, args ...value) value {
	sp := v.g.StackPointer()
	at := (sp - int32(8*len(args))) &^ 15
	v.g.SetStackPointer(at)
	mem := v.g.Memory()
	for i, a := range args {
		putUint64(mem, at+int32(8*i), uint64(a))
	}
	r := v.g.Call(v.ctx, fn, valUndef, int32(len(args)), at)
	v.g.SetStackPointer(sp)
	return r
}

// outsideDo runs what belongs to others.
func (v *vm) outsideDo(f func()) {
	v.outside = true
	f()
	v.outside = false
}

func (v *vm) free(x value) {
	if tagOf(x) < tagInt {
		v.g.FreeValue(v.ctx, x)
	}
}

// takeException clears the pending exception and describes it as CCF does
// (CCF: src/js/core/context.cpp, error_message).
func (v *vm) takeException() *Exception {
	return v.describe(v.g.GetException(v.ctx))
}

// describe is takeException for a value that was thrown, which it frees.
func (v *vm) describe(x value) *Exception {
	defer v.free(x)
	e := &Exception{}
	isError := isObject(x) && v.g.IsError(x) != 0
	switch {
	case isError || !isObject(x):
		e.Reason = v.textOrEmpty(x)
	default:
		j := v.stringify(x)
		e.Reason = v.textOrEmpty(j)
		v.free(j)
	}
	if isError {
		stack := v.g.GetProperty(v.ctx, x, v.atoms[atomStack])
		if isException(stack) || isString(stack) {
			e.Trace = v.textOrEmpty(stack)
		}
		v.free(stack)
	}
	// Describing runs the script's code too, and may be what took too long.
	if e.Timeout = v.call != nil && v.call.timedOut; e.Timeout && e.Reason == "" {
		e.Reason = reasonInterrupted
	}
	if e.Reason == "RangeError: Maximum call stack size exceeded" {
		e.Reason = reasonStackOverflow
	}
	return e
}

// The texts of limits, as CCF's tests compare them.
const (
	reasonStackOverflow = "InternalError: stack overflow"
	reasonOutOfMemory   = "InternalError: out of memory"
	reasonInterrupted   = "InternalError: interrupted"
)

// textOrEmpty is text, or "" and no pending exception.
func (v *vm) textOrEmpty(x value) string {
	if isException(x) {
		v.free(v.g.GetException(v.ctx))
		return ""
	}
	s, ok := v.text(x)
	if !ok {
		v.free(v.g.GetException(v.ctx))
	}
	return s
}

// throw makes an exception pending in the engine and returns what a host
// function returns then. Texts are cut at 255 bytes, as in CCF.
func (v *vm) throw(kind errorKind, format string, args ...any) (value, bool) {
	msg := fmt.Sprintf(format, args...)
	if len(msg) > 255 {
		msg = strings.ToValidUTF8(msg[:255], "")
	}
	v.lend(msg, func(p int32) value {
		putUint32(v.g.Memory(), v.scratch+scratchArg, uint32(p))
		f, a := v.format, v.scratch+scratchArg
		switch kind {
		case typeError:
			v.g.ThrowTypeError(v.ctx, f, a)
		case rangeError:
			v.g.ThrowRangeError(v.ctx, f, a)
		case syntaxError:
			v.g.ThrowSyntaxError(v.ctx, f, a)
		case referenceError:
			v.g.ThrowReferenceError(v.ctx, f, a)
		default:
			v.g.ThrowInternalError(v.ctx, f, a)
		}
		return valUndef
	})
	return valExc, false
}

type errorKind int

const (
	internalError errorKind = iota
	typeError
	rangeError
	syntaxError
	referenceError
)

// hostInterrupt is called every 10,000 steps or so of a script.
func (v *vm) hostInterrupt() int32 {
	c := v.call
	if c == nil || c.deadline.IsZero() || v.eng.now().Before(c.deadline) {
		return 0
	}
	if !c.timedOut {
		c.timedOut = true
		v.eng.logTimeout(c)
	}
	return 1
}

func (v *vm) hostClock() int64 {
	if v.baseline {
		return 0
	}
	v.effect()
	now := v.eng.now()
	if c := v.call; c != nil && !c.deadline.IsZero() && !now.Before(c.deadline) {
		// The engine polls rarely, and a script that watches the clock may
		// outrun its limit by much before it does.
		if !c.timedOut {
			c.timedOut = true
			v.eng.logTimeout(c)
		}
		panic(engine.ErrKilled)
	}
	return now.UnixNano()
}

func (v *vm) hostRandom(ptr, n int32) {
	b := v.g.Memory()[uint32(ptr) : uint32(ptr)+uint32(n)]
	if v.baseline {
		clear(b)
		return
	}
	v.effect()
	v.eng.random.read(b)
}

// effect notes that a script did what a snapshot must not keep: while a
// program is loaded for one, that ends the attempt.
func (v *vm) effect() {
	if v.call != nil && v.call.recording {
		panic(errImpure)
	}
}
