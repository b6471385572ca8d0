package js

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"synod/internal/js/engine"
)

// Shared by both back ends.
const (
	wasiBadFile = 8     // WASI errno badf
	maxPages    = 16384 // 1 GiB of linear memory, as tools/js-engine sets for the translated engine
)

func putUint32(mem []byte, at int32, v uint32) { binary.LittleEndian.PutUint32(mem[uint32(at):], v) }

func putUint64(mem []byte, at int32, v uint64) { binary.LittleEndian.PutUint64(mem[uint32(at):], v) }

func getUint32(mem []byte, at int32) uint32 { return binary.LittleEndian.Uint32(mem[uint32(at):]) }

func getUint64(mem []byte, at int32) uint64 { return binary.LittleEndian.Uint64(mem[uint32(at):]) }

// wazeroRuntime compiles the engine once for all its instances.
type wazeroRuntime struct {
	rt       wazero.Runtime
	compiled wazero.CompiledModule
}

type hostKey struct{}

func newWazeroRuntime(ctx context.Context) (*wazeroRuntime, error) {
	// wazero can stop a call when its context ends, but then every call of a
	// host function costs several times as much. Without it the watchdog only
	// makes the answer a timeout once the engine comes back.
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithMemoryLimitPages(maxPages))
	host := func(ctx context.Context) hostSide { return ctx.Value(hostKey{}).(hostSide) }
	env := rt.NewHostModuleBuilder("env")
	env.NewFunctionBuilder().WithFunc(func(ctx context.Context, name, n, this, argc, argv int32) int32 {
		return host(ctx).hostCall(name, n, this, argc, argv)
	}).Export("host_call")
	env.NewFunctionBuilder().WithFunc(func(_ context.Context, _, _ int32) int32 { return 0 }).
		Export("host_get_timezone_offset")
	env.NewFunctionBuilder().WithFunc(func(ctx context.Context) int32 { return host(ctx).hostInterrupt() }).
		Export("host_interrupt")
	env.NewFunctionBuilder().WithFunc(func(ctx context.Context, name, outLen int32) int32 {
		return host(ctx).hostModuleLoad(name, outLen)
	}).Export("host_module_load")
	env.NewFunctionBuilder().WithFunc(func(ctx context.Context, base, name int32) int32 {
		return host(ctx).hostModuleNormalize(base, name)
	}).Export("host_module_normalize")
	env.NewFunctionBuilder().WithFunc(func(_ context.Context, _, _, _ int32) {}).Export("host_promise_rejection")
	if _, err := env.Instantiate(ctx); err != nil {
		return nil, fmt.Errorf("javascript engine: %w", err)
	}
	wasi := rt.NewHostModuleBuilder("wasi_snapshot_preview1")
	wasi.NewFunctionBuilder().WithFunc(func(ctx context.Context, m api.Module, _ int32, _ int64, out int32) int32 {
		m.Memory().WriteUint64Le(uint32(out), uint64(host(ctx).hostClock()))
		return 0
	}).Export("clock_time_get")
	wasi.NewFunctionBuilder().WithFunc(func(context.Context, int32) int32 { return wasiBadFile }).Export("fd_close")
	wasi.NewFunctionBuilder().WithFunc(func(_ context.Context, _, _ int32) int32 { return wasiBadFile }).
		Export("fd_fdstat_get")
	wasi.NewFunctionBuilder().WithFunc(func(_ context.Context, _ int32, _ int64, _, _ int32) int32 { return wasiBadFile }).
		Export("fd_seek")
	wasi.NewFunctionBuilder().WithFunc(func(_ context.Context, _, _, _, _ int32) int32 { return wasiBadFile }).
		Export("fd_write")
	wasi.NewFunctionBuilder().WithFunc(func(ctx context.Context, ptr, n int32) int32 {
		host(ctx).hostRandom(ptr, n)
		return 0
	}).Export("random_get")
	if _, err := wasi.Instantiate(ctx); err != nil {
		return nil, fmt.Errorf("javascript engine: %w", err)
	}
	compiled, err := rt.CompileModule(ctx, engine.Wasm)
	if err != nil {
		return nil, fmt.Errorf("javascript engine: %w", err)
	}
	return &wazeroRuntime{rt: rt, compiled: compiled}, nil
}

