package frontend

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"synod"
	"synod/app"
)

func aRequest() *forwardedRequest {
	return &forwardedRequest{
		iface: "main", sessionID: 1 << 40, view: 5, seen: synod.TxID{View: 4, SeqNo: 99}, timeout: 3 * time.Second,
		req: &app.Request{
			Method: "POST", URL: "/app/x?y=\xff", Path: "/app/x", Query: "y=\xff", Body: []byte{0, 1, 2}, ClientCert: []byte{0x30},
			Header: app.Header{{Name: "content-type", Value: "text/plain"}, {Name: "x-empty", Value: ""}},
		},
	}
}

func anAnswer() *forwardedAnswer {
	return &forwardedAnswer{ran: 7, seen: synod.TxID{View: 8, SeqNo: 9}, resp: &app.Response{
		Status: 201, Body: []byte("ok"), Close: true, Header: app.Header{{Name: "a", Value: "b"}},
	}}
}

func encoded(t testing.TB, r *forwardedRequest) []byte {
	t.Helper()
	b, err := encodeRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWireRoundTrip(t *testing.T) {
	small := &forwardedRequest{unsecured: true, req: &app.Request{Method: "M-SEARCH", URL: "/", Path: "/"}}
	for _, want := range []*forwardedRequest{aRequest(), small} {
		got, err := parseRequest(encoded(t, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	for _, want := range []*forwardedAnswer{anAnswer(), {resp: &app.Response{Status: 204}}} {
		got, err := parseAnswer(encodeAnswer(want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if a, err := parseAnswer(encodeAnswer(&forwardedAnswer{resp: &app.Response{Status: -1}})); err != nil || a.resp.Status != 500 {
		t.Errorf("a status that does not exist: %+v, %v", a, err)
	}
}

// TestWireLayout fixes the bytes: nodes of two releases read each other.
func TestWireLayout(t *testing.T) {
	r := &forwardedRequest{
		iface: "i", unsecured: true, sessionID: 1, view: 2, seen: synod.TxID{View: 3, SeqNo: 4}, timeout: 5 * time.Millisecond,
		req: &app.Request{Method: "GET", URL: "/u", Body: []byte("b"), Header: app.Header{{Name: "n", Value: "v"}}},
	}
	want := "\x01\x01" + "\x00\x00\x00\x00\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x02" +
		"\x00\x00\x00\x00\x00\x00\x00\x03" + "\x00\x00\x00\x00\x00\x00\x00\x04" + "\x00\x00\x00\x05" +
		"\x00\x00\x00\x01b" + "\x00\x00\x00\x00" + "\x00\x00\x00\x01i" + "\x00\x00\x00\x03GET" + "\x00\x00\x00\x02/u" +
		"\x00\x00\x00\x01" + "\x00\x00\x00\x01n" + "\x00\x00\x00\x01v"
	if got := encoded(t, r); string(got) != want {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	want = "\x01\x01" + "\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00\x00\x00\x00\x00\x00\x00\x08" + "\x00\x00\x00\x00\x00\x00\x00\x09" +
		"\x00\x00\x00\xc9" + "\x00\x00\x00\x02ok" + "\x00\x00\x00\x01" + "\x00\x00\x00\x01a" + "\x00\x00\x00\x01b"
	if got := encodeAnswer(anAnswer()); string(got) != want {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestWireRefuses(t *testing.T) {
	for name, change := range map[string]func(*forwardedRequest){
		"no method":            func(r *forwardedRequest) { r.req.Method = "" },
		"lower-case method":    func(r *forwardedRequest) { r.req.Method = "get" },
		"no URL":               func(r *forwardedRequest) { r.req.URL = "" },
		"relative URL":         func(r *forwardedRequest) { r.req.URL = "x" },
		"space in URL":         func(r *forwardedRequest) { r.req.URL = "/a b" },
		"fragment":             func(r *forwardedRequest) { r.req.URL = "/a#b" },
		"line break in URL":    func(r *forwardedRequest) { r.req.URL = "/a\n" },
		"field without a name": func(r *forwardedRequest) { r.req.Header[0].Name = "" },
		"upper-case field":     func(r *forwardedRequest) { r.req.Header[0].Name = "Accept" },
		"colon in a field":     func(r *forwardedRequest) { r.req.Header[0].Name = "a:b" },
		"line break in a field": func(r *forwardedRequest) {
			r.req.Header[1].Value = "a\r\nb: c"
		},
		"certificate without TLS": func(r *forwardedRequest) { r.unsecured = true },
	} {
		r := aRequest()
		change(r)
		if _, err := parseRequest(encoded(t, r)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	request, answer := encoded(t, aRequest()), encodeAnswer(anAnswer())
	for i := range request {
		if _, err := parseRequest(request[:i]); err == nil {
			t.Errorf("a request cut at %d is accepted", i)
		}
	}
	for i := range answer {
		if _, err := parseAnswer(answer[:i]); err == nil {
			t.Errorf("an answer cut at %d is accepted", i)
		}
	}
	at := func(b []byte, i int, c byte) []byte {
		b = bytes.Clone(b)
		b[i] = c
		return b
	}
	for name, b := range map[string][]byte{
		"another version": at(request, 0, 2), "unknown flags": at(request, 1, 2), "more": append(bytes.Clone(request), 0),
		"too long": make([]byte, forwardedMax+1), "many fields": at(request, len(request)-49, 0xff),
	} {
		if _, err := parseRequest(b); err == nil {
			t.Errorf("request: %s is accepted", name)
		}
	}
	for name, b := range map[string][]byte{
		"another version": at(answer, 0, 2), "unknown flags": at(answer, 1, 2), "more": append(bytes.Clone(answer), 0),
		"status 0": at(answer, 29, 0), "huge status": at(answer, 26, 1),
	} {
		if _, err := parseAnswer(b); err == nil {
			t.Errorf("answer: %s is accepted", name)
		}
	}
}

// FuzzForwardedRequest: what is read is written as it was.
func FuzzForwardedRequest(f *testing.F) {
	f.Add(encoded(f, aRequest()))
	f.Add(encoded(f, &forwardedRequest{unsecured: true, req: &app.Request{Method: "GET", URL: "/"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			return
		}
		if again := encoded(t, r); !bytes.Equal(again, b) {
			t.Errorf("read  %x\nwrote %x", b, again)
		}
	})
}

// FuzzForwardedAnswer likewise.
func FuzzForwardedAnswer(f *testing.F) {
	f.Add(encodeAnswer(anAnswer()))
	f.Add(encodeAnswer(&forwardedAnswer{resp: &app.Response{Status: 204}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnswer(b)
		if err != nil {
			return
		}
		if again := encodeAnswer(a); !bytes.Equal(again, b) {
			t.Errorf("read  %x\nwrote %x", b, again)
		}
	})
}
