package js

import (
	"encoding/binary"
	"log/slog"
	"strconv"
	"strings"
)

// consoleOps are console and Math.random
// (CCF: src/js/extensions/console.cpp, math/random.cpp).
var consoleOps = []hostOp{
	{"console.log", 1, logAt(slog.LevelInfo)},
	{"console.info", 1, logAt(slog.LevelInfo)},
	{"console.warn", 1, logAt(slog.LevelWarn)},
	{"console.error", 1, logAt(levelFatal)},
	{"math.random", 0, func(v *vm, _ *call, _ args) (value, bool) {
		v.effect()
		var b [8]byte
		v.eng.random.read(b[:])
		const bits = 52
		n := binary.LittleEndian.Uint64(b[:]) >> (64 - bits)
		return v.newNumber(float64(n) / (1 << bits)), true
	}},
}

// levelFatal is the level of console.error, which CCF logs as fatal.
const levelFatal = slog.LevelError + 4

// logAt prints its arguments joined by spaces: objects that are no Errors as
// JSON, the rest as String().
func logAt(level slog.Level) func(*vm, *call, args) (value, bool) {
	return func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		var b strings.Builder
		for i := range a.argc {
			if i > 0 {
				b.WriteByte(' ')
			}
			x := a.at(i)
			if isObject(x) && v.g.IsError(x) == 0 {
				if x = v.stringify(x); isException(x) {
					return x, false
				}
				defer v.free(x)
			}
			s, ok := v.text(x)
			if !ok {
				return valExc, false
			}
			b.WriteString(s)
		}
		v.eng.log.LogAttrs(c.context(), level, b.String(), slog.String("tag", c.tag()))
		return valUndef, true
	}
}

func decimal[T ~uint64](n T) string { return strconv.FormatUint(uint64(n), 10) }

// integer is ToNumber truncated to an integer; false means that it threw.
func (v *vm) integer(x value) (int64, bool) {
	f, ok := v.number(x)
	if !ok {
		return 0, false
	}
	switch {
	case f != f:
		return 0, true
	case f >= 1<<53:
		return 1 << 53, true
	case f <= -(1 << 53):
		return -(1 << 53), true
	default:
		return int64(f), true
	}
}

// number is ToNumber; false means that it threw.
func (v *vm) number(x value) (float64, bool) {
	if f, ok := numberOf(x); ok {
		return f, true
	}
	if v.g.ToFloat64(v.ctx, v.scratch+scratchOut, x) < 0 {
		return 0, false
	}
	f, _ := numberOf(floatValueBits(getUint64(v.g.Memory(), v.scratch+scratchOut)))
	return f, true
}
