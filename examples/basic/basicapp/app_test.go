package basicapp_test

import (
	"testing"

	"synod/app/apptest"
	"synod/examples/basic/basicapp"
)

func TestRecords(t *testing.T) {
	s := apptest.New(t, basicapp.New(), apptest.WithUser("alice", nil), apptest.WithMember("mo", nil))
	alice := s.As("alice")
	alice.Get("/app/records/a").ExpectError(404, "InvalidResourceName")
	alice.Put("/app/records/a", "one\x00two").Expect(204).ExpectBody("")
	alice.Get("/app/records/a").Expect(200).ExpectBody("one\x00two").ExpectHeader("content-type", "text/plain")
	alice.Post("/app/records", `{"a":"1","b/c":"2"}`).Expect(204)
	alice.Get("/app/records/a").Expect(200).ExpectBody("1")
	alice.Get("/app/records/b%2Fc").Expect(200).ExpectBody("2")
	alice.Put("/app/records/a", "").Expect(204)
	alice.Get("/app/records/a").Expect(200).ExpectBody("")

	// A body that is not a map of text writes nothing.
	for _, text := range []string{`[]`, `{"a":1}`, `{"a":"x"} {}`, `{"a":"x","b":null`, `nothing`} {
		alice.Post("/app/records", text).ExpectError(400, "InvalidInput")
	}
	alice.Get("/app/records/a").Expect(200).ExpectBody("")
	for _, who := range []*apptest.Client{s.As("mo"), s.Anybody()} {
		who.Get("/app/records/a").ExpectError(401, "InvalidAuthenticationInfo")
		who.Put("/app/records/a", "x").ExpectError(401, "InvalidAuthenticationInfo")
	}
}
