package armclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// answerMax bounds an answer, in bytes.
const answerMax = 64 << 20

// Config says where the management API is and who asks.
type Config struct {
	URL        string // https://host:port
	Authority  []byte // certificates that may vouch for the server, PEM; nil for the system's
	Token      string // sent as a bearer token; "" for none
	APIVersion string // for calls without their own
}

// Client calls one management API. It may be used from several goroutines.
type Client struct {
	base *url.URL
	cfg  Config
	http *http.Client
}

// Dial makes a client. It makes no request.
func Dial(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("%q is not the address of a server: https://host:port is", cfg.URL)
	}
	if base.Scheme != "https" {
		return nil, errors.New("the management API is only asked over https: it is sent a token")
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.Authority != nil {
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(cfg.Authority) {
			return nil, errors.New("the server's authority is no PEM certificate")
		}
	}
	transport := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute}
	return &Client{base: base, cfg: cfg, http: &http.Client{
		Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the server sends elsewhere, and a token goes nowhere else")
		},
	}}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an answer that is not a success.
type Error struct {
	Status    int
	Code      string  // ARM's, such as ResourceNotFound
	Message   string  // what to do about it
	Target    string  // the property that is wrong, or ""
	Details   []Error // further ones
	RequestID string
}

// Error names the code and says the message.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Code)
	if e.Target != "" {
		fmt.Fprintf(&b, " (%s)", e.Target)
	}
	b.WriteString(": ")
	b.WriteString(e.Message)
	for _, d := range e.Details {
		b.WriteString("; ")
		b.WriteString(d.Message)
	}
	return b.String()
}

// Answer is a successful answer's head; its body has been read into out.
type Answer struct {
	Status    int
	ETag      string
	Operation string // address of the operation that goes on, or ""
	RequestID string
}

// untrusted is the error about a server that the authority does not vouch for.
type untrusted struct{ error }

// Unwrap returns what TLS said of it.
func (u *untrusted) Unwrap() error { return u.error }

// Hint says what a user can do.
func (u *untrusted) Hint() string {
	return "another server answers there: is it the one of this data directory, or of --server-ca?"
}

// Call is one request. Path begins with a slash; an api-version is added if its
// query has none. In is sent as JSON unless nil.
type Call struct {
	Method, Path string
	In           any
}

// Do makes a request and decodes a successful answer into out, if that is not
// nil and there is a body. The error is an *Error when the server answered.
func (c *Client) Do(ctx context.Context, call Call, out any) (*Answer, error) {
	target, err := c.resolve(call.Path)
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if call.In != nil {
		b, err := json.Marshal(call.In)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if call.In != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	resp, err := c.http.Do(req)
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		return nil, &untrusted{err}
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerMax+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(text) > answerMax {
		return nil, fmt.Errorf("the answer is larger than %d bytes", answerMax)
	}
	a := &Answer{
		Status: resp.StatusCode, ETag: resp.Header.Get("ETag"), RequestID: resp.Header.Get("x-ms-request-id"),
		Operation: resp.Header.Get("Azure-AsyncOperation"),
	}
	if resp.StatusCode/100 != 2 {
		return nil, readError(a, text)
	}
	if out != nil && len(bytes.TrimSpace(text)) > 0 {
		if err := json.Unmarshal(text, out); err != nil {
			return nil, fmt.Errorf("the answer is not the JSON that it should be: %w", err)
		}
	}
	return a, nil
}

// resolve makes a whole address of a path, or of an address that this server
// gave, and refuses one of another server.
func (c *Client) resolve(path string) (string, error) {
	u, err := c.base.Parse(path)
	if err != nil {
		return "", fmt.Errorf("address of a resource: %w", err)
	}
	if u.Scheme != c.base.Scheme || u.Host != c.base.Host {
		return "", fmt.Errorf("the server sends on to %s, and a token goes nowhere else", u.Host)
	}
	q := u.Query()
	if q.Get("api-version") == "" && c.cfg.APIVersion != "" {
		q.Set("api-version", c.cfg.APIVersion)
		u.RawQuery = q.Encode()
	}
	return u.String(), nil
}

// wireError is ARM's error body.
type wireError struct {
	Code    string      `json:"code"`
	Message string      `json:"message"`
	Target  string      `json:"target"`
	Details []wireError `json:"details"`
}

func (w *wireError) read() Error {
	e := Error{Code: w.Code, Message: w.Message, Target: w.Target}
	for i := range w.Details {
		e.Details = append(e.Details, w.Details[i].read())
	}
	return e
}

func readError(a *Answer, text []byte) error {
	var body struct{ Error *wireError }
	if err := json.Unmarshal(text, &body); err != nil || body.Error == nil {
		return &Error{Status: a.Status, Code: http.StatusText(a.Status), Message: "the server's answer says nothing more", RequestID: a.RequestID}
	}
	e := body.Error.read()
	e.Status, e.RequestID = a.Status, a.RequestID
	return &e
}

// List follows the pages of a list and gives each element to visit.
func List[T any](ctx context.Context, c *Client, path string, visit func(T) error) error {
	for path != "" {
		var page struct {
			Value    []T    `json:"value"`
			NextLink string `json:"nextLink"`
		}
		if _, err := c.Do(ctx, Call{Method: http.MethodGet, Path: path}, &page); err != nil {
			return err
		}
		for _, v := range page.Value {
			if err := visit(v); err != nil {
				return err
			}
		}
		path = page.NextLink
	}
	return nil
}
