package apptest_test

import (
	"testing"

	"synod"
	"synod/app"
	"synod/app/apptest"
)

// notes is the application of the examples: everybody keeps one note.
func notes() *app.App {
	type note struct {
		Text string `json:"text"`
	}
	kept := app.MapOf[string, note]("notes")
	a := app.New("notes")
	app.Typed(a, "PUT", "/note", func(c *app.Context, in note) (app.None, error) {
		return app.None{}, kept.Put(c.Tx(), c.Caller.ID, in)
	}, app.UserCert)
	app.Typed(a, "GET", "/note", func(c *app.Context, _ app.None) (note, error) {
		n, ok, err := kept.Get(c.Tx(), c.Caller.ID)
		if err == nil && !ok {
			err = synod.Errorf(404, synod.CodeResourceNotFound, "You have no note.")
		}
		return n, err
	}, app.UserCert).ReadOnly()
	return a
}

func Example() {
	_ = func(t *testing.T) { // a test
		svc := apptest.New(t, notes(), apptest.WithUser("alice", nil), apptest.WithUser("bob", nil))
		svc.As("alice").Put("/note", map[string]string{"text": "hello"}).Expect(204).Committed()
		svc.As("alice").Get("/note").Expect(200).ExpectBody(`{"text":"hello"}`)
		svc.As("bob").Get("/note").ExpectError(404, "ResourceNotFound")
		svc.Anybody().Get("/note").ExpectError(401, "InvalidAuthenticationInfo")
	}
	// Output:
}

func ExampleAnswer_Receipt() {
	_ = func(t *testing.T) { // a test
		svc := apptest.New(t, notes(), apptest.WithUser("alice", nil))
		proved := svc.As("alice").Put("/note", map[string]string{"text": "hello"}).Receipt()
		if proved.ClaimsDigest != [32]byte{} {
			t.Error("a claim that nobody made")
		}
	}
	// Output:
}

func ExampleService_Interrupt() {
	_ = func(t *testing.T) { // a test
		svc := apptest.New(t, notes(), apptest.WithUser("alice", nil))
		svc.Interrupt(1, func(tx app.Tx) { tx.Put("notes", []byte(svc.ID("alice")), []byte(`{"text":"first"}`)) })
		svc.As("alice").Put("/note", map[string]string{"text": "second"}).Expect(204)
		svc.As("alice").Get("/note").ExpectBody(`{"text":"second"}`)
	}
	// Output:
}
