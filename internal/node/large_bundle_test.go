package node_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/client"
)

// TestLargeBundle deploys 10 MB in 10^4 modules by votes. The default interface
// takes no such body; a fault in one of the modules undoes all of it.
func TestLargeBundle(t *testing.T) {
	if testing.Short() {
		t.Skip("10 MB through every ballot")
	}
	s := setup{interfaces: map[string]any{
		"large": map[string]any{"bind_address": "127.0.0.1:0", "http_configuration": map[string]any{"max_body_size": "64MB"}},
	}}.start(t)
	s.open()
	const modules = 10_000
	function := "export function h%d_%d(a, b) { let s = 0; for (let i = 0; i < a; i++) s += b * i; return s; }\n"
	bundle := func(fault string) client.Action {
		list := make([]any, modules, modules+1)
		for i := range modules {
			var source strings.Builder
			for j := range 11 {
				fmt.Fprintf(&source, function, i, j)
			}
			list[i] = map[string]any{"name": fmt.Sprintf("lib/l%d.js", i), "module": source.String()}
		}
		return client.Action{Name: "set_js_app", Args: map[string]any{"bundle": map[string]any{
			"metadata": map[string]any{"endpoints": map[string]any{"/x": map[string]any{"post": map[string]any{
				"js_module": "main.js", "js_function": "x", "forwarding_required": "always", "authn_policies": []string{"no_auth"}, "mode": "readwrite",
			}}}},
			"modules": append(list, map[string]any{"name": "main.js", "module": "import { h7_3 } from './lib/l7.js';\n" + fault + "export const x = () => ({ body: h7_3(4, 2) });"}),
		}}}
	}
	body := func(fault string) []byte {
		b, err := client.ProposalBody(bundle(fault))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	refused := func(err error, status int, code, text string) {
		t.Helper()
		var e *synod.Error
		if !errors.As(err, &e) || e.Status != status || e.Code != code || !strings.Contains(e.Message, text) {
			t.Errorf("got %.300v, want %d %s %s", err, status, code, text)
		}
	}
	_, err := s.member(0).Propose(t.Context(), body(""))
	refused(err, 413, synod.CodeRequestBodyTooLarge, "")
	members := make([]*client.Member, len(s.members))
	for i := range members {
		signer, err := client.NewKeySigner([]byte(s.members[i].CertPEM), []byte(s.members[i].KeyPEM))
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.Dial("https://"+s.Address("large"), client.WithServiceCertificate([]byte(s.ServiceCertificate())), client.WithTimeout(5*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		members[i] = client.NewMember(c, signer)
	}
	deploy := func(fault string) error {
		p, err := members[0].Propose(t.Context(), body(fault))
		for i := 0; err == nil && p.State == client.ProposalOpen; i++ {
			p, err = members[i].Vote(t.Context(), p.ID, client.BallotFor)
		}
		return err
	}
	refused(deploy("const ; "), 500, synod.CodeInternalError, "Failed to apply(): InternalError: Failed to refresh bytecode")
	refused(func() error { _, err := s.dial(nil).Post(t.Context(), "/app/x", nil, nil); return err }(), 404, synod.CodeResourceNotFound, "")
	began := time.Now()
	if err := deploy(""); err != nil {
		t.Fatal(err)
	}
	voted := time.Since(began)
	var got int
	if _, err := s.dial(nil).Post(t.Context(), "/app/x", nil, &got); err != nil || got != 12 {
		t.Errorf("served: %d, %v", got, err)
	}
	t.Logf("%d bytes: deployed in %v, served after %v", len(body("")), voted, time.Since(began))
}
