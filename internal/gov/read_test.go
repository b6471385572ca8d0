package gov_test

import (
	"strings"
	"testing"

	"synod"
	"synod/app"
	"synod/internal/kv"
	"synod/internal/tables"
)

func TestVersions(t *testing.T) {
	s := newService(t, plain)
	const both, newest = "The supported api-versions are: 2023-06-01-preview, 2024-07-01", "The supported api-versions are: 2024-07-01"
	for name, tc := range map[string]struct {
		path, query, code, message string
	}{
		"newest":        {"/service/members", "api-version=2024-07-01", "", ""},
		"preview":       {"/service/members", "api-version=2023-06-01-preview", "", ""},
		"missing":       {"/service/members", "x=1", "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests. " + both},
		"unknown":       {"/service/members", "api-version=2024", "UnsupportedApiVersionValue", "Unsupported api-version '2024'. " + both},
		"empty":         {"/service/members", "api-version", "UnsupportedApiVersionValue", "Unsupported api-version ''. " + both},
		"too old":       {"/service/javascript-app", "api-version=2023-06-01-preview", "UnsupportedApiVersionValue", "Unsupported api-version '2023-06-01-preview'. " + newest},
		"new, missing":  {"/service/javascript-modules", "", "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests. " + newest},
		"a transaction": {"/service/transactions/commit", "", "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests. " + both},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.send(&app.Request{Method: "GET", Path: "/gov" + tc.path, Query: tc.query})
			if tc.code == "" {
				if a.Status != 200 {
					t.Error(a)
				}
			} else if a.Status != 400 || a.code() != tc.code || a.message() != tc.message {
				t.Error(a)
			}
		})
	}
}

