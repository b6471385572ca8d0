package gov_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"synod"
	"synod/constitutions"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/tables"
)

// actionCase is one action of the default constitution: arguments that it
// takes, and for each argument what it does not take.
type actionCase struct {
	before  map[string]string // rows that it needs: "table key" → value
	good    args
	bad     map[string][]any // argument → values that are refused
	omit    []string         // arguments that must be there
	none    bool             // the action takes no arguments at all
	refused string           // why it is always refused
	drops   bool             // it ends every other open proposal
}

var notText = []any{nil, 1, true, args{}, []string{"a"}}

// actionCases are all the actions; a name appears once.
func actionCases(t testing.TB) map[string]actionCase {
	t.Helper()
	someone := newMember(t)
	_, encryptionKey, err := identity.NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("cd", 32)
	badID := append([]any{"", id[:63], id + "0", strings.Repeat("zz", 32)}, notText...)
	badCert := append([]any{"", "x", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"}, notText...)
	badDays := []any{0, -1, 1.5, "1", true, args{}, []int{1}}
	badData := []any{1, "x", true}
	from := "20251123145045Z"
	trusted := map[string]string{"nodes.info " + id: `{"status":"Trusted","certificate_signing_request":"csr"}`}
	pending := map[string]string{"nodes.info " + id: `{"status":"Pending","certificate_signing_request":"csr"}`}
	jwk := args{"kid": "k", "kty": "RSA", "x5c": []string{base64.StdEncoding.EncodeToString(someone.CertDER)}}
	badJWKS := []any{
		1, "x",
		args{"keys": 1},
		args{"keys": []any{args{"kid": 1, "kty": "RSA"}}},
		args{"keys": []any{args{"kid": "k"}}},
		args{"keys": []any{args{"kid": "k", "kty": "RSA"}}},
		args{"keys": []any{args{"kid": "k", "kty": "RSA", "x5c": []any{}}}},
		args{"keys": []any{args{"kid": "k", "kty": "RSA", "x5c": []any{1}}}},
		args{"keys": []any{args{"kid": "k", "kty": "RSA", "x5c": []any{"AA=="}}}},
		args{"keys": []any{args{"kid": "k", "kty": "RSA", "n": 1, "e": "a"}}},
		args{"keys": []any{args{"kid": "k", "kty": "EC", "x": "a", "y": "a"}}},
	}
	operation := args{"js_module": "a", "js_function": "f", "mode": "readonly", "forwarding_required": "never", "authn_policies": []any{"jwt"}}
	bundle := func(field string, v any) args {
		o := maps.Clone(operation)
		if field != "" {
			o[field] = v
		}
		return args{"modules": []args{{"name": "a", "module": "export function f() {}"}}, "metadata": args{"endpoints": args{"/x": args{"get": o}}}}
	}
	tcb := func(field string, v any) args {
		p := args{"boot_loader": 1, "tee": 2, "snp": 3, "microcode": 4}
		if field != "" {
			p[field] = v
		}
		return p
	}
	validity := map[string][]any{"valid_from": notText, "validity_period_days": badDays}
	nodeValidity := map[string][]any{"node_id": badID, "valid_from": notText, "validity_period_days": badDays}
	text := func(names ...string) map[string][]any {
		m := map[string][]any{}
		for _, n := range names {
			m[n] = notText
		}
		return m
	}
	return map[string]actionCase{
		"set_constitution":           {drops: true, good: args{"constitution": plain}, bad: map[string][]any{"constitution": append([]any{"", "no JS", "export function validate(i) {}"}, notText...)}, omit: []string{"constitution"}},
		"transition_service_to_open": {good: args{"next_service_identity": someone.CertPEM, "previous_service_identity": someone.CertPEM}, bad: map[string][]any{"next_service_identity": badCert, "previous_service_identity": {"", "x", 1, true, args{}}}, omit: []string{"next_service_identity"}},
		"assert_service_identity":    {before: map[string]string{"service.info ": `{"status":"Open","cert":` + quote(someone.CertPEM) + `}`}, good: args{"service_identity": someone.CertPEM}, bad: map[string][]any{"service_identity": append([]any{newMember(t).CertPEM}, badCert...)}, omit: []string{"service_identity"}},
		"set_recovery_threshold":     {good: args{"recovery_threshold": 2}, bad: map[string][]any{"recovery_threshold": {nil, 0, -1, 255, 1.5, "2", true, args{}}}, omit: []string{"recovery_threshold"}},
		"set_sealed_resume":          {good: args{"allowed": false}, bad: map[string][]any{"allowed": {nil, 0, 1, "true", args{}}}, omit: []string{"allowed"}},
		"set_service_configuration": {good: args{"recovery_threshold": 2, "recent_cose_proposals_window_size": 10}, bad: map[string][]any{
			"recovery_threshold": {0, 255, 1.5, "2", true}, "recent_cose_proposals_window_size": {0, 10001, 1.5, "2", true}, "reconfiguration_type": {1, true}, "maximum_node_certificate_validity_days": {1}, "consensus": {"CFT"},
		}},
		"set_service_certificate_validity": {good: args{"valid_from": from, "validity_period_days": 3}, bad: validity, omit: []string{"valid_from"}},
		"trigger_ledger_rekey":             {none: true},
		"trigger_recovery_shares_refresh":  {none: true},
		"trigger_ledger_chunk":             {},
		"trigger_snapshot":                 {},
		"set_member":                       {good: args{"cert": someone.CertPEM, "encryption_pub_key": encryptionKey, "member_data": args{"a": 1}, "recovery_role": "Owner"}, bad: map[string][]any{"cert": badCert, "member_data": badData, "recovery_role": {"Boss", 1, true, ""}}, omit: []string{"cert", "encryption_pub_key"}},
		"remove_member":                    {good: args{"member_id": id}, bad: map[string][]any{"member_id": badID}, omit: []string{"member_id"}},
		"set_member_data":                  {before: map[string]string{"members.info " + id: `{"status":"Accepted"}`}, good: args{"member_id": id, "member_data": args{"a": 1}}, bad: map[string][]any{"member_id": badID, "member_data": badData}, omit: []string{"member_id", "member_data"}},
		"set_user":                         {good: args{"cert": someone.CertPEM, "user_data": args{"a": 1}}, bad: map[string][]any{"cert": badCert, "user_data": badData}, omit: []string{"cert"}},
		"remove_user":                      {good: args{"user_id": id}, bad: map[string][]any{"user_id": badID}, omit: []string{"user_id"}},
		"set_user_data":                    {good: args{"user_id": id, "user_data": args{"a": 1}}, bad: map[string][]any{"user_id": badID, "user_data": badData}, omit: []string{"user_id"}},
		"set_js_app": {good: args{"bundle": bundle("", nil), "disable_bytecode_cache": true}, bad: map[string][]any{"disable_bytecode_cache": {1, "x", args{}}, "bundle": {
			1, "x", true,
			args{},
			args{"modules": []any{}},
			args{"modules": 1, "metadata": args{"endpoints": args{}}},
			args{"modules": []any{1}, "metadata": args{"endpoints": args{}}},
			args{"modules": []any{args{"name": 1, "module": ""}}, "metadata": args{"endpoints": args{}}},
			args{"modules": []any{args{"name": "a"}}, "metadata": args{"endpoints": args{}}},
			args{"modules": []any{}, "metadata": 1},
			args{"modules": []any{}, "metadata": args{"endpoints": 1}},
			args{"modules": []any{}, "metadata": args{"endpoints": args{"/x": 1}}},
			args{"modules": []any{}, "metadata": args{"endpoints": args{"/x": args{"get": 1}}}},
			bundle("js_module", "b"), bundle("js_module", 1), bundle("js_function", nil), bundle("mode", "fast"), bundle("mode", nil), bundle("forwarding_required", "maybe"), bundle("redirection_strategy", "away"), bundle("openapi", "x"), bundle("openapi_hidden", 1), bundle("authn_policies", nil), bundle("authn_policies", "jwt"), bundle("authn_policies", []any{1}), bundle("authn_policies", []any{args{"all_of": "jwt"}}), bundle("authn_policies", []any{args{"all_of": []any{1}}}), bundle("authn_policies", []any{args{}}),
		}}, omit: []string{"bundle"}},
		"remove_js_app":                      {},
		"refresh_js_app_bytecode_cache":      {},
		"set_js_runtime_options":             {good: args{"max_heap_bytes": 1, "max_stack_bytes": 2, "max_execution_time_ms": 3, "log_exception_details": true, "return_exception_details": false, "max_cached_interpreters": 4}, bad: map[string][]any{"max_heap_bytes": {nil, "1", 1.5}, "max_stack_bytes": {nil, "1", 1.5}, "max_execution_time_ms": {nil, "1", 1.5}, "log_exception_details": {1, "x"}, "return_exception_details": {1, "x"}, "max_cached_interpreters": {"1", 1.5}}, omit: []string{"max_heap_bytes", "max_stack_bytes", "max_execution_time_ms"}},
		"set_ca_cert_bundle":                 {good: args{"name": "n", "cert_bundle": someone.CertPEM}, bad: map[string][]any{"name": notText, "cert_bundle": badCert}, omit: []string{"name", "cert_bundle"}},
		"remove_ca_cert_bundle":              {before: map[string]string{"tls.ca_cert_bundles n": `"x"`}, good: args{"name": "n"}, bad: text("name"), omit: []string{"name"}},
		"set_jwt_issuer":                     {good: args{"issuer": "https://i", "auto_refresh": false, "ca_cert_bundle_name": "n", "jwks": args{"keys": []args{jwk}}}, bad: map[string][]any{"issuer": notText, "auto_refresh": {1, "x"}, "ca_cert_bundle_name": {1, true}, "jwks": badJWKS}, omit: []string{"issuer"}},
		"set_jwt_public_signing_keys":        {before: map[string]string{"jwt.issuers https://i": `{"issuer":"https://i"}`}, good: args{"issuer": "https://i", "jwks": args{"keys": []args{jwk}}}, bad: map[string][]any{"issuer": notText, "jwks": append([]any{nil, args{}}, badJWKS...)}, omit: []string{"issuer", "jwks"}},
		"remove_jwt_issuer":                  {before: map[string]string{"jwt.issuers https://i": "{}"}, good: args{"issuer": "https://i"}, bad: text("issuer"), omit: []string{"issuer"}},
		"set_node_data":                      {before: trusted, good: args{"node_id": id, "node_data": args{"a": 1}}, bad: map[string][]any{"node_id": badID}, omit: []string{"node_id"}},
		"transition_node_to_trusted":         {before: pending, good: args{"node_id": id, "valid_from": from, "validity_period_days": 3}, bad: nodeValidity, omit: []string{"node_id", "valid_from"}},
		"remove_node":                        {before: trusted, good: args{"node_id": id}, bad: map[string][]any{"node_id": badID}, omit: []string{"node_id"}},
		"set_node_certificate_validity":      {before: trusted, good: args{"node_id": id, "valid_from": from, "validity_period_days": 3}, bad: nodeValidity, omit: []string{"node_id", "valid_from"}},
		"set_all_nodes_certificate_validity": {before: trusted, good: args{"valid_from": from, "validity_period_days": 3}, bad: validity, omit: []string{"valid_from"}},
		"add_snp_measurement":                {drops: true, good: args{"measurement": "m"}, bad: text("measurement"), omit: []string{"measurement"}},
		"remove_snp_measurement":             {before: map[string]string{"nodes.snp.measurements m": `"AllowedToJoin"`}, good: args{"measurement": "m"}, bad: text("measurement"), omit: []string{"measurement"}},
		"add_snp_host_data":                  {drops: true, good: args{"host_data": id, "security_policy": ""}, bad: map[string][]any{"host_data": notText, "security_policy": append([]any{"not of that digest"}, notText...)}, omit: []string{"host_data", "security_policy"}},
		"remove_snp_host_data":               {before: map[string]string{"nodes.snp.host_data h": `""`}, good: args{"host_data": "h"}, bad: text("host_data"), omit: []string{"host_data"}},
		"add_snp_uvm_endorsement":            {drops: true, before: map[string]string{"nodes.snp.uvm_endorsements did:x": `{"other":{"svn":"7"}}`}, good: args{"did": "did:x", "feed": "f", "svn": "1"}, bad: text("did", "feed", "svn"), omit: []string{"did", "feed", "svn"}},
		"remove_snp_uvm_endorsement":         {before: map[string]string{"nodes.snp.uvm_endorsements did:x": `{"f":{"svn":"7"},"g":{"svn":"1"}}`}, good: args{"did": "did:x", "feed": "f"}, bad: text("did", "feed"), omit: []string{"did", "feed"}},
		"set_snp_minimum_tcb_version":        {drops: true, good: args{"cpuid": "00a00f11", "tcb_version": tcb("", nil)}, bad: map[string][]any{"cpuid": append([]any{"", "00A00F11", "00a00f1", "00a00f1100", "00a00fzz"}, notText...), "tcb_version": {1, "x", true, args{}, tcb("tee", "2"), tcb("snp", nil), tcb("microcode", true), tcb("boot_loader", args{})}}, omit: []string{"cpuid", "tcb_version"}},
		"set_snp_minimum_tcb_version_hex":    {drops: true, good: args{"cpuid": "00a00f11", "tcb_version": "d315000000000004"}, bad: map[string][]any{"cpuid": append([]any{"", "00A00F11", "00a00f1"}, notText...), "tcb_version": append([]any{"", "D315000000000004", "d3", "d31500000000000z"}, notText...)}, omit: []string{"cpuid", "tcb_version"}},
		"remove_snp_minimum_tcb_version":     {before: map[string]string{"nodes.snp.tcb_versions 00a00f11": "{}"}, good: args{"cpuid": "00a00f11"}, bad: map[string][]any{"cpuid": append([]any{"", "00A00F11"}, notText...)}, omit: []string{"cpuid"}},
		"add_node_code":                      {good: args{"code_id": id}, refused: "enclaves of SGX"},
		"remove_node_code":                   {before: map[string]string{"nodes.code_ids " + id: `"AllowedToJoin"`}, good: args{"code_id": id}, bad: text("code_id"), omit: []string{"code_id"}},
	}
}

// wrong are the action's arguments with one of them wrong or left out, by what
// is wrong.
func (a actionCase) wrong() map[string]any {
	all := map[string]any{}
	change := func(name string, v any, drop bool) args {
		c := maps.Clone(a.good)
		c[name] = v
		if drop {
			delete(c, name)
		}
		return c
	}
	for name, values := range a.bad {
		for i, v := range values {
			all[fmt.Sprintf("%s: %d: %v", name, i, v)] = change(name, v, false)
		}
	}
	for _, name := range a.omit {
		all["no "+name] = change(name, nil, true)
	}
	if a.none {
		all["arguments"] = args{"a": 1}
		all["a text"] = "x"
	}
	return all
}

func (s *service) prepare(before map[string]string) {
	s.t.Helper()
	s.write(func(tx *kv.Tx) {
		for at, value := range before {
			table, key, _ := strings.Cut(at, " ")
			k := []byte(key)
			if key == "" {
				k = tables.UnitKey()
			}
			tx.Put(tables.GovPrefix+table, k, []byte(value))
		}
	})
}

// TestArguments gives every action what it takes, and then each argument with
// every kind of wrong value.
func TestArguments(t *testing.T) {
	t.Parallel()
	for name, tc := range actionCases(t) {
		t.Run(name, func(t *testing.T) {
			s := newService(t, constitutions.Default())
			m := s.addMembers(3)
			s.prepare(tc.before)
			refused := func(what string, args any, want string) {
				t.Helper()
				a := s.propose(m[0], action(t, name, args))
				if a.Status != 400 || a.code() != "ProposalFailedToValidate" || !strings.Contains(a.message(), want) ||
					!strings.Contains(a.message(), name+" at position 0 failed validation: ") {
					t.Errorf("%s: %v", what, a)
				}
			}
			if tc.refused != "" {
				refused("always", tc.good, tc.refused)
				return
			}
			for what, args := range tc.wrong() {
				refused(what, args, "")
			}
			var good any
			if tc.good != nil {
				good = tc.good
				refused("no arguments", nil, "args must be an object")
				refused("a list", []int{1}, "args must be an object")
			}
			other, _ := s.propose(m[1], action(t, "trigger_ledger_chunk", nil)).value(t, "proposalId").(string)
			if got := outcome(t, s.accept(m, action(t, name, good))); got != "Accepted" {
				t.Errorf("good arguments: %s", got)
			}
			want := map[bool]string{true: "Dropped", false: "Open"}[tc.drops]
			if got := outcome(t, s.get("/members/proposals/"+other)); got != want {
				t.Errorf("another proposal is %s, want %s", got, want)
			}
		})
	}
}

// TestAllActionsListed fails when the default constitution has an action that
// no case names.
func TestAllActionsListed(t *testing.T) {
	cases := actionCases(t)
	s := newService(t, constitutions.Default()+"\nactions.set('list', { check() { throw new Error([...actions.keys()].join(' ')); } });")
	a := s.propose(s.addMembers(1)[0], action(t, "list", nil))
	_, list, _ := strings.Cut(a.message(), "Error: ")
	names := slices.DeleteFunc(strings.Fields(list), func(n string) bool { return n == "list" || strings.Contains(n, "_virtual_") })
	slices.Sort(names)
	if want := slices.Sorted(maps.Keys(cases)); !slices.Equal(names, want) {
		t.Errorf("actions %v\nwant %v", names, want)
	}
}

// TestAgainstCCF proposes the same to CCF's own default constitution and to
// ours, and compares what is refused and every row that is written. It needs
// CCF's tree, named by CCF_TREE.
func TestAgainstCCF(t *testing.T) {
	tree := os.Getenv("CCF_TREE")
	if tree == "" {
		t.Skip("CCF_TREE does not name a checkout of CCF, whose constitution is the other side of this comparison")
	}
	var theirs string
	for _, part := range []string{"actions", "validate", "resolve", "apply"} {
		b, err := os.ReadFile(filepath.Join(tree, "samples/constitutions/default", part+".js"))
		if err != nil {
			t.Fatal(err)
		}
		theirs += string(b) + "\n"
	}
	for name, tc := range actionCases(t) {
		t.Run(name, func(t *testing.T) {
			a, b := newService(t, theirs), newService(t, constitutions.Default())
			b.now = a.now
			m := a.addMembers(3)
			b.adopt(m)
			a.prepare(tc.before)
			b.prepare(tc.before)
			for what, args := range tc.wrong() {
				x, y := a.propose(m[0], action(t, name, args)), b.propose(m[0], action(t, name, args))
				if x.Status != 400 || y.Status != 400 {
					t.Errorf("%s: theirs %d %s, ours %d %s", what, x.Status, x.message(), y.Status, y.message())
				}
			}
			if tc.refused != "" {
				return
			}
			var good any
			if tc.good != nil {
				good = tc.good
			}
			for _, s := range []*service{a, b} {
				other, _ := s.propose(m[1], action(t, "trigger_ledger_chunk", nil)).value(t, "proposalId").(string)
				if got := outcome(t, s.accept(m, action(t, name, good))); got != "Accepted" {
					t.Fatal(got)
				}
				if got := outcome(t, s.get("/members/proposals/"+other)); (got == "Dropped") != tc.drops {
					t.Errorf("another proposal is %s", got)
				}
			}
			if x, y := a.governed(), b.governed(); !maps.Equal(x, y) {
				for k := range x {
					if x[k] != y[k] {
						t.Errorf("%s:\ntheirs %q\nours   %q", k, x[k], y[k])
					}
				}
				for k := range y {
					if _, ok := x[k]; !ok {
						t.Errorf("%s:\nours only %q", k, y[k])
					}
				}
			}
			if !slices.Equal(a.node.effects, b.node.effects) {
				t.Errorf("theirs %q\nours   %q", a.node.effects, b.node.effects)
			}
		})
	}
}

// adopt adds the members of another service.
func (s *service) adopt(all []*member) {
	s.t.Helper()
	s.write(func(tx *kv.Tx) {
		for _, m := range all {
			tx.Put(tables.MemberCerts, []byte(m.id), []byte(m.CertPEM))
			tx.Put(tables.MemberEncryptionKeys, []byte(m.id), []byte("a key"))
			put(s.t, tx, tables.Members, m.id, tables.MemberInfo{Status: tables.MemberActive})
		}
	})
}

// governed are the rows of all governance tables but those of proposals and of
// signed requests, which name what was signed.
func (s *service) governed() map[string]string {
	s.t.Helper()
	rows := map[string]string{}
	tx := s.store.Begin()
	defer tx.Release()
	signed := []string{tables.Proposals, tables.ProposalsInfo, tables.COSEHistory, tables.COSERecentProposals, tables.Constitution}
	tx.EachMap(func(table string, _ synod.SeqNo, _ int) bool {
		if !slices.Contains(signed, table) {
			tx.ForEach(table, func(k, v []byte) bool {
				rows[table+" "+string(k)] = string(v)
				return true
			})
		}
		return true
	})
	return rows
}
