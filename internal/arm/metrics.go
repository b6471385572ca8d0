package arm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// counts are the answers since the server started, by class and duration.
type counts struct {
	mu      sync.Mutex
	answers map[string]int // guarded by mu: status code
	buckets [len(bounds) + 1]int
	sum     time.Duration
}

// bounds are the upper ends of the durations that are told apart.
var bounds = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, time.Second,
}

func (n *counts) add(c *call, took time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.answers == nil {
		n.answers = map[string]int{}
	}
	n.answers[strconv.Itoa(c.status)]++
	i := 0
	for i < len(bounds) && took > bounds[i] {
		i++
	}
	n.buckets[i]++
	n.sum += took
}

func (n *counts) write(w io.Writer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprint(w, "# HELP synod_server_requests_total Answers of the management API, by status.\n# TYPE synod_server_requests_total counter\n")
	for _, code := range slices.Sorted(maps.Keys(n.answers)) {
		fmt.Fprintf(w, "synod_server_requests_total{code=%q} %d\n", code, n.answers[code])
	}
	fmt.Fprint(w, "# HELP synod_server_request_seconds Time to answer.\n# TYPE synod_server_request_seconds histogram\n")
	total := 0
	for i, b := range bounds {
		total += n.buckets[i]
		fmt.Fprintf(w, "synod_server_request_seconds_bucket{le=\"%g\"} %d\n", b.Seconds(), total)
	}
	total += n.buckets[len(bounds)]
	fmt.Fprintf(w, "synod_server_request_seconds_bucket{le=\"+Inf\"} %d\nsynod_server_request_seconds_sum %g\nsynod_server_request_seconds_count %d\n", total, n.sum.Seconds(), total)
}

// metrics answers in Prometheus's text form.
func (s *Server) metrics(c *call) error {
	var b bytes.Buffer
	s.counts.write(&b)
	if err := s.networkMetrics(c.r.Context(), &b); err != nil {
		return err
	}
	for _, more := range s.Metrics {
		if err := more(c.r.Context(), &b); err != nil {
			return err
		}
	}
	return c.metrics(b.Bytes())
}

// metrics answers what is in Prometheus's text form.
func (c *call) metrics(text []byte) error {
	c.w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	return c.send(http.StatusOK, text)
}

func (s *Server) networkMetrics(ctx context.Context, w io.Writer) error {
	all, err := s.Store.Networks(ctx, Filter{})
	if err != nil {
		return err
	}
	fmt.Fprint(w, "# HELP synod_network_info A network and its state.\n# TYPE synod_network_info gauge\n")
	for _, n := range all {
		fmt.Fprintf(w, "synod_network_info{network=%q,state=%q,running=%q,release=%q} 1\n", n.ID.Name, n.Status.ProvisioningState, n.Status.RunningState, n.Status.Release)
	}
	fmt.Fprint(w, "# HELP synod_network_nodes_wanted Nodes that the network should have.\n# TYPE synod_network_nodes_wanted gauge\n")
	for _, n := range all {
		fmt.Fprintf(w, "synod_network_nodes_wanted{network=%q} %d\n", n.ID.Name, n.Desired.NodeCount)
	}
	fmt.Fprint(w, "# HELP synod_network_nodes Nodes by health.\n# TYPE synod_network_nodes gauge\n")
	for _, n := range all {
		health := map[string]int{HealthOk: 0, HealthReplacement: 0, HealthUnknown: 0}
		for _, node := range n.Status.Nodes {
			if node.Role != RoleRetired {
				health[node.Health]++
			}
		}
		for _, h := range []string{HealthOk, HealthReplacement, HealthUnknown} {
			fmt.Fprintf(w, "synod_network_nodes{network=%q,health=%q} %d\n", n.ID.Name, h, health[h])
		}
	}
	fmt.Fprint(w, "# HELP synod_network_condition 1 if the condition holds, 0 if not, -1 if unknown.\n# TYPE synod_network_condition gauge\n")
	for _, n := range all {
		for _, cond := range n.Status.Conditions {
			value := map[string]int{"True": 1, "False": 0}
			v, ok := value[cond.Status]
			if !ok {
				v = -1
			}
			fmt.Fprintf(w, "synod_network_condition{network=%q,type=%q} %d\n", n.ID.Name, cond.Type, v)
		}
	}
	fmt.Fprint(w, "# HELP synod_network_certificate_seconds Time until the first node certificate runs out.\n# TYPE synod_network_certificate_seconds gauge\n")
	for _, n := range all {
		if first := firstExpiry(n); !first.IsZero() {
			fmt.Fprintf(w, "synod_network_certificate_seconds{network=%q} %g\n", n.ID.Name, first.Sub(s.Now()).Seconds())
		}
	}
	fmt.Fprint(w, "# HELP synod_network_backup_age_seconds Time since the last backup.\n# TYPE synod_network_backup_age_seconds gauge\n")
	for _, n := range all {
		if b := n.Status.LastBackup; b != nil {
			fmt.Fprintf(w, "synod_network_backup_age_seconds{network=%q} %g\n", n.ID.Name, s.Now().Sub(b.At).Seconds())
		}
	}
	return nil
}

func firstExpiry(n Network) (first time.Time) {
	for _, node := range n.Status.Nodes {
		if at := node.CertificateNotAfter; !at.IsZero() && node.Role != RoleRetired && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// health says whether the server can answer: its store can be read.
func (s *Server) health(c *call) error {
	if _, err := s.Store.RunningOperations(c.r.Context()); err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]string{"status": "ok"})
}