// interpreted is the engine under wazero; despite the name it is compiled
// where wazero has a compiler.
type interpreted struct {
	ctx context.Context // carries the hostSide to the imports
	mod api.Module
	sp  api.MutableGlobal
	fns [fnCount]api.Function
	// busy marks functions that are running: an api.Function must not be
	// called again while it runs, as happens when a host function calls back.
	busy [fnCount]bool
}

func (w *wazeroRuntime) newGuest(ctx context.Context, h hostSide) (guest, error) {
	ctx = context.WithValue(ctx, hostKey{}, h)
	mod, err := w.rt.InstantiateModule(ctx, w.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, fmt.Errorf("javascript engine: %w", err)
	}
	i := &interpreted{ctx: ctx, mod: mod}
	for id, name := range exportNames {
		i.fns[id] = mod.ExportedFunction(name)
	}
	i.sp = mod.ExportedGlobal("__stack_pointer").(api.MutableGlobal)
	return i, nil
}

func u[T int32 | int64](v T) uint64 {
	if w, ok := any(v).(int32); ok {
		return uint64(uint32(w))
	}
	return uint64(v)
}

func (i *interpreted) call(fn int, args ...uint64) uint64 {
	var stack [8]uint64
	n := copy(stack[:], args)
	f, nested := i.fns[fn], i.busy[fn]
	if nested {
		f = i.mod.ExportedFunction(exportNames[fn])
	}
	i.busy[fn] = true
	if err := f.CallWithStack(i.ctx, stack[:max(n, 1)]); err != nil {
		panic(err)
	}
	i.busy[fn] = nested
	return stack[0]
}

func (i *interpreted) Memory() []byte {
	m := i.mod.Memory()
	b, _ := m.Read(0, m.Size())
	return b
}

// Resize cannot shrink: an instance whose memory grew is not used again.
func (i *interpreted) Resize(size int) bool {
	m := i.mod.Memory()
	n := size - int(m.Size())
	if n <= 0 {
		return n == 0
	}
	_, ok := m.Grow(uint32(n >> 16))
	return ok
}

func (i *interpreted) StackPointer() int32      { return int32(uint32(i.sp.Get())) }
func (i *interpreted) SetStackPointer(sp int32) { i.sp.Set(uint64(uint32(sp))) }
func (i *interpreted) ResetGuard()              {}
func (i *interpreted) StackUsedFrom() int32     { return 0 }
func (i *interpreted) Kill()                    {}
func (i *interpreted) Close()                   { _ = i.mod.Close(i.ctx) }

func (i *interpreted) Initialize()             { i.call(fnInitialize) }
func (i *interpreted) Init() int32             { return int32(uint32(i.call(fnInit))) }
func (i *interpreted) RuntimePtr() int32       { return int32(uint32(i.call(fnRuntimePtr))) }
func (i *interpreted) ContextPtr() int32       { return int32(uint32(i.call(fnContextPtr))) }
func (i *interpreted) Malloc(size int32) int32 { return int32(uint32(i.call(fnMalloc, u(size)))) }
func (i *interpreted) Free(ptr int32)          { i.call(fnFree, u(ptr)) }
func (i *interpreted) NewHostFunction(name, nameLen, length int32) int32 {
	return int32(uint32(i.call(fnNewHostFunction, u(name), u(nameLen), u(length))))
}
func (i *interpreted) SetInterruptHandler(on int32)   { i.call(fnSetInterruptHandler, u(on)) }
func (i *interpreted) SetModuleLoader(on int32)       { i.call(fnSetModuleLoader, u(on)) }
func (i *interpreted) SetMemoryLimit(bytes int32)     { i.call(fnSetMemoryLimit, u(bytes)) }
func (i *interpreted) SetMaxStackSize(bytes int32)    { i.call(fnSetMaxStackSize, u(bytes)) }
func (i *interpreted) SetGCThreshold(rt, bytes int32) { i.call(fnSetGCThreshold, u(rt), u(bytes)) }

