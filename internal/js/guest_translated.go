package js

import "synod/internal/js/engine"

// translated is the engine as Go code.
type translated struct{ m *engine.Module }

func newTranslated(h hostSide) guest {
	imports := &translatedImports{h: h}
	t := &translated{m: engine.New(imports, imports)}
	imports.m = t.m
	t.m.ResetGuard()
	return t
}

func (t *translated) Memory() []byte { return *t.m.Slice() }

func (t *translated) Resize(size int) bool {
	mem := t.m.Slice()
	if n := size - len(*mem); n > 0 {
		return t.m.Grow(int64(n>>16), maxPages) >= 0
	}
	*mem = (*mem)[:size]
	return true
}

func (t *translated) StackPointer() int32      { return t.m.StackPointer() }
func (t *translated) SetStackPointer(sp int32) { t.m.SetStackPointer(sp) }
func (t *translated) ResetGuard()              { t.m.ResetGuard() }
func (t *translated) StackUsedFrom() int32     { return t.m.StackUsedFrom() }
func (t *translated) Kill()                    { t.m.Kill() }
func (t *translated) Close()                   {}

func (t *translated) Initialize()             { t.m.X_initialize() }
func (t *translated) Init() int32             { return t.m.Xqjs_init() }
func (t *translated) RuntimePtr() int32       { return t.m.Xqjs_get_runtime_ptr() }
func (t *translated) ContextPtr() int32       { return t.m.Xqjs_get_context_ptr() }
func (t *translated) Malloc(size int32) int32 { return t.m.Xwasm_malloc(size) }
func (t *translated) Free(ptr int32)          { t.m.Xwasm_free(ptr) }
func (t *translated) NewHostFunction(name, nameLen, length int32) int32 {
	return t.m.Xqjs_new_host_function(name, nameLen, length)
}
func (t *translated) SetInterruptHandler(on int32)         { t.m.Xqjs_set_interrupt_handler(on) }
func (t *translated) SetModuleLoader(on int32)             { t.m.Xqjs_set_module_loader(on) }
func (t *translated) SetMemoryLimit(bytes int32)           { t.m.Xqjs_set_memory_limit(bytes) }
func (t *translated) SetMaxStackSize(bytes int32)          { t.m.Xqjs_set_max_stack_size(bytes) }
func (t *translated) SetGCThreshold(rt, bytes int32)       { t.m.XJS_SetGCThreshold(rt, bytes) }
func (t *translated) ComputeMemoryUsage(rt, out int32)     { t.m.XJS_ComputeMemoryUsage(rt, out) }
func (t *translated) NewStringLen(ctx, ptr, n int32) value { return t.m.XJS_NewStringLen(ctx, ptr, n) }

func (t *translated) ToCStringLen(ctx, outLen int32, v value) int32 {
	return t.m.XJS_ToCStringLen2(ctx, outLen, v, 0)
}
func (t *translated) FreeCString(ctx, ptr int32)         { t.m.XJS_FreeCString(ctx, ptr) }
func (t *translated) NewAtomLen(ctx, ptr, n int32) int32 { return t.m.XJS_NewAtomLen(ctx, ptr, n) }
func (t *translated) NewArrayBufferCopy(ctx, ptr, n int32) value {
	return t.m.XJS_NewArrayBufferCopy(ctx, ptr, n)
}

func (t *translated) GetArrayBuffer(ctx, outLen int32, v value) int32 {
	return t.m.XJS_GetArrayBuffer(ctx, outLen, v)
}
func (t *translated) IsArrayBuffer(v value) int32  { return t.m.XJS_IsArrayBuffer(v) }
func (t *translated) TypedArrayType(v value) int32 { return t.m.XJS_GetTypedArrayType(v) }
func (t *translated) GetTypedArrayBuffer(ctx int32, v value, outOffset, outLen, outSize int32) value {
	return t.m.XJS_GetTypedArrayBuffer(ctx, v, outOffset, outLen, outSize)
}

func (t *translated) ParseJSON(ctx, ptr, n, filename int32) value {
	return t.m.XJS_ParseJSON(ctx, ptr, n, filename)
}

func (t *translated) JSONStringify(ctx int32, v, replacer, space value) value {
	return t.m.XJS_JSONStringify(ctx, v, replacer, space)
}

func (t *translated) Eval(ctx, input, n, filename, flags int32) value {
	return t.m.XJS_Eval(ctx, input, n, filename, flags)
}

func (t *translated) EvalFunction(ctx int32, fn value) value { return t.m.XJS_EvalFunction(ctx, fn) }

func (t *translated) ModuleNamespace(ctx, module int32) value {
	return t.m.XJS_GetModuleNamespace(ctx, module)
}

func (t *translated) GetProperty(ctx int32, obj value, atom int32) value {
	return t.m.XJS_GetProperty(ctx, obj, atom)
}

