package js

import (
	"fmt"
	"strings"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// permission says what a script may do with a table.
type permission int

const (
	permitNone  permission = 0
	permitRead  permission = 1
	permitWrite permission = 2
	permitBoth  permission = permitRead | permitWrite
)

func (p permission) String() string {
	switch p {
	case permitRead:
		return "read-only"
	case permitWrite:
		return "write-only"
	default:
		return "inaccessible"
	}
}

func (a Access) String() string {
	switch a {
	case AppReadWrite:
		return "application"
	case AppReadOnly:
		return "read-only application"
	case GovReadOnly:
		return "read-only governance"
	case GovReadWrite:
		return "read-write governance"
	default:
		return "unknown"
	}
}

// permissionFor is the matrix of CCF: doc/audit/read_write_restrictions.rst.
func permissionFor(a Access, name string) permission {
	k := tables.Access(name)
	app := a == AppReadWrite || a == AppReadOnly
	switch {
	case k.Category == tables.Reserved:
		return permitNone
	case !k.Public && k.Category == tables.Application && a == AppReadWrite:
		return permitBoth
	case !k.Public && k.Category == tables.Application && app:
		return permitRead
	case !k.Public:
		return permitNone
	case k.Category == tables.Internal:
		return permitRead
	case k.Category == tables.Governance && a == GovReadWrite:
		return permitBoth
	case k.Category == tables.Governance:
		return permitRead
	}
	switch a { // a public application table
	case AppReadWrite:
		return permitBoth
	case AppReadOnly:
		return permitRead
	case GovReadWrite:
		return permitWrite
	default:
		return permitNone
	}
}

const restrictionsPage = "https://microsoft.github.io/CCF/main/audit/read_write_restrictions.html"

// deniedText is the message for a method that a table's permission forbids.
func deniedText(method, name string, p permission, a Access, why string) string {
	return fmt.Sprintf("Cannot call %q on table named %s. This table is %s in current (%s) execution context. %s",
		method, name, p, a, why)
}

// restricted is what a space leaves of a permission, and why. Its own tables
// are what was installed and who asked for it: no script may change that.
func (s *Space) restricted(table string, p permission, why string) (permission, string) {
	read, write, reason := true, true, ""
	if strings.HasPrefix(table, s.Prefix+".") {
		write, reason = false, "The tables of installed endpoints are read-only in JS."
	} else if s.Restrict != nil {
		read, write, reason = s.Restrict(table)
	}
	left := p
	if !read {
		left &^= permitRead
	}
	if !write {
		left &^= permitWrite
	}
	if left != p {
		why = reason
	}
	return left, why
}

// tableOp is a method of a table handle. What reads does so from r: the call's
// own transaction, or a past one.
type tableOp struct {
	method string
	length int // arguments
	need   permission
	run    func(v *vm, c *call, a args, r app.Reader, table string) (value, bool)
}

var tableOps = []tableOp{
	{"has", 1, permitRead, func(v *vm, c *call, a args, r app.Reader, table string) (value, bool) {
		key, ok := v.kvKey(a)
		if !ok {
			return valExc, false
		}
		var has bool
		v.outsideDo(func() { has = r.Has(table, key) })
		return boolValue(has), true
	}},
	{"get", 1, permitRead, func(v *vm, c *call, a args, r app.Reader, table string) (value, bool) {
		key, ok := v.kvKey(a)
		if !ok {
			return valExc, false
		}
		var val []byte
		v.outsideDo(func() { val, ok = r.Get(table, key) })
		if !ok {
			return valUndef, true
		}
		return owned(v.newBuffer(val))
	}},
	{"getVersionOfPreviousWrite", 1, permitRead, func(v *vm, c *call, a args, r app.Reader, table string) (value, bool) {
		key, ok := v.kvKey(a)
		if !ok {
			return valExc, false
		}
		var seqno synod.SeqNo
		v.outsideDo(func() { seqno, ok = r.VersionOfPreviousWrite(table, key) })
		if !ok {
			return valUndef, true
		}
		return v.newNumber(float64(seqno)), true
	}},
	{"size", 0, permitRead, func(v *vm, c *call, _ args, r app.Reader, table string) (value, bool) {
		var n int
		v.outsideDo(func() { n = r.Len(table) })
		return v.newNumber(float64(n)), true
	}},
	{"set", 2, permitWrite, func(v *vm, c *call, a args, r app.Reader, table string) (value, bool) {
		key, ok1 := v.buffer(a.at(0))
		val, ok2 := v.buffer(a.at(1))
		if !ok1 || !ok2 {
			return v.throw(typeError, "Arguments must be ArrayBuffers")
		}
		if c.written += len(key) + len(val); c.written > writtenMax {
			return v.throw(internalError, "out of memory")
		}
		v.outsideDo(func() { c.tx.Put(table, key, val) })
		return v.g.DupValue(v.ctx, a.this), true
	}},
	{"delete", 1, permitWrite, func(v *vm, c *call, a args, r app.Reader, table string) (value, bool) {
		key, ok := v.kvKey(a)
		if !ok {
			return valExc, false
		}
		v.outsideDo(func() { c.tx.Delete(table, key) })
		return valUndef, true
	}},
	{"clear", 0, permitWrite, func(v *vm, c *call, _ args, r app.Reader, table string) (value, bool) {
		v.outsideDo(func() { c.tx.Clear(table) })
		return valUndef, true
	}},
	{"forEach", 1, permitRead, kvForEach},
}

// kvOps are the methods of ccf.kv's tables.
var kvOps = opsOf("kv.", func(v *vm, c *call, a args, op *tableOp, table string) (value, bool) {
	p := permissionFor(c.access, table)
	why := "See " + restrictionsPage + " for more detail."
	if c.space != nil && p != permitNone {
		p, why = c.space.restricted(table, p, why)
	}
	if p&op.need == 0 {
		return v.throw(typeError, "%s", deniedText(op.method, table, p, c.access, why))
	}
	return op.call(v, c, a, c.tx, table)
})

func (op *tableOp) call(v *vm, c *call, a args, r app.Reader, table string) (value, bool) {
	if op.method != "size" && !a.want(op.length) {
		return valExc, false
	}
	return op.run(v, c, a, r, table)
}

// opsOf makes host functions of the methods of a table handle: each finds out
// which table it is about.
func opsOf(prefix string, run func(v *vm, c *call, a args, op *tableOp, table string) (value, bool)) []hostOp {
	ops := make([]hostOp, len(tableOps))
	for i := range tableOps {
		op := &tableOps[i]
		ops[i] = hostOp{name: prefix + op.method, length: op.length, run: func(v *vm, c *call, a args) (value, bool) {
			v.effect()
			table, ok := v.tableOf(a)
			if !ok {
				return valExc, false
			}
			return run(v, c, a, op, table)
		}}
	}
	return ops
}

// tableOf is the name on a table handle; false means that it threw.
func (v *vm) tableOf(a args) (string, bool) {
	if !isObject(a.this) {
		v.throw(typeError, "Internal: No map name stored on handle")
		return "", false
	}
	n := v.g.GetProperty(v.ctx, a.this, v.atoms[atomMapName])
	if isException(n) {
		return "", false
	}
	if !isString(n) {
		v.free(n)
		v.throw(typeError, "Internal: No map name stored on handle")
		return "", false
	}
	table, ok := v.text(n)
	v.free(n)
	return table, ok
}

func (v *vm) kvKey(a args) ([]byte, bool) {
	key, ok := v.buffer(a.at(0))
	if !ok {
		v.throw(typeError, "Argument must be an ArrayBuffer")
	}
	return key, ok
}

// owned is what a host function returns for a value that it just made.
func owned(x value) (value, bool) { return x, !isException(x) }

func kvForEach(v *vm, _ *call, a args, r app.Reader, table string) (value, bool) {
	f := a.at(0)
	if v.g.IsFunction(v.ctx, f) == 0 {
		return v.throw(typeError, "Argument must be a function")
	}
	done := true
	var stopped any // what stopped the engine; it must not unwind the store
	v.outside = true
	r.ForEach(table, func(key, val []byte) bool {
		v.outside = false
		done, stopped = v.visitSafely(f, a.this, key, val)
		v.outside = true
		return done
	})
	v.outside = false
	if stopped != nil {
		panic(stopped)
	}
	return valUndef, done
}

// visitSafely is visit, and what stops the engine is a result.
func (v *vm) visitSafely(f, handle value, key, val []byte) (done bool, stopped any) {
	defer func() {
		if v.outside {
			return // the store's own panic, in a nested call: a broken invariant
		}
		if stopped = recover(); stopped != nil {
			done = false
		}
	}()
	return v.visit(f, handle, key, val), nil
}

// visit calls f(value, key, handle) and says whether it returned.
func (v *vm) visit(f, handle value, key, val []byte) bool {
	bv := v.newBuffer(val)
	if isException(bv) {
		return false
	}
	bk := v.newBuffer(key)
	if isException(bk) {
		v.free(bv)
		return false
	}
	r := v.invoke(f, bv, bk, handle)
	v.free(bv)
	v.free(bk)
	v.free(r)
	return !isException(r)
}
