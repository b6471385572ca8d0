package apptest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"synod"
	"synod/app"
	"synod/receipt"
)

// Answer is the answer to one request.
type Answer struct {
	s    *Service
	what string // the request
	resp *app.Response
}

// Status is the HTTP status.
func (a *Answer) Status() int { return a.resp.Status }

// Body is the body as text.
func (a *Answer) Body() string { return string(a.resp.Body) }

// Header is a header field, "" if it is absent; the name in lower case.
func (a *Answer) Header(name string) string { return a.resp.Header.Get(name) }

// Expect ends the test unless the status is want.
func (a *Answer) Expect(want int) *Answer {
	a.s.t.Helper()
	if a.resp.Status != want {
		a.s.t.Fatalf("%s: status %d, want %d: %s", a.what, a.resp.Status, want, a.resp.Body)
	}
	return a
}

// ExpectBody ends the test unless the body is want.
func (a *Answer) ExpectBody(want string) *Answer {
	a.s.t.Helper()
	if a.Body() != want {
		a.s.t.Fatalf("%s: status %d, body %s, want %s", a.what, a.resp.Status, a.resp.Body, want)
	}
	return a
}

// ExpectHeader ends the test unless the header field is want; "" is absent.
func (a *Answer) ExpectHeader(name, want string) *Answer {
	a.s.t.Helper()
	if got := a.Header(name); got != want {
		a.s.t.Fatalf("%s: header %s is %q, want %q", a.what, name, got, want)
	}
	return a
}

// ExpectError ends the test unless the answer is an error of that status and
// code.
func (a *Answer) ExpectError(status int, code string) *Answer {
	a.s.t.Helper()
	if got := a.Expect(status).Error(); got.Code != code {
		a.s.t.Fatalf("%s: code %s, want %s: %s", a.what, got.Code, code, a.resp.Body)
	}
	return a
}

// Error is the body as an error. It ends the test if it is none.
func (a *Answer) Error() *synod.Error {
	a.s.t.Helper()
	var body struct {
		Error struct {
			Code    string              `json:"code"`
			Message string              `json:"message"`
			Details []synod.ErrorDetail `json:"details"`
		} `json:"error"`
	}
	if err := json.Unmarshal(a.resp.Body, &body); err != nil || body.Error.Code == "" {
		a.s.t.Fatalf("%s: status %d and no error: %s", a.what, a.resp.Status, a.resp.Body)
	}
	return &synod.Error{Status: a.resp.Status, Code: body.Error.Code, Message: body.Error.Message, Details: body.Error.Details}
}

// JSON reads the body into v.
func (a *Answer) JSON(v any) *Answer {
	a.s.t.Helper()
	if err := json.Unmarshal(a.resp.Body, v); err != nil {
		a.s.t.Fatalf("%s: status %d, body is no JSON of %T: %s: %s", a.what, a.resp.Status, v, err, a.resp.Body)
	}
	return a
}

// TxID is the transaction of the request. It ends the test if there is none.
func (a *Answer) TxID() synod.TxID {
	a.s.t.Helper()
	id, err := synod.ParseTxID(a.Header("x-ms-ccf-transaction-id"))
	if err != nil {
		a.s.t.Fatalf("%s: status %d without a transaction ID: %s", a.what, a.resp.Status, a.resp.Body)
	}
	return id
}

// Committed waits until the request's transaction is committed.
func (a *Answer) Committed() *Answer {
	a.s.t.Helper()
	a.s.wait(a.TxID())
	return a
}

// Receipt waits until the request's transaction is committed, verifies both
// forms of its receipt with the service's certificate alone, and returns what
// they prove: the claims digest, for one.
func (a *Answer) Receipt() receipt.Result {
	a.s.t.Helper()
	return a.s.Verify(a.TxID())
}

// Verify is Answer.Receipt for any transaction but a signature.
func (s *Service) Verify(id synod.TxID) receipt.Result {
	s.t.Helper()
	proof := s.Proof(id)
	expect := receipt.Options{ServiceCert: []byte(s.cert), TxID: id}
	r, err := receipt.Parse(proof.Receipt)
	if err != nil {
		s.t.Fatalf("apptest: receipt of %s: %s", id, err)
	}
	result, err := r.Verify(expect)
	if err != nil {
		s.t.Fatalf("apptest: receipt of %s: %s", id, err)
	}
	signed, err := receipt.ParseCOSE(proof.COSEReceipt)
	if err != nil {
		s.t.Fatalf("apptest: COSE receipt of %s: %s", id, err)
	}
	expect.Claims = &result.ClaimsDigest
	if _, err := signed.Verify(expect); err != nil {
		s.t.Fatalf("apptest: COSE receipt of %s: %s", id, err)
	}
	return result
}

// Event is one event of a feed.
type Event struct{ ID, Data string }

// Events reads n events from the answer of a feed (app.ChangeFeed), waiting for
// them, and then leaves it.
func (a *Answer) Events(n int) []Event {
	a.s.t.Helper()
	if a.resp.Stream == nil {
		a.s.t.Fatalf("%s: the answer is no feed: %d %s", a.what, a.resp.Status, a.resp.Body)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitMax)
	defer cancel()
	enough := errors.New("enough")
	var events []Event
	var now Event
	err := a.resp.Stream(ctx, func(b []byte) error {
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch {
			case name == "id":
				now.ID = value
			case name == "data":
				now.Data = value
			case line == "\n" && now.Data != "":
				events = append(events, now)
				now = Event{}
			}
		}
		if len(events) >= n {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		a.s.t.Fatalf("%s: %d of %d events: %v", a.what, len(events), n, err)
	}
	return events[:n]
}
