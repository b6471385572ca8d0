package arm

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// FuzzRequest sends any request: never a panic, never our fault, always an
// answer in ARM's form.
func FuzzRequest(f *testing.F) {
	for _, r := range []struct{ method, path, query, body, header string }{
		{"PUT", base + "/fuzz", azure[1:], createBody(), ""},
		{"PUT", base + "/fuzz", ownQuery[1:], createBody(`,"zones":["a"],"backupPolicy":{"every":"1h","target":"store:x"}`), "*"},
		{"PATCH", base + "/bank", ownQuery[1:], `{"tags":{"a":null},"properties":{"nodeCount":5}}`, `"abc"`},
		{"POST", base + "/bank/restore", azure[1:], `{"fileShareName":"a","uri":"b","restoreRegion":"c"}`, ""},
		{"POST", base + "/bank/nodes/1/replace", ownQuery[1:], "", ""},
		{"GET", base, azure[1:] + "&$skiptoken=YWJj&$top=3", "", ""},
		{"GET", "/providers/Microsoft.ConfidentialLedger/locations/L/operationStatuses/a*b", "api-version=2020-12-01-preview", "", ""},
		{"GET", "/ledgerIdentity/bank", "", "", ""},
		{"PUT", groupPath, "api-version=2021-04-01", `{"location":"local","tags":{}}`, ""},
		{"POST", sub + "/providers/Microsoft.ConfidentialLedger/checkNameAvailability", azure[1:], `{"name":"a"}`, ""},
	} {
		f.Add(r.method, r.path, r.query, r.body, r.header)
	}
	// One store for all: opening one costs more than everything else.
	s := newService(f, func(c *Config) { c.WritesMax = 1 << 40 })
	s.makeGroup(f)
	s.want(f, 201, "PUT", base+"/bank"+azure, createBody())
	s.finish(f)
	f.Fuzz(func(t *testing.T, method, path, query, body, header string) {
		u, err := url.Parse("https://synod.example:8400/")
		if err != nil {
			t.Fatal(err)
		}
		u.RawPath = path
		if u.Path, err = url.PathUnescape(path); err != nil || !strings.HasPrefix(path, "/") {
			return // the HTTP server's parser lets none of these through
		}
		u.RawQuery = query
		switch method {
		case "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE":
		default:
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), method, "https://synod.example:8400/", strings.NewReader(body))
		r.URL = u
		r.Header.Set("Authorization", "Bearer "+testToken)
		r.Header.Set("If-Match", header)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w.Code >= 400 && method != "HEAD" {
			var e struct {
				Error struct{ Code, Message string }
			}
			if json.Unmarshal(w.Body.Bytes(), &e) != nil || e.Error.Code == "" || e.Error.Message == "" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
	})
}

// FuzzPEM reads any text as a member's certificate: what is taken is one PEM
// certificate that reads the same again.
func FuzzPEM(f *testing.F) {
	f.Add(testMember.CertPEM)
	f.Add(strings.ReplaceAll(testMember.CertPEM, "\n", ""))
	f.Add("-----BEGIN CERTIFICATE----------END CERTIFICATE-----\x00")
	f.Fuzz(func(t *testing.T, text string) {
		var wrong, again faults
		m := checkMember(memberInput{Certificate: text}, "m", &wrong)
		if (m.Certificate == "") != (len(wrong) > 0) {
			t.Fatalf("%q: %v", m.Certificate, wrong)
		}
		if m.Certificate != "" && checkMember(memberInput{Certificate: m.Certificate}, "m", &again).Certificate != m.Certificate {
			t.Errorf("%q becomes another", m.Certificate)
		}
	})
}
