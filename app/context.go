package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"

	"synod"
)

// Context is one attempt to answer one request: the request, who made it, the
// transaction and the answer being built. It belongs to the goroutine that
// runs the handler and is not used after the handler returned.
type Context struct {
	// Request is the request; Caller is nil for an endpoint without policies.
	Request *Request
	Caller  *Caller
	// Endpoint is the endpoint being run, Prefix the front end's ("/app").
	Endpoint *Endpoint
	Prefix   string

	ctx         context.Context
	tx          Tx
	params      []Param
	resp        Response
	node        Node
	claims      [32]byte
	applyWrites *bool
	ordered     func(synod.TxID) error
}

// NewContext is for front ends and tests.
func NewContext(ctx context.Context, req *Request, tx Tx, e *Endpoint, params []Param) *Context {
	return &Context{Request: req, Endpoint: e, ctx: ctx, tx: tx, params: params}
}

// Context carries the request's deadline and cancellation.
func (c *Context) Context() context.Context { return c.ctx }

// Tx is the transaction, or nil for a command.
func (c *Context) Tx() Tx { return c.tx }

// Params are the values of the path template, undecoded, in order.
func (c *Context) Params() []Param { return c.params }

// Path returns a value of the path template, percent-decoded, or "".
func (c *Context) Path(name string) string {
	raw := c.RawPath(name)
	if s, err := url.PathUnescape(raw); err == nil {
		return s
	}
	return raw
}

// RawPath returns a value of the path template as received, or "".
func (c *Context) RawPath(name string) string {
	for _, p := range c.params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Query returns the first value of a query parameter and whether it is there.
func (c *Context) Query(name string) (string, bool) { return c.Request.QueryValue(name) }

// Decode reads the body as JSON into v. An empty body means {}. Data after
// the value is refused; unknown fields are ignored, as CCF does. The error is
// 400 InvalidInput.
func (c *Context) Decode(v any) error {
	body := c.Request.Body
	if len(body) == 0 {
		body = []byte("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(v); err != nil {
		return synod.Errorf(400, synod.CodeInvalidInput, "The request body is not the JSON that this endpoint takes: %s", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return synod.Errorf(400, synod.CodeInvalidInput, "The request body has data after its JSON value.")
	}
	return nil
}

// Status sets the HTTP status; the default is 200, or 204 without a body.
func (c *Context) Status(code int) { c.resp.Status = code }

// SetHeader sets a response header.
func (c *Context) SetHeader(name, value string) { c.resp.Header.Set(name, value) }

// Bytes answers with a body of the given content type.
func (c *Context) Bytes(contentType string, body []byte) {
	c.resp.Header.Set("content-type", contentType)
	c.resp.Body = body
}

// Text answers with text/plain.
func (c *Context) Text(s string) { c.Bytes("text/plain", []byte(s)) }

// JSON answers with v as compact JSON. Objects should be maps, or structs
// with their fields in alphabetical order: CCF's clients compare text. A
// client that accepts no JSON makes it 406 UnsupportedContentType, a header
// that cannot be read 400 InvalidHeaderValue.
func (c *Context) JSON(v any) error {
	if accept := c.Request.Header.Get("accept"); accept != "" {
		if err := takesJSON(accept); err != nil {
			return err
		}
	}
	b, err := MarshalJSON(v)
	if err != nil {
		return err
	}
	c.Bytes("application/json", b)
	return nil
}

// MarshalJSON encodes v as CCF prints JSON: compact, without HTML escapes.
func MarshalJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Claim attaches a digest to the transaction; receipts prove it.
func (c *Context) Claim(digest [32]byte) { c.claims = digest }

// Claims returns the digest that Claim was given, or zeros.
func (c *Context) Claims() [32]byte { return c.claims }

// SetApplyWrites decides whether the writes are kept, whatever the status.
func (c *Context) SetApplyWrites(apply bool) { c.applyWrites = &apply }

// AppliesWrites says whether the writes are kept: as SetApplyWrites decided,
// otherwise for 2xx.
func (c *Context) AppliesWrites() bool {
	if c.applyWrites != nil {
		return *c.applyWrites
	}
	return c.resp.Status == 0 || c.resp.Status >= 200 && c.resp.Status < 300
}

// ForcedWrites is what SetApplyWrites was given, nil if it was not called.
func (c *Context) ForcedWrites() *bool { return c.applyWrites }

// OnOrdered has f run once the transaction is ordered and has its ID, before
// the answer leaves: f may put the ID into it. It runs only if the handler's
// writes are kept. Ordered is not committed, and what f says cannot take the
// writes back: its error becomes 500 InternalError with the transaction's ID
// (CCF: include/ccf/endpoint_registry.h, locally committed functions).
func (c *Context) OnOrdered(f func(id synod.TxID) error) { c.ordered = f }

// Ordered is for front ends: it completes the answer of a transaction that
// has its ID.
func (c *Context) Ordered(id synod.TxID) {
	const header = "x-ms-ccf-transaction-id"
	if c.ordered != nil {
		if err := c.ordered(id); err != nil {
			c.resp = Response{}
			c.Fail(synod.Errorf(500, synod.CodeInternalError, "Failed to execute local commit handler func: %s", err))
		}
	}
	c.SetHeader(header, id.String())
}

// Response is the answer being built; front ends read it after the handler.
func (c *Context) Response() *Response { return &c.resp }

// Fail makes the answer that of an error: status and body are dropped, header
// fields that were set stay.
func (c *Context) Fail(e *synod.Error) {
	body, err := e.MarshalJSON()
	if err != nil {
		panic(err) // strings only: cannot fail
	}
	keep := c.resp.Header
	c.resp = Response{Status: e.Status, Header: keep, Body: body}
	c.resp.Header.Set("content-type", "application/json")
}
