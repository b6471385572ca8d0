package js

// guest is the engine in one linear memory: the functions of QuickJS's C API
// that this package uses, plus memory, stack pointer and watchdog. Pointers
// are addresses in the memory. There are two: translated and interpreted.
//
// Every call may panic with whatever stopped it (a trap of the engine, the
// watchdog); vm.protect turns that into an error. Calls reach the host
// through the [hostSide] that the guest was made with.
type guest interface {
	// Memory is the linear memory; it moves when it grows, so callers do not
	// keep it across calls.
	Memory() []byte
	// Resize makes the memory size bytes long, a multiple of 64 KiB; bytes
	// that it adds are zero. It says whether it could.
	Resize(size int) bool
	StackPointer() int32
	SetStackPointer(sp int32)
	ResetGuard()
	// StackUsedFrom is an address below which the stack was not written since
	// ResetGuard.
	StackUsedFrom() int32
	// Kill stops a running call soon, from any goroutine, for good.
	Kill()
	Close()

	Initialize()
	Init() int32
	RuntimePtr() int32
	ContextPtr() int32
	Malloc(size int32) int32
	Free(ptr int32)
	NewHostFunction(name, nameLen, length int32) int32
	SetInterruptHandler(on int32)
	SetModuleLoader(on int32)
	SetMemoryLimit(bytes int32)
	SetMaxStackSize(bytes int32)
	SetGCThreshold(rt, bytes int32)
	ComputeMemoryUsage(rt, out int32)

	NewStringLen(ctx, ptr, n int32) value
	ToCStringLen(ctx, outLen int32, v value) int32
	FreeCString(ctx, ptr int32)
	NewAtomLen(ctx, ptr, n int32) int32
	NewArrayBufferCopy(ctx, ptr, n int32) value
	GetArrayBuffer(ctx, outLen int32, v value) int32
	IsArrayBuffer(v value) int32
	TypedArrayType(v value) int32
	GetTypedArrayBuffer(ctx int32, v value, outOffset, outLen, outSize int32) value
	ParseJSON(ctx, ptr, n, filename int32) value
	JSONStringify(ctx int32, v, replacer, space value) value

	Eval(ctx, input, n, filename, flags int32) value
	EvalFunction(ctx int32, fn value) value
	ModuleNamespace(ctx, module int32) value
	GetProperty(ctx int32, obj value, atom int32) value
	HasProperty(ctx int32, obj value, atom int32) int32
	FreeAtom(ctx, atom int32)
	SetPropertyUint32(ctx int32, obj value, index int32, v value) int32
	GetOwnPropertyNames(ctx, outTab, outLen int32, obj value, flags int32) int32
	FreePropertyEnum(ctx, tab, n int32)
	AtomToString(ctx, atom int32) value
	NewArray(ctx int32) value
	Call(ctx int32, fn, this value, argc, argv int32) value
	FreeValue(ctx int32, v value)
	DupValue(ctx int32, v value) value
	IsFunction(ctx int32, v value) int32
	IsError(v value) int32
	ToBool(ctx int32, v value) int32
	ToFloat64(ctx, out int32, v value) int32

	GetException(ctx int32) value
	ThrowTypeError(ctx, format, args int32) value
	ThrowRangeError(ctx, format, args int32) value
	ThrowSyntaxError(ctx, format, args int32) value
	ThrowReferenceError(ctx, format, args int32) value
	ThrowInternalError(ctx, format, args int32) value

	PromiseState(ctx int32, v value) int32
	PromiseResult(ctx int32, v value) value
	IsJobPending(rt int32) int32
	ExecutePendingJob(rt, outCtx int32) int32
}

// hostSide is what the engine's imports call.
type hostSide interface {
	hostCall(name, nameLen, this, argc, argv int32) int32
	hostInterrupt() int32
	hostModuleNormalize(base, name int32) int32
	hostModuleLoad(name, outLen int32) int32
	hostClock() int64 // nanoseconds since the epoch
	hostRandom(ptr, n int32)
}

// value is a JSValue: NaN-boxed, its tag in the upper half.
type value = int64

// The constants of JSValue (quickjs.h, JS_NAN_BOXING).
const (
	tagString   = -7
	tagRope     = -6
	tagObject   = -1
	tagInt      = 0
	tagBool     = 1
	valNull     = value(2) << 32
	valUndef    = value(3) << 32
	valExc      = value(6) << 32
	valFalse    = value(tagBool) << 32
	valTrue     = valFalse | 1
	tagFirst    = -9
	tagLast     = 7 // above it: doubles
	floatAddend = 0x7ff8000a << 32
	valNaN      = value(-10) << 32
)

func tagOf(v value) int32 { return int32(v >> 32) }

func isObject(v value) bool { return tagOf(v) == tagObject }

func isString(v value) bool { t := tagOf(v); return t == tagString || t == tagRope }

func isException(v value) bool { return tagOf(v) == int32(valExc>>32) }

func boolValue(b bool) value {
	if b {
		return valTrue
	}
	return valFalse
}
