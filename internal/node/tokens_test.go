package node_test

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"synod/client"
	"synod/internal/govaudit"
)

// A provider publishes token keys. What it answers can be changed while nodes ask.
type provider struct {
	*httptest.Server
	keys atomic.Pointer[string]
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	p.publish("")
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"jwks_uri":"%s/keys","issuer":"%s/t"}`, p.URL, p.URL)
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, *p.keys.Load()) })
	p.Server = httptest.NewUnstartedServer(mux)
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *provider) publish(kids ...string) {
	var keys []string
	for _, kid := range kids {
		keys = append(keys, fmt.Sprintf(`{"kty":"EC","kid":%q,"crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`, kid))
	}
	set := `{"keys":[` + strings.Join(keys, ",") + `]}`
	p.keys.Store(&set)
}

// TestTokenKeysRefreshed follows an issuer whose keys the primary fetches: when it
// is added, now and then, and by whoever leads next.
func TestTokenKeysRefreshed(t *testing.T) {
	p := newProvider(t)
	s := startNodes(t, 3, func(cfg object) { set(cfg, "1s", "jwt", "key_refresh_interval") })
	primary := s.primary()
	s.Node = primary.Node
	bundle := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
	add := client.Action{Name: "set_jwt_issuer", Args: object{"issuer": p.URL, "auto_refresh": true, "ca_cert_bundle_name": "provider"}}
	counts := func(r *running) (c struct{ Attempts, Successes, Failures int }) {
		t.Helper()
		if err := json.Unmarshal([]byte(s.requestOn(r, "self", "GET", "/node/jwt_keys/refresh/metrics", "").body), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	hasKeys := func(kids ...string) {
		t.Helper()
		s.poll(fmt.Sprintf("the keys %v", kids), func() error {
			var trust struct {
				Keys map[string][]struct{ Issuer, Constraint string }
			}
			c := s.dial(nil)
			defer c.Close()
			if err := c.Governance(t.Context(), "service/jwk", &trust); err != nil {
				return err
			}
			for _, kid := range kids {
				if k := trust.Keys[kid]; len(k) != 1 || k[0].Issuer != p.URL || k[0].Constraint != p.URL+"/t" {
					return fmt.Errorf("%v", trust.Keys)
				}
			}
			if len(trust.Keys) != len(kids) {
				return fmt.Errorf("%v", trust.Keys)
			}
			return nil
		})
	}

	p.publish("first")
	s.pass(client.Action{Name: "set_ca_cert_bundle", Args: object{"name": "provider", "cert_bundle": bundle}}, add)
	hasKeys("first")
	s.poll("counts of successes alone", func() error {
		if c := counts(primary); c.Successes < 1 || c.Successes != c.Attempts {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	p.publish("first", "second")
	hasKeys("first", "second")

	// What is of no use changes nothing and counts as a failure.
	p.publish()
	s.poll("failures", func() error {
		if c := counts(primary); c.Failures == 0 || c.Attempts != c.Successes+c.Failures {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	hasKeys("first", "second")
	p.publish("third")

	s.retire(primary)
	s.voting(2)
	next := s.primary()
	s.Node = next.Node
	hasKeys("third")
	s.poll("the next primary's counts", func() error {
		if c := counts(next); c.Successes == 0 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	for _, r := range s.backups() {
		if c := counts(r); c.Attempts != 0 {
			t.Errorf("a backup asked: %+v", c)
		}
	}

	// Without its bundle an issuer is not asked; removed, it is forgotten.
	s.pass(client.Action{Name: "remove_ca_cert_bundle", Args: object{"name": "provider"}})
	s.poll("a word about the bundle", func() error {
		if !strings.Contains(next.said.String(), "the CA certificate bundle is not there") {
			return errors.New("none")
		}
		return nil
	})
	hasKeys("third")
	s.pass(client.Action{Name: "remove_jwt_issuer", Args: object{"issuer": p.URL}})
	hasKeys()

	// An auditor takes what nodes wrote for what members let them write.
	s.gone(next)
	_, audited, err := govaudit.Directory(t.Context(), filepath.Join(next.dir, "ledger"))
	if err != nil || len(audited.Findings) > 0 || audited.Proposals < 4 {
		t.Errorf("an audit: %+v, %v", audited, err)
	}
}
