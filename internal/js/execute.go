package js

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// The messages of a failed call (CCF: src/js/registry.cpp).
const (
	messageThrown  = "Exception thrown while executing."
	messageTimeout = "Operation took too long to complete."
)

// run answers one request with the endpoint's function.
func (s *scriptApp) run(c *app.Context, e *scriptEndpoint) error {
	host := s.hostOf(c)
	if e.feed != nil && !c.Request.Header.Has(app.TransactionHeader) {
		return s.follow(c, e, host)
	}
	if e.endpoint.Mode != app.Historical {
		return s.runOn(c, e, host, nil)
	}
	if host == nil || host.History() == nil {
		return synod.Errorf(500, synod.CodeInternalError, "Historical query failed: %s", errNoHistory)
	}
	return app.AnswerHistorical(c, host.History(), func(c *app.Context, past *app.State) error {
		return s.runOn(c, e, host, past)
	})
}

// runOn is run, for a historical endpoint with the past state that it is about.
func (s *scriptApp) runOn(c *app.Context, e *scriptEndpoint, host AppHost, past *app.State) error {
	tx := c.Tx()
	seqno, _ := tx.VersionOfPreviousWrite(s.tables.Flush, tables.UnitKey())
	opts, err := runtimeOptions(tx, s.tables.Options)
	if err != nil {
		return err
	}
	access := AppReadWrite
	if e.endpoint.Mode != app.ReadWrite {
		access = AppReadOnly
	}
	leave, err := s.eng.enter(c.Context())
	if err != nil {
		return err
	}
	defer leave()
	p, err := s.program(c.Context(), tx, e.props.JSModule)
	if err == nil {
		err = p.failed
	}
	if err != nil {
		return s.failure(c, opts, err)
	}
	run := &call{
		ctx: c.Context(), tx: tx, access: access, app: c, host: host, space: s.space, state: past,
		limits: Limits{
			HeapBytes:  clampInt64(opts.MaxHeapBytes),
			StackBytes: clampInt64(min(opts.MaxStackBytes, stackMax*stackDenominator)),
			Execution:  time.Duration(min(opts.MaxExecutionTimeMS, executionMaxMS)) * time.Millisecond,
		},
	}
	start := s.eng.now()
	var metrics bool
	if e.props.InterpreterReuse != nil {
		marker := flushMarker{view: tx.ReadVersion().View, seqno: seqno}
		metrics, err = s.callReused(run, p, e, marker, opts)
	} else {
		metrics, err = s.callFresh(run, p, e)
	}
	if err != nil {
		return s.failure(c, opts, err)
	}
	if metrics {
		s.log.LogAttrs(c.Context(), slog.LevelInfo, fmt.Sprintf(
			"JS execution complete: Method=%s, Path=%s, Status=%d, ExecMilliseconds=%d",
			e.endpoint.Method, routeOf(c), c.Response().Status, s.eng.now().Sub(start).Milliseconds()),
			slog.String("tag", "js"))
	}
	return nil
}

// hostOf is what scripts may ask of consensus.
func (s *scriptApp) hostOf(c *app.Context) AppHost {
	if s.host != nil || c.Node() == nil {
		return s.host
	}
	return nodeHost{c.Node()}
}

// nodeHost is the node of a request.
type nodeHost struct{ n app.Node }

func (h nodeHost) LastCommitted() synod.TxID                   { return h.n.Committed() }
func (h nodeHost) Status(id synod.TxID) synod.TxStatus         { return h.n.Status(id) }
func (h nodeHost) ViewOf(seqno synod.SeqNo) (synod.View, bool) { return h.n.ViewOf(seqno) }
func (h nodeHost) History() app.History                        { return h.n.History() }

// executionMaxMS keeps the time limit and the watchdog after it in range.
const executionMaxMS = 24 * 60 * 60 * 1000

func clampInt64(n uint64) int64 { return int64(min(n, 1<<62)) }

// callFresh runs the function in an instance that no other request has
// touched. The result says whether metrics are logged.
func (s *scriptApp) callFresh(run *call, p *program, e *scriptEndpoint) (bool, error) {
	v, err := p.acquire(s.eng)
	if err != nil {
		return false, err
	}
	defer p.release(s.eng, v)
	v.call = run
	err = v.protect(func() error {
		if run.state != nil {
			if err := v.showState(run); err != nil {
				return err
			}
		}
		f, err := s.freshFunction(v, run, p, e.props.JSFunction)
		if err != nil {
			return err
		}
		return v.handle(run, p.snap.used, f)
	})
	return v.metricsLogging, err
}

// freshFunction finds the function in an instance in the snapshot's state.
func (s *scriptApp) freshFunction(v *vm, run *call, p *program, name string) (value, error) {
	if !p.pure {
		ns, err := v.evaluateFor(run, p)
		if err != nil {
			return 0, err
		}
		return v.export(ns, name, p.entry)
	}
	p.mu.Lock()
	f, ok := p.exports[name]
	p.mu.Unlock()
	if ok {
		return f, nil
	}
	f, err := v.export(p.namespace, name, p.entry)
	if err != nil {
		return 0, err
	}
	// The function lies in the snapshot: its address is the same in every
	// instance. A name that came from the tables is bounded by them.
	p.mu.Lock()
	p.exports[name] = f
	p.mu.Unlock()
	return f, nil
}

// evaluateFor runs a compiled program's module bodies with the call's
// transaction, under the limits of loading.
func (v *vm) evaluateFor(run *call, p *program) (ns value, err error) {
	limits := run.limits
	run.limits = loadLimits()
	err = v.limited(run, 0, func() error {
		ns, err = v.evaluate(p.module, p.entry)
		return err
	})
	run.limits = limits
	v.unlimit()
	return ns, err
}

