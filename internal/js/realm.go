package js

import (
	_ "embed"
	"errors"
	"fmt"
)

//go:embed prelude.js
var preludeSource string

// preludeName is the prelude's file name; formatTrace shows its functions as
// native.
const preludeName = "<native>"

// realmKind says which `ccf` object a realm has.
type realmKind int

const (
	realmApp    realmKind = iota // endpoints
	realmGov                     // validate, resolve, ballots
	realmApply                   // apply
	realmBare                    // no ccf at all: validateConstitution
	realmUnit                    // an application's unit tests
	realmHosted                  // endpoints of a space with globals
	realmCount                   // how many there are
)

func (k realmKind) String() string {
	return [...]string{"app", "gov", "apply", "bare", "unit", "hosted"}[k]
}

func kindOf(a Access) realmKind {
	switch a {
	case AppReadWrite, AppReadOnly:
		return realmApp
	case GovReadWrite:
		return realmApply
	default:
		return realmGov
	}
}

// The atoms that the host looks properties up by.
const (
	atomStack = iota
	atomBody
	atomHeaders
	atomStatusCode
	atomMapName
	atomLength
	atomSeqNo
	atomCount
)

var atomNames = [atomCount]string{"stack", "body", "headers", "statusCode", "_map_name", "length", "_seqno"}

// Flags of JS_Eval.
const (
	evalGlobal      = 0
	evalModule      = 1
	evalStrict      = 8
	evalCompileOnly = 32
)

// headroom is free memory that a snapshot contains, so that an ordinary
// request need not grow the memory.
const headroom = 192 << 10

// loadHeap bounds the heap while a realm or a program is made.
const loadHeap = 512 << 20

// newRealm makes an engine with the globals of a kind, as before any script.
func (e *Engine) newRealm(kind realmKind) (*vm, error) {
	v := &vm{eng: e, baseline: true, metricsLogging: true}
	g, err := e.newGuest(v)
	if err != nil {
		return nil, err
	}
	v.g = g
	if err := v.protect(func() error { return v.setUp(kind) }); err != nil {
		g.Close()
		return nil, fmt.Errorf("javascript realm %s: %w", kind, err)
	}
	v.baseline = false
	return v, nil
}

func (v *vm) setUp(kind realmKind) error {
	v.g.ResetGuard()
	v.g.Initialize()
	if v.g.Init() != 0 {
		return errors.New("no runtime")
	}
	v.rt, v.ctx = v.g.RuntimePtr(), v.g.ContextPtr()
	v.g.SetMemoryLimit(loadHeap)
	v.g.SetMaxStackSize(stackMax)
	v.g.SetInterruptHandler(1)
	v.g.SetModuleLoader(1)
	v.scratch = v.g.Malloc(scratchSize)
	if v.scratch == 0 {
		return errors.New("no memory")
	}
	clear(v.g.Memory()[uint32(v.scratch) : uint32(v.scratch)+scratchSize])
	v.format, v.json, v.body = v.alloc("%s"), v.alloc("<json>"), v.alloc("<body>")
	for i, name := range atomNames {
		p := v.alloc(name)
		v.atoms[i] = v.g.NewAtomLen(v.ctx, p, int32(len(name)))
		v.g.Free(p)
	}
	return v.runPrelude(kind)
}

// runPrelude gives the prelude the host functions and keeps what it returns:
// [request, settle, setState].
func (v *vm) runPrelude(kind realmKind) error {
	src, name := v.alloc(preludeSource), v.alloc(preludeName)
	main := v.g.Eval(v.ctx, src, int32(len(preludeSource)), name, evalGlobal|evalStrict)
	v.g.Free(src)
	v.g.Free(name)
	if isException(main) {
		return v.takeException()
	}
	functions := v.g.NewArray(v.ctx)
	for i, op := range v.eng.ops {
		// The engine passes the name back on every call: one byte finds the
		// function in the table.
		p := v.alloc(string(rune(opFirst + i)))
		box := v.g.NewHostFunction(p, 1, int32(op.length))
		v.g.Free(p)
		if box == 0 {
			return errors.New("no memory")
		}
		f := value(getUint64(v.g.Memory(), box))
		v.g.SetPropertyUint32(v.ctx, functions, int32(i), f)
		v.g.Free(box)
	}
	names := v.g.NewArray(v.ctx)
	for i, op := range v.eng.ops {
		v.g.SetPropertyUint32(v.ctx, names, int32(i), v.newString(op.name))
	}
	result := v.invoke(main, functions, names, v.newString(kind.String()))
	v.free(main)
	v.free(functions)
	v.free(names)
	if isException(result) {
		return v.takeException()
	}
	if kind != realmBare {
		v.request = v.element(result, "0")
		v.settle = v.element(result, "1")
		v.setState = v.element(result, "2")
	}
	v.free(result)
	return nil
}

// element reads a property of an object that belongs to the prelude.
func (v *vm) element(obj value, name string) value {
	p := v.alloc(name)
	atom := v.g.NewAtomLen(v.ctx, p, int32(len(name)))
	v.g.Free(p)
	return v.g.GetProperty(v.ctx, obj, atom)
}