func (t *translated) HasProperty(ctx int32, obj value, atom int32) int32 {
	return t.m.XJS_HasProperty(ctx, obj, atom)
}
func (t *translated) FreeAtom(ctx, atom int32) { t.m.XJS_FreeAtom(ctx, atom) }
func (t *translated) SetPropertyUint32(ctx int32, obj value, index int32, v value) int32 {
	return t.m.XJS_SetPropertyUint32(ctx, obj, index, v)
}

func (t *translated) GetOwnPropertyNames(ctx, outTab, outLen int32, obj value, flags int32) int32 {
	return t.m.XJS_GetOwnPropertyNames(ctx, outTab, outLen, obj, flags)
}
func (t *translated) FreePropertyEnum(ctx, tab, n int32) { t.m.XJS_FreePropertyEnum(ctx, tab, n) }
func (t *translated) AtomToString(ctx, atom int32) value { return t.m.XJS_AtomToString(ctx, atom) }
func (t *translated) NewArray(ctx int32) value           { return t.m.XJS_NewArray(ctx) }
func (t *translated) Call(ctx int32, fn, this value, argc, argv int32) value {
	return t.m.XJS_Call(ctx, fn, this, argc, argv)
}
func (t *translated) FreeValue(ctx int32, v value)            { t.m.XJS_FreeValue(ctx, v) }
func (t *translated) DupValue(ctx int32, v value) value       { return t.m.XJS_DupValue(ctx, v) }
func (t *translated) IsFunction(ctx int32, v value) int32     { return t.m.XJS_IsFunction(ctx, v) }
func (t *translated) IsError(v value) int32                   { return t.m.XJS_IsError(v) }
func (t *translated) ToBool(ctx int32, v value) int32         { return t.m.XJS_ToBool(ctx, v) }
func (t *translated) ToFloat64(ctx, out int32, v value) int32 { return t.m.XJS_ToFloat64(ctx, out, v) }
func (t *translated) GetException(ctx int32) value            { return t.m.XJS_GetException(ctx) }
func (t *translated) ThrowTypeError(ctx, format, args int32) value {
	return t.m.XJS_ThrowTypeError(ctx, format, args)
}

func (t *translated) ThrowRangeError(ctx, format, args int32) value {
	return t.m.XJS_ThrowRangeError(ctx, format, args)
}

func (t *translated) ThrowSyntaxError(ctx, format, args int32) value {
	return t.m.XJS_ThrowSyntaxError(ctx, format, args)
}

func (t *translated) ThrowReferenceError(ctx, format, args int32) value {
	return t.m.XJS_ThrowReferenceError(ctx, format, args)
}

func (t *translated) ThrowInternalError(ctx, format, args int32) value {
	return t.m.XJS_ThrowInternalError(ctx, format, args)
}
func (t *translated) PromiseState(ctx int32, v value) int32  { return t.m.XJS_PromiseState(ctx, v) }
func (t *translated) PromiseResult(ctx int32, v value) value { return t.m.XJS_PromiseResult(ctx, v) }
func (t *translated) IsJobPending(rt int32) int32            { return t.m.XJS_IsJobPending(rt) }
func (t *translated) ExecutePendingJob(rt, outCtx int32) int32 {
	return t.m.XJS_ExecutePendingJob(rt, outCtx)
}

// translatedImports are the engine's imports. Files do not exist: the engine
// only would print a panic message, which it does by fd_write.
type translatedImports struct {
	h hostSide
	m *engine.Module
}

func (x *translatedImports) Xhost_call(name, n, this, argc, argv int32) int32 {
	return x.h.hostCall(name, n, this, argc, argv)
}
func (x *translatedImports) Xhost_get_timezone_offset(_, _ int32) int32 { return 0 }
func (x *translatedImports) Xhost_interrupt() int32                     { return x.h.hostInterrupt() }

func (x *translatedImports) Xhost_module_load(name, outLen int32) int32 {
	return x.h.hostModuleLoad(name, outLen)
}

func (x *translatedImports) Xhost_module_normalize(base, name int32) int32 {
	return x.h.hostModuleNormalize(base, name)
}
func (x *translatedImports) Xhost_promise_rejection(_, _, _ int32) {}
func (x *translatedImports) Xclock_time_get(_ int32, _ int64, out int32) int32 {
	putUint64(*x.m.Slice(), out, uint64(x.h.hostClock()))
	return 0
}
func (x *translatedImports) Xfd_close(int32) int32                       { return wasiBadFile }
func (x *translatedImports) Xfd_fdstat_get(_, _ int32) int32             { return wasiBadFile }
func (x *translatedImports) Xfd_seek(_ int32, _ int64, _, _ int32) int32 { return wasiBadFile }
func (x *translatedImports) Xfd_write(_, _, _, _ int32) int32            { return wasiBadFile }
func (x *translatedImports) Xrandom_get(ptr, n int32) int32 {
	x.h.hostRandom(ptr, n)
	return 0
}
