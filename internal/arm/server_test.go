package arm

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"synod/internal/identity"
)

// TestLifeAsRecorded is the recording of the real service that managed a
// network of three nodes: same status codes, same headers, same bodies.
func TestLifeAsRecorded(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)

	created := s.want(t, 201, "PUT", base+"/Bank1"+azure, createBody())
	address := regexp.MustCompile(`^https://synod\.example:8400/providers/Microsoft\.ConfidentialLedger/locations/SOUTHCENTRALUS/operationStatuses/[0-9a-f-]{36}\*[0-9A-F]{64}\?api-version=2020-12-01-preview$`)
	if got := created.header.Get("Azure-AsyncOperation"); !address.MatchString(got) {
		t.Errorf("Azure-AsyncOperation: %s", got)
	}
	for name, want := range map[string]string{
		"Retry-After": "1", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "X-Ms-Async-Operation-Timeout": "PT10M", "Location": "",
	} {
		if got := created.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for path, want := range map[string]any{
		"properties.provisioningState": "Accepted", "properties.appUri": nil, "properties.nodeCount": 3.0, "location": "southcentralus",
		"properties.deploymentType.appSourceUri": "customImage", "tags.dept": "finance", "properties.nodes": nil,
		"id": groupPath + "/providers/Microsoft.ConfidentialLedger/ManagedCCFs/Bank1", "type": "Microsoft.ConfidentialLedger/ManagedCCFs",
	} {
		if got := created.field(t, path); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}

	poll := created.link(t, "Azure-AsyncOperation")
	running := s.want(t, 200, "GET", poll, "")
	if running.field(t, "status") != "Accepted" || running.field(t, "endTime") != nil || running.header.Get("Retry-After") != "1" {
		t.Errorf("poll: %s", running.body)
	}
	s.finish(t)
	done := s.want(t, 200, "GET", poll, "")
	if done.field(t, "status") != "Succeeded" || done.field(t, "endTime") == nil || done.field(t, "steps") != nil || !strings.Contains(done.body, `"properties":null`) {
		t.Errorf("poll: %s", done.body)
	}
	got := s.want(t, 200, "GET", base+"/bank1"+azure, "")
	for path, want := range map[string]any{
		"properties.provisioningState": "Succeeded", "properties.appUri": "https://127.0.0.1:9000", "properties.runningState": "Active",
		"properties.identityServiceUri": "https://synod.example:8400/ledgerIdentity/Bank1", "name": "Bank1",
	} {
		if got := got.field(t, path); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}

	update := s.want(t, 202, "PATCH", base+"/BANK1"+azure, `{"properties":{"nodeCount":5}}`)
	s.finish(t)
	if got := s.want(t, 200, "GET", update.link(t, "Azure-AsyncOperation"), ""); got.field(t, "status") != "Succeeded" {
		t.Error(got.body)
	}

	backup := s.want(t, 202, "POST", base+"/Bank1/backup"+azure, `{"restoreRegion":"westeurope","uri":"https://share.example/?sig=secret"}`)
	result := backup.link(t, "Location")
	if a := s.want(t, 202, "GET", result, ""); a.body != "" {
		t.Errorf("%q", a.body)
	}
	s.finish(t)
	if a := s.want(t, 200, "GET", result, ""); a.field(t, "message") != "backup done" {
		t.Error(a.body)
	}

	deleted := s.want(t, 202, "DELETE", base+"/Bank1"+azure, "", "Content-Length", "0")
	if deleted.body != "null" || deleted.header.Get("Location") != deleted.header.Get("Azure-AsyncOperation") || deleted.header.Get("X-Ms-Async-Operation-Timeout") != "PT5M" {
		t.Errorf("%q %v", deleted.body, deleted.header)
	}
	if again := s.want(t, 202, "DELETE", base+"/Bank1"+azure, ""); again.header.Get("Location") != deleted.header.Get("Location") {
		t.Error("a second delete is another operation")
	}
	if a := s.want(t, 202, "GET", deleted.link(t, "Azure-AsyncOperation"), ""); a.field(t, "status") != "Deleting" {
		t.Error(a.body)
	}
	if a := s.want(t, 200, "GET", base+"/Bank1"+azure, ""); a.field(t, "properties.provisioningState") != "Deleting" {
		t.Error(a.body)
	}
	s.finish(t)
	if a := s.want(t, 200, "GET", deleted.link(t, "Azure-AsyncOperation"), ""); a.field(t, "status") != "Succeeded" {
		t.Error(a.body)
	}
	s.want(t, 404, "GET", base+"/Bank1"+azure, "")
	s.want(t, 204, "DELETE", base+"/Bank1"+azure, "")

	restore := s.want(t, 202, "POST", base+"/Bank1/restore"+azure, `{"fileShareName":"Bank1-20260304","restoreRegion":"westeurope","uri":"https://share.example/?sig=secret"}`)
	n := s.want(t, 200, "GET", base+"/Bank1"+azure, "")
	if n.field(t, "properties.nodeCount") != 5.0 || n.field(t, "location") != "westeurope" || n.field(t, "tags.dept") != "finance" {
		t.Errorf("restored as %s", n.body)
	}
	s.finish(t)
	if a := s.want(t, 200, "GET", restore.link(t, "Location"), ""); a.field(t, "message") != "restore done" {
		t.Error(a.body)
	}
	if a := s.want(t, 409, "POST", base+"/Bank1/restore"+azure, `{"fileShareName":"b","restoreRegion":"westeurope","uri":"store:default"}`); a.code(t) != CodeAlreadyExists {
		t.Error(a.body)
	}
}

func TestAnOperationThatFails(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	created := s.want(t, 201, "PUT", base+"/bank"+azure, createBody())
	finish(t.Context(), t, s.Store, &Error{Code: "NodeStartFailed", Message: "Node 0 has ended: port 9000 is taken."})
	a := s.want(t, 200, "GET", created.link(t, "Azure-AsyncOperation"), "")
	if a.field(t, "status") != "Failed" || a.field(t, "error.code") != "NodeStartFailed" {
		t.Error(a.body)
	}
	if a := s.want(t, 200, "GET", base+"/bank"+azure, ""); a.field(t, "properties.provisioningState") != "Failed" {
		t.Error(a.body)
	}
	// The same request again tries again.
	again := s.want(t, 201, "PUT", base+"/bank"+azure, createBody())
	if again.header.Get("Azure-AsyncOperation") == created.header.Get("Azure-AsyncOperation") {
		t.Error("the operation that failed is to be followed again")
	}
	s.finish(t)
	backup := s.want(t, 202, "POST", base+"/bank/backup"+azure, `{"uri":"store:default"}`)
	finish(t.Context(), t, s.Store, &Error{Code: "BackupFailed", Message: "No room."})
	if a := s.want(t, 409, "GET", backup.link(t, "Location"), ""); a.code(t) != "BackupFailed" {
		t.Error(a.body)
	}
}

