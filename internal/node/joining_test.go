package node_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synod/client"
	"synod/internal/attest"
	"synod/internal/identity"
	"synod/internal/tables"
)

// TestJoinOpenService is the life of a node that joins a service that is open.
func TestJoinOpenService(t *testing.T) {
	s := startNodes(t, 3)
	backup := s.backups()[0]
	s.Node = backup.Node
	before := s.put(s.nodes[1], 1, "before")
	r := s.join(nil) // asks a backup, which sends it to the primary
	id := s.nodeID(r)
	s.status(id, tables.NodePending)
	if a := s.requestOn(r, "self", "GET", "/node/state", ""); !strings.Contains(a.body, `"state":"Pending"`) {
		t.Errorf("state: %s", a.body)
	}
	if a := s.requestOn(r, "self", "GET", "/app/log/private?id=1", ""); a.status != 404 || !strings.Contains(a.body, "FrontendNotOpen") {
		t.Errorf("a Pending node answers users: %d %s", a.status, a.body)
	}
	if _, err := s.tryRequest(r, "main", "GET", "/node/state", ""); err == nil {
		t.Error("a Pending node has a certificate of the service")
	}
	s.trust(r)
	s.voting(4)
	s.shows(r, 1, "before")
	s.put(r, 2, "after")
	for _, o := range s.nodes {
		s.shows(o, 2, "after")
	}
	for _, want := range []string{"Target node redirected to " + s.primary().Address("main"), "is waiting for votes of members to be trusted", "Node has now joined the network as node " + string(id)} {
		if !strings.Contains(r.said.String(), want) {
			t.Errorf("its log lacks %q", want)
		}
	}
	if a := s.request(r, "GET", "/node/tx?transaction_id="+before.String(), ""); !strings.Contains(a.body, "Committed") {
		t.Errorf("status of %s: %s", before, a.body)
	}
}

// applicant asks to join by hand, with evidence that passes unless a test
// changes it.
type applicant struct {
	key  *ecdsa.PrivateKey
	cert []byte // DER
	body object
}

