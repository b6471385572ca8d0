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
func (g *guard) ResetGuard() {
	g.low.Store(StackTop)
	g.depth = 0
}

// StackUsedFrom returns an address below which the stack was not written
// since ResetGuard.
func (g *guard) StackUsedFrom() int32 {
	return max(g.low.Load()-redZone, 0)
}

// Kill makes a running call panic with ErrKilled in the next loop or at the
// next function with a stack frame, and every later call too. It may be
// called from any goroutine. The module is of no use afterwards.
func (g *guard) Kill() {
	g.killed.Store(true)
	g.low.Store(math.MaxInt32)
}

// poll is called by every loop.
func (g *guard) poll() {
	if g.low.Load() == math.MaxInt32 {
		panic(ErrKilled)
	}
}

func (g *guard) lowered(sp int32) {
	if sp < stackFloor {
		panic(ErrStackOverflow)
	}
	g.low.Store(sp)
	// Kill sets killed before low: if the store above undid Kill's, killed
	// is seen here.
	if g.killed.Load() {
		panic(ErrKilled)
	}
}

// enter counts the depth of functions that recurse without using the engine's
// stack; the translated code counts down when they return.
func (g *guard) enter() {
	if g.depth++; g.depth > callDepthMax {
		panic(ErrStackOverflow)
	}
}
