package js

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

var errNoEffect = errors.New("this node does not offer it")

// govOps is ccf.gov (CCF: src/js/extensions/ccf/gov.cpp).
var govOps = []hostOp{
	{"gov.validateConstitution", 1, func(v *vm, _ *call, a args) (value, bool) {
		if !a.want(1) {
			return valExc, false
		}
		if !isString(a.at(0)) {
			return v.throw(typeError, "constitution is not a string")
		}
		source, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		if source == "" {
			return v.throw(typeError, "constitution is empty")
		}
		if err := v.eng.checkConstitution(source); err != nil {
			return v.throw(typeError, "%s", err)
		}
		return valTrue, true
	}},
}

// applyOps are what only apply has
// (CCF: src/js/extensions/ccf/gov_effects.cpp, node.cpp, network.cpp).
var applyOps = []hostOp{
	{"apply.refreshAppBytecodeCache", 0, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.wantNone() {
			return valExc, false
		}
		if err := c.untimed(v.eng, func() error { return v.eng.refreshBytecode(c) }); err != nil {
			return v.throw(internalError, "Failed to refresh bytecode: %s", err)
		}
		return valUndef, true
	}},
	{"apply.setJwtPublicSigningKeys", 3, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.wantNodeArgs(3) {
			return valExc, false
		}
		issuer, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		metadata, ok := v.jsonArg(a.at(1))
		if !ok {
			return v.throw(typeError, "metadata argument is not a JSON object")
		}
		jwks, ok := v.jsonArg(a.at(2))
		if !ok {
			return v.throw(typeError, "jwks argument is not a JSON object")
		}
		err := v.effectErr(c.effects.SetJWTPublicSigningKeys != nil, func() error {
			return c.effects.SetJWTPublicSigningKeys(issuer, metadata, jwks)
		})
		if err != nil {
			return v.throw(internalError, "Error setting JWT public signing keys: %s", err)
		}
		return valUndef, true
	}},
	{"apply.removeJwtPublicSigningKeys", 1, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.wantNodeArgs(1) {
			return valExc, false
		}
		issuer, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		err := v.effectErr(c.effects.RemoveJWTPublicSigningKeys != nil, func() error {
			return c.effects.RemoveJWTPublicSigningKeys(issuer)
		})
		if err != nil {
			return v.throw(internalError, "Failed to remove JWT public signing keys: %s", err)
		}
		return valUndef, true
	}},
	trigger("triggerLedgerRekey", "Failed to rekey ledger: %s", func(e *Effects) func() error { return e.TriggerLedgerRekey }),
	trigger("triggerRecoverySharesRefresh", "Unable to trigger recovery shares refresh: %s",
		func(e *Effects) func() error { return e.TriggerRecoverySharesRefresh }),
	trigger("triggerLedgerChunk", "Unable to force ledger chunk: %s",
		func(e *Effects) func() error { return e.TriggerLedgerChunk }),
	trigger("triggerSnapshot", "Unable to request snapshot: %s", func(e *Effects) func() error { return e.TriggerSnapshot }),
	{"node.transitionServiceToOpen", 2, transitionServiceToOpen},
	{"node.setSealedResume", 1, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.want(1) {
			return valExc, false
		}
		if a.at(0) != valTrue && a.at(0) != valFalse {
			return v.throw(typeError, "allowed is not a boolean")
		}
		err := v.effectErr(c.effects.SetSealedResume != nil, func() error { return c.effects.SetSealedResume(a.at(0) == valTrue) })
		if err != nil {
			return v.throw(internalError, "Unable to set what nodes may seal: %s", err)
		}
		return valUndef, true
	}},
	{"network.getLatestLedgerSecretSeqno", 0, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.wantNone() {
			return valExc, false
		}
		var n synod.SeqNo
		err := v.effectErr(c.effects.LatestLedgerSecretSeqno != nil, func() (err error) {
			n, err = c.effects.LatestLedgerSecretSeqno()
			return err
		})
		if err != nil {
			return v.throw(internalError, "Failed to fetch latest ledger secret seqno: %s", err)
		}
		return v.newNumber(float64(n)), true
	}},
	{"network.generateEndorsedCertificate", 3, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.wantNodeArgs(3) {
			return valExc, false
		}
		csr, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		from, days, ok := v.validity(a.at(1), a.at(2))
		if !ok {
			return valExc, false
		}
		var cert string
		err := v.effectErr(c.effects.GenerateEndorsedCertificate != nil, func() (err error) {
			cert, err = c.effects.GenerateEndorsedCertificate(csr, from, days)
			return err
		})
		if err != nil {
			return v.throw(internalError, "Failed to create endorsed cert: %s", err)
		}
		return owned(v.newString(cert))
	}},
	{"network.generateNetworkCertificate", 2, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.wantNodeArgs(2) {
			return valExc, false
		}
		from, days, ok := v.validity(a.at(0), a.at(1))
		if !ok {
			return valExc, false
		}
		var cert string
		err := v.effectErr(c.effects.GenerateNetworkCertificate != nil, func() (err error) {
			cert, err = c.effects.GenerateNetworkCertificate(from, days)
			return err
		})
		if err != nil {
			return v.throw(internalError, "Error: %s", err)
		}
		return owned(v.newString(cert))
	}},
}

