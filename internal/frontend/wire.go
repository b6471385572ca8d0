package frontend

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"synod"
	"synod/app"
	"synod/internal/machine"
)

// What goes between two nodes of one service when a request is forwarded:
// integers are big-endian, byte strings have their length in 4 bytes in front,
// fields are lists of name and value with their number in 4 bytes in front.
// docs/routing.md has the order. Every message has exactly one encoding.
const (
	wireVersion = 1
	// forwardedMax bounds both messages, in bytes: no transaction may be larger.
	forwardedMax = machine.EntryMax

	flagUnsecured = 1 // of a request: the interface has no TLS
	flagClose     = 1 // of an answer: the session ends
)

// forwardedRequest is a request on its way to the primary.
type forwardedRequest struct {
	iface     string // name, on the node that forwards
	unsecured bool
	sessionID uint64
	view      synod.View // of the session
	seen      synod.TxID // newest transaction that the session has seen
	timeout   time.Duration
	req       *app.Request
}

// forwardedAnswer is what the primary said.
type forwardedAnswer struct {
	ran  synod.View // the view in which it was executed, 0 if it was not
	seen synod.TxID // newest transaction that the session has now seen
	resp *app.Response
}

var errTooLarge = fmt.Errorf("The request has more than %d bytes, which is the most that can be forwarded.", forwardedMax) //nolint:staticcheck // shown to clients

func encodeRequest(r *forwardedRequest) ([]byte, error) {
	size := 64 + len(r.iface) + len(r.req.Method) + len(r.req.URL) + len(r.req.Body) + len(r.req.ClientCert) + fieldsSize(r.req.Header)
	if size > forwardedMax {
		return nil, errTooLarge
	}
	flags := byte(0)
	if r.unsecured {
		flags = flagUnsecured
	}
	b := append(make([]byte, 0, size), wireVersion, flags)
	for _, n := range []uint64{r.sessionID, uint64(r.view), uint64(r.seen.View), uint64(r.seen.SeqNo)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(min(max(r.timeout.Milliseconds(), 0), math.MaxUint32)))
	b = appendBytes(b, r.req.Body)
	b = appendBytes(b, r.req.ClientCert)
	b = appendBytes(b, r.iface)
	b = appendBytes(b, r.req.Method)
	b = appendBytes(b, r.req.URL)
	return appendFields(b, r.req.Header), nil
}

// parseRequest reads what encodeRequest made. The request keeps parts of b.
func parseRequest(b []byte) (*forwardedRequest, error) {
	d, flags, err := newDecoder(b)
	if err != nil {
		return nil, err
	}
	r := &forwardedRequest{unsecured: flags == flagUnsecured, req: &app.Request{}}
	if flags&^flagUnsecured != 0 {
		return nil, fmt.Errorf("the flags are %#x", flags)
	}
	r.sessionID = d.uint64()
	r.view = synod.View(d.uint64())
	r.seen = synod.TxID{View: synod.View(d.uint64()), SeqNo: synod.SeqNo(d.uint64())}
	r.timeout = time.Duration(d.uint32()) * time.Millisecond
	r.req.Body = d.bytes()
	r.req.ClientCert = d.bytes()
	text := d.text()
	r.iface = text.string()
	r.req.Method = text.string()
	r.req.URL = text.string()
	r.req.Header = text.fields()
	if err := text.end(); err != nil {
		return nil, err
	}
	r.req.Path, r.req.Query, _ = strings.Cut(r.req.URL, "?")
	return r, r.check()
}

// check refuses what no front end would have forwarded.
func (r *forwardedRequest) check() error {
	switch {
	case r.unsecured && r.req.ClientCert != nil:
		return errors.New("a client certificate on an interface without TLS")
	case !only(r.req.Method, func(c byte) bool { return 'A' <= c && c <= 'Z' || c == '-' }):
		return fmt.Errorf("the method is %q", r.req.Method)
	case r.req.URL == "" || r.req.URL[0] != '/' || !only(r.req.URL, func(c byte) bool { return c > ' ' && c != 0x7f && c != '#' }):
		return fmt.Errorf("the URL is %q", r.req.URL)
	}
	for _, f := range r.req.Header {
		if !only(f.Name, func(c byte) bool { return c > ' ' && c != 0x7f && c != ':' && (c < 'A' || c > 'Z') }) {
			return fmt.Errorf("a field is called %q", f.Name)
		}
		if strings.ContainsAny(f.Value, "\r\n\x00") {
			return fmt.Errorf("the field %s has a line break or a zero in it", f.Name)
		}
	}
	return nil
}

// only says whether s is made of the given bytes, and has one.
func only(s string, allowed func(byte) bool) bool {
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return s != ""
}

// encodeAnswer never fails: an answer that is too large, or whose status does
// not exist, becomes an error that names the transaction.
func encodeAnswer(a *forwardedAnswer) []byte {
	resp := a.resp
	if size := 64 + fieldsSize(resp.Header) + len(resp.Body); size > forwardedMax {
		id := resp.Header.Get(txHeader)
		resp = failure(synod.Errorf(500, synod.CodeInternalError,
			"The answer has %d bytes; at most %d can be forwarded. The request was executed.", size, forwardedMax))
		if id != "" {
			resp.Header.Set(txHeader, id)
		}
	}
	flags, status := byte(0), resp.Status
	if resp.Close {
		flags = flagClose
	}
	if status < 100 || status > 999 {
		status = 500
	}
	b := append(make([]byte, 0, 64+fieldsSize(resp.Header)+len(resp.Body)), wireVersion, flags)
	for _, n := range []uint64{uint64(a.ran), uint64(a.seen.View), uint64(a.seen.SeqNo)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(status))
	b = appendBytes(b, resp.Body)
	return appendFields(b, resp.Header)
}

// parseAnswer reads what encodeAnswer made. The answer keeps parts of b. What
// is in its fields is the handler's; whoever sends it on looks at that.
func parseAnswer(b []byte) (*forwardedAnswer, error) {
	d, flags, err := newDecoder(b)
	if err != nil {
		return nil, err
	}
	if flags&^flagClose != 0 {
		return nil, fmt.Errorf("the flags are %#x", flags)
	}
	a := &forwardedAnswer{resp: &app.Response{Close: flags == flagClose}}
	a.ran = synod.View(d.uint64())
	a.seen = synod.TxID{View: synod.View(d.uint64()), SeqNo: synod.SeqNo(d.uint64())}
	a.resp.Status = int(d.uint32())
	a.resp.Body = d.bytes()
	text := d.text()
	a.resp.Header = text.fields()
	if err := text.end(); err != nil {
		return nil, err
	}
	if a.resp.Status < 100 || a.resp.Status > 999 {
		return nil, fmt.Errorf("the status is %d", a.resp.Status)
	}
	return a, nil
}

func appendBytes[T []byte | string](b []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func appendFields(b []byte, fields app.Header) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(fields)))
	for _, f := range fields {
		b = appendBytes(appendBytes(b, f.Name), f.Value)
	}
	return b
}

func fieldsSize(fields app.Header) int {
	n := 0
	for _, f := range fields {
		n += 8 + len(f.Name) + len(f.Value)
	}
	return n
}
