package transfers_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"example.com/bank/transfers"
	"synod"
	"synod/app"
	"synod/app/apptest"
)

type body = map[string]any

// start makes a service with two banks that have an account each, and 100
// cents in the first.
func start(t *testing.T) *apptest.Service {
	t.Helper()
	svc := apptest.New(t, transfers.New(),
		apptest.WithUser("central", body{"role": "central"}),
		apptest.WithUser("north", nil),
		apptest.WithUser("south", nil))
	svc.As("north").Put("/accounts/n1", nil).Expect(204)
	svc.As("south").Put("/accounts/s1", nil).Expect(204)
	svc.As("central").Post("/deposits", body{"account": "n1", "amount": 100}).Expect(200)
	return svc
}

func TestTransfer(t *testing.T) {
	svc := start(t)
	order := body{"amount": 30, "from": "n1", "to": "s1"}
	done := svc.As("north").Post("/transfers", order).Expect(200).ExpectBody(`{"number":1}`)

	if svc.As("south").Get("/accounts/s1").Body() != `{"bank":"`+svc.ID("south")+`","balance":30}` {
		t.Error("the money did not arrive")
	}
	proved := done.Receipt() // verified with the service's certificate alone
	if proved.ClaimsDigest != sha256.Sum256([]byte(`{"amount":30,"from":"n1","to":"s1"}`)) {
		t.Error("the receipt does not prove the transfer")
	}
	svc.Anybody().Get("/transfers").Expect(200).ExpectBody(`{"partners":1,"total":30}`)
	svc.Anybody().Get("/transfers?after=1").Expect(200).ExpectBody(`{"partners":1,"total":0}`)
}

func TestRefusals(t *testing.T) {
	svc := start(t)
	north, south := svc.As("north"), svc.As("south")
	north.Post("/transfers", body{"amount": 101, "from": "n1", "to": "s1"}).ExpectError(409, "InsufficientFunds")
	north.Post("/transfers", body{"amount": 1, "from": "n1", "to": "x"}).ExpectError(404, "ResourceNotFound")
	north.Post("/transfers", body{"amount": 0, "from": "n1", "to": "s1"}).ExpectError(400, "InvalidInput")
	north.Post("/transfers", body{"amount": 1, "from": "n1"}).ExpectError(400, "InvalidInput")
	south.Post("/transfers", body{"amount": 1, "from": "n1", "to": "s1"}).ExpectError(404, "ResourceNotFound")
	south.Get("/accounts/n1").ExpectError(404, "ResourceNotFound")
	south.Post("/deposits", body{"account": "s1", "amount": 1}).ExpectError(403, "AuthorizationFailed")
	south.Put("/accounts/n1", nil).ExpectError(409, "AccountExists")
	svc.Anybody().Get("/accounts/n1").ExpectError(401, "InvalidAuthenticationInfo")
	north.Get("/accounts/n1").ExpectBody(`{"bank":"` + svc.ID("north") + `","balance":100}`)
}

// Two transfers at once must not spend the same money: the second to be
// ordered runs again and sees what the first has left.
func TestDoubleSpending(t *testing.T) {
	svc := start(t)
	accounts := app.MapOf[string, map[string]any]("accounts")
	svc.Interrupt(1, func(tx app.Tx) {
		n1, _, err := accounts.Get(tx, "n1")
		if err != nil {
			t.Error(err)
			return
		}
		n1["balance"] = 10
		if err := accounts.Put(tx, "n1", n1); err != nil {
			t.Error(err)
		}
	})
	svc.As("north").Post("/transfers", body{"amount": 30, "from": "n1", "to": "s1"}).ExpectError(409, "InsufficientFunds")
}

func TestPast(t *testing.T) {
	svc := start(t)
	north := svc.As("north")
	first := north.Post("/transfers", body{"amount": 30, "from": "n1", "to": "s1"}).TxID()
	second := north.Post("/transfers", body{"amount": 5, "from": "n1", "to": "s1"}).Committed().TxID()
	get := func(c *apptest.Client, path string) *apptest.Answer {
		answer := c.Get(path)
		for answer.Status() == 202 {
			answer = c.Get(path)
		}
		return answer
	}
	balance := func(id synod.TxID) string { return fmt.Sprintf("/accounts/n1/before?seqno=%d", id.SeqNo) }
	get(north, balance(first)).ExpectBody(`{"bank":"` + svc.ID("north") + `","balance":70}`)
	get(north, balance(second)).ExpectBody(`{"bank":"` + svc.ID("north") + `","balance":65}`)
	get(svc.As("south"), balance(first)).ExpectError(404, "ResourceNotFound")
	get(svc.As("south"), "/accounts/s1/transfers").ExpectBody(`[{"amount":30,"from":"n1","to":"s1"},{"amount":5,"from":"n1","to":"s1"}]`)
	get(svc.As("south"), "/accounts/n1/transfers").ExpectError(404, "ResourceNotFound")
	proof := get(svc.Anybody().With("x-ms-ccf-transaction-id", first.String()), "/transfers/receipt").Expect(200)
	if proof.Body() != string(svc.Proof(first).Receipt) {
		t.Error(proof.Body())
	}
	events := svc.Anybody().Get("/transfers/changes?since=start").Expect(200).Events(2)
	if events[0] != (apptest.Event{ID: first.String(), Data: `{"transfers":1}`}) || events[1].Data != `{"transfers":2}` {
		t.Error(events)
	}
}