// trigger is a function of ccf.node without arguments or result.
func trigger(name, failure string, effect func(*Effects) func() error) hostOp {
	return hostOp{"node." + name, 0, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.wantNone() {
			return valExc, false
		}
		f := effect(c.effects)
		if err := v.effectErr(f != nil, f); err != nil {
			return v.throw(internalError, failure, err)
		}
		return valUndef, true
	}}
}

// transitionServiceToOpen is called with one buffer or with previous and
// next; undefined as previous counts as absent.
func transitionServiceToOpen(v *vm, c *call, a args) (value, bool) {
	v.effect()
	if a.argc != 2 {
		return v.throw(typeError, "Passed %d arguments but expected two", a.argc)
	}
	var previous []byte
	if a.at(0) != valUndef {
		var ok bool
		if previous, ok = v.buffer(a.at(0)); !ok {
			return v.throw(typeError, "Previous service identity argument is not an array buffer")
		}
	}
	if a.at(1) == valUndef {
		return v.throw(internalError, "Proposal requires a service identity")
	}
	next, ok := v.buffer(a.at(1))
	if !ok {
		return v.throw(typeError, "Next service identity argument is not an array buffer")
	}
	err := v.effectErr(c.effects.TransitionServiceToOpen != nil, func() error {
		return c.effects.TransitionServiceToOpen(previous, next)
	})
	if err != nil {
		return v.throw(internalError, "Unable to open service: %s", err)
	}
	return valUndef, true
}

// effectErr runs an effect if the node has it.
func (v *vm) effectErr(has bool, f func() error) (err error) {
	if !has {
		return errNoEffect
	}
	v.outsideDo(func() { err = f() })
	return err
}

func (a args) wantNone() bool {
	if a.argc == 0 {
		return true
	}
	a.v.throw(typeError, "Passed %d arguments but expected none", a.argc)
	return false
}

func (a args) wantNodeArgs(n int) bool {
	if a.argc == n {
		return true
	}
	a.v.throw(typeError, "Passed %d arguments but expected %d", a.argc, n)
	return false
}

// validity reads a certificate's start and its days.
func (v *vm) validity(from, days value) (string, int, bool) {
	text, ok := v.text(from)
	if !ok {
		return "", 0, false
	}
	n, ok := v.integer(days)
	if ok && (n < 0 || n > 1<<31-1) {
		v.throw(internalError, "Validity period of %d days is out of range", n)
		ok = false
	}
	return text, int(n), ok
}

// jsonArg is an argument's JSON; false if it has none, and nothing is thrown.
func (v *vm) jsonArg(x value) (json.RawMessage, bool) {
	s := v.stringify(x)
	if isException(s) {
		v.free(v.g.GetException(v.ctx))
		return nil, false
	}
	defer v.free(s)
	if !isString(s) {
		return nil, false
	}
	text, ok := v.text(s)
	return json.RawMessage(text), ok
}

// refreshBytecode checks that every module compiles and fills the bytecode
// tables with markers: a digest for each module, which says as little as a
// row can and is the same on every node. The engine keeps its compiled
// programs by content and never reads them.
func (e *Engine) refreshBytecode(c *call) error {
	return e.refresh(c, (*Space)(nil).Tables())
}

// RefreshSpace notes the engine's version and the modules of a space as they
// are in tx, whose text must parse (CCF: src/js/registry.cpp,
// install_custom_endpoints_v1). The error is *Exception for text that does not.
func (e *Engine) RefreshSpace(ctx context.Context, tx app.Tx, s *Space) error {
	leave, err := e.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return e.refresh(&call{ctx: ctx, tx: tx, access: AppReadWrite, limits: DefaultLimits()}, s.Tables())
}

func (e *Engine) refresh(c *call, in SpaceTables) error {
	base, err := e.base(realmApp)
	if err != nil {
		return err
	}
	v, err := base.instance(e)
	if err != nil {
		return err
	}
	defer v.g.Close()
	type module struct{ name, source []byte }
	var modules []module
	c.tx.ForEach(in.Modules, func(name, source []byte) bool {
		modules = append(modules, module{name, source})
		return true
	})
	sub := &call{ctx: c.ctx, limits: c.limits, access: c.access}
	sub.limits.Execution = compileTime
	// Imports are not followed here: each module is compiled by itself.
	v.call, v.modules = sub, &loader{find: func([]byte) ([]byte, bool) { return []byte{}, true }}
	err = v.protect(func() error {
		return v.limited(sub, 0, func() error {
			for _, m := range modules {
				if err := v.parses(string(m.name), string(m.source)); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	c.tx.Put(in.Version, tables.UnitKey(), []byte(e.Version()))
	c.tx.Clear(in.Bytecode)
	for _, m := range modules {
		h := sha256.New()
		fmt.Fprintf(h, "%s\n%d\n%s", e.Version(), len(m.name), m.name)
		h.Write(m.source)
		c.tx.Put(in.Bytecode, m.name, h.Sum(nil))
	}
	return nil
}

// parses compiles a module without what it imports.
func (v *vm) parses(name, source string) error {
	src, file := v.alloc(source), v.alloc(name)
	m := v.g.Eval(v.ctx, src, int32(len(source)), file, evalModule|evalCompileOnly)
	v.g.Free(src)
	v.g.Free(file)
	if isException(m) {
		v.unlimit()
		x := v.takeException()
		if x.Timeout {
			return x
		}
		return fmt.Errorf("Unable to serialize bytecode for JS module '%s': %s", name, x.Reason)
	}
	return nil
}
