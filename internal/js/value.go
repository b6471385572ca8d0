package js

import (
	"math"
	"unsafe"
)

func signbit(f float64) bool { return math.Signbit(f) }

// floatValue boxes a double; all NaNs are one.
func floatValue(f float64) value {
	if f != f {
		return valNaN
	}
	return value(math.Float64bits(f) - floatAddend)
}

// numberOf unboxes a number; ok is false for anything else.
func numberOf(v value) (f float64, ok bool) {
	switch t := tagOf(v); {
	case t == tagInt:
		return float64(int32(v)), true
	case t < tagFirst || t > tagLast:
		return math.Float64frombits(uint64(v) + floatAddend), true
	default:
		return 0, false
	}
}

// bytesAsString views b as a string; the caller does not change b while the
// string is in use.
func bytesAsString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// floatValueBits boxes the bits of a double.
func floatValueBits(bits uint64) value { return floatValue(math.Float64frombits(bits)) }
