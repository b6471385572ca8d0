package logfmt

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// appendAttr appends " prefix+key=value"; a group becomes its members. The tag
// goes to tag instead.
func appendAttr(b []byte, prefix string, a slog.Attr, tag *string) []byte {
	v := a.Value.Resolve()
	if a.Key == TagKey && prefix == "" {
		*tag = v.String()
		return b
	}
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, m := range v.Group() {
			b = appendAttr(b, prefix, m, tag)
		}
		return b
	}
	if a.Equal(slog.Attr{}) {
		return b
	}
	b = append(b, ' ')
	b = appendEscaped(b, prefix)
	b = appendEscaped(b, a.Key)
	b = append(b, '=')
	return appendValue(b, v)
}

func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		return strconv.AppendFloat(b, v.Float64(), 'g', -1, 64)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return append(b, v.Duration().String()...)
	case slog.KindTime:
		return v.Time().UTC().AppendFormat(b, time.RFC3339Nano)
	case slog.KindString:
		return appendQuotable(b, v.String())
	default:
		return appendQuotable(b, fmt.Sprint(v.Any()))
	}
}

// appendQuotable quotes s if a reader could not see where it ends.
func appendQuotable(b []byte, s string) []byte {
	if s == "" || strings.ContainsAny(s, " =\"\\") || !clean(s) {
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}

// clean says that s is UTF-8 without control characters but tabs.
func clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends s with control characters written as \n, \r or \x..,
// and everything else as it is.
func appendEscaped(b []byte, s string) []byte {
	if clean(s) {
		return append(b, s...)
	}
	for _, r := range s {
		switch {
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r < ' ' && r != '\t' || r == 0x7f:
			b = append(b, '\\', 'x', hexDigits[r>>4], hexDigits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// appendJSONText appends s as the inside of a JSON string.
func appendJSONText(b []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r < ' ' || r == 0x7f:
			b = append(b, `\u00`...)
			b = append(b, hexDigits[r>>4], hexDigits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}