// TestCreateIsIdempotent: clients repeat a PUT whose answer was lost.
func TestWrongTypesAreSaidInWords(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	for body, want := range map[string]string{
		`[1]`:                               "The body must be an object, not an array.",
		`{"location":1}`:                    `The property "location" must be a string, not a number.`,
		`{"location":"a","tags":{"a":1}}`:   "Each value in tags must be a string, not a number.",
		createBody(`,"nodeCount":3.5`):      `The property "properties.nodeCount" must be a whole number.`,
		createBody(`,"nodeCount":"3"`):      `The property "properties.nodeCount" must be a whole number, not a string.`,
		createBody(`,"deleteProtection":1`): `The property "properties.deleteProtection" must be a boolean, not a number.`,
	} {
		if message := s.want(t, 400, "PUT", base+"/new"+ownQuery, body).field(t, "error.message"); message != want {
			t.Errorf("%q instead of %q", message, want)
		}
	}
}

// What never came to life has no members who could govern it: its creator says
// everything anew.
func TestAFailedCreateIsRepeatedWithOtherWords(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	failed := &Error{Code: "ConstitutionInvalid", Message: "It does not compile."}
	s.want(t, 201, "PUT", base+"/new"+ownQuery, createBody(`,"constitution":"nonsense"`))
	finish(t.Context(), t, s.Store, failed)
	again := strings.Replace(createBody(`,"constitution":"export function resolve() {}"`), `"encryptionkey":null`, `"encryptionkey":""`, 1)
	s.want(t, 201, "PUT", base+"/new"+ownQuery, again)
	if running, err := s.Store.RunningOperations(t.Context()); err != nil || len(running) != 1 || running[0].Kind != KindCreate {
		t.Errorf("running: %+v, %v", running, err)
	}
	s.finish(t)
	s.want(t, 400, "PUT", base+"/new"+ownQuery, createBody(`,"constitution":"another"`))
}

func TestAFailedRestoreIsRepeated(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	const from = `{"fileShareName":"a","uri":"store:default","restoreRegion":"local"}`
	s.want(t, 202, "POST", base+"/new/restore"+azure, from)
	if code := s.want(t, 409, "POST", base+"/new/restore"+azure, from).code(t); code != CodeOperationNotAllowed {
		t.Errorf("while it runs: %s", code)
	}
	finish(t.Context(), t, s.Store, &Error{Code: "BackupDamaged", Message: "It is damaged."})
	s.want(t, 202, "POST", base+"/new/restore"+azure, strings.Replace(from, `"a"`, `"b"`, 1))
	s.finish(t)
	if code := s.want(t, 409, "POST", base+"/new/restore"+azure, from).code(t); code != CodeAlreadyExists {
		t.Errorf("once it is there: %s", code)
	}
}

func TestAFullDiskIsSaid(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	s.want(t, 201, "PUT", base+"/there"+azure, createBody())
	s.finish(t)
	if _, err := s.Store.write.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil { // as many as there are
		t.Fatal(err)
	}
	code, n := "", 0
	for ; code == "" && n < 1000; n++ { // what is left of the last pages
		if a := s.do(t, "PUT", base+"/more"+strconv.Itoa(n)+azure, createBody()); a.status != 201 {
			code = a.code(t)
		}
	}
	if code != CodeInsufficientStorage {
		t.Errorf("%q after %d networks", code, n)
	}
	s.want(t, 404, "GET", base+"/more"+strconv.Itoa(n-1)+azure, "")
	s.want(t, 200, "GET", base+"/there"+azure, "")
	if !strings.Contains(s.logs.String(), "disk is full") {
		t.Errorf("logged: %s", s.logs)
	}
	s.logs.Reset()
}

func TestCreateIsIdempotent(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	first := s.want(t, 201, "PUT", base+"/bank"+azure, createBody())
	second := s.want(t, 201, "PUT", base+"/bank"+azure, createBody())
	if first.header.Get("Azure-AsyncOperation") != second.header.Get("Azure-AsyncOperation") {
		t.Error("the repeated request has another operation")
	}
	if a := s.want(t, 409, "PUT", base+"/bank"+azure, createBody(`,"nodeCount":5`)); a.code(t) != CodeOperationNotAllowed {
		t.Error(a.body)
	}
	s.finish(t)
	// Nothing to do is an operation that has succeeded, and is no work.
	third := s.want(t, 201, "PUT", base+"/bank"+azure, createBody())
	if running, err := s.Store.RunningOperations(t.Context()); err != nil || len(running) != 0 {
		t.Error(running, err)
	}
	if a := s.want(t, 200, "GET", third.link(t, "Azure-AsyncOperation"), ""); a.field(t, "status") != "Succeeded" {
		t.Error(a.body)
	}
	s.want(t, 201, "PUT", base+"/bank"+azure, createBody(`,"nodeCount":5`))
	s.finish(t)
	// What a PUT does not say stays, tags excepted.
	a := s.want(t, 201, "PUT", base+"/bank"+azure, `{"location":"southcentralus","properties":{}}`)
	if a.field(t, "properties.nodeCount") != 5.0 || a.field(t, "tags") != nil {
		t.Error(a.body)
	}
}

