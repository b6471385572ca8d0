package node_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"synod/internal/tables"
)

// TestNodeEndpoints asks every endpoint under /node of a primary and of a
// backup (CCF: src/node/rpc/node_frontend.h).
func TestNodeEndpoints(t *testing.T) {
	s := startNodes(t, 3)
	primary, backup := s.primary(), s.backups()[0]
	primaryID, backupID := string(s.nodeID(primary)), string(s.nodeID(backup))
	tx := s.put(primary, 1, "one")
	s.shows(backup, 1, "one")
	node := []string{"last_written", "node_data", "node_id", "primary", "rpc_interfaces", "status"}
	quote := []string{"endorsements", "format", "measurement", "node_id", "raw"}
	failure := []string{"error"}
	for _, x := range []struct {
		request string // method and path below /node
		status  int
		keys    []string // of the answer, nil for one without a body
		read    bool     // tables, so that the answer says which transaction it shows
	}{
		{"GET /state", 200, []string{"last_signed_seqno", "node_id", "startup_seqno", "state", "stop_notice"}, true},
		{"GET /quotes/self", 200, quote, true},
		{"GET /attestations/self", 200, quote, true},
		{"GET /quotes", 200, []string{"quotes"}, true},
		{"GET /attestations", 200, []string{"attestations"}, true},
		{"GET /network", 200, []string{"current_service_create_txid", "current_view", "primary_id", "recovery_count", "service_certificate", "service_data", "service_status"}, true},
		{"GET /service/previous_identity", 404, failure, false},
		{"GET /service/configuration", 200, []string{"consensus", "maximum_node_certificate_validity_days", "maximum_service_certificate_validity_days", "recent_cose_proposals_window_size", "recovery_threshold"}, true},
		{"GET /network/nodes", 200, []string{"nodes"}, true},
		{"GET /network/nodes?status=Trusted&host=127.0.0.1", 200, []string{"nodes"}, true},
		{"GET /network/nodes?status=Lost", 400, failure, false},
		{"GET /network/nodes/" + backupID, 200, node, true},
		{"GET /network/nodes/00", 404, failure, false},
		{"GET /network/nodes/self", 200, node, true},
		{"GET /network/nodes/primary", 200, node, true},
		{"DELETE /network/nodes/00", 404, failure, false},
		{"DELETE /network/nodes/" + backupID, 400, failure, false},
		{"GET /network/removable_nodes", 200, []string{"nodes"}, true},
		{"GET /self_signed_certificate", 200, []string{"self_signed_certificate"}, false},
		{"GET /config", 200, nil, false},
		{"GET /consensus", 200, []string{"details"}, false},
		{"GET /memory", 200, []string{"current_allocated_heap_size", "max_total_heap_size", "peak_allocated_heap_size"}, false},
		{"GET /metrics", 200, []string{"sessions", "synod"}, false},
		{"GET /js_metrics", 200, []string{"bytecode_size", "bytecode_used", "max_cached_interpreters", "max_execution_time", "max_heap_size", "max_stack_size"}, true},
		{"GET /version", 200, []string{"ccf_version", "quickjs_version", "sealing_key", "unsafe"}, false},
		{"GET /jwt_keys/refresh/metrics", 200, []string{"attempts", "failures", "successes"}, false},
		{"GET /index/strategies", 200, nil, false},
		{"GET /ready/app", 204, nil, false},
		{"GET /ready/gov", 204, nil, false},
		{"GET /commit", 200, []string{"transaction_id"}, false},
		{"GET /commit?view_history=true", 200, []string{"transaction_id", "view_history"}, false},
		{"GET /tx?transaction_id=" + tx.String(), 200, []string{"status", "transaction_id"}, false},
		{"GET /receipt?transaction_id=" + tx.String(), 200, []string{"cert", "leaf_components", "node_id", "proof", "signature"}, false},
		{"GET /api", 200, []string{"components", "info", "openapi", "paths", "servers"}, false},
		{"POST /jwt_keys/refresh", 401, failure, false},
		{"POST /network/nodes/set_retired_committed", 401, failure, false},
		{"POST /create", 403, failure, false},
		{"GET /create", 405, failure, false},
		{"POST /join", 401, failure, false},
		{"GET /nothing", 404, failure, false},
	} {
		for _, r := range []*running{primary, backup} {
			method, path, _ := strings.Cut(x.request, " ")
			var a answer
			s.poll("a receipt", func() error { // the first answers may be 202
				a = s.request(r, method, "/node"+path, "")
				if a.status == 202 {
					return errRetry
				}
				return nil
			})
			var body object
			if x.keys != nil {
				if err := json.Unmarshal([]byte(a.body), &body); err != nil {
					t.Errorf("%s: %v in %s", x.request, err, a.body)
				}
			}
			if a.status != x.status || x.keys != nil && !slices.Equal(keys(body), x.keys) {
				t.Errorf("%s on primary %v: %d %s", x.request, r == primary, a.status, a.body)
			}
			if id := a.header.Get("x-ms-ccf-transaction-id"); (id != "") != x.read {
				t.Errorf("%s on primary %v: transaction %q", x.request, r == primary, id)
			}
		}
	}
	// What differs between the two.
	for _, x := range []struct {
		on       *running
		request  string
		status   int
		location string
		says     string
	}{
		{primary, "GET /primary", 200, "", ""},
		{backup, "GET /primary", 404, "", "Node is not primary"},
		{primary, "HEAD /primary", 200, "", ""},
		{backup, "HEAD /primary", 308, "https://" + primary.Address("main") + "/node/primary", ""},
		{primary, "GET /backup", 404, "", "Node is not backup"},
		{backup, "GET /backup", 200, "", ""},
		{primary, "GET /network/nodes/self", 200, "", `"primary":true`},
		{backup, "GET /network/nodes/self", 200, "", `"primary":false`},
		{backup, "GET /network/nodes/primary", 200, "", primaryID},
		{primary, "GET /state", 200, "", primaryID},
		{backup, "GET /state", 200, "", backupID},
		{backup, "GET /quotes/self", 200, "", backupID},
		{backup, "GET /network", 200, "", `"primary_id":"` + primaryID + `"`},
		{primary, "GET /consensus", 200, "", `"leadership_state":"Leader"`},
		{backup, "GET /consensus", 200, "", `"leadership_state":"Follower"`},
		{backup, "GET /consensus", 200, "", `"acks":{}`},
		{primary, "GET /consensus", 200, "", `"` + backupID + `":{"last_received_ms"`},
		{primary, "GET /metrics", 200, "", `"` + backupID + `":{"accepted":true,`},
		{backup, "GET /metrics", 200, "", `"node_not_after":"`},
	} {
		method, path, _ := strings.Cut(x.request, " ")
		a := s.request(x.on, method, "/node"+path, "")
		if a.status != x.status || a.header.Get("location") != x.location || !strings.Contains(a.body, x.says) {
			t.Errorf("%s on primary %v: %d to %q, %s", x.request, x.on == primary, a.status, a.header.Get("location"), a.body)
		}
	}
	// Filters of the list.
	pending := s.join(nil)
	id := s.nodeID(pending)
	s.status(id, tables.NodePending)
	count := func(query string, want int) {
		t.Helper()
		if got := s.rows("/node/network/nodes" + query); len(got) != want {
			t.Errorf("%s: %d nodes, want %d", query, len(got), want)
		}
	}
	count("", 4)
	count("?status=Trusted", 3)
	count("?status=Pending", 1)
	count("?status=Retired", 0)
	_, port, _ := strings.Cut(backup.Address("main"), ":")
	count("?port="+port, 1)
	count("?host=127.0.0.1&port="+port, 1)
	count("?host=192.0.2.1", 0)
	count("?host=127.0.0.1", 4)
	// A node that is not part of the service answers what it can.
	for request, want := range map[string]string{
		"/node/state": `"state":"Pending"`, "/node/network/nodes/self": `"status":"Pending"`, "/node/ready/app": "", "/node/ready/gov": "",
		"/node/consensus": `"leadership_state":"None"`, "/node/quotes/self": "Could not find node quote.", "/node/network": "Service state not available.",
		"/node/config": "{}", "/node/version": "ccf_version", "/node/metrics": "sessions", "/node/commit": "transaction_id",
	} {
		a := s.requestOn(pending, "self", "GET", request, "")
		if !strings.Contains(a.body, want) || strings.HasPrefix(request, "/node/ready") && a.status != 503 {
			t.Errorf("%s on a Pending node: %d %s", request, a.status, a.body)
		}
	}
	s.pass(removeAction(id))
}
