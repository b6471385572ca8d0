package js

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"unsafe"
)

// dependency is a module as a program found it: source is nil if there was
// none. The slice is the store's own, so that an equal address means equal
// content.
type dependency struct {
	name   []byte
	source []byte
}

// same says whether a module's source is still what it was.
func (d *dependency) same(source []byte, ok bool) bool {
	if ok != (d.source != nil) || len(source) != len(d.source) {
		return false
	}
	return unsafe.SliceData(source) == unsafe.SliceData(d.source) || bytes.Equal(source, d.source)
}

// sources finds modules by their names with a leading slash.
type sources func(name []byte) ([]byte, bool)

// program is a module with all that it imports, loaded and ready to call.
//
// CCF evaluates modules anew for each request, with their transaction at
// hand. A graph whose evaluation had no effect and read nothing that may
// change would do the same each time, so it is evaluated once, before the
// snapshot. Any other graph is only compiled before the snapshot and
// evaluated in every call.
type program struct {
	entry string // as the endpoint or the caller names it
	deps  []dependency
	snap  *snapshot
	pure  bool
	// module is the compiled entry, namespace its exports if pure.
	module, namespace value
	// failed is why the program cannot run, if it cannot.
	failed error

	mu      sync.Mutex
	idle    []*vm            // guarded by mu
	dropped bool             // guarded by mu: no more calls come
	exports map[string]value // guarded by mu; functions by name, in the snapshot
}

// loadError is a failure of a program that does not depend on the call.
type loadError struct{ message string }

func (l *loadError) Error() string { return l.message }

// canonical is a module's name in the tables.
func canonical(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return "/" + name
}

// resolve is the name that a specifier means in a module: relative ones
// start with ./ or ../, all others are names already.
func resolve(importer, specifier string) string {
	if strings.HasPrefix(specifier, "./") || strings.HasPrefix(specifier, "../") {
		return path.Join("/", path.Dir(importer), specifier)
	}
	return canonical(specifier)
}

// loader answers the engine's imports.
type loader struct {
	find  sources // nil: no imports (governance)
	deps  []dependency
	asked bool // an import was looked for
}

func (v *vm) hostModuleNormalize(base, name int32) int32 {
	mem := v.g.Memory()
	return v.alloc(resolve(cString(mem, base), cString(mem, name)))
}

func (v *vm) hostModuleLoad(name, outLen int32) int32 {
	module := cString(v.g.Memory(), name)
	var source []byte
	var ok bool
	if v.modules != nil {
		v.modules.asked = true
		if v.modules.find != nil {
			source, ok = v.modules.lookup(module)
		}
	}
	if !ok {
		v.throw(referenceError, "could not load module '%s'", module)
		return 0
	}
	p := v.alloc(bytesAsString(source))
	putUint32(v.g.Memory(), outLen, uint32(len(source)))
	return p
}

// lookup finds a module and notes that the program depends on it.
func (l *loader) lookup(name string) ([]byte, bool) {
	d := dependency{name: []byte(name)}
	source, ok := l.find(d.name)
	if ok {
		d.source = source
		if source == nil {
			d.source = []byte{}
		}
	}
	l.deps = append(l.deps, d)
	return source, ok
}

func cString(mem []byte, at int32) string {
	b := mem[uint32(at):]
	if n := bytes.IndexByte(b, 0); n >= 0 {
		return string(b[:n])
	}
	return string(b)
}

// newProgram loads a module, after a preamble ("" for none). The error is for what has nothing to do with
// the program; see program.failed for the rest. A top level that is stopped
// by the time limit makes an *Exception.
func (e *Engine) newProgram(ctx context.Context, kind realmKind, preamble, entry string, find sources) (*program, error) {
	p, err := e.buildProgram(ctx, kind, preamble, entry, find, true)
	if errors.Is(err, errImpure) {
		p, err = e.buildProgram(ctx, kind, preamble, entry, find, false)
	}
	return p, err
}

func (e *Engine) buildProgram(ctx context.Context, kind realmKind, preamble, entry string, find sources, evaluate bool) (*program, error) {
	base, err := e.base(kind)
	if err != nil {
		return nil, err
	}
	v, err := base.instance(e)
	if err != nil {
		return nil, err
	}
	p := &program{entry: entry, pure: evaluate, exports: map[string]value{}}
	c := &call{ctx: ctx, recording: true, limits: loadLimits()}
	l := &loader{find: find}
	err = v.protect(func() error {
		v.call, v.modules = c, l
		if err := v.limited(c, 0, func() error { return v.runPreamble(preamble) }); err != nil {
			return err
		}
		c.limits.Execution = compileTime
		err := v.limited(c, 0, func() (err error) {
			p.module, err = v.compile(canonical(entry))
			return err
		})
		if err != nil || !evaluate {
			return err
		}
		c.limits.Execution = loadLimits().Execution
		return v.limited(c, 0, func() (err error) {
			p.namespace, err = v.evaluate(p.module, entry)
			return err
		})
	})
	v.call, v.modules = nil, nil
	p.deps = l.deps
	if err == nil && (kind == realmApp || kind == realmHosted) {
		err = v.protect(func() error { v.spare = v.invoke(v.request); return nil })
	}
	return p.loaded(v, err)
}