func (i *interpreted) ComputeMemoryUsage(rt, out int32) { i.call(fnComputeMemoryUsage, u(rt), u(out)) }

func (i *interpreted) NewStringLen(ctx, ptr, n int32) value {
	return value(i.call(fnNewStringLen, u(ctx), u(ptr), u(n)))
}

func (i *interpreted) ToCStringLen(ctx, outLen int32, v value) int32 {
	return int32(uint32(i.call(fnToCStringLen, u(ctx), u(outLen), u(v), 0)))
}
func (i *interpreted) FreeCString(ctx, ptr int32) { i.call(fnFreeCString, u(ctx), u(ptr)) }
func (i *interpreted) NewAtomLen(ctx, ptr, n int32) int32 {
	return int32(uint32(i.call(fnNewAtomLen, u(ctx), u(ptr), u(n))))
}

func (i *interpreted) NewArrayBufferCopy(ctx, ptr, n int32) value {
	return value(i.call(fnNewArrayBufferCopy, u(ctx), u(ptr), u(n)))
}

func (i *interpreted) GetArrayBuffer(ctx, outLen int32, v value) int32 {
	return int32(uint32(i.call(fnGetArrayBuffer, u(ctx), u(outLen), u(v))))
}

func (i *interpreted) IsArrayBuffer(v value) int32 {
	return int32(uint32(i.call(fnIsArrayBuffer, u(v))))
}

func (i *interpreted) TypedArrayType(v value) int32 {
	return int32(uint32(i.call(fnTypedArrayType, u(v))))
}

func (i *interpreted) GetTypedArrayBuffer(ctx int32, v value, outOffset, outLen, outSize int32) value {
	return value(i.call(fnGetTypedArrayBuffer, u(ctx), u(v), u(outOffset), u(outLen), u(outSize)))
}

func (i *interpreted) ParseJSON(ctx, ptr, n, filename int32) value {
	return value(i.call(fnParseJSON, u(ctx), u(ptr), u(n), u(filename)))
}

func (i *interpreted) JSONStringify(ctx int32, v, replacer, space value) value {
	return value(i.call(fnJSONStringify, u(ctx), u(v), u(replacer), u(space)))
}

func (i *interpreted) Eval(ctx, input, n, filename, flags int32) value {
	return value(i.call(fnEval, u(ctx), u(input), u(n), u(filename), u(flags)))
}

func (i *interpreted) EvalFunction(ctx int32, fn value) value {
	return value(i.call(fnEvalFunction, u(ctx), u(fn)))
}

func (i *interpreted) ModuleNamespace(ctx, module int32) value {
	return value(i.call(fnModuleNamespace, u(ctx), u(module)))
}

func (i *interpreted) GetProperty(ctx int32, obj value, atom int32) value {
	return value(i.call(fnGetProperty, u(ctx), u(obj), u(atom)))
}

func (i *interpreted) HasProperty(ctx int32, obj value, atom int32) int32 {
	return int32(uint32(i.call(fnHasProperty, u(ctx), u(obj), u(atom))))
}
func (i *interpreted) FreeAtom(ctx, atom int32) { i.call(fnFreeAtom, u(ctx), u(atom)) }
func (i *interpreted) SetPropertyUint32(ctx int32, obj value, index int32, v value) int32 {
	return int32(uint32(i.call(fnSetPropertyUint32, u(ctx), u(obj), u(index), u(v))))
}

func (i *interpreted) GetOwnPropertyNames(ctx, outTab, outLen int32, obj value, flags int32) int32 {
	return int32(uint32(i.call(fnGetOwnPropertyNames, u(ctx), u(outTab), u(outLen), u(obj), u(flags))))
}

