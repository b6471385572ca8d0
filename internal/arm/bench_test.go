package arm

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkHundredNetworks asks a server that has a hundred networks, over TLS,
// what portals and clients ask: one network, all of them, an operation; and
// changes tags now and then. The goal is a p99 under 200 ms.
func BenchmarkHundredNetworks(b *testing.B) {
	s := newService(b, func(c *Config) { c.Now, c.WritesMax = time.Now, 1<<40 })
	s.makeGroup(b)
	var polls []string
	for i := range 100 {
		a := s.want(b, 201, "PUT", fmt.Sprintf("%s/net-%03d%s", base, i, azure), createBody(`,"nodeCount":1`))
		polls = append(polls, strings.TrimPrefix(a.header.Get("Azure-AsyncOperation"), "https://synod.example:8400"))
	}
	s.finish(b)
	authority, err := OpenAuthority(b.TempDir(), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	config, err := ServerTLS{Authority: authority, Hosts: LocalHosts(), Now: time.Now}.Config()
	if err != nil {
		b.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		b.Fatal(err)
	}
	web := &http.Server{Handler: s, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)}
	go web.Serve(listener) //nolint:errcheck // ends with Close
	defer web.Close()
	pool := x509.NewCertPool()
	pool.AddCert(authority.Certificate)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	var took []time.Duration
	i := 0
	for b.Loop() {
		method, path, body := "GET", fmt.Sprintf("%s/net-%03d%s", base, i%100, ownQuery), ""
		switch i % 10 {
		case 0:
			path = sub + "/providers/Microsoft.ConfidentialLedger/managedCCFs" + azure
		case 1, 2, 3:
			path = polls[i%100]
		case 4:
			method, path, body = "PATCH", fmt.Sprintf("%s/net-%03d%s", base, i%100, azure), fmt.Sprintf(`{"tags":{"n":"%d"}}`, i)
		}
		i++
		r, err := http.NewRequestWithContext(b.Context(), method, "https://"+listener.Addr().String()+path, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+testToken)
		began := time.Now()
		resp, err := client.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.Body.Close() != nil || resp.StatusCode != 200 {
			b.Fatal(resp.StatusCode, err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
