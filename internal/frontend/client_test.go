package frontend

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/app"
	"synod/internal/httpd"
	"synod/internal/identity"
)

// testApp is one table, and answers that begin with the node that ran them.
func testApp(n *fakeNode) *app.App {
	id := n.id
	const table = "public:records"
	a := app.New("test")
	write := func(c *app.Context) error {
		k, _ := c.Query("k")
		v, ok := c.Query("v")
		if !ok {
			v = string(c.Request.Body)
		}
		c.Tx().Put(table, []byte(k), []byte(v))
		c.Text(string(id) + " wrote " + v)
		return nil
	}
	read := func(c *app.Context) error {
		k, _ := c.Query("k")
		v, _ := c.Tx().Get(table, []byte(k))
		c.Text(string(id) + " has " + string(v))
		return nil
	}
	a.Post("/put", write)
	a.Post("/put/local", write).Forward(app.ForwardNever)
	a.Post("/put/fails", func(c *app.Context) error {
		c.Tx().Put(table, []byte("k"), []byte("v"))
		return synod.Errorf(418, "Teapot", "I am %s", string(id))
	})
	a.Get("/get", read).ReadOnly()
	a.Get("/get/always", read).ReadOnly().Forward(app.ForwardAlways)
	a.Get("/get/local", read).ReadOnly().Forward(app.ForwardNever)
	a.Get("/get/backup", read).ReadOnly().Redirect(app.RedirectToBackup)
	a.Get("/get/past", read).ReadOnly().Mode = app.Historical
	a.Get("/get/absent", func(c *app.Context) error {
		c.Tx().Has(table, []byte("k"))
		return synod.Errorf(404, synod.CodeResourceNotFound, "nothing")
	}).ReadOnly()
	a.Get("/get/meanwhile", func(c *app.Context) error { n.meanwhile(); return read(c) }).ReadOnly()
	a.Get("/state", func(c *app.Context) error { c.Text(string(id)); return nil }).NoTx()
	a.Post("/who", func(c *app.Context) error {
		c.Tx().Has(table, []byte("k"))
		c.Text(string(id) + " asked by " + hex.EncodeToString(sum(c.Caller.Cert)) + " on " + c.Request.URL + " with " + c.Request.Header.Get("x-mine") + " and " + string(c.Request.Body))
		c.SetHeader("x-answer", "yes")
		return nil
	}, app.AnyCert)
	return a
}

// client is one session.
type client struct {
	t    testing.TB
	node *fakeNode
	hs   httpd.Session
}

func (s *fakeService) dial(t testing.TB, id synod.NodeID) *client {
	return &client{t: t, node: s.nodes[id], hs: httpd.Session{ID: 7, Interface: "main"}}
}

// do sends "METHOD /url" with header fields "name: value".
func (c *client) do(line string, fields ...string) *app.Response {
	c.t.Helper()
	return c.send(line, nil, fields...)
}

func (c *client) send(line string, body []byte, fields ...string) *app.Response {
	c.t.Helper()
	method, url, _ := strings.Cut(line, " ")
	req := &app.Request{Method: method, URL: url, Body: body, ClientCert: c.hs.ClientCert}
	req.Path, req.Query, _ = strings.Cut(url, "?")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header = append(req.Header, app.Field{Name: name, Value: value})
	}
	return c.node.Serve(c.t.Context(), &c.hs, req)
}

// want checks status and a part of the body.
func (c *client) want(resp *app.Response, status int, part string) {
	c.t.Helper()
	if resp.Status != status || !strings.Contains(string(resp.Body), part) {
		c.t.Errorf("got %d %q, want %d with %q", resp.Status, resp.Body, status, part)
	}
}

// sum is a short name of bytes.
func sum(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:4]
}

// clientCert makes a certificate in DER.
func clientCert(t testing.TB) []byte {
	t.Helper()
	key, err := identity.NewKey(identity.Secp256r1)
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.SelfSigned(key, identity.SelfSignedRequest{Subject: "CN=user", NotBefore: time.Now().Add(-time.Hour), Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	return der
}
