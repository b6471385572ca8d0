package js

// args are the arguments of one host function: pointers to boxed values that
// the engine owns.
type args struct {
	v    *vm
	this value
	argc int
	argv int32
}

// at returns an argument, undefined past the last. It is borrowed.
func (a args) at(i int) value {
	if i >= a.argc {
		return valUndef
	}
	mem := a.v.g.Memory()
	return value(getUint64(mem, int32(getUint32(mem, a.argv+int32(4*i)))))
}

// hostOp is a function of `ccf` or of the prelude that Go implements. It
// returns a value that it owns, or false when it has thrown.
type hostOp struct {
	name   string // for the prelude
	length int    // Function.length
	run    func(v *vm, c *call, a args) (value, bool)
}

// opFirst is the character that names the first host function to the engine.
const opFirst = '!'

// hostCall is the engine's way to a host function: the result is a new box,
// or 0 when an exception is pending.
func (v *vm) hostCall(name, nameLen, this, argc, argv int32) int32 {
	mem := v.g.Memory()
	op := int(mem[uint32(name)]) - opFirst
	a := args{v: v, this: value(getUint64(mem, this)), argc: int(argc), argv: argv}
	var r value
	var ok bool
	switch {
	case nameLen != 1 || op < 0 || op >= len(v.eng.ops):
		r, ok = v.throw(internalError, "unknown host function")
	case v.call == nil:
		// Only the prelude runs without a call, and it calls nothing.
		r, ok = v.throw(internalError, "no call is running")
	default:
		r, ok = v.eng.ops[op].run(v, v.call, a)
	}
	if !ok {
		return 0
	}
	box := v.g.Malloc(8)
	if box == 0 {
		panic(errNoMemory)
	}
	putUint64(v.g.Memory(), box, uint64(r))
	return box
}

// want checks the number of arguments as CCF's native functions do.
func (a args) want(n int) bool {
	if a.argc == n {
		return true
	}
	a.v.throw(typeError, "Passed %d arguments, but expected %d", a.argc, n)
	return false
}
