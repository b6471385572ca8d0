package tables_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/internal/kv"
	. "synod/internal/tables"
)

// value returns a pointer to the Go type of a table's json values.
func value(table string) any {
	switch table {
	case Members:
		return new(MemberInfo)
	case MemberAcks:
		return new(MemberAck)
	case Nodes:
		return new(NodeInfo)
	case ProposalsInfo:
		return new(ProposalInfo)
	case ServiceConfiguration:
		return new(ServiceConfig)
	case Service:
		return new(ServiceInfo)
	case COSESignatures, SubmittedShares:
		return new(Bytes)
	case EncryptedLedgerSecrets:
		return new(LedgerSecretsForNodes)
	case HistoricalLedgerSecret:
		return new(EncryptedPastSecret)
	case Shares:
		return new(RecoveryShares)
	case ServiceEndorsement:
		return new(COSEEndorsement)
	case Signatures:
		return new(SignatureRecord)
	case Snapshots:
		return new(SnapshotEvidence)
	case LastRecoveryType:
		return new(RecoveryType)
	case COSERecentProposals, VirtualMeasurements, PreviousServiceIdentity, PreviousServiceRoot:
		return new(string)
	}
	return nil
}

// TestCCFValues decodes what CCF wrote and encodes the same text.
func TestCCFValues(t *testing.T) {
	b, err := os.ReadFile("testdata/values.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		table, text, _ := strings.Cut(lines.Text(), " ")
		v := value(table)
		if v == nil {
			t.Errorf("no type for %s", table)
			continue
		}
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Errorf("%s: %s", table, err)
			continue
		}
		got, err := Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != text {
			t.Errorf("%s:\n got %s\nwant %s", table, got, text)
		}
		n++
	}
	if n < 40 {
		t.Errorf("only %d values", n)
	}
}