// handle calls an endpoint's function with the current request and turns
// what it returns into the response.
func (v *vm) handle(run *call, used int64, f value) error {
	request := v.spare
	v.spare = 0
	if request == 0 {
		if request = v.invoke(v.request); isException(request) {
			return v.takeException()
		}
	}
	err := v.limited(run, used, func() error {
		r, err := v.result(v.invoke(f, request))
		if err != nil {
			return err
		}
		err = v.respond(run.app, r)
		v.free(r)
		return err
	})
	if !v.broken {
		v.letGo(request)
	}
	return err
}

// letGo frees a request object. If the script kept it, its lazy members are
// read first, while the request is still there.
func (v *vm) letGo(request value) {
	const refcountBefore = 4 // the count precedes the object
	if getUint32(v.g.Memory(), int32(request)-refcountBefore) > 1 {
		v.unlimit()
		if r := v.invoke(v.settle, request); isException(r) {
			v.free(v.g.GetException(v.ctx))
		}
	}
	v.free(request)
}

// callReused runs the function in an interpreter that earlier requests of
// the same key left.
func (s *scriptApp) callReused(run *call, p *program, e *scriptEndpoint, marker flushMarker, opts tables.JSRuntimeOptions) (bool, error) {
	key := e.props.InterpreterReuse.Key + " (ro)"
	if run.access == AppReadWrite {
		key = e.props.InterpreterReuse.Key + " (rw)"
	}
	i := s.reuse.take(key, marker)
	if i != nil {
		if m, ok := i.loaded[e.props.JSModule]; ok && m.program != p {
			i.vm.g.Close() // its code is not what the tables have
			i = nil
		}
	}
	if i == nil {
		v, err := p.snap.instance(s.eng)
		if err != nil {
			return false, err
		}
		i = &reused{vm: v, key: key, marker: marker, loaded: map[string]loadedModule{}}
		if p.pure {
			i.loaded[e.props.JSModule] = loadedModule{program: p, namespace: p.namespace}
		}
	}
	v := i.vm
	v.call = run
	err := v.protect(func() error {
		if run.state != nil || i.past {
			if err := v.showState(run); err != nil {
				return err
			}
			i.past = run.state != nil
		}
		m, err := i.load(run, p, e.props.JSModule)
		if err != nil {
			return err
		}
		f, err := v.export(m.namespace, e.props.JSFunction, e.props.JSModule)
		if err != nil {
			return err
		}
		err = v.handle(run, 0, f)
		if !v.broken {
			v.unlimit()
			v.free(f)
			// A job left over would act on the next request's transaction.
			v.broken = v.g.IsJobPending(v.rt) != 0
		}
		return err
	})
	v.call = nil
	metrics := v.metricsLogging
	s.eng.observed(v)
	s.reuse.put(i, opts.MaxCachedInterpreters, s.eng.idleMax)
	return metrics, err
}

// load evaluates a module in a live interpreter unless it is there already.
func (i *reused) load(run *call, p *program, module string) (loadedModule, error) {
	if m, ok := i.loaded[module]; ok {
		return m, nil
	}
	v := i.vm
	limits := run.limits
	run.limits = loadLimits()
	m := loadedModule{program: p}
	err := v.limited(run, 0, func() (err error) {
		if len(i.loaded) == 0 { // made from p, which is not pure
			m.namespace, err = v.evaluate(p.module, module)
			return err
		}
		m.namespace, err = v.importInto(run, module, len(i.loaded))
		return err
	})
	run.limits = limits
	if v.broken {
		return m, err
	}
	v.unlimit()
	if err != nil {
		// Half a module may be there: the interpreter must not be used again.
		v.broken = true
		return m, err
	}
	i.loaded[module] = m
	return m, nil
}

// importInto loads a module by an import, so that a module that others have
// imported already is the same one.
func (v *vm) importInto(run *call, module string, n int) (value, error) {
	quoted, err := json.Marshal(canonical(module))
	if err != nil {
		return 0, err
	}
	v.modules = &loader{find: func(name []byte) ([]byte, bool) { return run.tx.Get(run.space.Tables().Modules, name) }}
	defer func() { v.modules = nil }()
	stub, err := v.compileSource(fmt.Sprintf("<entry %d>", n), "import * as m from "+string(quoted)+"; export default m;")
	if err != nil {
		return 0, err
	}
	ns, err := v.evaluate(stub, module)
	if err != nil {
		return 0, err
	}
	return v.element(ns, "default"), nil
}

// failure is the answer to a call that did not succeed.
func (s *scriptApp) failure(c *app.Context, opts tables.JSRuntimeOptions, err error) error {
	var load *loadError
	var wrong *responseError
	var x *Exception
	var t *trap
	switch {
	case errors.As(err, &load):
		return synod.Errorf(500, synod.CodeInternalError, "%s", load.message)
	case errors.As(err, &wrong) && wrong.cause == nil:
		return synod.Errorf(500, synod.CodeInternalError, "%s", wrong.message)
	case errors.As(err, &x):
	case errors.As(err, &t):
		x = t.exception()
	default:
		return err
	}
	message := messageThrown
	switch {
	case x.Timeout:
		message = messageTimeout
	case wrong != nil:
		message = wrong.message
	}
	if opts.LogExceptionDetails {
		trace := x.Trace
		if trace == "" {
			trace = "<no trace>"
		}
		s.log.LogAttrs(c.Context(), slog.LevelWarn, x.Reason+": "+trace, slog.String("tag", "app"))
	}
	out := synod.Errorf(500, synod.CodeInternalError, "%s", message)
	if opts.ReturnExceptionDetails {
		out.Details = []synod.ErrorDetail{{Code: synod.CodeJSException, Message: x.Reason, Trace: x.Trace}}
	}
	return out
}
