package identity

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// ErrTime is the error for text that is no time in an accepted format.
var ErrTime = errors.New("identity: no accepted time format")

// The accepted formats. A year of two digits is 1950 to 2049 with an offset
// and 1969 to 2068 with Z, as in CCF.
var (
	compactTime = regexp.MustCompile(`^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(Z|[+-]\d{4})$`)
	dashedTime  = regexp.MustCompile(`^(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2}):(\d{2})(?:\.\d{1,9})? ?(Z|[+-]\d{2}:?\d{2})?$`)
)

// timeMax bounds the text of a time, in bytes.
const timeMax = 64

// ParseTime reads the start of a validity period (CCF:
// include/ccf/ds/x509_time_fmt.h): YYMMDDhhmmss or YYYYMMDDhhmmss with Z or an
// offset like +0100; YYYY-MM-DD hh:mm:ss, or with T, then at will a fraction,
// which is dropped, and Z or an offset like +01:00. Without an offset it is
// UTC. The error wraps ErrTime.
func ParseTime(s string) (time.Time, error) {
	if len(s) > timeMax {
		return time.Time{}, fmt.Errorf("%w: %d bytes", ErrTime, len(s))
	}
	m := compactTime.FindStringSubmatch(s)
	if m == nil {
		m = dashedTime.FindStringSubmatch(s)
	}
	if m == nil {
		return time.Time{}, fmt.Errorf("%w: %q", ErrTime, s)
	}
	var n [6]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // one to four digits
	}
	if len(m[1]) == 2 {
		n[0] += century(n[0], m[7] == "Z")
	}
	t := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)
	if t.Year() != n[0] || t.Month() != time.Month(n[1]) || t.Day() != n[2] ||
		t.Hour() != n[3] || t.Minute() != n[4] || t.Second() != n[5] {
		return time.Time{}, fmt.Errorf("%w: %q is out of range", ErrTime, s)
	}
	offset, ok := zone(m[7])
	if !ok {
		return time.Time{}, fmt.Errorf("%w: offset of %q is out of range", ErrTime, s)
	}
	return t.Add(-offset), nil
}

func century(yy int, utc bool) int {
	pivot := 50
	if utc {
		pivot = 69
	}
	if yy >= pivot {
		return 1900
	}
	return 2000
}

// zone reads "", "Z", "+hhmm" or "+hh:mm".
func zone(s string) (time.Duration, bool) {
	if s == "" || s == "Z" {
		return 0, true
	}
	h, _ := strconv.Atoi(s[1:3])
	m, _ := strconv.Atoi(s[len(s)-2:])
	d := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	if s[0] == '-' {
		d = -d
	}
	return d, h <= 23 && m <= 59
}

// FormatTime writes a time as YYYYMMDDhhmmssZ, the form that CCF emits.
func FormatTime(t time.Time) string { return t.UTC().Format("20060102150405Z") }
