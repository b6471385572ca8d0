package js

import (
	"bytes"
	"crypto/sha256"
)

// pageSize is the unit of comparing and copying when a memory is restored.
const pageSize = 4096

// shrinkMax is how much larger than its snapshot a memory may have grown and
// still be cut back; past it the instance is dropped, so that one large
// request does not hold memory for ever.
const shrinkMax = 4 << 20

// gcSlack is how much a call may allocate before cycles are collected; a
// collection touches the whole heap, and most calls end before one pays.
const gcSlack = 2 << 20

// snapshot is a realm with what was loaded into it, ready to run. It is
// read-only and shared by every instance made from it.
type snapshot struct {
	mem     []byte
	sp      int32
	refs    refs
	used    int64 // bytes of the heap in use
	metrics bool  // state of metricsLogging
}

// capture takes a snapshot of a vm that no call is using. The vm goes on to
// be an instance of it.
func (v *vm) capture() (*snapshot, error) {
	s := &snapshot{}
	err := v.protect(func() error {
		if p := v.g.Malloc(headroom); p != 0 {
			v.g.Free(p)
		}
		s.used = v.heapUsed()
		v.g.SetGCThreshold(v.rt, int32(s.used+gcSlack))
		// What lies below the stack pointer means nothing; zeros compare
		// equal in every instance.
		sp := v.g.StackPointer()
		clear(v.g.Memory()[:uint32(sp)])
		v.g.ResetGuard()
		s.mem = bytes.Clone(v.g.Memory())
		s.sp, s.refs, s.metrics = sp, v.refs, v.metricsLogging
		return nil
	})
	return s, err
}

// heapUsed asks the engine for the bytes that its allocator has given out.
func (v *vm) heapUsed() int64 {
	const fields, mallocSize = 26, 0
	p := v.g.Malloc(fields * 8)
	if p == 0 {
		return 0
	}
	v.g.ComputeMemoryUsage(v.rt, p)
	n := int64(getUint64(v.g.Memory(), p+8*mallocSize))
	v.g.Free(p)
	return n
}

// instance makes a vm whose memory is the snapshot's.
func (s *snapshot) instance(e *Engine) (*vm, error) {
	v := &vm{eng: e}
	g, err := e.newGuest(v)
	if err != nil {
		return nil, err
	}
	v.g = g
	if !g.Resize(len(s.mem)) {
		g.Close()
		return nil, &trap{cause: errNoMemory}
	}
	copy(g.Memory(), s.mem)
	s.reset(v)
	return v, nil
}

func (s *snapshot) reset(v *vm) {
	v.g.ResetGuard()
	v.g.SetStackPointer(s.sp)
	v.refs, v.metricsLogging = s.refs, s.metrics
	v.call, v.outside = nil, false
}

// restore makes v's memory the snapshot's again, byte for byte, and says
// whether it could. Most pages are equal, and comparing is cheaper than
// copying; the part of the stack that was not reached is not even compared.
func (s *snapshot) restore(v *vm) bool {
	if v.broken {
		return false
	}
	mem := v.g.Memory()
	if len(mem) != len(s.mem) {
		if len(mem) > len(s.mem)+shrinkMax || !v.g.Resize(len(s.mem)) {
			return false
		}
		mem = v.g.Memory()
	}
	for at := int(v.g.StackUsedFrom()) &^ (pageSize - 1); at < len(mem); at += pageSize {
		if now, was := mem[at:at+pageSize], s.mem[at:at+pageSize]; !bytes.Equal(now, was) {
			copy(now, was)
		}
	}
	s.reset(v)
	return true
}

// memoryHash is the SHA-256 of the linear memory above the unused stack, for
// comparing back ends.
func (v *vm) memoryHash() [32]byte { return sha256.Sum256(v.g.Memory()[uint32(v.g.StackPointer()):]) }
