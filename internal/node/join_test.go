package node_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"synod/examples/logging/logapp"
	"synod/internal/config"
	"synod/internal/logfmt"
	"synod/internal/node"
)

// TestJoinAsksAgainWhoRedirected redirects a node that joins to a primary that
// is gone: it asks its target again, which refuses it then.
func TestJoinAsksAgainWhoRedirected(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	target := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.Header().Set("location", "https://"+gone+"/node/join")
			w.WriteHeader(http.StatusPermanentRedirect)
			return
		}
		http.Error(w, "asked again", http.StatusBadRequest)
	}))
	service, pair := madeService(t)
	target.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	target.StartTLS()
	defer target.Close()
	if err := os.WriteFile(path("service_cert.pem"), service, 0o600); err != nil {
		t.Fatal(err)
	}
	type object = map[string]any
	text, err := json.Marshal(object{
		"network": object{
			"node_to_node_interface": object{"bind_address": "127.0.0.1:0"},
			"rpc_interfaces":         object{"main": object{"bind_address": "127.0.0.1:0"}},
		},
		"command": object{
			"type": "Join", "service_certificate_file": path("service_cert.pem"),
			"join": object{"target_rpc_address": target.Listener.Addr().String(), "retry_timeout": "10ms", "fetch_recent_snapshot": false},
		},
		"ledger": object{"directory": path("ledger")}, "snapshots": object{"directory": path("snapshots")},
		"output_files": object{"pid_file": path("node.pid"), "node_certificate_file": path("node.pem")},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(logfmt.New(t.Output(), logfmt.Options{Level: slog.LevelInfo}))
	n, err := node.Start(node.Options{Config: cfg, App: logapp.New(), Logger: log, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Run(t.Context()) }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "asked again") {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the node does not ask its target again")
	}
}

// madeService makes a service's certificate, PEM, and what a node of it shows.
func madeService(t *testing.T) ([]byte, tls.Certificate) {
	t.Helper()
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	template := func(name string, ca bool) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: ca, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
	}
	serviceKey, nodeKey := key(), key()
	parent := template("CCF Service", true)
	service, err := x509.CreateCertificate(rand.Reader, parent, parent, &serviceKey.PublicKey, serviceKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.CreateCertificate(rand.Reader, template("CCF Node", false), parent, &nodeKey.PublicKey, serviceKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service}), tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: nodeKey}
}