func (i *interpreted) FreePropertyEnum(ctx, tab, n int32) {
	i.call(fnFreePropertyEnum, u(ctx), u(tab), u(n))
}

func (i *interpreted) AtomToString(ctx, atom int32) value {
	return value(i.call(fnAtomToString, u(ctx), u(atom)))
}
func (i *interpreted) NewArray(ctx int32) value { return value(i.call(fnNewArray, u(ctx))) }
func (i *interpreted) Call(ctx int32, fn, this value, argc, argv int32) value {
	return value(i.call(fnCall, u(ctx), u(fn), u(this), u(argc), u(argv)))
}
func (i *interpreted) FreeValue(ctx int32, v value) { i.call(fnFreeValue, u(ctx), u(v)) }
func (i *interpreted) DupValue(ctx int32, v value) value {
	return value(i.call(fnDupValue, u(ctx), u(v)))
}

func (i *interpreted) IsFunction(ctx int32, v value) int32 {
	return int32(uint32(i.call(fnIsFunction, u(ctx), u(v))))
}
func (i *interpreted) IsError(v value) int32 { return int32(uint32(i.call(fnIsError, u(v)))) }
func (i *interpreted) ToBool(ctx int32, v value) int32 {
	return int32(uint32(i.call(fnToBool, u(ctx), u(v))))
}

func (i *interpreted) ToFloat64(ctx, out int32, v value) int32 {
	return int32(uint32(i.call(fnToFloat64, u(ctx), u(out), u(v))))
}
func (i *interpreted) GetException(ctx int32) value { return value(i.call(fnGetException, u(ctx))) }
func (i *interpreted) ThrowTypeError(ctx, format, args int32) value {
	return value(i.call(fnThrowTypeError, u(ctx), u(format), u(args)))
}

func (i *interpreted) ThrowRangeError(ctx, format, args int32) value {
	return value(i.call(fnThrowRangeError, u(ctx), u(format), u(args)))
}

func (i *interpreted) ThrowSyntaxError(ctx, format, args int32) value {
	return value(i.call(fnThrowSyntaxError, u(ctx), u(format), u(args)))
}

func (i *interpreted) ThrowReferenceError(ctx, format, args int32) value {
	return value(i.call(fnThrowReferenceError, u(ctx), u(format), u(args)))
}

func (i *interpreted) ThrowInternalError(ctx, format, args int32) value {
	return value(i.call(fnThrowInternalError, u(ctx), u(format), u(args)))
}

func (i *interpreted) PromiseState(ctx int32, v value) int32 {
	return int32(uint32(i.call(fnPromiseState, u(ctx), u(v))))
}

func (i *interpreted) PromiseResult(ctx int32, v value) value {
	return value(i.call(fnPromiseResult, u(ctx), u(v)))
}

func (i *interpreted) IsJobPending(rt int32) int32 {
	return int32(uint32(i.call(fnIsJobPending, u(rt))))
}

func (i *interpreted) ExecutePendingJob(rt, outCtx int32) int32 {
	return int32(uint32(i.call(fnExecutePendingJob, u(rt), u(outCtx))))
}

