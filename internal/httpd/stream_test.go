package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"synod/app"
)

// counting streams "0 ", "1 ", … up to 9, as long as the test lets it; /forever
// goes on until its context ends, and /broken breaks off.
func counting(next <-chan struct{}) Handler {
	return handlerFunc(func(_ context.Context, _ *Session, r *app.Request) *app.Response {
		resp := &app.Response{Status: 200, Header: app.Header{{Name: "content-type", Value: "text/event-stream"}}}
		resp.Stream = func(ctx context.Context, send func([]byte) error) error {
			if r.Path == "/forever" {
				if err := send([]byte("on")); err != nil {
					return err
				}
				<-ctx.Done()
				return nil
			}
			for i := range 10 {
				<-next
				if r.Path == "/broken" && i == 5 {
					return errors.New("no more")
				}
				if err := send([]byte{byte('0' + i), ' '}); err != nil {
					return err
				}
			}
			return send(nil)
		}
		return resp
	})
}

func TestStream(t *testing.T) {
	for _, protocol := range []string{HTTP1Protocol, HTTP2Protocol} {
		t.Run(protocol, func(t *testing.T) {
			next := make(chan struct{})
			l := start(t, Interface{AppProtocol: protocol}, counting(next))
			c := client2(t, l, nil)
			if protocol == HTTP1Protocol {
				transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
				t.Cleanup(transport.CloseIdleConnections)
				c = &http.Client{Transport: transport}
			}
			get := func(method, path string) *http.Response {
				req, err := http.NewRequestWithContext(t.Context(), method, "https://"+l.Addr().String()+path, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { resp.Body.Close() })
				return resp
			}
			resp := get("GET", "/")
			if resp.ContentLength != -1 || resp.Header.Get("content-type") != "text/event-stream" {
				t.Errorf("%+v", resp)
			}
			// Each part arrives before the next is made.
			for i := range 10 {
				next <- struct{}{}
				b := make([]byte, 2)
				if _, err := io.ReadFull(resp.Body, b); err != nil || b[0] != byte('0'+i) {
					t.Fatalf("part %d: %q, %v", i, b, err)
				}
			}
			if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) != 0 {
				t.Errorf("%q, %v", rest, err)
			}
			go func() {
				for range 6 {
					next <- struct{}{}
				}
			}()
			if got, err := io.ReadAll(get("GET", "/broken").Body); err == nil || string(got) != "0 1 2 3 4 " {
				t.Errorf("a stream that breaks off: %q, %v", got, err)
			}
			if got, err := io.ReadAll(get("HEAD", "/").Body); err != nil || len(got) != 0 {
				t.Errorf("HEAD: %q, %v", got, err)
			}
		})
	}
}

// TestStreamOfKnownLength keeps the session, unless it sends other than it says.
func TestStreamOfKnownLength(t *testing.T) {
	h := handlerFunc(func(_ context.Context, _ *Session, r *app.Request) *app.Response {
		n := len(r.Path)
		return &app.Response{Status: 206, Length: 5, Stream: func(_ context.Context, send func([]byte) error) error {
			for range n {
				if err := send([]byte("x")); err != nil {
					return err
				}
			}
			return nil
		}}
	})
	c := dial(t, start(t, Interface{}, h), nil)
	c.send("GET /four HTTP/1.1\r\nhost: x\r\n\r\nHEAD /four HTTP/1.1\r\nhost: x\r\n\r\nGET /four HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET /four HTTP/1.0\r\n\r\n")
	got, err := io.ReadAll(c)
	const head = "HTTP/1.1 206 Partial Content\r\ncontent-length: 5\r\n"
	if want := head + "\r\nxxxxx" + head + "\r\n" + head + "connection: keep-alive\r\n\r\nxxxxx" + head + "\r\nxxxxx"; err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	for path, sent := range map[string]string{"/abc": "xxxx", "/abcde": "xxxxx"} {
		c := dial(t, start(t, Interface{}, h), nil)
		c.send("GET " + path + " HTTP/1.1\r\nhost: x\r\n\r\nGET /four HTTP/1.1\r\nhost: x\r\n\r\n")
		if got, _ := io.ReadAll(c); string(got) != head+"\r\n"+sent {
			t.Errorf("%s: %q", path, got)
		}
	}
	h2 := start(t, Interface{AppProtocol: HTTP2Protocol}, h)
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+h2.Addr().String()+"/four", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client2(t, h2, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "xxxxx" || resp.ContentLength != 5 {
		t.Errorf("%q of %d bytes, %v", body, resp.ContentLength, err)
	}
}

// TestStreamHTTP10 ends the body with the connection.
func TestStreamHTTP10(t *testing.T) {
	next := make(chan struct{}, 10)
	for range 10 {
		next <- struct{}{}
	}
	c := dial(t, start(t, Interface{}, counting(next)), nil)
	c.send("GET / HTTP/1.0\r\n\r\n")
	got, err := io.ReadAll(c)
	want := "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n0 1 2 3 4 5 6 7 8 9 "
	if err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

// TestStreamDrain ends streams properly when the listener is shut down.
func TestStreamDrain(t *testing.T) {
	for _, protocol := range []string{HTTP1Protocol, HTTP2Protocol} {
		t.Run(protocol, func(t *testing.T) {
			l, stop := startUntil(t, Interface{AppProtocol: protocol}, counting(nil))
			var body io.Reader
			if protocol == HTTP2Protocol {
				req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+l.Addr().String()+"/forever", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client2(t, l, nil).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body = resp.Body
				if _, err := io.ReadFull(body, make([]byte, 2)); err != nil {
					t.Fatal(err)
				}
			} else {
				c := dial(t, l, nil)
				c.send("GET /forever HTTP/1.1\r\n\r\n")
				c.response() // only its head: it has no content-length
				if got := c.read(len("2\r\non\r\n")); string(got) != "2\r\non\r\n" {
					t.Fatalf("the stream begins with %q", got)
				}
				body = c
			}
			stopped := make(chan error, 1)
			go func() { stopped <- stop() }()
			got, err := io.ReadAll(body)
			if err != nil {
				t.Error(err)
			}
			if protocol == HTTP1Protocol && string(got) != "0\r\n\r\n" {
				t.Errorf("%q", got)
			}
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStreamLeft ends a stream whose client has gone.
func TestStreamLeft(t *testing.T) {
	ended := make(chan error, 1)
	l := start(t, Interface{}, handlerFunc(func(context.Context, *Session, *app.Request) *app.Response {
		return &app.Response{Status: 200, Stream: func(_ context.Context, send func([]byte) error) error {
			for {
				if err := send([]byte(strings.Repeat("x", 4096))); err != nil {
					ended <- err
					return err
				}
			}
		}}
	}))
	c := dial(t, l, nil)
	c.send("GET / HTTP/1.1\r\n\r\n")
	c.read(100)
	c.Close()
	if err := <-ended; err == nil {
		t.Error("no error")
	}
}