// TestEncoding covers what the values of one service do not have: optional
// fields, present and absent, with their keys in ascending order.
func TestEncoding(t *testing.T) {
	one := uint64(1)
	txid := synod.TxID{View: 2, SeqNo: 3}
	for _, c := range []struct {
		v    any
		text string
	}{
		{QuoteInfo{Format: "Insecure_Virtual"}, `{"endorsements":"","format":"Insecure_Virtual","quote":""}`},
		{QuoteInfo{EndorsedTCB: "db", Endorsements: Bytes{1}, Quote: Bytes{2}, UVMEndorsements: Bytes{3}, Format: "AMD_SEV_SNP_v1"}, `{"endorsed_tcb":"db","endorsements":"AQ==","format":"AMD_SEV_SNP_v1","quote":"Ag==","uvm_endorsements":"Aw=="}`},
		{NodeInfo{Status: NodePending}, `{"encryption_pub_key":"","node_to_node_interface":{"bind_address":""},"nodehost":"","nodeport":"","pubhost":"","pubport":"","quote_info":{"endorsements":"","format":"","quote":""},"rpc_interfaces":{},"rpchost":"","rpcport":"","status":"Pending"}`},
		{ServiceInfo{Cert: "c", Status: ServiceOpen, CurrentServiceCreateTxID: &txid, PreviousServiceIdentityVersion: &one, RecoveryCount: &one, ServiceData: json.RawMessage(`{"a":1}`)}, `{"cert":"c","current_service_create_txid":"2.3","previous_service_identity_version":1,"recovery_count":1,"service_data":{"a":1},"status":"Open"}`},
		{ServiceConfig{RecoveryThreshold: 2, Consensus: "CFT", RecentCOSEProposalsWindowSize: &one, ReconfigurationType: "OneTransaction"}, `{"consensus":"CFT","recent_cose_proposals_window_size":1,"reconfiguration_type":"OneTransaction","recovery_threshold":2}`},
		{MemberInfo{Status: MemberAccepted, RecoveryRole: RecoveryOwner, MemberData: json.RawMessage(`"<x>"`)}, `{"member_data":"<x>","recovery_role":"Owner","status":"Accepted"}`},
		{UserInfo{}, `{"user_data":null}`},
		{ProposalInfo{ProposerID: "m", State: ProposalAccepted, FinalVotes: map[synod.MemberID]bool{}, VoteFailures: map[synod.MemberID]Failure{"m": {Reason: "r"}}, Failure: &Failure{Reason: "f", Trace: "t"}}, `{"ballots":{},"failure":{"reason":"f","trace":"t"},"final_votes":{},"proposer_id":"m","state":"Accepted","vote_failures":{"m":{"reason":"r"}}}`},
		{RecoveryShares{}, `{"encrypted_shares":{},"wrapped_latest_ledger_secret":""}`},
		{EncryptedLedgerSecret{EncryptedSecret: Bytes{1}}, `{"encrypted_secret":"AQ==","version":null}`},
		{DefaultJSRuntimeOptions(), `{"log_exception_details":false,"max_cached_interpreters":10,"max_execution_time_ms":5000,"max_heap_bytes":104857600,"max_stack_bytes":1048576,"return_exception_details":false}`},
		{EndpointProperties{AuthnPolicies: []json.RawMessage{json.RawMessage(`"jwt"`)}, ForwardingRequired: "always", InterpreterReuse: &InterpreterReuse{Key: "k"}, JSFunction: "f", JSModule: "/m.js", Mode: "readonly", OpenAPI: json.RawMessage(`{}`), OpenAPIHidden: true, RedirectionStrategy: "none"}, `{"authn_policies":["jwt"],"forwarding_required":"always","interpreter_reuse":{"key":"k"},"js_function":"f","js_module":"/m.js","mode":"readonly","openapi":{},"openapi_hidden":true,"redirection_strategy":"none"}`},
		{JWTIssuer{}, `{}`},
		{[]JWTKey{{Issuer: "i", PublicKey: Bytes{1}, Constraint: "c"}}, `[{"constraint":"c","issuer":"i","public_key":"AQ=="}]`},
		{UVMEndorsements{"feed": {SVN: "1"}}, `{"feed":{"svn":"1"}}`},
		{RaftConfig{ConfChange: Bytes{1}, Founder: "f", Nodes: map[synod.NodeID]uint64{"n": 1}}, `{"conf_change":"AQ==","conf_state":"","founder":"f","nodes":{"n":1}}`},
	} {
		got, err := Marshal(c.v)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c.text {
			t.Errorf("%T:\n got %s\nwant %s", c.v, got, c.text)
		}
	}
}

// TestNetInterface checks that an interface comes back exactly as its
// configuration said it.
func TestNetInterface(t *testing.T) {
	for _, text := range []string{
		`{"bind_address":"127.0.0.1:0"}`,
		`{"accepted_endpoints":[],"bind_address":"a:1","http_configuration":{},"redirections":{}}`,
		`{"accepted_endpoints":["/node/.*"],"app_protocol":"HTTP2","bind_address":"a:1","endorsement":{"authority":"Node"},"forwarding_timeout_ms":0,"http_configuration":{"initial_window_size":"64KB","max_body_size":"1048576","max_concurrent_streams_count":1,"max_frame_size":"16KB","max_header_size":"1MB","max_headers_count":256},"max_open_sessions_hard":0,"max_open_sessions_soft":7,"protocol":"tcp","published_address":"b:2","redirections":{"to_backup":{"kind":"StaticAddress","target":{"address":"x:1"}},"to_primary":{"kind":"NodeByRole","target":{"role":"primary"}}}}`,
	} {
		var n NetInterface
		if err := json.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		got, err := Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != text {
			t.Errorf("got %s\nwant %s", got, text)
		}
	}
}

func TestNullIsNone(t *testing.T) {
	var m MemberInfo
	var s ServiceInfo
	var n NodeInfo
	for text, v := range map[string]any{
		`{"member_data":null,"status":"Active","unknown":1}`: &m,
		`{"cert":"c","service_data":null,"status":"Open"}`:   &s,
		`{"node_data":null,"status":"Trusted"}`:              &n,
	} {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatal(err)
		}
	}
	if m.MemberData != nil || s.ServiceData != nil || n.NodeData != nil {
		t.Error("null was kept")
	}
}