const (
	fnInitialize = iota
	fnInit
	fnRuntimePtr
	fnContextPtr
	fnMalloc
	fnFree
	fnNewHostFunction
	fnSetInterruptHandler
	fnSetModuleLoader
	fnSetMemoryLimit
	fnSetMaxStackSize
	fnSetGCThreshold
	fnComputeMemoryUsage
	fnNewStringLen
	fnToCStringLen
	fnFreeCString
	fnNewAtomLen
	fnNewArrayBufferCopy
	fnGetArrayBuffer
	fnIsArrayBuffer
	fnTypedArrayType
	fnGetTypedArrayBuffer
	fnParseJSON
	fnJSONStringify
	fnEval
	fnEvalFunction
	fnModuleNamespace
	fnGetProperty
	fnHasProperty
	fnFreeAtom
	fnSetPropertyUint32
	fnGetOwnPropertyNames
	fnFreePropertyEnum
	fnAtomToString
	fnNewArray
	fnCall
	fnFreeValue
	fnDupValue
	fnIsFunction
	fnIsError
	fnToBool
	fnToFloat64
	fnGetException
	fnThrowTypeError
	fnThrowRangeError
	fnThrowSyntaxError
	fnThrowReferenceError
	fnThrowInternalError
	fnPromiseState
	fnPromiseResult
	fnIsJobPending
	fnExecutePendingJob
	fnCount
)

// exportNames are the wasm exports behind the functions of guest.
var exportNames = [fnCount]string{
	fnInitialize:          "_initialize",
	fnInit:                "qjs_init",
	fnRuntimePtr:          "qjs_get_runtime_ptr",
	fnContextPtr:          "qjs_get_context_ptr",
	fnMalloc:              "wasm_malloc",
	fnFree:                "wasm_free",
	fnNewHostFunction:     "qjs_new_host_function",
	fnSetInterruptHandler: "qjs_set_interrupt_handler",
	fnSetModuleLoader:     "qjs_set_module_loader",
	fnSetMemoryLimit:      "qjs_set_memory_limit",
	fnSetMaxStackSize:     "qjs_set_max_stack_size",
	fnSetGCThreshold:      "JS_SetGCThreshold",
	fnComputeMemoryUsage:  "JS_ComputeMemoryUsage",
	fnNewStringLen:        "JS_NewStringLen",
	fnToCStringLen:        "JS_ToCStringLen2",
	fnFreeCString:         "JS_FreeCString",
	fnNewAtomLen:          "JS_NewAtomLen",
	fnNewArrayBufferCopy:  "JS_NewArrayBufferCopy",
	fnGetArrayBuffer:      "JS_GetArrayBuffer",
	fnIsArrayBuffer:       "JS_IsArrayBuffer",
	fnTypedArrayType:      "JS_GetTypedArrayType",
	fnGetTypedArrayBuffer: "JS_GetTypedArrayBuffer",
	fnParseJSON:           "JS_ParseJSON",
	fnJSONStringify:       "JS_JSONStringify",
	fnEval:                "JS_Eval",
	fnEvalFunction:        "JS_EvalFunction",
	fnModuleNamespace:     "JS_GetModuleNamespace",
	fnGetProperty:         "JS_GetProperty",
	fnHasProperty:         "JS_HasProperty",
	fnFreeAtom:            "JS_FreeAtom",
	fnSetPropertyUint32:   "JS_SetPropertyUint32",
	fnGetOwnPropertyNames: "JS_GetOwnPropertyNames",
	fnFreePropertyEnum:    "JS_FreePropertyEnum",
	fnAtomToString:        "JS_AtomToString",
	fnNewArray:            "JS_NewArray",
	fnCall:                "JS_Call",
	fnFreeValue:           "JS_FreeValue",
	fnDupValue:            "JS_DupValue",
	fnIsFunction:          "JS_IsFunction",
	fnIsError:             "JS_IsError",
	fnToBool:              "JS_ToBool",
	fnToFloat64:           "JS_ToFloat64",
	fnGetException:        "JS_GetException",
	fnThrowTypeError:      "JS_ThrowTypeError",
	fnThrowRangeError:     "JS_ThrowRangeError",
	fnThrowSyntaxError:    "JS_ThrowSyntaxError",
	fnThrowReferenceError: "JS_ThrowReferenceError",
	fnThrowInternalError:  "JS_ThrowInternalError",
	fnPromiseState:        "JS_PromiseState",
	fnPromiseResult:       "JS_PromiseResult",
	fnIsJobPending:        "JS_IsJobPending",
	fnExecutePendingJob:   "JS_ExecutePendingJob",
}