func TestETags(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	if a := s.want(t, 412, "PUT", base+"/bank"+azure, createBody(), "If-Match", "*"); a.code(t) != CodePreconditionFailed {
		t.Error(a.body)
	}
	first := s.want(t, 201, "PUT", base+"/bank"+azure, createBody(), "If-None-Match", "*")
	etag := first.header.Get("ETag")
	s.finish(t)
	if got := s.want(t, 200, "GET", base+"/bank"+azure, ""); got.header.Get("ETag") != etag {
		t.Error("what the reconciler saw has changed the ETag")
	}
	s.want(t, 412, "PUT", base+"/bank"+azure, createBody(), "If-None-Match", "*")
	changed := s.want(t, 200, "PATCH", base+"/bank"+azure, `{"tags":{"dept":null,"b":"c"}}`, "If-Match", etag)
	if changed.header.Get("ETag") == etag || changed.field(t, "tags.dept") != nil || changed.field(t, "tags.b") != "c" {
		t.Errorf("%s %s", changed.header.Get("ETag"), changed.body)
	}
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		body := createBody()
		if method == "DELETE" {
			body = ""
		}
		if a := s.want(t, 412, method, base+"/bank"+azure, body, "If-Match", etag); a.code(t) != CodePreconditionFailed {
			t.Errorf("%s: %s", method, a.body)
		}
		for _, wrong := range []string{"abc", `"a", "b"`, `W/"x"`} {
			if a := s.want(t, 400, method, base+"/bank"+azure, body, "If-Match", wrong); a.code(t) != CodeInvalidHeader {
				t.Errorf("%s: %s", method, a.body)
			}
		}
	}
	s.want(t, 202, "DELETE", base+"/bank"+azure, "", "If-Match", changed.header.Get("ETag"))
	s.finish(t)
	s.want(t, 412, "DELETE", base+"/bank"+azure, "", "If-Match", "*")
}

// TestConcurrentWrites: who asks for no ETag is never told of one.
func TestConcurrentWrites(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if a := s.do(t, "PUT", base+"/bank"+azure, createBody()); a.status != 201 {
				t.Error(a.status, a.body)
			}
		})
	}
	group.Wait()
	if all, err := s.Store.Operations(t.Context(), NetworkID{sub[len("/subscriptions/"):], "contoso", "bank"}, 10); err != nil || len(all) != 1 {
		t.Error(len(all), err)
	}
	s.finish(t)
	for i := range 4 {
		group.Go(func() {
			if a := s.do(t, "PATCH", base+"/bank"+azure, fmt.Sprintf(`{"tags":{"t%d":"x"}}`, i)); a.status != 200 {
				t.Error(a.status, a.body)
			}
		})
	}
	group.Wait()
	if n, err := s.Store.NetworkNamed(t.Context(), "bank"); err != nil || len(n.Tags) != 5 {
		t.Error(n.Tags, err)
	}
}