func TestPartialRuntimeOptions(t *testing.T) {
	var o JSRuntimeOptions
	if err := json.Unmarshal([]byte(`{"max_heap_bytes":1}`), &o); err != nil {
		t.Fatal(err)
	}
	want := DefaultJSRuntimeOptions()
	want.MaxHeapBytes = 1
	if o != want {
		t.Errorf("%+v", o)
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{`""`: {}, `"AQI="`: {1, 2}, `[1,2,255]`: {1, 2, 255}, `[]`: {}} {
		var b Bytes
		if err := json.Unmarshal([]byte(text), &b); err != nil || !bytes.Equal(b, want) {
			t.Errorf("%s: %v %v", text, b, err)
		}
	}
	for _, text := range []string{`null`, `"A"`, `"AQI"`, `"AQ\nI="`, `[256]`, `[-1]`, `1`, `{}`} {
		var b Bytes
		if err := b.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("%s is accepted as %v", text, b)
		}
	}
}

func TestAccess(t *testing.T) {
	for name, want := range map[string]Kind{
		"public:ccf.gov.members.info":    {true, Governance},
		"public:ccf.internal.signatures": {true, Internal},
		"public:ccf.internal":            {true, Reserved},
		"public:ccf.other":               {true, Reserved},
		"public:ccf":                     {true, Application},
		"public:ccf.gov":                 {true, Reserved},
		"public:records":                 {true, Application},
		"public:synod.internal.raft":     {true, Internal},
		"public:synod.x":                 {true, Internal},
		"public:synod":                   {true, Application},
		"ccf.gov.x":                      {false, Governance},
		"ccf.internal.x":                 {false, Internal},
		"ccf.x":                          {false, Reserved},
		"synod.x":                        {false, Application},
		"Public:ccf.gov.x":               {false, Application},
		"public:":                        {true, Application},
		"":                               {false, Application},
	} {
		if got := Access(name); got != want {
			t.Errorf("%q: public %v, %s; want %v, %s", name, got.Public, got.Category, want.Public, want.Category)
		}
	}
}

func TestHelpers(t *testing.T) {
	tx := kv.New().Begin()
	defer tx.Release()
	if _, ok, err := GetJSON[ServiceInfo](tx, Service, UnitKey()); ok || err != nil {
		t.Errorf("absent: %v %v", ok, err)
	}
	info := ServiceInfo{Cert: "c", Status: ServiceOpening}
	if err := PutJSON(tx, Service, UnitKey(), info); err != nil {
		t.Fatal(err)
	}
	got, ok, err := GetJSON[ServiceInfo](tx, Service, make([]byte, 8))
	if diff := cmp.Diff(info, got); !ok || err != nil || diff != "" {
		t.Errorf("%v %v %s", ok, err, diff)
	}
	for _, id := range []string{"b", "a"} {
		if err := PutJSON(tx, Members, []byte(id), MemberInfo{Status: MemberActive}); err != nil {
			t.Fatal(err)
		}
	}
	var ids string
	visit := func(id string, m MemberInfo) bool { ids += id + string(m.Status) + " "; return true }
	if err := EachJSON(tx, Members, visit); err != nil || ids != "aActive bActive " {
		t.Errorf("%q %v", ids, err)
	}
	tx.Put(Members, []byte("c"), []byte("{"))
	if err := EachJSON(tx, Members, visit); err == nil || !strings.Contains(err.Error(), Members) {
		t.Errorf("broken value: %v", err)
	}
	if _, ok, err := GetJSON[MemberInfo](tx, Members, []byte("c")); !ok || err == nil {
		t.Errorf("broken value: %v %v", ok, err)
	}
}

func TestSplitAddress(t *testing.T) {
	for address, want := range map[string][2]string{"h:1": {"h", "1"}, "[::1]:2": {"[::1]", "2"}, "h": {"h", ""}, "": {"", ""}} {
		if h, p := SplitAddress(address); h != want[0] || p != want[1] {
			t.Errorf("%q: %q %q", address, h, p)
		}
	}
}
