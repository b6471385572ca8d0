package bench

import (
	"strings"
	"time"
)

// Figure is one measurement, for programs: Run prints the same for people.
type Figure struct {
	Section string `json:"section"`
	// Of is what was measured: the service, and what it did.
	Of          string `json:"of"`
	Connections int    `json:"connections,omitempty"` // of the load
	// Values are by name; a name ends in its unit.
	Values map[string]float64 `json:"values"`
}

// figure notes a measurement of the section and subject of now.
func (s *Suite) figure(of string, connections int, values map[string]float64) {
	if s.subject != "" {
		of = strings.TrimSuffix(s.subject+", "+of, ", ")
	}
	s.Figures = append(s.Figures, Figure{Section: s.section, Of: of, Connections: connections, Values: values})
}

// loadValues are those of every load; the first watched process is the primary.
func loadValues(r Result) map[string]float64 {
	v := map[string]float64{"requests_per_s": r.PerSecond(), "p50_ms": inMillis(r.P50), "p99_ms": inMillis(r.P99)}
	for i, d := range r.CPU {
		name := "cpu_us_per_request"
		if i > 0 {
			name = "backup_cpu_us_per_request"
		}
		v[name] = max(v[name], micros(d))
	}
	if len(r.Resident) > 0 {
		v["resident_mb"] = mb(r.Resident[0])
	}
	return v
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
