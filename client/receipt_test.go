package client

import (
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"testing"

	"synod"
	"synod/receipt"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVerifyReceipt(t *testing.T) {
	body := read(t, "receipt-2.40.json")
	id := synod.TxID{View: 2, SeqNo: 40}
	dial := func(cert string) *Client {
		c, err := Dial("https://127.0.0.1:1", WithServiceCertificate(read(t, cert)))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := dial("service-1_cert.pem")
	v, err := c.VerifyReceipt(id, body, receipt.Options{})
	if err != nil || v.Result.TxID != id || v.Result.IsSignature || string(v.JSON) != string(body) {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := c.VerifyReceipt(synod.TxID{View: 2, SeqNo: 41}, body, receipt.Options{}); !errors.Is(err, receipt.ErrTxIDMismatch) {
		t.Errorf("another transaction's receipt: %v", err)
	}
	if _, err := c.VerifyReceipt(id, body, receipt.Options{Claims: &[32]byte{1}}); !errors.Is(err, receipt.ErrClaimsMismatch) {
		t.Errorf("other claims: %v", err)
	}
	if _, err := dial("service-3_cert.pem").VerifyReceipt(id, body, receipt.Options{}); err == nil {
		t.Error("another service's receipt verifies")
	}
}

// The service answers 202 until it has the receipt; a receipt by a service
// that is not the one of the connection is refused.
func TestReceiptIsWaitedForAndVerified(t *testing.T) {
	svc := newService(t)
	var count atomic.Int32
	srv := svc.serve(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RequestURI() != "/app/receipt?transaction_id=2.40" {
			t.Errorf("asked for %s", r.URL.RequestURI())
		}
		if count.Add(1) < 3 {
			w.Header().Set("retry-after", "0")
			w.WriteHeader(202)
			return
		}
		w.Write(read(t, "receipt-2.40.json"))
	})
	id := synod.TxID{View: 2, SeqNo: 40}
	if _, err := svc.dial(srv.URL).Receipt(t.Context(), id, receipt.Options{}); !errors.Is(err, receipt.ErrWrongService) || count.Load() != 3 {
		t.Errorf("error is %v after %d requests", err, count.Load())
	}
	count.Store(-99)
	if _, err := svc.dial(srv.URL, WithRetries(1)).Receipt(t.Context(), id, receipt.Options{}); err == nil {
		t.Error("a 202 was taken for a receipt")
	}
}