func newApplicant(t *testing.T) *applicant {
	t.Helper()
	key, err := identity.NewKey(identity.Secp384r1)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := identity.SelfSigned(key, identity.SelfSignedRequest{Subject: "CN=applicant", NotBefore: time.Now(), Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	csr, err := identity.NewCSR(key, "CN=applicant", []string{"iPAddress:127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := attest.ReportDataOf(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	driver, err := attest.NewVirtual(executable, t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	quote, err := driver.Attest(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	_, encryption, err := identity.NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	itf := object{"bind_address": "127.0.0.1:1", "published_address": "127.0.0.1:1"}
	return &applicant{key: key, cert: cert, body: object{
		"node_info_network":     object{"node_to_node_interface": itf, "rpc_interfaces": object{"main": itf}},
		"quote_info":            object{"format": "Insecure_Virtual", "quote": quote.Evidence, "endorsements": ""},
		"public_encryption_key": encryption, "startup_seqno": 0, "certificate_signing_request": csr,
		"synod": object{"oldest": 1, "newest": 1},
	}}
}

// evidence replaces what is attested.
func (a *applicant) evidence(change func(e object)) {
	quote := a.body["quote_info"].(object)
	e := object{}
	if err := json.Unmarshal(quote["quote"].([]byte), &e); err != nil {
		panic(err)
	}
	change(e)
	text, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	quote["quote"] = text
}

// apply asks a node.
func (s *service) apply(r *running, a *applicant) answer {
	s.t.Helper()
	body, err := json.Marshal(a.body)
	if err != nil {
		s.t.Fatal(err)
	}
	config := s.tls()
	config.Certificates = []tls.Certificate{{Certificate: [][]byte{a.cert}, PrivateKey: a.key}}
	c := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "https://"+r.Address("main")+"/node/join", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("content-type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// TestJoinRequests sends requests to join that must be refused, and some that
// must not.
func TestJoinRequests(t *testing.T) {
	s := startNodes(t, 3)
	primary, backup := s.primary(), s.backups()[0]
	other := newApplicant(t)
	var taken object
	a := s.request(primary, "GET", "/node/config", "")
	if err := json.Unmarshal([]byte(a.body), &taken); err != nil {
		t.Fatal(err)
	}
	published := taken[string(s.nodeID(backup))].(object)["address"].(string)
	for _, x := range []struct {
		name   string
		change func(a *applicant)
		status int
		code   string
		text   string
	}{
		{"an address in use", func(a *applicant) {
			set(a.body, published, "node_info_network", "node_to_node_interface", "published_address")
		}, 400, "NodeAlreadyExists", "A node with the same published node address " + published + " already exists (node id: " + string(s.nodeID(backup)) + ")."},
		{"no address", func(a *applicant) {
			set(a.body, "", "node_info_network", "node_to_node_interface", "published_address")
		}, 400, "InvalidInput", "published_address is missing"},
		{"evidence of another platform", func(a *applicant) { set(a.body, "AMD_SEV_SNP_v1", "quote_info", "format") }, 401, "InvalidQuote", "Quote could not be verified"},
		{"SGX", func(a *applicant) { set(a.body, "OE_SGX_v1", "quote_info", "format") }, 401, "InvalidQuote", "Quote could not be verified"},
		{"no evidence", func(a *applicant) { set(a.body, "", "quote_info", "quote") }, 401, "InvalidQuote", "Quote could not be verified"},
		{"neither evidence nor an address", func(a *applicant) {
			set(a.body, "", "quote_info", "quote")
			set(a.body, object{"bind_address": "0:0"}, "node_info_network", "node_to_node_interface")
		}, 401, "InvalidQuote", "Quote could not be verified"},
		{"evidence of another key", func(a *applicant) { a.body["quote_info"] = other.body["quote_info"] }, 401, "InvalidQuote", "Quote report data does not contain node's public key hash"},
		{"another program", func(a *applicant) {
			a.evidence(func(e object) { e["measurement"] = "another" })
		}, 401, "InvalidQuote", "Quote does not contain known enclave measurement"},
		{"other host data", func(a *applicant) {
			a.evidence(func(e object) { e["host_data"] = strings.Repeat("ab", 32) })
		}, 401, "InvalidQuote", "Quote host data is not authorised"},
		{"another key's certificate request", func(a *applicant) {
			a.body["certificate_signing_request"] = other.body["certificate_signing_request"]
		}, 400, "CSRPublicKeyInvalid", "Public key in CSR does not match TLS client identity."},
		{"no certificate request", func(a *applicant) { delete(a.body, "certificate_signing_request") }, 400, "InvalidInput", "certificate_signing_request is not PEM"},
		{"no encryption key", func(a *applicant) { delete(a.body, "public_encryption_key") }, 400, "InvalidInput", "public_encryption_key"},
		{"a body of another shape", func(a *applicant) { a.body["quote_info"] = 7 }, 400, "InvalidInput", ""},
		{"a node of CCF", func(a *applicant) { delete(a.body, "synod") }, 400, "InvalidInput", "only nodes of Synod can join"},
		{"two releases ahead", func(a *applicant) { set(a.body, object{"oldest": 2, "newest": 3}, "synod") }, 400, "InvalidInput", "this service 1 to 1: upgrade one release at a time"},
		{"one release ahead", func(a *applicant) { set(a.body, object{"oldest": 1, "newest": 2}, "synod") }, 200, "", `"node_status":"Pending"`},
	} {
		t.Run(x.name, func(t *testing.T) {
			a := newApplicant(t)
			x.change(a)
			got := s.apply(primary, a)
			var body struct {
				Error struct{ Code, Message string }
			}
			if err := json.Unmarshal([]byte(got.body), &body); err != nil {
				t.Fatalf("%s: %v", got.body, err)
			}
			if got.status != x.status || body.Error.Code != x.code || !strings.Contains(body.Error.Message, x.text) && (x.status != 200 || !strings.Contains(got.body, x.text)) {
				t.Errorf("got %d %s\nwant %d %s %s", got.status, got.body, x.status, x.code, x.text)
			}
		})
	}
	t.Run("nothing was added", func(t *testing.T) {
		if rows := s.rows("/node/network/nodes"); len(rows) != 4 {
			t.Errorf("%d nodes, want 3 and the one of the next release: %v", len(rows), rows)
		}
	})
	t.Run("on a backup", func(t *testing.T) {
		a := newApplicant(t)
		set(a.body, "127.0.0.1:2", "node_info_network", "node_to_node_interface", "published_address")
		got := s.apply(backup, a)
		if want := "https://" + primary.Address("main") + "/node/join"; got.status != 308 || got.header.Get("location") != want || !strings.Contains(got.body, "NodeCannotHandleRequest") {
			t.Errorf("got %d to %q, %s; want %s", got.status, got.header.Get("location"), got.body, want)
		}
	})
	t.Run("the same key again", func(t *testing.T) {
		a := newApplicant(t)
		set(a.body, "127.0.0.1:3", "node_info_network", "node_to_node_interface", "published_address")
		first := s.apply(primary, a)
		second := s.apply(primary, a)
		if first.status != 200 || first.body != second.body || !strings.Contains(first.body, string(identity.NodeIDOf(&a.key.PublicKey))) || strings.Contains(first.body, "network_info") {
			t.Errorf("%d %s, then %d %s", first.status, first.body, second.status, second.body)
		}
		// A Pending node that nobody wants is removed by members, and by nobody else.
		id := identity.NodeIDOf(&a.key.PublicKey)
		if got := s.request(primary, "DELETE", "/node/network/nodes/"+string(id), ""); got.status != 400 || !strings.Contains(got.body, "NodeNotRetiredCommitted") {
			t.Errorf("DELETE of a Pending node: %d %s", got.status, got.body)
		}
		s.pass(removeAction(id))
		if got := s.request(primary, "GET", "/node/network/nodes/"+string(id), ""); got.status != 404 {
			t.Errorf("the removed node: %d %s", got.status, got.body)
		}
	})
	t.Run("an old node", func(t *testing.T) {
		a := newApplicant(t)
		set(a.body, "127.0.0.1:4", "node_info_network", "node_to_node_interface", "published_address")
		id := identity.NodeIDOf(&a.key.PublicKey)
		if got := s.apply(primary, a); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		// Trusted and removed at once: it never takes part, and is not let in again.
		s.pass(trustAction(id), removeAction(id))
		if got := s.apply(primary, a); got.status != 400 || !strings.Contains(got.body, "InvalidNodeState") || !strings.Contains(got.body, "(Retired)") {
			t.Errorf("a retired node joins: %d %s", got.status, got.body)
		}
	})
}

// TestJoinRefused starts nodes that the service does not want, or that want
// another: they end and say why.
func TestJoinRefused(t *testing.T) {
	s := startNodes(t, 1)
	self, err := os.ReadFile(filepath.Join(s.nodes[0].dir, "node.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("self.pem", string(self))
	stranger, err := identity.SelfSigned(newApplicant(t).key, identity.SelfSignedRequest{Subject: "CN=CCF Service", NotBefore: time.Now(), Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.write("stranger.pem", identity.CertPEM(stranger))
	fetch := func(on bool) change {
		return func(cfg object) { set(cfg, on, "command", "join", "fetch_recent_snapshot") }
	}
	for name, x := range map[string]struct {
		change change
		says   string
	}{
		"a node's certificate instead of the service's": {func(cfg object) { set(cfg, s.path("self.pem"), "command", "service_certificate_file") }, "invalid cert on handshake"},
		"another service of the same name":              {func(cfg object) { set(cfg, s.path("stranger.pem"), "command", "service_certificate_file") }, "stranger.pem"},
		"no certificate":                                {func(cfg object) { set(cfg, s.path("none.pem"), "command", "service_certificate_file") }, "command.service_certificate_file"},
		"a certificate that is none":                    {func(cfg object) { set(cfg, s.path("constitution.js"), "command", "service_certificate_file") }, "constitution.js"},
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			for _, on := range []bool{true, false} {
				err := s.joinInVain(func(cfg object) { fetch(on)(cfg); x.change(cfg) })
				if !strings.Contains(err.Error(), x.says) {
					t.Errorf("it says %v", err)
				}
			}
		})
	}
	t.Run("unknown code", func(t *testing.T) {
		s.t = t
		s.pass(client.Action{Name: "remove_virtual_measurement", Args: object{"measurement": attest.VirtualMeasurement}})
		err := s.joinInVain(nil)
		if !strings.Contains(err.Error(), "join refused") || !strings.Contains(err.Error(), "Quote does not contain known enclave measurement") {
			t.Errorf("it says %v", err)
		}
		s.pass(client.Action{Name: "add_virtual_measurement", Args: object{"measurement": attest.VirtualMeasurement}})
		s.trust(s.join(nil))
	})
}

// TestJoinNotAnswered has nodes wait for a service that is not there yet, and
// for one that sends them away.
func TestJoinNotAnswered(t *testing.T) {
	s := startNodes(t, 3)
	backup := s.backups()[0]
	r := s.join(func(cfg object) {
		set(cfg, backup.Address("main"), "command", "join", "target_rpc_address")
		set(cfg, false, "command", "join", "follow_redirect")
	})
	s.poll("a word about the redirect", func() error {
		if !strings.Contains(r.said.String(), `redirected to \"https://`+s.primary().Address("main")) {
			return errors.New(r.said.String())
		}
		return nil
	})
	if len(s.rows("/node/network/nodes")) != 3 {
		t.Error("a node that follows no redirect is in the table")
	}
	nowhere := s.join(func(cfg object) {
		set(cfg, "127.0.0.1:1", "command", "join", "target_rpc_address")
		set(cfg, false, "command", "join", "fetch_recent_snapshot")
	})
	s.poll("a word about the target", func() error {
		if !strings.Contains(nowhere.said.String(), "join not answered, will retry") {
			return errors.New(nowhere.said.String())
		}
		return nil
	})
}
