package identity

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"251123145045Z":                    "20251123145045Z",
		"690101000000Z":                    "19690101000000Z",
		"680101000000Z":                    "20680101000000Z",
		"20251123145045Z":                  "20251123145045Z",
		"2025-11-23 14:50:45":              "20251123145045Z",
		"2025-11-23T14:50:45":              "20251123145045Z",
		"2025-11-23 14:50:45.123456":       "20251123145045Z",
		"2025-11-23 14:50:45.123456+00:00": "20251123145045Z",
		"2025-11-23 14:50:45+01:00":        "20251123135045Z",
		"2025-11-23 14:50:45 +01:00":       "20251123135045Z",
		"2025-11-23T14:50:45.999-05:30":    "20251123202045Z",
		"2025-11-23T14:50:45-0530":         "20251123202045Z",
		"2025-11-23T14:50:45Z":             "20251123145045Z",
		"20251123145045+0100":              "20251123135045Z",
		"251123145045+0100":                "20251123135045Z",
		"500101000000+0000":                "19500101000000Z",
		"490101000000+0000":                "20490101000000Z",
		"2024-02-29 00:00:00":              "20240229000000Z",
	} {
		got, err := ParseTime(text)
		if err != nil || FormatTime(got) != want {
			t.Errorf("%q = %s, %v; want %s", text, FormatTime(got), err, want)
		}
	}
	for _, text := range []string{
		"", "now", "2025", "251123145045", "20251123145045", "2511231450Z", "2025-11-23", "2025-11-23 14:50", "2025-11-23  14:50:45",
		"2025-13-01 00:00:00", "2025-02-29 00:00:00", "2025-11-23 24:00:00", "2025-11-23 00:60:00", "2025-11-23 00:00:60",
		"2025-11-23 14:50:45+24:00", "2025-11-23 14:50:45+01:60", "2025-11-23 14:50:45 UTC", "2025-11-23 14:50:45Zx", " 20251123145045Z",
		"2025-11-23 14:50:45.", "-025-11-23 14:50:45", "２０２５-11-23 14:50:45", strings.Repeat("2", 1000),
	} {
		if got, err := ParseTime(text); !errors.Is(err, ErrTime) {
			t.Errorf("%q = %s, %v", text, got, err)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"251123145045Z", "20251123145045+0100", "2025-11-23T14:50:45.999-05:30", "2025-11-23 14:50:45"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTime(s)
		if err != nil {
			if !errors.Is(err, ErrTime) {
				t.Fatal(err)
			}
			return
		}
		if got.Location() != time.UTC || got.Nanosecond() != 0 {
			t.Fatalf("%q = %s", s, got)
		}
		if y := got.Year(); y < 0 || y > 9999 {
			return // an offset may lead beyond what can be written
		}
		if again, err := ParseTime(FormatTime(got)); err != nil || !again.Equal(got) {
			t.Fatalf("%q = %s, written %s, read %s, %v", s, got, FormatTime(got), again, err)
		}
	})
}
