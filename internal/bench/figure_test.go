package bench

import (
	"encoding/json"
	"testing"
	"time"
)

// TestFigures holds what programs read: what was measured where, and units in the
// names of the values.
func TestFigures(t *testing.T) {
	s := &Suite{section: "three", subject: "native, three nodes"}
	s.figure("write", 64, loadValues(Result{
		Requests: 1000, Elapsed: 2 * time.Second, P50: 1500 * time.Microsecond, P99: 4 * time.Millisecond,
		CPU: []time.Duration{50 * time.Microsecond, 19 * time.Microsecond, 20 * time.Microsecond}, Resident: []int64{168 << 20, 1},
	}))
	s.subject = ""
	s.figure("start", 0, map[string]float64{"until_open_ms": 475})
	got, err := json.Marshal(s.Figures)
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"section":"three","of":"native, three nodes, write","connections":64,"values":{` +
		`"backup_cpu_us_per_request":20,"cpu_us_per_request":50,"p50_ms":1.5,"p99_ms":4,"requests_per_s":500,"resident_mb":168}},` +
		`{"section":"three","of":"start","values":{"until_open_ms":475}}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
