package node_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"synod/client"
)

// impostor is a node of a service that answers as a test wants.
type impostor struct {
	*httptest.Server
	mu    sync.Mutex
	asked map[string]int // by path
}

// answersTo starts one, for which the service's certificate is written to a
// file.
func (s *service) answersTo(t *testing.T, file string, answer http.HandlerFunc) *impostor {
	t.Helper()
	i := &impostor{asked: map[string]int{}}
	i.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.asked[r.URL.Path]++
		i.mu.Unlock()
		answer(w, r)
	}))
	certificate, pair := madeService(t)
	s.write(file, string(certificate))
	i.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	i.StartTLS()
	t.Cleanup(i.Close)
	return i
}

// TestFetchSnapshot has nodes fetch snapshots from a service that does not serve
// them well: they say so, keep nothing, and ask to join without.
func TestFetchSnapshot(t *testing.T) {
	s := startNodes(t, 1)
	name := s.snapshotAfter(s.nodes[0], func() { s.pass(client.Action{Name: "trigger_snapshot"}) })
	real, err := os.ReadFile(filepath.Join(s.nodes[0].dir, "snapshots", name))
	if err != nil {
		t.Fatal(err)
	}
	// serve answers with a part of the file.
	serve := func(w http.ResponseWriter, name, span string, body []byte) {
		w.Header().Set("x-ms-ccf-snapshot-name", name)
		w.Header().Set("content-range", "bytes "+span)
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(body)
	}
	whole := fmt.Sprintf("0-%d/%d", len(real), len(real))
	for caseName, x := range map[string]struct {
		answer   func(w http.ResponseWriter, r *http.Request)
		says     string
		attempts int // on the first path
	}{
		"errors": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not today", 500) }, "not today", 3},
		"none":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "none", 404) }, "The service has no snapshot to join from", 1},
		"endless redirects": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("location", "/node/snapshot")
			w.WriteHeader(308)
		}, "more than 20 redirects", 60},
		"a redirect without TLS": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("location", "http://127.0.0.1:1/node/snapshot")
			w.WriteHeader(308)
		}, "redirected to", 3},
		"another service's":  {func(w http.ResponseWriter, _ *http.Request) { serve(w, name, whole, real) }, "no snapshot fetched", 3},
		"too large":          {func(w http.ResponseWriter, _ *http.Request) { serve(w, name, "0-10/99999999999", real[:10]) }, "command.join.fetch_snapshot_max_size allows", 3},
		"a name with a path": {func(w http.ResponseWriter, _ *http.Request) { serve(w, "../../snapshot_1_2.committed", whole, real) }, "is no name of a committed snapshot", 3},
		"not committed":      {func(w http.ResponseWriter, _ *http.Request) { serve(w, "snapshot_1_2", whole, real) }, "is no name of a committed snapshot", 3},
		"more than it says":  {func(w http.ResponseWriter, _ *http.Request) { serve(w, name, "0-10/10", real[:20]) }, "cannot be", 3},
		"the same part again": {func(w http.ResponseWriter, _ *http.Request) {
			serve(w, name, fmt.Sprintf("0-10/%d", len(real)), real[:10])
		}, "does not serve the snapshot from byte 10 on", 6},
	} {
		t.Run(caseName, func(t *testing.T) {
			fake := s.answersTo(t, "fake.pem", func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/node/join") {
					http.Error(w, "no joining here", 400)
					return
				}
				x.answer(w, r)
			})
			dir, cfg := s.joining(func(cfg object) {
				set(cfg, s.path("fake.pem"), "command", "service_certificate_file")
				set(cfg, fake.Listener.Addr().String(), "command", "join", "target_rpc_address")
				set(cfg, 3, "command", "join", "fetch_snapshot_max_attempts")
				set(cfg, "1ms", "command", "join", "fetch_snapshot_retry_interval")
			})
			r, err := s.begin(nil, dir, cfg)
			if err != nil {
				t.Fatal(err)
			}
			s.nodes = s.nodes[:1]
			<-r.ended
			if r.err == nil || !strings.Contains(r.err.Error(), "no joining here") {
				t.Errorf("it ended with %v", r.err)
			}
			if !strings.Contains(r.said.String(), x.says) {
				t.Errorf("its log lacks %q", x.says)
			}
			if got := fake.asked["/node/snapshot"]; got != x.attempts {
				t.Errorf("it asked %d times, want %d", got, x.attempts)
			}
			if left := s.files(r, "snapshots"); len(left) != 0 {
				t.Errorf("it kept %v", left)
			}
		})
	}
}

// TestJoinAnswers has a service give answers that a node must not take.
func TestJoinAnswers(t *testing.T) {
	s := newService(t)
	for name, x := range map[string]struct{ answer, says string }{
		"two releases ahead": {`{"node_status":"Trusted","network_info":{},"synod":{"version":3,"origin":1}}`, "the service speaks version 3 of the join protocol, this node 1 to 1: upgrade one release at a time"},
		"a service of CCF":   {`{"node_status":"Trusted","network_info":{}}`, "the service is not one of Synod"},
		"a key that is none": {`{"node_status":"Trusted","network_info":{"identity":{"priv_key":"x","cert":"y"}},"synod":{"version":1,"origin":1}}`, "service key"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := s.answersTo(t, "fake.pem", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(x.answer)) })
			s.joined++
			where := fmt.Sprintf("node%d", s.joined)
			cfg := s.configuration(where, object{
				"type": "Join", "service_certificate_file": s.path("fake.pem"),
				"join": object{"target_rpc_address": fake.Listener.Addr().String(), "fetch_recent_snapshot": false},
			})
			r, err := s.begin(nil, s.path(where), cfg)
			if err != nil {
				t.Fatal(err)
			}
			<-r.ended
			if r.err == nil || !strings.Contains(r.err.Error(), x.says) {
				t.Errorf("it ended with %v", r.err)
			}
		})
	}
}