// runPreamble makes the globals of a space.
func (v *vm) runPreamble(text string) error {
	if text == "" {
		return nil
	}
	src, name := v.alloc(text), v.alloc(preludeName)
	r := v.g.Eval(v.ctx, src, int32(len(text)), name, evalGlobal|evalStrict)
	v.g.Free(src)
	v.g.Free(name)
	if isException(r) {
		return v.takeException()
	}
	v.free(r)
	return nil
}

// loaded makes the program ready to run from the instance that loaded it, or
// remembers why it cannot be loaded; other errors are the engine's.
func (p *program) loaded(v *vm, err error) (*program, error) {
	var broken *loadError
	switch {
	case errors.As(err, &broken):
		v.g.Close()
		p.failed = broken
		return p, nil
	case err != nil:
		v.g.Close()
		return nil, err
	}
	if err := v.protect(func() error { v.unlimit(); return nil }); err != nil {
		return nil, err
	}
	if p.snap, err = v.capture(); err != nil {
		return nil, err
	}
	p.idle = append(p.idle, v)
	return p, nil
}

// compile parses a module and what it imports.
func (v *vm) compile(name string) (value, error) {
	source, ok := v.modules.lookup(name)
	if !ok {
		return 0, &loadError{fmt.Sprintf("Module '%s' could not be loaded", name)}
	}
	return v.compileSource(name, bytesAsString(source))
}

func (v *vm) compileSource(name, source string) (value, error) {
	src, file := v.alloc(source), v.alloc(name)
	module := v.g.Eval(v.ctx, src, int32(len(source)), file, evalModule|evalCompileOnly)
	v.g.Free(src)
	v.g.Free(file)
	if isException(module) {
		v.unlimit()
		x := v.takeException()
		// The engine looks for imports once a module is parsed.
		if v.modules != nil && v.modules.asked {
			return 0, asLoadError(x, "Failed to resolve dependencies for module '%s'", name)
		}
		return 0, asLoadError(x, "Failed to compile module '%s'", name)
	}
	return module, nil
}

// asLoadError keeps a timeout what it is: another try may do better.
func asLoadError(x *Exception, format string, args ...any) error {
	if x.Timeout {
		return x
	}
	return &loadError{fmt.Sprintf(format, args...) + ": " + x.Reason}
}

// evaluate runs the bodies of a compiled module and of what it imports, and
// returns its exports.
func (v *vm) evaluate(module value, name string) (value, error) {
	promise := v.g.EvalFunction(v.ctx, v.g.DupValue(v.ctx, module))
	done, err := v.result(promise)
	if err != nil {
		var x *Exception
		if errors.As(err, &x) {
			return 0, asLoadError(x, "Failed to execute %s", name)
		}
		return 0, err
	}
	if isObject(done) && v.g.PromiseState(v.ctx, done) == promisePending {
		return 0, &loadError{fmt.Sprintf("Failed to execute %s: its top-level await never ends", name)}
	}
	v.free(done)
	ns := v.g.ModuleNamespace(v.ctx, int32(module))
	if isException(ns) {
		return 0, asLoadError(v.takeException(), "Failed to execute %s", name)
	}
	return ns, nil
}

// export finds a function among a module's exports.
func (v *vm) export(namespace value, function, module string) (value, error) {
	name := v.alloc(function)
	atom := v.g.NewAtomLen(v.ctx, name, int32(len(function)))
	v.g.Free(name)
	defer v.g.FreeAtom(v.ctx, atom)
	if v.g.HasProperty(v.ctx, namespace, atom) == 0 {
		return 0, &loadError{fmt.Sprintf("Failed to find export '%s' in module '%s'", function, module)}
	}
	f := v.g.GetProperty(v.ctx, namespace, atom)
	if isException(f) {
		v.free(v.g.GetException(v.ctx))
	}
	if v.g.IsFunction(v.ctx, f) == 0 {
		return 0, &loadError{fmt.Sprintf("Export '%s' of module '%s' is not a function", function, module)}
	}
	return f, nil
}

// unchanged says whether every module that the program was loaded from is
// what it was.
func (p *program) unchanged(find sources) bool {
	for i := range p.deps {
		source, ok := find(p.deps[i].name)
		if !p.deps[i].same(source, ok) {
			return false
		}
	}
	return true
}

// acquire returns an instance in the snapshot's state.
func (p *program) acquire(e *Engine) (*vm, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		v := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return v, nil
	}
	p.mu.Unlock()
	return p.snap.instance(e)
}

// drop gives the instances back when nothing will use the program again.
func (p *program) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped = true
	for _, v := range p.idle {
		v.g.Close()
	}
	p.idle = nil
}

// release restores an instance and keeps it, or drops it.
func (p *program) release(e *Engine, v *vm) {
	e.observed(v)
	if !p.snap.restore(v) {
		v.g.Close()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dropped && len(p.idle) < e.idleMax {
		p.idle = append(p.idle, v)
		return
	}
	v.g.Close()
}
