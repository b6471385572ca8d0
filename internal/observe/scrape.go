package observe

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"synod/client"
)

// scrapeTimeout bounds the questions to one node.
const scrapeTimeout = 2 * time.Second

// Target is a node whose metrics are wanted.
type Target struct {
	Ordinal int
	Address string // host:port
}

// Scrape asks the nodes of a network for their metrics and writes them in
// Prometheus's text form. A node that does not answer has synod_node_up 0.
func Scrape(ctx context.Context, w io.Writer, network, serviceCertificate string, targets []Target) error {
	samples := make([][]sample, len(targets))
	var asking sync.WaitGroup
	for i, t := range targets {
		asking.Go(func() { samples[i] = ask(ctx, t, serviceCertificate) })
	}
	asking.Wait()
	byName := map[string][]string{}
	for i, t := range targets {
		for _, s := range samples[i] {
			labels := fmt.Sprintf("network=%q,node=\"%d\"", network, t.Ordinal)
			for _, k := range slices.Sorted(maps.Keys(s.labels)) {
				labels += fmt.Sprintf(",%s=%q", k, s.labels[k])
			}
			byName[s.name] = append(byName[s.name], fmt.Sprintf("%s{%s} %s", s.name, labels, strconv.FormatFloat(s.value, 'g', -1, 64)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		kind := "gauge"
		if strings.HasSuffix(name, "_total") {
			kind = "counter"
		}
		if _, err := fmt.Fprintf(w, "# TYPE %s %s\n%s\n", name, kind, strings.Join(byName[name], "\n")); err != nil {
			return err
		}
	}
	return nil
}

type sample struct {
	name   string
	labels map[string]string
	value  float64
}

func ask(ctx context.Context, t Target, serviceCertificate string) []sample {
	down := []sample{{"synod_node_up", nil, 0}}
	c, err := client.Dial("https://"+t.Address, client.WithServiceCertificate([]byte(serviceCertificate)),
		client.WithExpiredCertificates(), client.WithTimeout(scrapeTimeout), client.WithRetries(0))
	if err != nil {
		return down
	}
	defer c.Close()
	var metrics nodeMetrics
	if _, err := c.Get(ctx, "/node/metrics", &metrics); err != nil {
		return down
	}
	var consensus nodeConsensus
	if _, err := c.Get(ctx, "/node/consensus", &consensus); err != nil {
		return down
	}
	out := append([]sample{{"synod_node_up", nil, 1}}, metrics.samples()...)
	out = append(out, consensus.samples()...)
	// Of JavaScript there is nothing until a script has run.
	var js map[string]any
	if _, err := c.Get(ctx, "/node/js_metrics", &js); err == nil {
		for _, k := range slices.Sorted(maps.Keys(js)) {
			if v, ok := js[k].(float64); ok {
				out = append(out, sample{"synod_js_" + snake(k), nil, v})
			}
		}
	}
	return out
}

// snake makes a Prometheus name of a JSON one.
func snake(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return '_'
	}, s)
}

// nodeMetrics is what GET /node/metrics answers, as far as it is exported.
type nodeMetrics struct {
	Sessions struct {
		Active     float64 `json:"active"`
		Peak       float64 `json:"peak"`
		Interfaces map[string]struct {
			Active float64            `json:"active"`
			Errors map[string]float64 `json:"errors"`
		} `json:"interfaces"`
	} `json:"sessions"`
	Synod map[string]json.RawMessage `json:"synod"`
}

func (m *nodeMetrics) samples() []sample {
	out := []sample{{"synod_node_sessions", nil, m.Sessions.Active}, {"synod_node_sessions_peak", nil, m.Sessions.Peak}}
	for _, name := range slices.Sorted(maps.Keys(m.Sessions.Interfaces)) {
		i := m.Sessions.Interfaces[name]
		for _, kind := range slices.Sorted(maps.Keys(i.Errors)) {
			out = append(out, sample{"synod_node_session_errors_total", map[string]string{"interface": name, "kind": kind}, i.Errors[kind]})
		}
	}
	// The rest are numbers by name; signatures and dropped peers only grow.
	for _, name := range slices.Sorted(maps.Keys(m.Synod)) {
		var v float64
		if json.Unmarshal(m.Synod[name], &v) != nil {
			continue
		}
		if name == "signatures" || name == "refused_peers" {
			name += "_total"
		}
		out = append(out, sample{"synod_node_" + snake(name), nil, v})
	}
	return out
}

// nodeConsensus is what GET /node/consensus answers, as far as it is exported.
type nodeConsensus struct {
	Details struct {
		View       float64                    `json:"current_view"`
		Leadership string                     `json:"leadership_state"`
		Acks       map[string]json.RawMessage `json:"acks"`
	} `json:"details"`
}

func (n *nodeConsensus) samples() []sample {
	leads := 0.0
	if cmp.Compare(n.Details.Leadership, "Leader") == 0 {
		leads = 1
	}
	return []sample{{"synod_node_view", nil, n.Details.View}, {"synod_node_primary", nil, leads}}
}
