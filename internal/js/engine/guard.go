package engine

import (
	"errors"
	"math"
	"sync/atomic"
)

// The panics that the guard raises inside a module's call.
var (
	ErrKilled        = errors.New("javascript engine: killed by its watchdog")
	ErrStackOverflow = errors.New("javascript engine: stack overflow")
)

// StackTop is where the engine's own stack starts; it grows downwards to 0.
const StackTop = 0x100000

// stackFloor is the last stack address that a function may reach. The engine
// checks its stack by itself well above; this catches what it does not check.
const stackFloor = 16 << 10

// redZone is how far below the stack pointer a function that calls no other
// may write without lowering it (LLVM's WebAssembly back end).
const redZone = 128

// callDepthMax bounds recursion among functions that keep nothing on the
// engine's stack; their Go frames are small, and Go's own limit is 1 GB.
const callDepthMax = 200_000

// guard watches a module's stack pointer. The translated code calls lowered
// wherever a function lowers it below low, so that one comparison per
// function finds overflow, says how much of the stack a call has used and is
// a place where another goroutine can stop it; poll in loops is another.
type guard struct {
	low    atomic.Int32
	killed atomic.Bool
	depth  int32 // owned by the goroutine that runs the module
}

// ResetGuard starts a new measurement of stack use; call it before a script
// runs.
func (m *Module) ResetGuard() {
	m.low.Store(StackTop)
	m.depth = 0
}

// StackUsedFrom returns an address below which the stack was not written
// since ResetGuard.
func (m *Module) StackUsedFrom() int32 {
	return max(m.low.Load()-redZone, 0)
}

// Kill makes a running call panic with ErrKilled in the next loop or at the
// next function with a stack frame, and every later call too. It may be called from any goroutine. The
// module is of no use afterwards.
func (m *Module) Kill() {
	m.killed.Store(true)
	m.low.Store(math.MaxInt32)
}

// StackPointer returns the engine's stack pointer.
func (m *Module) StackPointer() int32 { return m.g0 }

// SetStackPointer sets it, after the memory was restored or to put something
// on the stack.
func (m *Module) SetStackPointer(sp int32) {
	m.g0 = sp
	if sp < m.low.Load() {
		m.lowered(sp)
	}
}

// poll is called by every loop.
func (m *Module) poll() {
	if m.low.Load() == math.MaxInt32 {
		panic(ErrKilled)
	}
}

func (m *Module) lowered(sp int32) {
	if sp < stackFloor {
		panic(ErrStackOverflow)
	}
	m.low.Store(sp)
	// Kill sets killed before low: if the store above undid Kill's, killed
	// is seen here.
	if m.killed.Load() {
		panic(ErrKilled)
	}
}

// enter and leave count the depth of functions that recurse without using
// the engine's stack.
func (m *Module) enter() {
	if m.depth++; m.depth > callDepthMax {
		panic(ErrStackOverflow)
	}
}
