package gov_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"synod"
	"synod/app"
	"synod/internal/cose"
	"synod/internal/gov"
)

type document struct {
	OpenAPI string `json:"openapi"`
	Info    struct {
		Version string `json:"version"`
	} `json:"info"`
	Paths map[string]map[string]json.RawMessage `json:"paths"`

	Components map[string]map[string]json.RawMessage `json:"components"`
}

// api asks for the document as /gov/api would.
func api(t *testing.T, s *service, query string) (text string, answered bool, err error) {
	t.Helper()
	documented, err := gov.Documented()
	if err != nil {
		t.Fatal(err)
	}
	tx := s.store.Begin()
	defer tx.Release()
	c := app.NewContext(t.Context(), &app.Request{Method: "GET", Path: "/gov/api", Query: query}, tx, s.app.Endpoints()[0], nil)
	answered, err = documented(c)
	return string(c.Response().Body), answered, err
}

// TestDocuments compares the documents with the endpoints that there are: all
// of them, no other, each with what it takes; and every reference leads
// somewhere.
func TestDocuments(t *testing.T) {
	s := newService(t, plain)
	for _, version := range []string{"2023-06-01-preview", "2024-07-01"} {
		text, answered, err := api(t, s, "api-version="+version)
		if err != nil || !answered {
			t.Fatal(answered, err)
		}
		var doc document
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		if doc.OpenAPI != "3.0.0" || doc.Info.Version != version || !strings.Contains(text, `"`+version+`"`) {
			t.Errorf("%s: document of %s", version, doc.Info.Version)
		}
		var have, want []string
		for path, methods := range doc.Paths {
			for method := range methods {
				if method != "parameters" {
					have = append(have, strings.ToUpper(method)+" "+path)
				}
			}
		}
		for _, e := range s.app.Endpoints() {
			if version == "2024-07-01" || !strings.Contains(e.Path, "javascript") {
				want = append(want, e.Method+" /gov"+e.Path)
			}
		}
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) {
			t.Errorf("%s: documented %v\nthere are %v", version, have, want)
		}
		for _, r := range regexp.MustCompile(`"#/components/(\w+)/(\w+)"`).FindAllStringSubmatch(text, -1) {
			if doc.Components[r[1]][r[2]] == nil {
				t.Errorf("%s: %s leads nowhere", version, r[0])
			}
		}
		for name := range doc.Components["schemas"] {
			if !strings.Contains(text, `schemas/`+name+`"`) {
				t.Errorf("%s: nothing uses %s", version, name)
			}
		}
	}
	if _, answered, err := api(t, s, ""); answered || err != nil {
		t.Errorf("without a version: %v, %v", answered, err)
	}
	_, answered, err := api(t, s, "api-version=1")
	if shown, ok := err.(*synod.Error); !answered || !ok || shown.Code != synod.CodeUnsupportedAPIVersionValue {
		t.Errorf("unknown version: %v, %v", answered, err)
	}
}

// TestDocumentedShapes compares the members of real answers with the schemas.
func TestDocumentedShapes(t *testing.T) {
	s := newService(t, plain)
	m := s.addMembers(2)
	text, _, err := api(t, s, "api-version=2024-07-01")
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	id, _ := s.propose(m[0], parts(t, nil)).value(t, "proposalId").(string)
	s.vote(m[0], id, "export function vote() { throw 1; }")
	s.vote(m[1], id, yes)
	digest := s.post(m[0], "/members/state-digests/"+m[0].id+":update", cose.GovHeader{MsgType: "state_digest"}, "")
	for schema, body := range map[string]string{
		"Proposal": s.get("/members/proposals/" + id).Body, "ProposalList": s.get("/members/proposals").Body,
		"StateDigest": digest.Body, "ServiceInfo": s.get("/service/info").Body, "JavascriptApp": s.get("/service/javascript-app").Body,
		"ModuleList": s.get("/service/javascript-modules").Body, "JoinPolicy": s.get("/service/join-policy").Body, "Jwk": s.get("/service/jwk").Body,
		"MemberList": s.get("/service/members").Body, "Member": s.get("/service/members/" + m[0].id).Body, "UserList": s.get("/service/users").Body,
		"NodeList": s.get("/service/nodes").Body, "TransactionStatus": s.get("/service/transactions/commit").Body,
		"Error": s.get("/service/members/x").Body,
	} {
		var shape struct {
			Properties map[string]any `json:"properties"`
			Required   []string       `json:"required"`
		}
		var got map[string]any
		if json.Unmarshal(doc.Components["schemas"][schema], &shape) != nil || json.Unmarshal([]byte(body), &got) != nil {
			t.Fatalf("%s: %s", schema, body)
		}
		for name := range got {
			if shape.Properties[name] == nil {
				t.Errorf("%s has %s", schema, name)
			}
		}
		for _, name := range shape.Required {
			if _, ok := got[name]; !ok {
				t.Errorf("%s lacks %s: %s", schema, name, body)
			}
		}
	}
}