// TestBadRequests is each wrong input, and what its sender is told.
func TestBadRequests(t *testing.T) {
	s := newService(t, func(c *Config) {
		c.CheckTarget = func(address string) error {
			if !strings.HasPrefix(address, "store:") {
				return fmt.Errorf("a backup store's address begins with store:")
			}
			return nil
		}
		c.Locations = []string{"South Central US", "local"}
	})
	s.makeGroup(t)
	s.want(t, 201, "PUT", base+"/there"+azure, createBody())
	s.finish(t)
	other, err := identity.NewMember("other", identity.Secp384r1, s.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, publicPEM, err := identity.NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	member := func(cert, key string) string {
		return `{"location":"local","properties":{"memberIdentityCertificates":[{"certificate":` + jsonText(cert) + `,"encryptionkey":` + jsonText(key) + `}]}}`
	}
	long := strings.Repeat("x", 300)
	for _, test := range []struct {
		name, method, path, body string
		status                   int
		code, target             string
	}{
		{"no api-version", "GET", base + "/there", "", 400, CodeMissingAPIVersion, "api-version"},
		{"unknown api-version", "GET", base + "/there?api-version=2026-02-23", "", 400, CodeInvalidAPIVersion, "api-version"},
		{"api-version of another kind", "GET", sub + "?api-version=latest", "", 400, CodeInvalidAPIVersion, "api-version"},
		{"own operation, Azure's version", "POST", base + "/there/renew" + azure, "", 400, CodeInvalidAPIVersion, "api-version"},
		{"no such path", "GET", "/subscriptions/x/nothing/here" + azure, "", 404, CodeNoSuchPath, ""},
		{"broken escape", "GET", "/subscriptions/%ff%00/resourcegroups/a/b/c" + azure, "", 404, CodeNoSuchPath, ""},
		{"method", "POST", base + "/there" + azure, "", 405, CodeMethodNotAllowed, ""},
		{"no subscription", "GET", "/subscriptions/none/resourcegroups/x" + azure, "", 404, CodeSubscriptionNotFound, ""},
		{"no group", "GET", sub + "/resourcegroups/none/providers/Microsoft.ConfidentialLedger/managedCCFs/x" + azure, "", 404, CodeGroupNotFound, ""},
		{"no group to create in", "PUT", sub + "/resourcegroups/none/providers/Microsoft.ConfidentialLedger/managedCCFs/abc" + azure, createBody(), 404, CodeGroupNotFound, ""},
		{"no network", "GET", base + "/none" + azure, "", 404, CodeNotFound, ""},
		{"no network to patch", "PATCH", base + "/none" + azure, "{}", 404, CodeNotFound, ""},
		{"no network to back up", "POST", base + "/none/backup" + azure, `{"uri":"store:x"}`, 404, CodeNotFound, ""},
		{"short name", "PUT", base + "/ab" + azure, createBody(), 400, CodeInvalidName, "appName"},
		{"long name", "PUT", base + "/a" + long + azure, createBody(), 400, CodeInvalidName, "appName"},
		{"name with a digit first", "PUT", base + "/1abc" + azure, createBody(), 400, CodeInvalidName, "appName"},
		{"name with a hyphen last", "PUT", base + "/abc-" + azure, createBody(), 400, CodeInvalidName, "appName"},
		{"name with a slash", "PUT", base + "/ab%2Fcd" + azure, createBody(), 400, CodeInvalidName, "appName"},
		{"name with dots", "PUT", base + "/..%2F..%2Fetc" + azure, createBody(), 400, CodeInvalidName, "appName"},
		{"empty body", "PUT", base + "/new" + azure, "", 400, CodeLocationRequired, "location"},
		{"no location", "PUT", base + "/new" + azure, `{"properties":{}}`, 400, CodeLocationRequired, "location"},
		{"unknown location", "PUT", base + "/new" + azure, strings.Replace(createBody(), "southcentralus", "westeurope", 1), 400, CodeInvalidContent, "location"},
		{"not JSON", "PUT", base + "/new" + azure, `{"location":`, 400, CodeInvalidContent, ""},
		{"JSON of another kind", "PUT", base + "/new" + azure, `[1]`, 400, CodeInvalidContent, ""},
		{"location of another kind", "PUT", base + "/new" + azure, `{"location":1}`, 400, CodeInvalidContent, "location"},
		{"properties of another kind", "PUT", base + "/new" + azure, `{"location":"local","properties":7}`, 400, CodeInvalidContent, "properties"},
		{"tags of another kind", "PUT", base + "/new" + azure, `{"location":"local","tags":{"a":1}}`, 400, CodeInvalidContent, "tags"},
		{"node count as a text", "PUT", base + "/new" + azure, createBody(`,"nodeCount":"3"`), 400, CodeInvalidContent, "properties.nodeCount"},
		{"node count with a fraction", "PUT", base + "/new" + azure, createBody(`,"nodeCount":3.5`), 400, CodeInvalidContent, "properties.nodeCount"},
		{"even node count", "PUT", base + "/new" + azure, createBody(`,"nodeCount":4`), 400, CodeInvalidContent, "properties.nodeCount"},
		{"negative node count", "PUT", base + "/new" + azure, createBody(`,"nodeCount":-1`), 400, CodeInvalidContent, "properties.nodeCount"},
		{"huge node count", "PUT", base + "/new" + azure, createBody(`,"nodeCount":99999999999999999999`), 400, CodeInvalidContent, "properties.nodeCount"},
		{"language", "PUT", base + "/new" + azure, strings.Replace(createBody(), `"JS"`, `"CPP"`, 1), 400, CodeInvalidContent, "properties.deploymentType.languageRuntime"},
		{"running state", "PUT", base + "/new" + azure, createBody(`,"runningState":"Asleep"`), 400, CodeInvalidContent, "properties.runningState"},
		{"no members", "PUT", base + "/new" + azure, `{"location":"local","properties":{}}`, 400, CodeInvalidContent, "properties.memberIdentityCertificates"},
		{"empty members", "PUT", base + "/new" + azure, `{"location":"local","properties":{"memberIdentityCertificates":[]}}`, 400, CodeInvalidContent, "properties.memberIdentityCertificates"},
		{"members of another kind", "PUT", base + "/new" + azure, `{"location":"local","properties":{"memberIdentityCertificates":"PEM"}}`, 400, CodeInvalidContent, "properties.memberIdentityCertificates"},
		{"certificate that is none", "PUT", base + "/new" + azure, member("hello", ""), 400, CodeInvalidContent, "properties.memberIdentityCertificates[0].certificate"},
		{"certificate of noise", "PUT", base + "/new" + azure, member("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", ""), 400, CodeInvalidContent, "properties.memberIdentityCertificates[0].certificate"},
		{"a private key", "PUT", base + "/new" + azure, member(keyPEM, ""), 400, CodeInvalidContent, "properties.memberIdentityCertificates[0].certificate"},
		{"encryption key that is none", "PUT", base + "/new" + azure, member(testMember.CertPEM, testMember.CertPEM), 400, CodeInvalidContent, "properties.memberIdentityCertificates[0].encryptionkey"},
		{"a private encryption key", "PUT", base + "/new" + azure, member(testMember.CertPEM, keyPEM), 400, CodeInvalidContent, "properties.memberIdentityCertificates[0].encryptionkey"},
		{"tag without a name", "PATCH", base + "/there" + azure, `{"tags":{"":"x"}}`, 400, CodeInvalidContent, "tags"},
		{"long tag", "PATCH", base + "/there" + azure, `{"tags":{"a":"` + long + `"}}`, 400, CodeInvalidContent, "tags"},
		{"another location", "PATCH", base + "/there" + azure, `{"location":"local"}`, 409, CodeInvalidLocation, "location"},
		{"another location", "PUT", base + "/there" + azure, strings.Replace(createBody(), "southcentralus", "local", 1), 409, CodeInvalidLocation, "location"},
		{"other members", "PATCH", base + "/there" + azure, strings.Replace(member(other.CertPEM, publicPEM), `"location":"local",`, "", 1), 400, CodeInvalidContent, "properties.memberIdentityCertificates"},
		{"zones", "PUT", base + "/new" + ownQuery, createBody(`,"zones":["a b"]`), 400, CodeInvalidContent, "properties.zones"},
		{"zones of another kind", "PUT", base + "/new" + ownQuery, createBody(`,"zones":1`), 400, CodeInvalidContent, "properties.zones"},
		{"backup policy of another kind", "PUT", base + "/new" + ownQuery, createBody(`,"backupPolicy":{"continuous":"yes"}`), 400, CodeInvalidContent, "properties.backupPolicy.continuous"},
		{"platform", "PUT", base + "/new" + azure, createBody(`,"enclavePlatform":"Toaster"`), 400, CodeInvalidContent, "properties.enclavePlatform"},
		{"a zone twice", "PUT", base + "/new" + ownQuery, createBody(`,"zones":["a","a"]`), 400, CodeInvalidContent, "properties.zones"},
		{"release", "PUT", base + "/new" + ownQuery, createBody(`,"release":"../../bin/sh"`), 400, CodeInvalidContent, "properties.release"},
		{"strategy", "PUT", base + "/new" + ownQuery, createBody(`,"upgradeStrategy":"Hope"`), 400, CodeInvalidContent, "properties.upgradeStrategy"},
		{"certificate days", "PUT", base + "/new" + ownQuery, createBody(`,"certificateDays":0`), 400, CodeInvalidContent, "properties.certificateDays"},
		{"backup target", "PUT", base + "/new" + ownQuery, createBody(`,"backupPolicy":{"target":"file:///etc"}`), 400, CodeInvalidContent, "properties.backupPolicy.target"},
		{"backup interval", "PUT", base + "/new" + ownQuery, createBody(`,"backupPolicy":{"every":"1s"}`), 400, CodeInvalidContent, "properties.backupPolicy.every"},
		{"constitution of a network that lives", "PATCH", base + "/there" + ownQuery, `{"properties":{"constitution":"export function resolve() {}"}}`, 400, CodeInvalidContent, "properties.constitution"},
		{"backup without an address", "POST", base + "/there/backup" + azure, `{}`, 400, CodeInvalidContent, "uri"},
		{"backup to an empty address", "POST", base + "/there/backup" + azure, `{"uri":""}`, 400, CodeInvalidContent, "uri"},
		{"backup to a wrong address", "POST", base + "/there/backup" + azure, `{"uri":"ftp://x"}`, 400, CodeInvalidContent, "uri"},
		{"restore of nothing", "POST", base + "/new/restore" + azure, `{}`, 400, CodeInvalidContent, "fileShareName"},
		{"restore of a path", "POST", base + "/new/restore" + azure, `{"fileShareName":"../x","restoreRegion":"local","uri":"store:a"}`, 400, CodeInvalidContent, "fileShareName"},
		{"restore elsewhere", "POST", base + "/new/restore" + azure, `{"fileShareName":"x","restoreRegion":"mars","uri":"store:a"}`, 400, CodeInvalidContent, "restoreRegion"},
		{"upgrade to nothing", "POST", base + "/there/upgrade" + ownQuery, `{}`, 400, CodeInvalidContent, "release"},
		{"replacement of no node", "POST", base + "/there/nodes/77/replace" + ownQuery, "", 404, CodeNotFound, "ordinal"},
		{"replacement of no number", "POST", base + "/there/nodes/x/replace" + ownQuery, "", 404, CodeNotFound, "ordinal"},
		{"no such operation", "GET", "/providers/Microsoft.ConfidentialLedger/locations/LOCAL/operationStatuses/abc*DEF?api-version=2020-12-01-preview", "", 404, CodeOperationNotFound, ""},
		{"skip token of one's own", "GET", base + azure + "&$skiptoken=%25", "", 400, CodeInvalidParameter, "$skiptoken"},
		{"page of no size", "GET", base + azure + "&$top=0", "", 400, CodeInvalidParameter, "$top"},
		{"name to check is missing", "POST", sub + "/providers/Microsoft.ConfidentialLedger/checkNameAvailability" + azure, "{}", 400, CodeInvalidContent, "name"},
		{"type to check is another", "POST", sub + "/providers/Microsoft.ConfidentialLedger/checkNameAvailability" + azure, `{"name":"abc","type":"x"}`, 400, CodeInvalidContent, "type"},
		{"group of a wrong name", "PUT", sub + "/resourcegroups/a.?api-version=2021-04-01", `{"location":"local"}`, 400, CodeInvalidName, "resourceGroupName"},
		{"group without a location", "PUT", sub + "/resourcegroups/a?api-version=2021-04-01", `{}`, 400, CodeLocationRequired, "location"},
		{"group elsewhere", "PUT", groupPath + "?api-version=2021-04-01", `{"location":"local"}`, 409, "InvalidResourceGroupLocation", "location"},
		{"subscription of a wrong name", "PUT", "/subscriptions/a%20b/resourcegroups/a?api-version=2021-04-01", `{"location":"local"}`, 400, CodeInvalidName, "subscriptionId"},
		{"no such provider", "POST", sub + "/providers/Microsoft.Nothing/register?api-version=2021-04-01", "", 404, CodeInvalidNamespace, ""},
		{"no such feature", "GET", sub + "/providers/Microsoft.Features/providers/Microsoft.ConfidentialLedger/features/x?api-version=2021-07-01", "", 404, "FeatureNotFound", ""},
	} {
		t.Run(test.method+" "+test.name, func(t *testing.T) {
			a := s.do(t, test.method, test.path, test.body)
			target, _ := a.field(t, "error.target").(string)
			if a.status != test.status || a.code(t) != test.code || target != test.target {
				t.Errorf("%d %q: %s", a.status, target, a.body)
			}
			if message, _ := a.field(t, "error.message").(string); message == "" || strings.Contains(a.body, "PRIVATE KEY-----\\n") {
				t.Errorf("the message is of no use: %s", a.body)
			}
		})
	}
	if all, err := s.Store.Networks(t.Context(), Filter{}); err != nil || len(all) != 1 {
		t.Errorf("something was half made: %v, %v", all, err)
	}
	if running, err := s.Store.RunningOperations(t.Context()); err != nil || len(running) != 0 {
		t.Errorf("something runs: %v, %v", running, err)
	}
	if a := s.want(t, 400, "PUT", base+"/new"+ownQuery, createBody(`,"nodeCount":2,"zones":["?"]`)); len(a.field(t, "error.details").([]any)) != 2 {
		t.Errorf("not all faults are told: %s", a.body)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	a := s.want(t, 413, "PUT", base+"/bank"+azure, `{"location":"`+strings.Repeat("x", BodyMax)+`"}`)
	if a.code(t) != CodeContentTooLarge {
		t.Error(a.body)
	}
	if a := s.want(t, 415, "PUT", base+"/bank"+azure, "a=b", "Content-Type", "application/x-www-form-urlencoded"); a.code(t) != CodeUnsupportedMediaType {
		t.Error(a.body)
	}
}

func TestOneLinePEM(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	one := strings.NewReplacer("\n", "", "\\n", "").Replace(testMember.CertPEM)
	a := s.want(t, 201, "PUT", base+"/bank"+azure, strings.Replace(createBody(), jsonText(testMember.CertPEM), jsonText(one+"\n\x00"), 1))
	if got := a.field(t, "properties.memberIdentityCertificates").([]any)[0].(map[string]any); got["certificate"] != testMember.CertPEM {
		t.Errorf("%q", got["certificate"])
	}
}

// Who cancels an operation stands in the audit log of the network that it is on.
func TestCancelIsAudited(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	s.want(t, 201, "PUT", base+"/bank"+azure, createBody())
	n, err := s.Store.NetworkNamed(t.Context(), "bank")
	if err != nil {
		t.Fatal(err)
	}
	ops, err := s.Store.Operations(t.Context(), n.ID, 1)
	if err != nil || len(ops) != 1 {
		t.Fatal(ops, err)
	}
	cancel := "/providers/Microsoft.ConfidentialLedger/locations/local/operationStatuses/" + ops[0].ID + "/cancel?api-version=" + OwnVersion
	s.want(t, 202, "POST", cancel, "")
	s.finish(t)
	s.want(t, 409, "POST", cancel, "")
	entries, err := s.Store.Audit(t.Context(), AuditFilter{Target: n.ID.ResourceID()})
	if err != nil || len(entries) != 3 || !strings.HasSuffix(entries[0].Action, "cancel/action") || !strings.HasSuffix(entries[1].Action, "cancel/action") {
		t.Errorf("%+v, %v", entries, err)
	}
}

// A location or a host that a caller makes up is no reason to fall over.
func TestOperationsOfStrangePlaces(t *testing.T) {
	s := newService(t)
	op := Operation{Network: NetworkID{"s", "g", "bank"}, Kind: KindBackup}
	if err := s.Store.StartOperation(t.Context(), &op); err != nil {
		t.Fatal(err)
	}
	for _, location := range []string{"%25zz", "a%2Fb", "%3Fx", "%23"} {
		a := s.want(t, 200, "GET", "/providers/Microsoft.ConfidentialLedger/locations/"+location+"/operationStatuses/"+op.ID+"?api-version=2020-12-01-preview", "")
		if id, _ := a.field(t, "id").(string); !strings.HasSuffix(id, "/operationStatuses/"+op.wireID()) || !strings.Contains(id, strings.ToUpper(location)) {
			t.Errorf("%s: %s", location, id)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://synod.example:8400/providers/Microsoft.ConfidentialLedger/locations/x/operationStatuses/"+op.ID+"?api-version=2020-12-01-preview", http.NoBody)
	r.Host = "%zz"
	r.Header.Set("Authorization", "Bearer "+testToken)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPaths(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	s.want(t, 201, "PUT", base+"/Bank"+azure, createBody())
	for _, path := range []string{
		base + "/Bank", base + "/BANK/", strings.ToLower(base) + "/bank", strings.ToUpper(base) + "/bank",
		strings.Replace(base, "managedCCFs", "%6danagedCCFs", 1) + "/b%61nk",
	} {
		if a := s.want(t, 200, "GET", path+azure, ""); a.field(t, "name") != "Bank" {
			t.Error(a.body)
		}
	}
	for _, path := range []string{base, base + "/", sub + "/providers/Microsoft.ConfidentialLedger/managedCCFs/"} {
		a := s.want(t, 200, "GET", path+azure+"&$filter=ledgerType%20eq%20%27Public%27", "")
		if list := a.field(t, "value").([]any); len(list) != 1 {
			t.Error(a.body)
		}
	}
	s.want(t, 204, "HEAD", base+"/bank"+azure, "")
	s.want(t, 404, "GET", strings.Replace(base, "/providers", "//providers", 1)+"/bank"+azure, "")
}

func TestPages(t *testing.T) {
	s := newService(t, func(c *Config) { c.PageSize = 2 })
	s.makeGroup(t)
	var names []string
	for i := range 5 {
		names = append(names, fmt.Sprintf("net-%d", i))
		s.want(t, 201, "PUT", base+"/"+names[i]+azure, createBody())
	}
	for _, first := range []string{base + azure, sub + "/providers/Microsoft.ConfidentialLedger/managedCCFs/" + azure + "&$filter=x"} {
		var got []string
		pages := 0
		for next := first; next != ""; pages++ {
			a := s.want(t, 200, "GET", next, "")
			for _, n := range a.field(t, "value").([]any) {
				got = append(got, n.(map[string]any)["name"].(string))
			}
			next, _ = a.field(t, "nextLink").(string)
			next = strings.TrimPrefix(next, "https://synod.example:8400")
		}
		if pages != 3 || !slices.Equal(got, names) {
			t.Errorf("%s: %d pages: %v", first, pages, got)
		}
	}
	if a := s.want(t, 200, "GET", base+azure+"&$top=5", ""); a.field(t, "nextLink") != nil {
		t.Error(a.body)
	}
}

func TestNameCheck(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	s.want(t, 201, "PUT", base+"/Bank"+azure, createBody())
	for name, want := range map[string]string{
		"bank": `{"nameAvailable":false,"reason":"AlreadyExists"`, "free": `{"nameAvailable":true}`, "-x": `{"nameAvailable":false,"reason":"Invalid"`, "": `{"nameAvailable":false,"reason":"Invalid"`,
	} {
		a := s.want(t, 200, "POST", sub+"/providers/Microsoft.ConfidentialLedger/checkNameAvailability"+azure, `{"name":"`+name+`","type":"Microsoft.ConfidentialLedger/managedCCFs"}`)
		if !strings.HasPrefix(a.body, want) {
			t.Errorf("%q: %s", name, a.body)
		}
	}
}

func TestOwnVersion(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	// Azure's versions do not know these properties and leave them as they are.
	s.want(t, 201, "PUT", base+"/bank"+azure, createBody(`,"deleteProtection":true,"zones":["?"]`))
	s.finish(t)
	a := s.want(t, 200, "PATCH", base+"/bank"+ownQuery,
		`{"properties":{"deleteProtection":true,"backupPolicy":{"target":"s3://key:secret@bucket/p?endpoint=e&token=t","every":"24h","keep":7,"continuous":true}}}`)
	if a.field(t, "properties.deleteProtection") != true || a.field(t, "properties.backupPolicy.every") != "24h0m0s" {
		t.Error(a.body)
	}
	target, _ := a.field(t, "properties.backupPolicy.target").(string)
	if target != "s3://redacted@bucket/p?redacted" {
		t.Errorf("the target is shown as %s", target)
	}
	// What was read can be sent back.
	s.want(t, 201, "PUT", base+"/bank"+ownQuery, createBody(`,"backupPolicy":{"target":`+jsonText(target)+`}`))
	n, err := s.Store.NetworkNamed(t.Context(), "bank")
	if err != nil || !strings.Contains(n.Desired.Backup.Target, "key:secret@") || n.Desired.Backup.Keep != 7 {
		t.Errorf("%+v, %v", n.Desired.Backup, err)
	}
	if a := s.want(t, 409, "DELETE", base+"/bank"+azure, ""); a.code(t) != CodeScopeLocked {
		t.Error(a.body)
	}
	if a := s.want(t, 409, "DELETE", groupPath+"?api-version=2021-04-01", ""); a.code(t) != CodeScopeLocked {
		t.Error(a.body)
	}

	for _, action := range []struct{ path, body string }{
		{"upgrade", `{"release":"1.2.3"}`},
		{"renew", ""},
		{"recover", ""},
		{"nodes/1/replace", ""},
		{"rehearse", `{"fileShareName":"bank-1"}`},
		{"backup", ""},
		{"restore", `{"fileShareName":"bank-1","inPlace":true}`},
	} {
		started := s.want(t, 202, "POST", base+"/bank/"+action.path+ownQuery, action.body)
		if a := s.want(t, 409, "POST", base+"/bank/renew"+ownQuery, ""); a.code(t) != CodeOperationNotAllowed {
			t.Error(a.body)
		}
		poll := started.link(t, "Azure-AsyncOperation")
		canceled := s.want(t, 202, "POST", strings.Replace(poll, "?", "/cancel?", 1), "")
		if canceled.field(t, "cancelRequested") != true {
			t.Error(canceled.body)
		}
		s.finish(t)
		if a := s.want(t, 200, "GET", poll, ""); a.field(t, "status") != "Succeeded" || a.field(t, "steps") == nil || a.field(t, "requestedBy") != "token" {
			t.Error(a.body)
		}
		if a := s.want(t, 409, "POST", strings.Replace(poll, "?", "/cancel?", 1), ""); a.code(t) != CodeOperationNotAllowed {
			t.Error(a.body)
		}
		s.clock.move(time.Second)
	}
	if a := s.want(t, 200, "GET", base+"/bank/operations"+ownQuery, ""); len(a.field(t, "value").([]any)) != 9 { // with the create and the PUT
		t.Error(a.body)
	}
	if a := s.want(t, 200, "GET", base+"/bank/audit"+ownQuery, ""); len(a.field(t, "value").([]any)) < 9 {
		t.Error(a.body)
	}
	if a := s.want(t, 200, "GET", base+"/bank"+azure, ""); a.field(t, "properties.nodes") != nil || a.field(t, "properties.zones") != nil {
		t.Errorf("Azure's version shows what it does not have: %s", a.body)
	}
}

func TestGroups(t *testing.T) {
	s := newService(t)
	const v = "?api-version=2021-04-01"
	s.want(t, 404, "GET", sub+v, "")
	s.makeGroup(t)
	s.want(t, 200, "PUT", groupPath+v, `{"location":"southcentralus"}`)
	s.want(t, 200, "GET", sub+v, "")
	s.want(t, 204, "HEAD", groupPath+v, "")
	s.want(t, 404, "HEAD", sub+"/resourcegroups/none"+v, "")
	if a := s.want(t, 200, "PATCH", groupPath+v, `{"tags":{"c":"d"}}`); a.field(t, "tags.c") != "d" {
		t.Error(a.body)
	}
	for _, path := range []string{"/subscriptions", sub + "/resourcegroups", "/tenants", sub + "/locations", sub + "/resources", groupPath + "/resources"} {
		if a := s.want(t, 200, "GET", path+v, ""); a.field(t, "value") == nil {
			t.Error(a.body)
		}
	}
	s.want(t, 201, "PUT", base+"/one"+azure, createBody())
	s.want(t, 201, "PUT", base+"/two"+azure, createBody())
	result := s.want(t, 202, "DELETE", groupPath+v, "").link(t, "Location")
	s.want(t, 202, "GET", result, "")
	if a := s.want(t, 409, "PUT", base+"/three"+azure, createBody()); a.code(t) != CodeGroupBeingDeleted {
		t.Error(a.body)
	}
	finish(t.Context(), t, s.Store, &Error{Code: "Stuck", Message: "A node does not stop."})
	if a := s.want(t, 409, "GET", result, ""); a.code(t) != "Stuck" {
		t.Error(a.body)
	}
	s.want(t, 202, "DELETE", groupPath+v, "")
	s.finish(t)
	s.want(t, 200, "GET", result, "")
	s.want(t, 404, "GET", groupPath+v, "")
	s.want(t, 404, "DELETE", groupPath+v, "")
	s.makeGroup(t)
	s.want(t, 202, "DELETE", groupPath+v, "")
	s.want(t, 404, "GET", groupPath+v, "")
}

func TestRegistration(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	const v, provider = "?api-version=2021-04-01", sub + "/providers/Microsoft.ConfidentialLedger"
	if a := s.want(t, 200, "GET", provider+v, ""); a.field(t, "registrationState") != "Registered" {
		t.Error(a.body)
	}
	s.want(t, 200, "POST", provider+"/unregister"+v, "")
	if a := s.want(t, 409, "PUT", base+"/bank"+azure, createBody()); a.code(t) != CodeMissingRegistration {
		t.Error(a.body)
	}
	if a := s.want(t, 200, "POST", provider+"/register"+v, ""); a.field(t, "registrationState") != "Registered" {
		t.Error(a.body)
	}
	s.want(t, 201, "PUT", base+"/bank"+azure, createBody())
	const feature = sub + "/providers/Microsoft.Features/providers/Microsoft.ConfidentialLedger/features/managedccf"
	if a := s.want(t, 200, "POST", feature+"/register"+v, ""); a.field(t, "properties.state") != "Registered" {
		t.Error(a.body)
	}
	for _, path := range []string{
		feature, sub + "/providers", "/providers/Microsoft.ConfidentialLedger", sub + "/providers/Microsoft.Features/features",
		sub + "/providers/Microsoft.Features/providers/Microsoft.ConfidentialLedger/features",
	} {
		s.want(t, 200, "GET", path+v, "")
	}
	if a := s.want(t, 200, "GET", "/providers/Microsoft.ConfidentialLedger/operations"+azure, ""); len(a.field(t, "value").([]any)) < 6 {
		t.Error(a.body)
	}
	for _, v := range []string{"", "?api-version=2015-01-01", "?api-version=2019-05-01", "?api-version=2022-09-01"} {
		a := s.want(t, 200, "GET", "/metadata/endpoints"+v, "", "Authorization", "")
		if (a.body[0] == '[') != (v == "?api-version=2022-09-01") || !strings.Contains(a.body, `"loginEndpoint":"https://synod.example:8400"`) {
			t.Error(a.body)
		}
	}
}

func TestQuota(t *testing.T) {
	s := newService(t, func(c *Config) { c.NetworksMax = 1 })
	s.makeGroup(t)
	s.want(t, 201, "PUT", base+"/one"+azure, createBody())
	if a := s.want(t, 409, "PUT", base+"/two"+azure, createBody()); a.code(t) != CodeQuotaExceeded {
		t.Error(a.body)
	}
	s.want(t, 201, "PUT", base+"/one"+azure, createBody())
}

func TestThrottle(t *testing.T) {
	s := newService(t, func(c *Config) { c.WritesMax = 3 })
	s.makeGroup(t)
	s.want(t, 201, "PUT", base+"/one"+azure, createBody())
	if a := s.want(t, 201, "PUT", base+"/one"+azure, createBody()); a.header.Get("X-Ms-Ratelimit-Remaining-Subscription-Writes") != "0" {
		t.Error(a.header)
	}
	a := s.want(t, 429, "PUT", base+"/one"+azure, createBody())
	if a.code(t) != CodeTooManyRequests || a.header.Get("Retry-After") != "1" {
		t.Error(a.header, a.body)
	}
	s.want(t, 200, "GET", base+"/one"+azure, "")
	s.clock.move(time.Second)
	s.want(t, 201, "PUT", base+"/one"+azure, createBody())
}

func TestRequestIDs(t *testing.T) {
	s := newService(t)
	a := s.want(t, 200, "GET", "/subscriptions"+azure, "", "x-ms-client-request-id", "mine-1", "x-ms-correlation-request-id", "theirs")
	if a.header.Get("X-Ms-Client-Request-Id") != "mine-1" || a.header.Get("X-Ms-Correlation-Request-Id") != "theirs" || len(a.header.Get("X-Ms-Request-Id")) != 36 {
		t.Error(a.header)
	}
	a = s.want(t, 200, "GET", "/subscriptions"+azure, "", "x-ms-client-request-id", "a b", "x-ms-correlation-request-id", strings.Repeat("x", 1000))
	if a.header.Get("X-Ms-Client-Request-Id") != "" || a.header.Get("X-Ms-Correlation-Request-Id") != a.header.Get("X-Ms-Request-Id") {
		t.Error(a.header)
	}
}

func TestIdentityService(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	get := func(status int) answer {
		return s.want(t, status, "GET", "/ledgerIdentity/BANK", "", "Authorization", "")
	}
	if a := get(404); a.field(t, "error.innererror.code") != CodeNotFound {
		t.Error(a.body)
	}
	s.want(t, 201, "PUT", base+"/Bank"+azure, createBody())
	if a := get(404); a.code(t) != CodeResourceNotReady {
		t.Error(a.body)
	}
	s.finish(t)
	n, err := s.Store.NetworkNamed(t.Context(), "bank")
	if err != nil {
		t.Fatal(err)
	}
	n.Status.PreviousIdentities = []Identity{{Certificate: "OLD"}}
	n.Status.Nodes[0].Evidence = json.RawMessage(`{"format":"Insecure_Virtual"}`)
	n.Status.ConstitutionDigest = "abc"
	if err := s.Store.PutStatus(t.Context(), n.ID, n.Status); err != nil {
		t.Fatal(err)
	}
	a := get(200)
	if a.field(t, "ledgerId") != "Bank" || a.field(t, "ledgerTlsCertificate") != testMember.CertPEM || a.field(t, "constitutionDigest") != "abc" {
		t.Error(a.body)
	}
	if !strings.Contains(a.body, `"evidence":{"format":"Insecure_Virtual"}`) || !strings.Contains(a.body, `"certificate":"OLD"`) || strings.Contains(a.body, `\u0000`) {
		t.Error(a.body)
	}
	s.want(t, 200, "GET", "/ledgeridentity/bank/?api-version=anything", "", "Authorization", "")
	s.want(t, 202, "DELETE", base+"/bank"+azure, "")
	get(404)
}

func TestMetrics(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	s.want(t, 201, "PUT", base+"/bank"+azure, createBody())
	s.finish(t)
	a := s.want(t, 200, "GET", "/metrics", "")
	for _, want := range []string{
		`synod_network_nodes{network="bank",health="Ok"} 3`, `synod_server_requests_total{code="201"} 2`, `synod_network_info{network="bank",state="Succeeded",running="Active",release=""} 1`,
	} {
		if !strings.Contains(a.body, want+"\n") {
			t.Errorf("no %s in %s", want, a.body)
		}
	}
	s.want(t, 401, "GET", "/metrics", "", "Authorization", "")
	s.want(t, 200, "GET", "/healthz", "", "Authorization", "")
}

// TestSecretsStayHere looks for a token that a client sent in everything that
// goes out.
func TestSecretsStayHere(t *testing.T) {
	s := newService(t, func(c *Config) {
		c.CheckTarget = func(a string) error {
			if strings.Contains(a, "refused") {
				return fmt.Errorf("it is refused")
			}
			return nil
		}
	})
	s.makeGroup(t)
	s.want(t, 201, "PUT", base+"/bank"+azure, createBody())
	s.finish(t)
	var out []answer
	out = append(out, s.want(t, 400, "POST", base+"/bank/backup"+azure, `{"uri":"https://refused/?sig=hush"}`))
	out = append(out, s.want(t, 202, "POST", base+"/bank/backup"+azure, `{"uri":"https://x/?sig=hush"}`))
	out = append(out, s.want(t, 409, "POST", base+"/bank/backup"+azure, `{"uri":"https://x/?sig=hush"}`))
	poll := out[1].link(t, "Azure-AsyncOperation")
	for _, path := range []string{poll, strings.Replace(poll, statusVersion, OwnVersion, 1), base + "/bank/operations" + ownQuery, base + "/bank/audit" + ownQuery, base + "/bank" + ownQuery, "/metrics"} {
		out = append(out, s.want(t, 200, "GET", path, ""))
	}
	for _, a := range out {
		if strings.Contains(a.body, "hush") {
			t.Errorf("shown: %s", a.body)
		}
	}
	if strings.Contains(s.logs.String(), "hush") {
		t.Error("logged")
	}
	// What a reconciler says of a backup is kept and shown without the token.
	running, err := s.Store.RunningOperations(t.Context())
	if err != nil || len(running) != 1 {
		t.Fatal(running, err)
	}
	record := BackupRecord{Share: "bank-1", Target: "s3://key:hush@bucket/p?sig=hush"}
	op := running[0]
	op.Status, op.Result = OperationSucceeded, json.RawMessage(jsonText(MessageResult{Message: "done", Backup: &record}))
	n, err := s.Store.NetworkNamed(t.Context(), "bank")
	if err != nil {
		t.Fatal(err)
	}
	n.Status.LastBackup = &record
	if err := errors.Join(s.Store.PutStatus(t.Context(), n.ID, n.Status), s.Store.UpdateOperation(t.Context(), op)); err != nil {
		t.Fatal(err)
	}
	n, err = s.Store.NetworkNamed(t.Context(), "bank")
	if err != nil || n.Status.LastBackup.Target != "s3://redacted@bucket/p?redacted" {
		t.Errorf("%+v, %v", n.Status.LastBackup, err)
	}
	if a := s.want(t, 200, "GET", out[1].link(t, "Location"), ""); strings.Contains(a.body, "hush") || !strings.Contains(a.body, "bank-1") {
		t.Error(a.body)
	}
}

// TestAHundredNetworks holds the API's time for a server's full house.
func TestAHundredNetworks(t *testing.T) {
	s := newService(t)
	s.makeGroup(t)
	for i := range 100 {
		s.want(t, http.StatusCreated, "PUT", fmt.Sprintf("%s/net-%03d%s", base, i, azure), createBody())
	}
	s.finish(t)
	a := s.want(t, 200, "GET", base+azure, "")
	if len(a.field(t, "value").([]any)) != 100 || a.field(t, "nextLink") != nil || len(a.body) > 250_000 {
		t.Errorf("%d bytes", len(a.body))
	}
}
