package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"synod"
)

// The headers with a meaning of their own.
const (
	headerTxID    = "x-ms-ccf-transaction-id"
	headerWait    = "x-synod-wait"
	headerStatus  = "x-synod-status"
	headerReceipt = "x-synod-receipt"
)

// Wait says how long the service holds an answer back.
type Wait string

// What to wait for.
const (
	WaitNone      Wait = ""          // answer once the transaction is ordered
	WaitCommitted Wait = "committed" // answer once it is committed, at most 10 s
	WaitReceipt   Wait = "receipt"   // the same, with the receipt in the answer
)

// Request is one request.
type Request struct {
	Method string // default GET
	Path   string // with query, such as /app/log/public?id=1
	Header http.Header
	Body   []byte
	Wait   Wait
}

// Response is what the service answered.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	// TxID is the transaction that the answer shows; zero if it shows none.
	TxID synod.TxID
	// TxStatus is what the service said became of TxID when it was asked to
	// wait, or "".
	TxStatus synod.TxStatus
	// Receipt is the receipt's JSON when it was asked for, or nil.
	Receipt []byte
}

// ErrTooManyRedirects says that a request was redirected too often.
var ErrTooManyRedirects = errors.New("too many redirects")

// ErrTooLarge says that a response body is over DefaultBodyMax.
var ErrTooLarge = errors.New("response body too large")

// Do sends a request and returns the answer. An answer of 400 or more is also
// an error, a *synod.Error with the status, code and message that the service
// gave. Do follows 307 and 308 with method and body as they were, at most ten
// times, and sends a request again, a bounded number of times, when the
// service answered 503 with retry-after: it says so only when it did nothing.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	for attempt := 0; ; attempt++ {
		resp, err := c.follow(ctx, r)
		if err != nil {
			return nil, err
		}
		pause, again := c.retryAfter(resp)
		if !again || attempt >= c.retriesMax {
			return resp, errorOf(resp)
		}
		if err := sleep(ctx, pause); err != nil {
			return resp, fmt.Errorf("%w (while waiting to retry after: %w)", err, errorOf(resp))
		}
	}
}

// retryAfter says whether to send a request again, and when: 503 means that
// nothing was done; 202 is the answer to a query that is not ready yet.
func (c *Client) retryAfter(resp *Response) (time.Duration, bool) {
	after := resp.Header.Get("retry-after")
	if after == "" || resp.Status != http.StatusServiceUnavailable && resp.Status != http.StatusAccepted {
		return 0, false
	}
	seconds, err := strconv.Atoi(after)
	if err != nil || seconds < 0 {
		return 0, false
	}
	// Compared in seconds first: the product of a large number would overflow.
	if seconds > int(c.retryAfterMax/time.Second) {
		return c.retryAfterMax, true
	}
	return time.Duration(seconds) * time.Second, true
}

// follow sends a request and follows redirects.
func (c *Client) follow(ctx context.Context, r Request) (*Response, error) {
	target, err := c.base.Parse(r.Path)
	if err != nil {
		return nil, fmt.Errorf("request path %q: %w", r.Path, err)
	}
	if target.Host != c.base.Host || target.Scheme != c.base.Scheme {
		return nil, fmt.Errorf("request path %q: names another host", r.Path)
	}
	for range redirectsMax + 1 {
		resp, err := c.once(ctx, r, target.String())
		if err != nil {
			return nil, err
		}
		location := resp.Header.Get("location")
		if location == "" || resp.Status != http.StatusTemporaryRedirect && resp.Status != http.StatusPermanentRedirect {
			return resp, nil
		}
		// Another node of the service: it must show a certificate that the
		// same service signed, like the first one.
		if target, err = target.Parse(location); err != nil {
			return nil, fmt.Errorf("redirect to %q: %w", location, err)
		}
		if target.Scheme != "https" {
			return nil, fmt.Errorf("redirect to %q: %w", location, ErrNotSecure)
		}
	}
	return nil, ErrTooManyRedirects
}

func (c *Client) once(ctx context.Context, r Request, target string) (*Response, error) {
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	if r.Wait != WaitNone {
		req.Header.Set(headerWait, string(r.Wait))
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, DefaultBodyMax+1))
	if err != nil {
		return nil, fmt.Errorf("read response: %w", err)
	}
	if len(body) > DefaultBodyMax {
		return nil, ErrTooLarge
	}
	resp := &Response{
		Status: answer.StatusCode, Header: answer.Header, Body: body,
		TxStatus: synod.TxStatus(answer.Header.Get(headerStatus)),
	}
	if text := answer.Header.Get(headerTxID); text != "" {
		if resp.TxID, err = synod.ParseTxID(text); err != nil {
			return nil, fmt.Errorf("read response: %w", err)
		}
	}
	if text := answer.Header.Get(headerReceipt); text != "" {
		resp.Receipt = []byte(text)
	}
	return resp, nil
}

// errorOf is the *synod.Error in an answer of 400 or more, or nil.
func errorOf(resp *Response) error {
	if resp.Status < 400 {
		return nil
	}
	var body struct {
		Error struct {
			Code    string              `json:"code"`
			Message string              `json:"message"`
			Details []synod.ErrorDetail `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal(resp.Body, &body) == nil && body.Error.Code != "" {
		return &synod.Error{Status: resp.Status, Code: body.Error.Code, Message: body.Error.Message, Details: body.Error.Details}
	}
	const shownMax = 200 // bytes of a body that is not an error in our form
	text := string(bytes.ToValidUTF8(resp.Body[:min(len(resp.Body), shownMax)], nil))
	if text == "" {
		text = http.StatusText(resp.Status)
	}
	return &synod.Error{Status: resp.Status, Code: "HTTP " + strconv.Itoa(resp.Status), Message: text}
}

// Get fetches path and decodes the JSON of a 2xx answer into out; a nil out
// leaves it.
func (c *Client) Get(ctx context.Context, path string, out any) (*Response, error) {
	resp, err := c.Do(ctx, Request{Path: path})
	if err != nil {
		return resp, err
	}
	return resp, decode(resp, out)
}

// Post sends in as JSON and decodes the JSON of a 2xx answer into out. A nil
// in sends no body, a nil out leaves the answer.
func (c *Client) Post(ctx context.Context, path string, in, out any) (*Response, error) {
	r := Request{Method: http.MethodPost, Path: path}
	if in != nil {
		body, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		r.Body, r.Header = body, http.Header{"Content-Type": {"application/json"}}
	}
	resp, err := c.Do(ctx, r)
	if err != nil {
		return resp, err
	}
	return resp, decode(resp, out)
}

func decode(resp *Response, out any) error {
	if out == nil {
		return nil
	}
	if resp.Status == http.StatusAccepted {
		return &synod.Error{Status: resp.Status, Code: "HTTP 202", Message: "the service is not ready to answer yet: " + string(resp.Body)}
	}
	if err := json.Unmarshal(resp.Body, out); err != nil {
		return fmt.Errorf("decode response: %w", err)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
