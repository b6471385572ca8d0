package logapp_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"synod"
	"synod/app/apptest"
	"synod/receipt"
)

// TestHistorical is the rows /log/private/historical and those with receipts.
func TestHistorical(t *testing.T) {
	svc := start(t)
	alice := svc.As("alice")
	first := alice.Post("/log/private", body{"id": 1, "msg": "one"}).TxID()
	public := alice.Post("/log/public", body{"id": 1, "msg": "seen", "record_claim": true}).TxID()
	second := alice.Post("/log/private", body{"id": 1, "msg": "two"}).TxID()
	deleted := alice.Delete("/log/private?id=1").Committed().TxID()
	at := func(id synod.TxID) *apptest.Client { return alice.With("x-ms-ccf-transaction-id", id.String()) }

	at(first).Get("/log/private/historical?id=1").Expect(200).ExpectBody(`{"msg":"one"}`)
	at(second).Get("/log/private/historical?id=1").Expect(200).ExpectBody(`{"msg":"two"}`)
	at(second).Get("/log/private/historical?id=2").Expect(204)
	at(deleted).Get("/log/private/historical?id=1").Expect(204)
	at(first).Get("/log/private/historical?id=1&scope=x").Expect(204)
	at(first).Get("/log/private/historical").ExpectError(400, "InvalidQueryParameterValue")
	alice.Get("/log/private/historical?id=1").ExpectError(404, "TransactionInvalid")
	alice.With("x-ms-ccf-transaction-id", "2.x").Get("/log/private/historical?id=1").ExpectError(404, "TransactionInvalid")
	alice.With("x-ms-ccf-transaction-id", "2.9999").Get("/log/private/historical?id=1").
		ExpectError(404, "TransactionPendingOrUnknown").ExpectHeader("cache-control", "no-cache")
	svc.Anybody().Get("/log/private/historical?id=1").ExpectError(401, "InvalidAuthenticationInfo")

	for path, id := range map[string]synod.TxID{"/log/private/historical_receipt": first, "/log/public/historical_receipt": public} {
		var got struct {
			Msg     string          `json:"msg"`
			Receipt json.RawMessage `json:"receipt"`
		}
		at(id).Get(path + "?id=1").Expect(200).JSON(&got)
		r, err := receipt.Parse(got.Receipt)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(path, "public") {
			if !r.LeafComponents.WithoutClaims {
				t.Error("the claims digest is in the receipt of a public record")
			}
			r.LeafComponents.ClaimsDigest, r.LeafComponents.WithoutClaims = sha256.Sum256([]byte(got.Msg)), false
		}
		if _, err := r.Verify(receipt.Options{ServiceCert: []byte(svc.Certificate()), TxID: id}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		at(deleted).Get(path + "?id=1").Expect(204)
	}
	alice.Get(fmt.Sprintf("/log/private/historical/handle?handle=7&seqno=%d", first.SeqNo)).Expect(200).
		ExpectBody(string(svc.Proof(first).Receipt))
	alice.Get("/log/private/historical/handle?handle=7&seqno=9999").ExpectError(400, "InvalidHeaderValue")
	alice.Get("/log/private/historical/handle?handle=7").ExpectError(400, "InvalidQueryParameterValue")
}

type ranged struct {
	NextLink string `json:"@nextLink"`
	Entries  []struct {
		SeqNo synod.SeqNo `json:"seqno"`
		ID    uint64      `json:"id"`
		Msg   string      `json:"msg"`
	} `json:"entries"`
}

// TestHistoricalRange is the rows /log/public/historical/range and
// /log/private/historical/sparse.
func TestHistoricalRange(t *testing.T) {
	svc := start(t)
	alice := svc.As("alice")
	var seqnos []synod.SeqNo
	var last synod.TxID
	for i := range 6 {
		alice.Post("/log/public", body{"id": i % 2, "msg": fmt.Sprint("public ", i)}).Expect(200)
		last = alice.Post("/log/private", body{"id": i % 2, "msg": fmt.Sprint("private ", i)}).TxID()
		seqnos = append(seqnos, last.SeqNo)
	}
	alice.Delete("/log/public?id=1").Committed()
	all := func(path string) (got []string) {
		for path != "" {
			var page ranged
			answer := alice.Get(path)
			for answer.Status() == 202 { // the commit has just moved
				answer = alice.Get(path)
			}
			answer.Expect(200).JSON(&page)
			for _, e := range page.Entries {
				got = append(got, fmt.Sprintf("%d %s", e.ID, e.Msg))
			}
			path = strings.TrimPrefix(page.NextLink, "/app")
		}
		return got
	}
	for path, want := range map[string]string{
		"/log/public/historical/range?id=0":                                                                 "[0 public 0 0 public 2 0 public 4]",
		"/log/public/historical/range?id=1":                                                                 "[1 public 1 1 public 3 1 public 5]",
		"/log/public/historical/range?id=9":                                                                 "[]",
		fmt.Sprintf("/log/public/historical/range?id=0&from_seqno=%d", seqnos[0]):                           "[0 public 2 0 public 4]",
		fmt.Sprintf("/log/public/historical/range?id=0&to_seqno=%d", seqnos[2]):                             "[0 public 0 0 public 2]",
		fmt.Sprintf("/log/private/historical/sparse?id=0&seqnos=%d,%d,%d", seqnos[4], seqnos[0], seqnos[1]): "[0 private 0 0 private 4]",
	} {
		if got := fmt.Sprint(all(path)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	for path, code := range map[string]string{
		"/log/public/historical/range":                              "InvalidQueryParameterValue",
		"/log/public/historical/range?id=0&from_seqno=9&to_seqno=8": "InvalidInput",
		"/log/public/historical/range?id=0&to_seqno=9999":           "InvalidInput",
		"/log/private/historical/sparse?id=0":                       "InvalidQueryParameterValue",
		"/log/private/historical/sparse?id=0&seqnos=":               "InvalidQueryParameterValue",
		"/log/private/historical/sparse?id=0&seqnos=1,x":            "InvalidQueryParameterValue",
		"/log/private/historical/sparse?id=0&seqnos=1,9999":         "InvalidInput",
		"/log/private/historical/sparse?seqnos=1":                   "InvalidQueryParameterValue",
	} {
		alice.Get(path).ExpectError(400, code)
	}
}
