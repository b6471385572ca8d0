package gov_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod/constitutions"
	"synod/internal/cose"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/tables"
)

type args = map[string]any

// TestActions proposes each action of the default constitution, has it
// accepted and looks at what it did.
func TestActions(t *testing.T) {
	someone, other := newMember(t), newMember(t)
	_, encryptionKey, err := identity.NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	node := strings.Repeat("cd", 32)
	root := strings.Repeat("ab", 32)
	policyDigest := sha256.Sum256([]byte("policy"))
	hostData := hex.EncodeToString(policyDigest[:])
	jwk := args{"kid": "k", "kty": "RSA", "x5c": []string{base64.StdEncoding.EncodeToString(someone.CertDER)}}
	app := args{
		"modules": []args{{"name": "a.js", "module": "export function f() { return { body: 1 }; }"}},
		"metadata": args{"endpoints": args{"/a": args{"get": args{
			"js_module": "a.js", "js_function": "f", "mode": "readonly", "forwarding_required": "never",
			"authn_policies": []any{"jwt", args{"all_of": []string{"user_cert", "jwt"}}}, "openapi": args{},
		}}}},
	}
	pending := `{"status":"Pending","certificate_signing_request":"csr"}`
	trusted := `{"status":"Trusted","certificate_signing_request":"csr"}`

	// rows are "table key" → value, "" for one that must be absent.
	cases := map[string]struct {
		before  map[string]string
		name    string
		args    args
		rows    map[string]string
		effects []string
		fails   string // start of the 500
	}{
		"set_user":             {name: "set_user", args: args{"cert": someone.CertPEM, "user_data": args{"a": 1}}, rows: map[string]string{"users.certs " + someone.id: someone.CertPEM, "users.info " + someone.id: `{"user_data":{"a":1}}`}},
		"set_user, no data":    {before: map[string]string{"users.info " + someone.id: `{"user_data":1}`}, name: "set_user", args: args{"cert": someone.CertPEM, "user_data": nil}, rows: map[string]string{"users.certs " + someone.id: someone.CertPEM, "users.info " + someone.id: ""}},
		"remove_user":          {before: map[string]string{"users.certs " + someone.id: "x", "users.info " + someone.id: "{}"}, name: "remove_user", args: args{"user_id": someone.id}, rows: map[string]string{"users.certs " + someone.id: "", "users.info " + someone.id: ""}},
		"remove_user, unknown": {name: "remove_user", args: args{"user_id": someone.id}},
		"set_user_data":        {name: "set_user_data", args: args{"user_id": someone.id, "user_data": args{"b": 2}}, rows: map[string]string{"users.info " + someone.id: `{"user_data":{"b":2}}`}},
		"set_user_data, none":  {before: map[string]string{"users.info " + someone.id: "{}"}, name: "set_user_data", args: args{"user_id": someone.id}, rows: map[string]string{"users.info " + someone.id: ""}},

		"set_member":                {name: "set_member", args: args{"cert": other.CertPEM, "encryption_pub_key": encryptionKey, "member_data": args{"x": 1}, "recovery_role": "Owner"}, rows: map[string]string{"members.certs " + other.id: other.CertPEM, "members.encryption_public_keys " + other.id: encryptionKey, "members.info " + other.id: `{"member_data":{"x":1},"recovery_role":"Owner","status":"Accepted"}`, "members.acks " + other.id: `{"state_digest":"` + root + `"}`}},
		"set_member, plain":         {before: map[string]string{"members.encryption_public_keys " + other.id: "k"}, name: "set_member", args: args{"cert": other.CertPEM}, rows: map[string]string{"members.info " + other.id: `{"status":"Accepted"}`, "members.encryption_public_keys " + other.id: ""}},
		"set_member_data":           {before: map[string]string{"members.info " + other.id: `{"status":"Active","member_data":1}`}, name: "set_member_data", args: args{"member_id": other.id, "member_data": args{"y": 2}}, rows: map[string]string{"members.info " + other.id: `{"status":"Active","member_data":{"y":2}}`}},
		"set_member_data, who":      {name: "set_member_data", args: args{"member_id": other.id, "member_data": args{}}, fails: "Failed to apply(): Error: Member " + other.id + " does not exist"},
		"remove_member":             {before: map[string]string{"members.info " + other.id: `{"status":"Accepted"}`, "members.certs " + other.id: "x", "members.acks " + other.id: "{}"}, name: "remove_member", args: args{"member_id": other.id}, rows: map[string]string{"members.info " + other.id: "", "members.certs " + other.id: "", "members.acks " + other.id: ""}},
		"remove_member, unknown":    {name: "remove_member", args: args{"member_id": other.id}},
		"remove_member, with share": {before: map[string]string{"members.info " + other.id: `{"status":"Active"}`, "members.encryption_public_keys " + other.id: "k"}, name: "remove_member", args: args{"member_id": other.id}, rows: map[string]string{"members.info " + other.id: ""}, effects: []string{"rekey"}},
		"remove_member, too few":    {before: map[string]string{"service.config ": `{"recovery_threshold":4}`, "members.info " + other.id: `{"status":"Active"}`, "members.encryption_public_keys " + other.id: "k"}, name: "remove_member", args: args{"member_id": other.id}, fails: "Failed to apply(): Error: Number of active recovery members (3) would be less than recovery threshold (4)"},

		"set_recovery_threshold":          {name: "set_recovery_threshold", args: args{"recovery_threshold": 3}, rows: map[string]string{"service.config ": `{"recovery_threshold":3}`}, effects: []string{"refresh shares"}},
		"set_recovery_threshold, same":    {name: "set_recovery_threshold", args: args{"recovery_threshold": 1}, rows: map[string]string{"service.config ": `{"recovery_threshold":1}`}},
		"set_recovery_threshold, too big": {name: "set_recovery_threshold", args: args{"recovery_threshold": 4}, fails: "Failed to apply(): Error: Cannot set recovery threshold to 4: recovery threshold would be greater than the number of recovery members 3"},
		"set_recovery_threshold, waiting": {before: map[string]string{"service.info ": `{"status":"WaitingForRecoveryShares"}`}, name: "set_recovery_threshold", args: args{"recovery_threshold": 2}, fails: "Failed to apply(): Error: Cannot set recovery threshold if service is WaitingForRecoveryShares"},
		"set_service_configuration":       {name: "set_service_configuration", args: args{"recent_cose_proposals_window_size": 7, "recovery_threshold": nil, "reconfiguration_type": "OneTransaction"}, rows: map[string]string{"service.config ": `{"recovery_threshold":1,"recent_cose_proposals_window_size":7,"reconfiguration_type":"OneTransaction"}`}},

		"transition_service_to_open":                {name: "transition_service_to_open", args: args{"next_service_identity": someone.CertPEM, "previous_service_identity": other.CertPEM}, effects: []string{fmt.Sprintf("open %d %d", len(other.CertPEM), len(someone.CertPEM))}},
		"transition_service_to_open, new":           {name: "transition_service_to_open", args: args{"next_service_identity": someone.CertPEM}, effects: []string{fmt.Sprintf("open 0 %d", len(someone.CertPEM))}},
		"transition_service_to_open, recovering":    {before: map[string]string{"service.info ": `{"status":"Recovering"}`}, name: "transition_service_to_open", args: args{"next_service_identity": someone.CertPEM}, fails: "Failed to apply(): Error: Opening a recovering network requires both, the previous and the next service identity"},
		"assert_service_identity":                   {before: map[string]string{"service.info ": `{"cert":` + quote(someone.CertPEM) + `}`}, name: "assert_service_identity", args: args{"service_identity": someone.CertPEM}},
		"set_constitution":                          {name: "set_constitution", args: args{"constitution": plain}, rows: map[string]string{"constitution ": quote(plain)}},
		"trigger_ledger_rekey":                      {name: "trigger_ledger_rekey", effects: []string{"rekey"}},
		"trigger_recovery_shares_refresh":           {name: "trigger_recovery_shares_refresh", effects: []string{"refresh shares"}},
		"trigger_ledger_chunk":                      {name: "trigger_ledger_chunk", effects: []string{"chunk"}},
		"trigger_snapshot":                          {name: "trigger_snapshot", effects: []string{"snapshot"}},
		"set_sealed_resume":                         {name: "set_sealed_resume", args: args{"allowed": true}, effects: []string{"seal true"}},
		"set_service_certificate_validity":          {name: "set_service_certificate_validity", args: args{"valid_from": "2025-11-23 14:50:45.123456+00:00", "validity_period_days": 10}, rows: map[string]string{"service.info ": `{"cert":"service certificate","status":"Open"}`}, effects: []string{"renew from 2025-11-23 14:50:45.123456+00:00 for 10"}},
		"set_service_certificate_validity, default": {before: map[string]string{"service.config ": `{"recovery_threshold":1,"maximum_service_certificate_validity_days":20}`}, name: "set_service_certificate_validity", args: args{"valid_from": "20251123145045Z"}, effects: []string{"renew from 20251123145045Z for 20"}},
		"set_service_certificate_validity, long":    {name: "set_service_certificate_validity", args: args{"valid_from": "251123145045Z", "validity_period_days": 366}, fails: "Failed to apply(): Error: Validity period 366 (days) is not allowed: service max allowed is 365 (days)"},

		"set_js_app":                    {before: map[string]string{"modules /old": "x", "endpoints GET /old": "{}"}, name: "set_js_app", args: args{"bundle": app, "disable_bytecode_cache": true}, rows: map[string]string{"modules /a.js": "export function f() { return { body: 1 }; }", "modules /old": "", "endpoints GET /old": "", "endpoints GET /a": `{"authn_policies":["jwt",{"all_of":["user_cert","jwt"]}],"forwarding_required":"never","js_function":"f","js_module":"/a.js","mode":"readonly","openapi":{}}`, "interpreter.flush ": "true"}},
		"set_js_app, compiled":          {name: "set_js_app", args: args{"bundle": app}, rows: map[string]string{"modules /a.js": "export function f() { return { body: 1 }; }"}},
		"set_js_app, no JS":             {name: "set_js_app", args: args{"bundle": args{"modules": []args{{"name": "a", "module": "no JS"}}, "metadata": args{"endpoints": args{}}}}, fails: "Failed to apply(): InternalError: Failed to refresh bytecode: "},
		"remove_js_app":                 {before: map[string]string{"modules /old": "x", "endpoints GET /old": "{}", "interpreter.flush ": "true", "modules_quickjs_bytecode /old": "x"}, name: "remove_js_app", rows: map[string]string{"modules /old": "", "endpoints GET /old": "", "interpreter.flush ": "", "modules_quickjs_bytecode /old": ""}},
		"set_js_runtime_options":        {name: "set_js_runtime_options", args: args{"max_heap_bytes": 1, "max_stack_bytes": 2, "max_execution_time_ms": 3, "log_exception_details": nil}, rows: map[string]string{"js_runtime_options ": `{"max_execution_time_ms":3,"max_heap_bytes":1,"max_stack_bytes":2}`}},
		"refresh_js_app_bytecode_cache": {name: "refresh_js_app_bytecode_cache"},

		"set_ca_cert_bundle":               {name: "set_ca_cert_bundle", args: args{"name": "n", "cert_bundle": someone.CertPEM + other.CertPEM}, rows: map[string]string{"tls.ca_cert_bundles n": quote(someone.CertPEM + other.CertPEM)}},
		"remove_ca_cert_bundle":            {before: map[string]string{"tls.ca_cert_bundles n": `"x"`}, name: "remove_ca_cert_bundle", args: args{"name": "n"}, rows: map[string]string{"tls.ca_cert_bundles n": ""}},
		"set_jwt_issuer":                   {name: "set_jwt_issuer", args: args{"issuer": "https://i", "jwks": args{"keys": []args{jwk}}, "more": 1}, rows: map[string]string{"jwt.issuers https://i": `{"issuer":"https://i","more":1}`, "jwt.public_signing_keys_metadata_v2 k": keyRow(t, "https://i", someone)}},
		"set_jwt_public_signing_keys":      {before: map[string]string{"jwt.issuers https://i": "{}"}, name: "set_jwt_public_signing_keys", args: args{"issuer": "https://i", "jwks": args{"keys": []args{jwk}}}, rows: map[string]string{"jwt.public_signing_keys_metadata_v2 k": keyRow(t, "https://i", someone)}},
		"set_jwt_public_signing_keys, who": {name: "set_jwt_public_signing_keys", args: args{"issuer": "https://i", "jwks": args{"keys": []args{jwk}}}, fails: "Failed to apply(): Error: issuer https://i not found"},
		"set_jwt_issuer, refreshed":        {before: map[string]string{"tls.ca_cert_bundles b": `"PEM"`}, name: "set_jwt_issuer", args: args{"issuer": "https://i:8/a", "auto_refresh": true, "ca_cert_bundle_name": "b"}, rows: map[string]string{"jwt.issuers https://i:8/a": `{"issuer":"https://i:8/a","auto_refresh":true,"ca_cert_bundle_name":"b"}`}},
		"set_jwt_issuer, no bundle":        {name: "set_jwt_issuer", args: args{"issuer": "https://i", "auto_refresh": true, "ca_cert_bundle_name": "b"}, fails: "Failed to apply(): Error: No CA cert bundle found with name 'b'"},
		"set_jwt_issuer, bad key":          {name: "set_jwt_issuer", args: args{"issuer": "https://i", "jwks": args{"keys": []args{{"kid": "k", "kty": "RSA", "n": "AQ", "e": "AQAB"}}}}, fails: "Failed to apply(): InternalError: "},
		"remove_jwt_issuer":                {before: map[string]string{"jwt.issuers https://i": "{}", "jwt.public_signing_keys_metadata_v2 k": keyRow(t, "https://i", someone)}, name: "remove_jwt_issuer", args: args{"issuer": "https://i"}, rows: map[string]string{"jwt.issuers https://i": "", "jwt.public_signing_keys_metadata_v2 k": ""}},

		"set_node_data":                          {before: map[string]string{"nodes.info " + node: trusted}, name: "set_node_data", args: args{"node_id": node, "node_data": "text"}, rows: map[string]string{"nodes.info " + node: `{"status":"Trusted","certificate_signing_request":"csr","node_data":"text"}`}},
		"set_node_data, none":                    {before: map[string]string{"nodes.info " + node: `{"status":"Trusted","node_data":1}`}, name: "set_node_data", args: args{"node_id": node, "node_data": nil}, rows: map[string]string{"nodes.info " + node: `{"status":"Trusted"}`}},
		"transition_node_to_trusted":             {before: map[string]string{"nodes.info " + node: pending}, name: "transition_node_to_trusted", args: args{"node_id": node, "valid_from": "20251123145045Z"}, rows: map[string]string{"nodes.info " + node: `{"status":"Trusted","certificate_signing_request":"csr","ledger_secret_seqno":1}`, "nodes.endorsed_certificates " + node: "node certificate"}, effects: []string{"latest secret", "endorse from 20251123145045Z for 365"}},
		"transition_node_to_trusted, twice":      {before: map[string]string{"nodes.info " + node: trusted}, name: "transition_node_to_trusted", args: args{"node_id": node, "valid_from": "20251123145045Z"}, rows: map[string]string{"nodes.info " + node: trusted}},
		"transition_node_to_trusted, who":        {name: "transition_node_to_trusted", args: args{"node_id": node, "valid_from": "20251123145045Z"}, fails: "Failed to apply(): Error: No such node: " + node},
		"remove_node":                            {before: map[string]string{"nodes.info " + node: trusted}, name: "remove_node", args: args{"node_id": node}, rows: map[string]string{"nodes.info " + node: `{"status":"Retired","certificate_signing_request":"csr"}`}},
		"remove_node, pending":                   {before: map[string]string{"nodes.info " + node: pending}, name: "remove_node", args: args{"node_id": node}, rows: map[string]string{"nodes.info " + node: ""}},
		"set_node_certificate_validity":          {before: map[string]string{"nodes.info " + node: trusted}, name: "set_node_certificate_validity", args: args{"node_id": node, "valid_from": "20251123145045Z", "validity_period_days": 3}, rows: map[string]string{"nodes.endorsed_certificates " + node: "node certificate"}, effects: []string{"endorse from 20251123145045Z for 3"}},
		"set_node_certificate_validity, pending": {before: map[string]string{"nodes.info " + node: pending}, name: "set_node_certificate_validity", args: args{"node_id": node, "valid_from": "20251123145045Z"}, fails: "Failed to apply(): Error: Node " + node + " is not trusted"},
		"set_all_nodes_certificate_validity":     {before: map[string]string{"nodes.info " + node: trusted, "nodes.info x": pending}, name: "set_all_nodes_certificate_validity", args: args{"valid_from": "20251123145045Z"}, rows: map[string]string{"nodes.endorsed_certificates x": ""}, effects: []string{"endorse from 20251123145045Z for 365"}},

		"add_virtual_measurement":              {name: "add_virtual_measurement", args: args{"measurement": "m"}, rows: map[string]string{"nodes.virtual.measurements m": `"AllowedToJoin"`}},
		"remove_virtual_measurement":           {before: map[string]string{"nodes.virtual.measurements m": "x"}, name: "remove_virtual_measurement", args: args{"measurement": "m"}, rows: map[string]string{"nodes.virtual.measurements m": ""}},
		"add_virtual_host_data":                {name: "add_virtual_host_data", args: args{"host_data": "h"}, rows: map[string]string{"nodes.virtual.host_data h": "\x00\x00\x00\x00\x00\x00\x00\x00"}},
		"remove_virtual_host_data":             {before: map[string]string{"nodes.virtual.host_data h": "x"}, name: "remove_virtual_host_data", args: args{"host_data": "h"}, rows: map[string]string{"nodes.virtual.host_data h": ""}},
		"add_snp_measurement":                  {name: "add_snp_measurement", args: args{"measurement": "m"}, rows: map[string]string{"nodes.snp.measurements m": `"AllowedToJoin"`}},
		"remove_snp_measurement":               {before: map[string]string{"nodes.snp.measurements m": "x"}, name: "remove_snp_measurement", args: args{"measurement": "m"}, rows: map[string]string{"nodes.snp.measurements m": ""}},
		"add_snp_host_data":                    {name: "add_snp_host_data", args: args{"host_data": hostData, "security_policy": "policy"}, rows: map[string]string{"nodes.snp.host_data " + hostData: `"policy"`}},
		"add_snp_host_data, no text":           {name: "add_snp_host_data", args: args{"host_data": node, "security_policy": ""}, rows: map[string]string{"nodes.snp.host_data " + node: `""`}},
		"remove_snp_host_data":                 {before: map[string]string{"nodes.snp.host_data h": "x"}, name: "remove_snp_host_data", args: args{"host_data": "h"}, rows: map[string]string{"nodes.snp.host_data h": ""}},
		"add_snp_uvm_endorsement":              {before: map[string]string{"nodes.snp.uvm_endorsements d": `{"a":{"svn":"1"}}`}, name: "add_snp_uvm_endorsement", args: args{"did": "d", "feed": "f", "svn": "2"}, rows: map[string]string{"nodes.snp.uvm_endorsements d": `{"a":{"svn":"1"},"f":{"svn":"2"}}`}},
		"remove_snp_uvm_endorsement":           {before: map[string]string{"nodes.snp.uvm_endorsements d": `{"a":{"svn":"1"},"f":{"svn":"2"}}`}, name: "remove_snp_uvm_endorsement", args: args{"did": "d", "feed": "f"}, rows: map[string]string{"nodes.snp.uvm_endorsements d": `{"a":{"svn":"1"}}`}},
		"remove_snp_uvm_endorsement, last":     {before: map[string]string{"nodes.snp.uvm_endorsements d": `{"f":{"svn":"2"}}`}, name: "remove_snp_uvm_endorsement", args: args{"did": "d", "feed": "f"}, rows: map[string]string{"nodes.snp.uvm_endorsements d": ""}},
		"set_snp_minimum_tcb_version":          {name: "set_snp_minimum_tcb_version", args: args{"cpuid": "00a00f11", "tcb_version": args{"boot_loader": 1, "tee": 2, "snp": 3, "microcode": 4}}, rows: map[string]string{"nodes.snp.tcb_versions 00a00f11": `{"boot_loader":1,"tee":2,"snp":3,"microcode":4}`}},
		"remove_snp_minimum_tcb_version":       {before: map[string]string{"nodes.snp.tcb_versions 00a00f11": "{}"}, name: "remove_snp_minimum_tcb_version", args: args{"cpuid": "00a00f11"}, rows: map[string]string{"nodes.snp.tcb_versions 00a00f11": ""}},
		"remove_snp_minimum_tcb_version, none": {name: "remove_snp_minimum_tcb_version", args: args{"cpuid": "00a00f11"}, fails: "Failed to apply(): Error: CPUID 00a00f11 not found"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t, constitutions.Default())
			m := s.addMembers(3)
			s.write(func(tx *kv.Tx) {
				for at, value := range tc.before {
					table, key, _ := strings.Cut(at, " ")
					k := []byte(key)
					if key == "" {
						k = tables.UnitKey()
					}
					tx.Put(tables.GovPrefix+table, k, []byte(value))
				}
			})
			a := s.accept(m, action(t, tc.name, tc.args))
			if tc.fails != "" {
				if a.Status != 500 || !strings.HasPrefix(a.message(), tc.fails) {
					t.Errorf("answer %v", a)
				}
				return
			}
			if a.Status != 200 || a.value(t, "proposalState") != "Accepted" {
				t.Fatal(a)
			}
			for at, want := range tc.rows {
				table, key, _ := strings.Cut(at, " ")
				got, ok := s.read(tables.GovPrefix+table, key)
				if ok != (want != "") || got != want && !sameJSON(t, want, got) {
					t.Errorf("%s: %q\nwant %q", at, got, want)
				}
			}
			if diff := cmp.Diff(tc.effects, s.node.effects); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestVersionInHex needs the engine to read versions; without that the action
// is refused in words when it is proposed.
func TestVersionInHex(t *testing.T) {
	s := newService(t, constitutions.Default())
	m := s.addMembers(1)
	a := s.accept(m, action(t, "set_snp_minimum_tcb_version_hex", args{"cpuid": "00a00f11", "tcb_version": "d315000000000004"}))
	if a.Status == 400 {
		if !strings.Contains(a.message(), "this node cannot read versions in hex") {
			t.Error(a)
		}
		return
	}
	want := `{"boot_loader":4,"hexstring":"d315000000000004","microcode":211,"snp":21,"tee":0}`
	if got, _ := s.read(tables.SNPTCBVersions, "00a00f11"); !sameJSON(t, want, got) {
		t.Errorf("%v: %s", a, got)
	}
}

func quote(s string) string {
	b, _ := tables.Marshal(s)
	return string(b)
}

func keyRow(t testing.TB, issuer string, m *member) string {
	t.Helper()
	spki, err := identity.PublicKeyDER(m.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return `[{"issuer":"` + issuer + `","public_key":"` + base64.StdEncoding.EncodeToString(spki) + `"}]`
}

// TestRefusedActions are proposals that the default constitution does not let
// in, with the words that it has for them.
func TestRefusedActions(t *testing.T) {
	s := newService(t, constitutions.Default())
	m := s.addMembers(1)[0]
	id := strings.Repeat("ab", 32)
	op := args{"js_module": "a", "js_function": "f", "mode": "readonly", "forwarding_required": "never", "authn_policies": []any{}}
	bundle := func(change args) args {
		o := args{}
		for k, v := range op {
			o[k] = v
		}
		for k, v := range change {
			o[k] = v
		}
		return args{"bundle": args{"modules": []args{{"name": "a", "module": ""}}, "metadata": args{"endpoints": args{"/x": args{"get": o}}}}}
	}
	for name, tc := range map[string]struct {
		name string
		args any
		want string
	}{
		"no such action":         {"fly", nil, "fly: no such action"},
		"a property of objects":  {"constructor", nil, "constructor: no such action"},
		"no arguments":           {"remove_user", nil, "args must be an object"},
		"arguments a list":       {"remove_user", []int{1}, "args must be an object"},
		"a number":               {"remove_user", args{"user_id": 42}, "user_id must be of type string but is number"},
		"short":                  {"remove_user", args{"user_id": "ab"}, "user_id must contain exactly 64 characters"},
		"not hex":                {"remove_user", args{"user_id": strings.Repeat("z", 64)}, "user_id must be hexadecimal"},
		"no certificate":         {"set_user", args{"cert": "x"}, "cert must be a valid X509 certificate"},
		"empty constitution":     {"set_constitution", args{"constitution": ""}, "is empty"},
		"constitution, number":   {"set_constitution", args{"constitution": 1}, "must be of type string"},
		"constitution, list":     {"set_constitution", args{"constitution": []string{"a"}}, "must be of type string"},
		"constitution, null":     {"set_constitution", args{"constitution": nil}, "must be of type string"},
		"constitution, no JS":    {"set_constitution", args{"constitution": "Not syntactically valid JS"}, "Failed to compile"},
		"constitution, partly":   {"set_constitution", args{"constitution": "export function validate(i) {}\nexport function apply(p, q) {}"}, "Failed to find export 'resolve'"},
		"constitution, lengths":  {"set_constitution", args{"constitution": "export function validate(i) {}\nexport function apply(p, q) {}\nexport function resolve(p) {}"}, "exports function resolve with 1 arg, expected between 3 and 4 args"},
		"constitution, too many": {"set_constitution", args{"constitution": "export function validate(a, b, c) {}\nexport function apply(p, q) {}\nexport function resolve(a, b, c) {}"}, "exports function validate with 3 args, expected 1 arg"},
		"threshold 0":            {"set_recovery_threshold", args{"recovery_threshold": 0}, "recovery_threshold must be at least 1 and at most 254"},
		"threshold 255":          {"set_recovery_threshold", args{"recovery_threshold": 255}, "recovery_threshold must be at least 1 and at most 254"},
		"threshold null":         {"set_recovery_threshold", args{"recovery_threshold": nil}, "recovery_threshold must be an integer"},
		"unknown setting":        {"set_service_configuration", args{"maximum_node_certificate_validity_days": 1}, "Cannot change maximum_node_certificate_validity_days via set_service_configuration."},
		"two transactions":       {"set_service_configuration", args{"reconfiguration_type": "TwoTransaction"}, "reconfiguration_type must be one of OneTransaction"},
		"window 0":               {"set_service_configuration", args{"recent_cose_proposals_window_size": 0}, "must be at least 1 and at most 10000"},
		"no days":                {"set_service_certificate_validity", args{"valid_from": "20251123145045Z", "validity_period_days": 0}, "validity_period_days must be at least 1"},
		"no time":                {"set_service_certificate_validity", args{"valid_from": "tomorrow"}, "valid_from is not a time: tomorrow"},
		"no arguments taken":     {"trigger_ledger_rekey", args{"now": true}, `This action takes no arguments, found {"now":true}`},
		"role without key":       {"set_member", args{"cert": m.CertPEM, "recovery_role": "Owner"}, "Cannot specify a recovery_role value when encryption_pub_key is not specified"},
		"unknown role":           {"set_member", args{"cert": m.CertPEM, "encryption_pub_key": "-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----", "recovery_role": "Boss"}, "recovery_role must be one of NonParticipant, Participant, Owner"},
		"no key":                 {"set_member", args{"cert": m.CertPEM, "encryption_pub_key": "x"}, "encryption_pub_key must be a public key in PEM format"},
		"member data text":       {"set_member_data", args{"member_id": id, "member_data": "x"}, "member_data must be an object"},
		"other identity":         {"assert_service_identity", args{"service_identity": m.CertPEM}, "Service identity certificate mismatch"},
		"module not there":       {"set_js_app", bundle(args{"js_module": "b"}), "module 'b' not found in bundle"},
		"unknown mode":           {"set_js_app", bundle(args{"mode": "fast"}), "mode must be one of readwrite, readonly, historical"},
		"unknown policy":         {"set_js_app", bundle(args{"authn_policies": []any{"admin"}}), "authn_policies[0] must be one of user_cert,"},
		"policy a number":        {"set_js_app", bundle(args{"authn_policies": []any{3}}), "authn_policies[0] must be an object"},
		"unknown in all_of":      {"set_js_app", bundle(args{"authn_policies": []any{args{"all_of": []any{"jwt", "x"}}}}), "authn_policies[0].all_of[1] must be one of"},
		"module twice":           {"set_js_app", args{"bundle": args{"modules": []args{{"name": "a", "module": ""}, {"name": "a", "module": ""}}, "metadata": args{"endpoints": args{}}}}, "module 'a' is in the bundle twice"},
		"negative heap":          {"set_js_runtime_options", args{"max_heap_bytes": -1, "max_stack_bytes": 1, "max_execution_time_ms": 1}, "max_heap_bytes must not be negative"},
		"refresh, no bundle":     {"set_jwt_issuer", args{"issuer": "https://i", "auto_refresh": true}, "ca_cert_bundle_name is missing but required if auto_refresh is true"},
		"refresh, no URL":        {"set_jwt_issuer", args{"issuer": "i", "auto_refresh": true, "ca_cert_bundle_name": "x"}, "issuer must be a URL if auto_refresh is true"},
		"refresh, a user":        {"set_jwt_issuer", args{"issuer": "https://u:p@i", "auto_refresh": true, "ca_cert_bundle_name": "x"}, "issuer must be a URL if auto_refresh is true"},
		"refresh, no TLS":        {"set_jwt_issuer", args{"issuer": "http://i", "auto_refresh": true, "ca_cert_bundle_name": "x"}, "issuer must be a URL starting with https:// if auto_refresh is true"},
		"refresh, query":         {"set_jwt_issuer", args{"issuer": "https://i/?a", "auto_refresh": true, "ca_cert_bundle_name": "x"}, "issuer must be a URL without query/fragment if auto_refresh is true"},
		"refresh, fragment":      {"set_jwt_issuer", args{"issuer": "https://i#a", "auto_refresh": true, "ca_cert_bundle_name": "x"}, "issuer must be a URL without query/fragment if auto_refresh is true"},
		"no keys":                {"set_jwt_issuer", args{"issuer": "https://i", "jwks": args{"keys": []any{}}}, "jwks.keys must not be empty"},
		"key without parts":      {"set_jwt_public_signing_keys", args{"issuer": "https://i", "jwks": args{"keys": []any{args{"kid": "k", "kty": "RSA"}}}}, "jwks.keys[0] must contain either x5c, or n/e for RSA key type, or x/y/crv for EC key type"},
		"other policy":           {"add_snp_host_data", args{"host_data": id, "security_policy": "x"}, "The hash of raw policy"},
		"upper-case CPUID":       {"remove_snp_minimum_tcb_version", args{"cpuid": "00A00F11"}, "cpuid must be lower-case hexadecimal"},
		"no SGX":                 {"add_node_code", args{"code_id": id}, "code that runs in enclaves of SGX cannot join this service"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.propose(m, action(t, tc.name, tc.args))
			if a.Status != 400 || a.code() != "ProposalFailedToValidate" || !strings.Contains(a.message(), tc.want) {
				t.Errorf("answer %v", a)
			}
		})
	}
	for body, want := range map[string]string{
		"null": "a proposal must be an object with an array of actions", "[]": "a proposal must be", `{"actions":{}}`: "a proposal must be",
		`{"actions":[null]}`: "undefined: no such action",
	} {
		if a := s.propose(m, body); a.Status != 400 || !strings.Contains(a.message(), want) {
			t.Errorf("%s: %v", body, a)
		}
	}
	for _, body := range []string{"", "{ not valid json"} {
		if a := s.propose(m, body); a.Status != 500 || !strings.HasPrefix(a.message(), "Failed to execute validation: SyntaxError") {
			t.Errorf("%s: %v", body, a)
		}
	}
}

// TestMajority counts votes as the default constitution does.
func TestMajority(t *testing.T) {
	s := newService(t, constitutions.Default())
	m := s.addMembers(4)
	body := action(t, "trigger_snapshot", nil)
	id, _ := s.propose(m[0], body).value(t, "proposalId").(string)
	for _, who := range m[:2] {
		if a := s.vote(who, id, yes); a.value(t, "proposalState") != "Open" {
			t.Fatalf("two of four: %v", a)
		}
	}
	// One of the two leaves: what is left is one of three.
	s.write(func(tx *kv.Tx) { tx.Delete(tables.Members, []byte(m[0].id)) })
	if a := s.vote(m[2], id, no); a.value(t, "proposalState") != "Open" {
		t.Fatalf("one of three: %v", a)
	}
	if a := s.vote(m[3], id, yes); a.value(t, "proposalState") != "Accepted" {
		t.Fatalf("two of three: %v", a)
	}
}

// TestDrop has a change of the rules end every other open proposal.
func TestDrop(t *testing.T) {
	s := newService(t, constitutions.Default())
	m := s.addMembers(3)
	other, _ := s.propose(m[1], action(t, "trigger_snapshot", nil)).value(t, "proposalId").(string)
	if a := s.accept(m, action(t, "set_constitution", args{"constitution": constitutions.Sandbox()})); a.value(t, "proposalState") != "Accepted" {
		t.Fatal(a)
	}
	a := s.get("/members/proposals/" + other)
	if a.value(t, "proposalState") != "Dropped" {
		t.Error(a)
	}
	if a := s.vote(m[1], other, yes); a.code() != "ProposalNotOpen" {
		t.Error(a)
	}
	// The new one, of the sandbox, passes everything at once.
	if a := s.propose(m[0], action(t, "trigger_snapshot", nil)); a.value(t, "proposalState") != "Accepted" {
		t.Error(a)
	}
}

// TestFailedEffect is a node that cannot do what was accepted: the last ballot
// fails and the proposal stays open.
func TestFailedEffect(t *testing.T) {
	s := newService(t, constitutions.Default())
	m := s.addMembers(2)
	s.node.fault = errors.New("no machinery for that")
	a := s.accept(m, action(t, "trigger_ledger_rekey", nil))
	if a.Status != 500 || !strings.Contains(strings.Split(a.message(), "\n")[0], "no machinery for that") {
		t.Fatal(a)
	}
	list := s.get("/members/proposals")
	if !strings.Contains(list.Body, `"ballotCount":1`) || !strings.Contains(list.Body, `"proposalState":"Open"`) {
		t.Error(list)
	}
	if n := s.log.count("returning error 500: Failed to apply(): "); n != 1 {
		t.Errorf("%d lines", n)
	}
}

// TestEvaluations counts runs of the constitution's top level: one for
// validate, one for each resolve, one for apply
// (CCF: tests/governance.py, single_node).
func TestEvaluations(t *testing.T) {
	s := newService(t, constitutions.Default()+`
console.info("top level");
actions.set("just_log", {
  check() { console.info("in check"); console.warn("warned in check"); },
  run() { console.info("in run"); console.error("fatal in run"); },
});
`)
	m := s.addMembers(3)
	if a := s.accept(m, action(t, "just_log", nil)); a.value(t, "proposalState") != "Accepted" {
		t.Fatal(a)
	}
	for line, want := range map[string]int{
		"INFO top level": 5, "INFO in check": 1, "WARN warned in check": 1, "INFO in run": 1, "ERROR+4 fatal in run": 1, "tag=gov": 9,
	} {
		if got := s.log.count(line); got != want {
			t.Errorf("%q: %d lines, want %d", line, got, want)
		}
	}
}

// TestIdentity checks the proposal ID against its definition.
func TestIdentity(t *testing.T) {
	s := newService(t, plain)
	m := s.addMembers(1)[0]
	root := sha256.Sum256(fmt.Append(nil, s.store.Tip().SeqNo))
	req := s.request(m, "/members/proposals:create", cose.GovHeader{MsgType: "proposal"}, "{}")
	msg, err := cose.Parse(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	sig := sha256.Sum256(msg.Signature)
	want := sha256.Sum256(append(root[:], sig[:]...))
	a := s.send(req)
	if got := a.value(t, "proposalId"); got != hex.EncodeToString(want[:]) {
		t.Errorf("proposal %v", a)
	}
	key := fmt.Sprintf("%010d:%x", s.now.Unix(), sig)
	if got, _ := s.read(tables.COSERecentProposals, key); got != quote(hex.EncodeToString(want[:])) {
		t.Errorf("window has %q", got)
	}
	if got, _ := s.read(tables.COSEHistory, m.id); got != quote(base64.StdEncoding.EncodeToString(req.Body)) {
		t.Errorf("history has %q", got)
	}
}

// TestRuntimeOptions lets a service give governance more than the defaults,
// never less.
func TestRuntimeOptions(t *testing.T) {
	s := newService(t, plain)
	m := s.addMembers(1)[0]
	big := parts(t, map[string]string{"valid": `{ const a = new Uint8Array(120 << 20); ({ valid: a.length > 0 }); }`})
	for _, tc := range []struct {
		heap   int
		status int
	}{{1, 500}, {200 << 20, 200}} {
		s.write(func(tx *kv.Tx) {
			put(t, tx, tables.JSRuntime, "", args{"max_heap_bytes": tc.heap, "max_stack_bytes": 1, "max_execution_time_ms": 1})
		})
		if a := s.propose(m, big); a.Status != tc.status {
			t.Errorf("heap %d: %v", tc.heap, a)
		}
		if a := s.propose(m, parts(t, nil)); a.Status != 200 {
			t.Errorf("heap %d: %v", tc.heap, a)
		}
	}
	s.write(func(tx *kv.Tx) { tx.Put(tables.JSRuntime, tables.UnitKey(), []byte("x")) })
	if a := s.propose(m, "{}"); a.Status != 500 {
		t.Error(a)
	}
}
