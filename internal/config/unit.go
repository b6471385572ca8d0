package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseTime reads a time string: digits and one of us, ms, s, min, h in any
// case; without unit, microseconds. Fractions, signs and spaces are refused,
// where CCF takes the whole part (CCF: include/ccf/ds/unit_strings.h).
func ParseTime(s string) (time.Duration, error) {
	n, err := parseUnit(s, "us, ms, s, min, h", func(unit string) (int64, bool) {
		switch unit {
		case "", "us":
			return int64(time.Microsecond), true
		case "ms":
			return int64(time.Millisecond), true
		case "s":
			return int64(time.Second), true
		case "min":
			return int64(time.Minute), true
		case "h":
			return int64(time.Hour), true
		}
		return 0, false
	})
	return time.Duration(n), err
}

// ParseSize reads a size string: digits and one of B, KB, MB, GB, TB, PB in
// any case, powers of 1024; without unit, bytes.
func ParseSize(s string) (int64, error) {
	return parseUnit(s, "B, KB, MB, GB, TB, PB", func(unit string) (int64, bool) {
		switch unit {
		case "", "b":
			return 1, true
		case "kb":
			return 1 << 10, true
		case "mb":
			return 1 << 20, true
		case "gb":
			return 1 << 30, true
		case "tb":
			return 1 << 40, true
		case "pb":
			return 1 << 50, true
		}
		return 0, false
	})
}

func parseUnit(s, allowed string, factor func(unit string) (int64, bool)) (int64, error) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := s[len(digits):]
	if s == "" {
		return 0, fmt.Errorf("is empty, want digits and a unit (%s)", allowed)
	}
	f, ok := factor(strings.ToLower(unit))
	if !ok {
		return 0, fmt.Errorf("is %q: unit %s is invalid, allowed: %s", s, unit, allowed)
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("is %q, want a whole number and a unit (%s)", s, allowed)
	}
	if int64(n) > math.MaxInt64/f {
		return 0, fmt.Errorf("is %q: too large", s)
	}
	return int64(n) * f, nil
}
