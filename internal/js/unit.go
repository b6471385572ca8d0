package js

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"synod/app"
)

// UnitCall is one call of a function of an application's unit tests: one
// module, with what `ccf` has in an endpoint, that may also call the
// application.
type UnitCall struct {
	Module   string // name for traces
	Source   string // text of the module; it cannot import
	Function string // export to call
	Args     []any  // marshalled to JSON
	// Context's transaction is what ccf.kv acts on.
	Context *app.Context
	Host    AppHost
	// Request answers the script's global callApplication: JSON in, JSON out.
	// The transaction that it returns is what ccf.kv acts on from then on. An
	// error is thrown in the script. It may call the engine.
	Request func(request string) (response string, next app.Tx, err error)
}

// CallUnit evaluates the module in an interpreter of its own and calls one of
// its exports, under the default limits. It returns the JSON of the result,
// nil for undefined, and *Exception for what the script threw.
func (e *Engine) CallUnit(ctx context.Context, c UnitCall) (json.RawMessage, error) {
	args := make([]string, len(c.Args))
	for i, a := range c.Args {
		b, err := json.Marshal(a)
		if err != nil {
			return nil, fmt.Errorf("argument %d of %s: %w", i, c.Function, err)
		}
		args[i] = string(b)
	}
	leave, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	p, err := e.unitProgram(c)
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
	run := &call{
		ctx: ctx, tx: c.Context.Tx(), access: AppReadWrite, limits: DefaultLimits(),
		app: c.Context, host: c.Host, unit: &c,
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

func (e *Engine) unitProgram(c UnitCall) (*program, error) {
	key := sha256.Sum256([]byte("unit\n" + c.Module + "\n" + c.Source))
	if p := e.gov.get(key); p != nil {
		return p, nil
	}
	p, err := e.compileAlone(realmUnit, c.Module, c.Source)
	if err != nil {
		return nil, asException(err)
	}
	e.gov.put(key, p)
	return p, nil
}

// unitOp is callApplication(request) of unit tests.
var unitOp = hostOp{"unit.callApplication", 1, func(v *vm, c *call, a args) (value, bool) {
	if !a.want(1) {
		return valExc, false
	}
	request, ok := v.text(a.at(0))
	if !ok {
		return valExc, false
	}
	var response string
	var next app.Tx
	var err error
	v.outsideDo(func() { response, next, err = c.unit.Request(request) })
	if err != nil {
		return v.throw(internalError, "%s", err)
	}
	c.tx = next
	return owned(v.newString(response))
}}
