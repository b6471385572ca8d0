package apptest

import (
	"context"
	"encoding/json"
	"strings"

	"synod/app"
	"synod/internal/cose"
	"synod/internal/httpd"
	"synod/internal/identity"
)

// Client makes requests as one caller, over one session. The With methods
// return a changed copy that shares the session, so a client can be kept and
// varied.
type Client struct {
	s       *Service
	who     *identityOf
	session *httpd.Session
	headers app.Header
	signed  *cose.UserHeader
}

// As is a client that presents the certificate of a user or member.
func (s *Service) As(name string) *Client {
	s.t.Helper()
	p := s.person(name)
	return &Client{s: s, who: p, session: &httpd.Session{ID: 1, ClientCert: p.cert}}
}

// Anybody is a client without a certificate.
func (s *Service) Anybody() *Client { return &Client{s: s, session: &httpd.Session{ID: 1}} }

// Stranger is a client with a certificate that the service does not know, of
// a year from now.
func (s *Service) Stranger() *Client {
	s.t.Helper()
	who, err := identity.NewUser("stranger", identity.Secp256r1, s.Now())
	if err != nil {
		s.t.Fatalf("apptest: %s", err)
	}
	p := &identityOf{id: string(identity.UserIDOf(who.CertDER)), key: who.Key, cert: who.CertDER}
	return &Client{s: s, who: p, session: &httpd.Session{ID: 1, ClientCert: p.cert}}
}

func (c *Client) clone() *Client {
	d := *c
	d.headers = append(app.Header(nil), c.headers...)
	return &d
}

// With adds a header field to the requests.
func (c *Client) With(name, value string) *Client {
	d := c.clone()
	d.headers.Set(name, value)
	return d
}

// WithToken adds a bearer token of an issuer; it is valid for an hour of the
// service's time unless claims say otherwise.
func (c *Client) WithToken(issuer string, claims map[string]any) *Client {
	c.s.t.Helper()
	token, err := c.s.token(issuer, claims)
	if err != nil {
		c.s.t.Fatalf("apptest: %s", err)
	}
	return c.With("authorization", "Bearer "+token)
}

// Signed makes the requests' bodies COSE_Sign1 messages signed by the caller,
// who no longer presents a certificate. msgType and the clock's time go under
// the labels that headers names; of a member they are ccf.gov.msg.type and
// ccf.gov.msg.created_at. A msgType of "" is left out.
func (c *Client) Signed(msgType string, headers app.COSEHeaders) *Client {
	c.s.t.Helper()
	if c.who == nil {
		c.s.t.Fatal("apptest: nobody to sign: use As")
	}
	if c.who.member {
		headers = app.COSEHeaders{MsgType: cose.HeaderMsgType, CreatedAt: cose.HeaderCreatedAt}
	}
	d := c.With("content-type", "application/cose")
	d.session = &httpd.Session{ID: 1}
	d.signed = &cose.UserHeader{TypeLabel: headers.MsgType, MsgType: msgType, CreatedLabel: headers.CreatedAt}
	if msgType == "" {
		d.signed.TypeLabel = ""
	}
	return d
}

// WithCertificate makes a Signed client present its certificate too.
func (c *Client) WithCertificate() *Client {
	d := c.clone()
	d.session = &httpd.Session{ID: 1}
	if c.who != nil {
		d.session.ClientCert = c.who.cert
	}
	return d
}

// Get makes a GET request; see Do.
func (c *Client) Get(target string) *Answer { c.s.t.Helper(); return c.Do("GET", target, nil) }

// Post makes a POST request; see Do.
func (c *Client) Post(target string, body any) *Answer {
	c.s.t.Helper()
	return c.Do("POST", target, body)
}

// Put makes a PUT request; see Do.
func (c *Client) Put(target string, body any) *Answer {
	c.s.t.Helper()
	return c.Do("PUT", target, body)
}

// Patch makes a PATCH request; see Do.
func (c *Client) Patch(target string, body any) *Answer {
	c.s.t.Helper()
	return c.Do("PATCH", target, body)
}

// Delete makes a DELETE request; see Do.
func (c *Client) Delete(target string) *Answer { c.s.t.Helper(); return c.Do("DELETE", target, nil) }

// Do makes a request. target is path and query, as declared or with /app in
// front. A body of type []byte or string is sent as it is, nil is none,
// anything else is sent as JSON.
func (c *Client) Do(method, target string, body any) *Answer {
	c.s.t.Helper()
	content, err := encode(body)
	if err == nil && c.signed != nil {
		h := *c.signed
		h.CreatedAt = uint64(c.s.Now().Unix()) //nolint:gosec // after 1970
		content, err = cose.SignUser(c.who.key, c.who.id, h, content)
	}
	if err != nil {
		c.s.t.Fatalf("apptest: %s %s: %s", method, target, err)
	}
	path, query, _ := strings.Cut(target, "?")
	resp := c.s.front.Serve(context.Background(), c.session, &app.Request{
		Method: method, URL: target, Path: path, Query: query, Header: c.headers, Body: content, ClientCert: c.session.ClientCert,
	})
	return &Answer{s: c.s, what: method + " " + target, resp: resp}
}

func encode(body any) ([]byte, error) {
	switch body := body.(type) {
	case nil:
		return nil, nil
	case []byte:
		return body, nil
	case string:
		return []byte(body), nil
	default:
		return json.Marshal(body)
	}
}