func TestReads(t *testing.T) {
	s := newService(t, plain)
	member, user, node := strings.Repeat("aa", 32), strings.Repeat("bb", 32), strings.Repeat("cc", 32)
	proposal := strings.Repeat("dd", 32)
	s.write(func(tx *kv.Tx) {
		raw := func(table, key, value string) { tx.Put(table, []byte(key), []byte(value)) }
		raw(tables.MemberCerts, member, "member PEM")
		raw(tables.Members, member, `{"status":"Active","member_data":{"b":1,"a":10000000000000000001},"recovery_role":"Owner"}`)
		raw(tables.MemberEncryptionKeys, member, "key PEM")
		raw(tables.UserCerts, user, "user PEM")
		raw(tables.Users, user, `{"user_data":"x"}`)
		raw(tables.UserCerts, "u2", "other PEM")
		raw(tables.Nodes, node, `{"status":"Trusted","node_data":null,"encryption_pub_key":"","quote_info":{"format":"Insecure_Virtual","endorsements":"","quote":"eyJtZWFzdXJlbWVudCI6Im0iLCJyZXBvcnRfZGF0YSI6InIiLCJob3N0X2RhdGEiOiJoIn0="},"node_to_node_interface":{"bind_address":"a:1"},"rpc_interfaces":{"one":{"bind_address":"b:2","published_address":"c:3","app_protocol":"HTTP1"},"two":{"bind_address":"d:4"}}}`)
		raw(tables.NodeEndorsedCertificates, node, "node PEM")
		raw(tables.Endpoints, "GET /a/{b}", `{"js_module":"/a.js","js_function":"f","forwarding_required":"never","authn_policies":["jwt",{"all_of":["user_cert","jwt"]}],"mode":"readonly","openapi":{"z":1,"a":2}}`)
		raw(tables.Modules, "/a.js", "export const f = 1")
		raw(tables.NodeCodeIDs, "c0de", `"AllowedToJoin"`)
		raw(tables.VirtualMeasurements, "vm", `"AllowedToJoin"`)
		raw(tables.VirtualMeasurements, "old", `"Retired"`)
		raw(tables.VirtualHostData, "vh", "\x00\x00\x00\x00\x00\x00\x00\x00")
		raw(tables.SNPMeasurements, "sm", `"AllowedToJoin"`)
		raw(tables.SNPHostData, "sh", `"policy"`)
		raw(tables.SNPUVMEndorsements, "did", `{"feed":{"svn":"1"}}`)
		raw(tables.SNPTCBVersions, "00a00f11", `{"tee":1,"snp":2,"boot_loader":3,"microcode":4}`)
		raw(tables.JWTIssuers, "i", `{"issuer":"i","auto_refresh":true,"ca_cert_bundle_name":"b"}`)
		raw(tables.JWTIssuers, "j", `{"issuer":"j"}`)
		raw(tables.JWTSigningKeys, "kid", `[{"public_key":"AQID","issuer":"i","constraint":"c"},{"public_key":"AQID","issuer":"j"}]`)
		raw(tables.CACertBundles, "b", `"bundle PEM"`)
		raw(tables.ProposalsInfo, proposal, `{"proposer_id":"`+member+`","state":"Dropped","ballots":{"`+member+`":"js"}}`)
	})
	memberBody := `{"certificate":"member PEM","memberData":{"a":10000000000000000001,"b":1},"memberId":"` + member + `","publicEncryptionKey":"key PEM","recoveryRole":"Owner","status":"Active"}`
	userBody := `{"certificate":"user PEM","userData":{"user_data":"x"},"userId":"` + user + `"}`
	nodeBody := `{"certificate":"node PEM","nodeData":null,"nodeId":"` + node + `","quoteInfo":{"details":{"hostData":"h","measurement":"m","reportData":"r"},"format":"Insecure_Virtual","rawQuote":"eyJtZWFzdXJlbWVudCI6Im0iLCJyZXBvcnRfZGF0YSI6InIiLCJob3N0X2RhdGEiOiJoIn0="},"retiredCommitted":false,"rpcInterfaces":{"one":{"protocol":"HTTP1","publishedAddress":"c:3"},"two":{"publishedAddress":"d:4"}},"status":"Trusted"}`
	nobody := strings.Repeat("0", 64)

	cases := map[string]struct {
		path   string
		status int
		want   string // body, or code
	}{
		"members":               {"/service/members", 200, `{"value":[` + memberBody + `]}`},
		"member":                {"/service/members/" + member, 200, memberBody},
		"no member":             {"/service/members/" + user, 404, "ResourceNotFound: Member m[" + user + "] does not exist."},
		"no member ID":          {"/service/members/x", 400, "InvalidResourceName: 'x' is not a valid hex-encoded member ID"},
		"users":                 {"/service/users", 200, `{"value":[` + userBody + `,{"certificate":"other PEM","userData":null,"userId":"u2"}]}`},
		"user":                  {"/service/users/" + user, 200, userBody},
		"no user":               {"/service/users/" + nobody, 404, "ResourceNotFound: User u[" + nobody + "] does not exist."},
		"nodes":                 {"/service/nodes", 200, `{"value":[` + nodeBody + `]}`},
		"node":                  {"/service/nodes/" + node, 200, nodeBody},
		"no node":               {"/service/nodes/" + nobody, 404, "ResourceNotFound: Node n[" + nobody + "] does not exist."},
		"no node ID":            {"/service/nodes/" + nobody + "0", 400, "InvalidResourceName: '" + nobody + "0' is not a valid hex-encoded node ID"},
		"constitution":          {"/service/constitution", 200, plain},
		"info":                  {"/service/info", 200, `{"certificate":"the service certificate","configuration":{"maximumNodeCertificateValidityDays":365,"maximumServiceCertificateValidityDays":365,"recentCoseProposalsWindowSize":100,"recoveryThreshold":1},"recoveryCount":0,"serviceData":null,"status":"Open"}`},
		"application":           {"/service/javascript-app", 200, `{"endpoints":{"/a/{b}":{"GET":{"authnPolicies":["jwt",{"all_of":["user_cert","jwt"]}],"forwardingRequired":"never","jsFunction":"f","jsModule":"/a.js","mode":"readonly","openApi":{"a":2,"z":1},"redirectionStrategy":"to_primary"}}}}`},
		"application, original": {"/service/javascript-app?case=original", 200, `{"endpoints":{"/a/{b}":{"GET":{"authn_policies":["jwt",{"all_of":["user_cert","jwt"]}],"forwarding_required":"never","js_function":"f","js_module":"/a.js","mode":"readonly","openapi":{"a":2,"z":1}}}}}`},
		"application, other":    {"/service/javascript-app?case=camel", 400, "InvalidQueryParameterValue: Accepted values for the 'case' query parameter are: original"},
		"modules":               {"/service/javascript-modules", 200, `{"value":[{"moduleName":"/a.js"}]}`},
		"module":                {"/service/javascript-modules/" + pathEscape("/a.js"), 200, "export const f = 1"},
		"no module":             {"/service/javascript-modules/a.js", 404, "ResourceNotFound: Module a.js does not exist."},
		"join policy":           {"/service/join-policy", 200, `{"sgx":{"measurements":["c0de"]},"snp":{"hostData":{"sh":"policy"},"measurements":["sm"],"tcbVersions":{"00a00f11":{"boot_loader":3,"microcode":4,"snp":2,"tee":1}},"uvmEndorsements":{"did":{"feed":{"svn":"1"}}}},"virtual":{"hostData":["vh"],"measurements":["vm"]}}`},
		"token keys":            {"/service/jwk", 200, `{"caCertBundles":{"b":"bundle PEM"},"issuers":{"i":{"autoRefresh":true,"caCertBundleName":"b"},"j":{"autoRefresh":false}},"keys":{"kid":[{"constraint":"c","issuer":"i","publicKey":"-----BEGIN PUBLIC KEY-----\nAQID\n-----END PUBLIC KEY-----\n"},{"constraint":null,"issuer":"j","publicKey":"-----BEGIN PUBLIC KEY-----\nAQID\n-----END PUBLIC KEY-----\n"}]}}`},
		"proposal":              {"/members/proposals/" + proposal, 200, `{"ballotCount":1,"proposalId":"` + proposal + `","proposalState":"Dropped","proposerId":"` + member + `"}`},
		"no proposal":           {"/members/proposals/" + nobody, 404, "ProposalNotFound: Could not find proposal " + nobody + "."},
		"no proposal ID":        {"/members/proposals/x", 400, "InvalidResourceName: 'x' is not a valid hex-encoded proposal ID"},
		"no actions":            {"/members/proposals/" + proposal + "/actions", 404, "ProposalNotFound: Could not find proposal " + proposal + "."},
		"no proposal's ballot":  {"/members/proposals/" + nobody + "/ballots/" + member, 404, "ProposalNotFound: Proposal " + nobody + " does not exist."},
		"transaction":           {"/service/transactions/2.1", 200, `{"status":"Committed","transactionId":"2.1"}`},
		"transaction to come":   {"/service/transactions/2.9", 200, `{"status":"Unknown","transactionId":"2.9"}`},
		"no transaction":        {"/service/transactions/2.0", 400, "InvalidQueryParameterValue: The value '2.0' passed as parameter 'transactionId' could not be converted to a valid Transaction ID."},
		"commit":                {"/service/transactions/commit", 200, `{"status":"Committed","transactionId":"2.2"}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			path, query, _ := strings.Cut(tc.path, "?")
			a := s.send(&app.Request{Method: "GET", Path: "/gov" + path, Query: version[1:] + "&" + query})
			got := a.Body
			if a.Status >= 400 {
				got = a.code() + ": " + a.message()
			}
			if a.Status != tc.status || got != tc.want {
				t.Errorf("%d %s\nwant %s", a.Status, got, tc.want)
			}
		})
	}
}

func TestServiceAfterRecovery(t *testing.T) {
	s := newService(t, plain)
	id, before, count := synod.TxID{View: 4, SeqNo: 9}, uint64(1), uint64(1)
	s.write(func(tx *kv.Tx) {
		put(t, tx, tables.Service, "", tables.ServiceInfo{
			Cert: "c", Status: tables.ServiceRecovering, RecoveryCount: &count,
			CurrentServiceCreateTxID: &id, PreviousServiceIdentityVersion: &before, ServiceData: []byte(`{"b":1,"a":2}`),
		})
		tx.Delete(tables.ServiceConfiguration, tables.UnitKey())
	})
	want := `{"certificate":"c","creationTransactionId":"4.9","previousServiceCreationTransactionId":"0.1","recoveryCount":1,"serviceData":{"a":2,"b":1},"status":"Recovering"}`
	if a := s.get("/service/info"); a.Body != want {
		t.Errorf("%s", a.Body)
	}
	s.write(func(tx *kv.Tx) {
		tx.Delete(tables.Service, tables.UnitKey())
		tx.Delete(tables.Constitution, tables.UnitKey())
	})
	for path, message := range map[string]string{
		"/service/info":         "Service info not yet available",
		"/service/constitution": "Constitution not found",
	} {
		if a := s.get(path); a.Status != 404 || a.message() != message {
			t.Errorf("%s: %v", path, a)
		}
	}
}

// TestBrokenTables are rows that no one should have written.
func TestBrokenTables(t *testing.T) {
	s := newService(t, plain)
	id := strings.Repeat("aa", 32)
	s.write(func(tx *kv.Tx) {
		for _, table := range []string{tables.Members, tables.Nodes, tables.ProposalsInfo, tables.Users, tables.MemberAcks} {
			tx.Put(table, []byte(id), []byte("{"))
		}
		tx.Put(tables.UserCerts, []byte(id), []byte("x"))
		tx.Put(tables.Endpoints, []byte("GET /a"), []byte("3"))
		tx.Put(tables.JWTIssuers, []byte("a"), []byte("3"))
		tx.Put(tables.SNPHostData, []byte("a"), []byte("3"))
		for _, table := range []string{tables.Service, tables.Shares, tables.Constitution} {
			tx.Put(table, tables.UnitKey(), []byte("[]x"))
		}
	})
	for _, path := range []string{
		"/service/members", "/service/members/" + id, "/service/nodes", "/service/nodes/" + id, "/service/users", "/service/users/" + id,
		"/members/proposals", "/members/proposals/" + id, "/members/proposals/" + id + "/ballots/" + id, "/members/state-digests/" + id,
		"/service/javascript-app", "/service/jwk", "/service/join-policy", "/service/info", "/service/constitution", "/recovery/encrypted-shares/" + id,
	} {
		if a := s.get(path); a.Status != 500 || a.code() != "InternalError" {
			t.Errorf("%s: %v", path, a)
		}
	}
}
