package js

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// govCacheSize is how many compiled governance modules are kept: the
// constitution and some ballots.
const govCacheSize = 8

// govCache keeps programs by what they were made from, the newest first.
type govCache struct {
	mu      sync.Mutex
	entries []govEntry // guarded by mu
}

type govEntry struct {
	key     [32]byte
	program *program
}

func (g *govCache) get(key [32]byte) *program {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, e := range g.entries {
		if e.key == key {
			copy(g.entries[1:i+1], g.entries[:i])
			g.entries[0] = e
			return e.program
		}
	}
	return nil
}

func (g *govCache) put(key [32]byte, p *program) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.entries) == govCacheSize {
		g.entries[govCacheSize-1].program.drop()
		g.entries = g.entries[:govCacheSize-1]
	}
	g.entries = append([]govEntry{{key, p}}, g.entries...)
}

func (g *govCache) clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.entries {
		e.program.drop()
	}
	g.entries = nil
}

// CallGov evaluates a module and calls one of its exports. It returns the
// JSON of the result, nil for undefined, and *Exception for what the script
// threw, its module's evaluation included. The module's compiled form is
// kept; its body runs once in each call.
func (e *Engine) CallGov(ctx context.Context, c GovCall) (json.RawMessage, error) {
	args := make([]string, len(c.Args))
	for i, a := range c.Args {
		b, err := json.Marshal(a)
		if err != nil {
			return nil, fmt.Errorf("argument %d of %s: %w", i, c.Function, err)
		}
		args[i] = string(b)
	}
	if c.Effects == nil {
		c.Effects = &Effects{}
	}
	if c.Access != GovReadWrite {
		c.Access = GovReadOnly
	}
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	p, err := e.govProgram(c)
	if err != nil {
		return nil, err
	}
	if p.failed != nil {
		return nil, &Exception{Reason: p.failed.Error()}
	}
	v, err := p.acquire(e)
	if err != nil {
		return nil, err
	}
	defer p.release(e, v)
	run := &call{ctx: ctx, tx: c.Tx, access: c.Access, effects: c.Effects, limits: c.Limits.atLeastDefaults()}
	if c.Within > 0 {
		run.limits.Execution = min(run.limits.Execution, c.Within)
	}
	v.call = run
	var out json.RawMessage
	err = v.protect(func() error {
		return v.limited(run, p.snap.used, func() error {
			r, err := v.callExport(p.module, c.Module, c.Function, args)
			if err != nil {
				return err
			}
			out, err = v.jsonOf(r)
			return err
		})
	})
	return out, asException(err)
}

// asException makes failures of a script's own making exceptions, and leaves
// the others.
func asException(err error) error {
	var l *loadError
	var t *trap
	switch {
	case errors.As(err, &l):
		return &Exception{Reason: l.message}
	case errors.As(err, &t):
		return t.exception()
	default:
		return err
	}
}

// callExport evaluates a compiled module and calls an export with arguments
// in JSON.
func (v *vm) callExport(module value, name, function string, args []string) (value, error) {
	ns, err := v.evaluate(module, name)
	if err != nil {
		return 0, err
	}
	f, err := v.export(ns, function, name)
	if err != nil {
		return 0, err
	}
	vals := make([]value, len(args))
	for i, a := range args {
		if vals[i] = v.parseJSON(a, v.json); isException(vals[i]) {
			v.unlimit()
			return 0, v.takeException()
		}
	}
	return v.result(v.invoke(f, vals...))
}

// govProgram compiles a governance module, or finds it compiled.
func (e *Engine) govProgram(c GovCall) (*program, error) {
	kind := kindOf(c.Access)
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%d\n%s", kind, len(c.Module), c.Module)
	h.Write([]byte(c.Source))
	key := [32]byte(h.Sum(nil))
	if p := e.gov.get(key); p != nil {
		return p, nil
	}
	p, err := e.compileAlone(kind, c.Module, c.Source)
	if err != nil {
		return nil, asException(err)
	}
	e.gov.put(key, p)
	return p, nil
}

// compileAlone makes a program of one module that imports nothing, not yet
// evaluated.
func (e *Engine) compileAlone(kind realmKind, name, source string) (*program, error) {
	base, err := e.base(kind)
	if err != nil {
		return nil, err
	}
	v, err := base.instance(e)
	if err != nil {
		return nil, err
	}
	p := &program{entry: name}
	c := &call{limits: DefaultLimits(), access: GovReadOnly}
	v.call, v.modules = c, &loader{}
	err = v.protect(func() error {
		return v.limited(c, 0, func() (err error) {
			p.module, err = v.compileSource(name, source)
			return err
		})
	})
	v.call, v.modules = nil, nil
	return p.loaded(v, err)
}

// checkConstitution looks for the functions that a constitution must export,
// each in a bare engine of its own: no ccf, no console, and whatever the top
// level throws is not noticed, as in CCF.
func (e *Engine) checkConstitution(source string) error {
	const name = "proposed constitution"
	for _, f := range []struct {
		name     string
		min, max int
		want     string
	}{
		{"apply", 2, 2, "expected 2 args (proposal, proposerId)"},
		{"resolve", 3, 4, "expected between 3 and 4 args (proposal, proposerId, votes[, proposalId])"},
		{"validate", 1, 1, "expected 1 arg (input)"},
	} {
		n, err := e.arity(name, source, f.name)
		if err != nil {
			return fmt.Errorf("%s does not export a function named %s: %w", name, f.name, err)
		}
		if n < f.min || n > f.max {
			plural := "args"
			if n == 1 {
				plural = "arg"
			}
			return fmt.Errorf("%s exports function %s with %d %s, %s", name, f.name, n, plural, f.want)
		}
	}
	return nil
}

// arity is the length of a function that a module exports.
func (e *Engine) arity(name, source, function string) (int, error) {
	base, err := e.base(realmBare)
	if err != nil {
		return 0, err
	}
	v, err := base.instance(e)
	if err != nil {
		return 0, err
	}
	defer v.g.Close()
	c := &call{limits: DefaultLimits(), access: GovReadOnly}
	v.call = c
	n := 0
	err = v.protect(func() error {
		return v.limited(c, 0, func() error {
			module, err := v.compileSource(name, source)
			if err != nil {
				return fmt.Errorf("Failed to compile %s", name)
			}
			promise := v.g.EvalFunction(v.ctx, v.g.DupValue(v.ctx, module))
			if isException(promise) {
				v.unlimit()
				return fmt.Errorf("Failed to execute %s: %s", name, v.takeException().Reason)
			}
			ns := v.g.ModuleNamespace(v.ctx, int32(module))
			f, err := v.export(ns, function, name)
			if err != nil {
				return err
			}
			length, _ := numberOf(v.g.GetProperty(v.ctx, f, v.atoms[atomLength]))
			n = int(length)
			return nil
		})
	})
	return n, err
}
