package httpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"synod/app"
)

// What a small request and its answer look like.
const benchRequest = "GET /app/log/private?id=42 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAccept: */*\r\n" +
	"Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nUser-Agent: python-httpx/0.28\r\n\r\n"

const benchPost = "POST /app/log/private HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAccept: */*\r\n" +
	"Content-Type: application/json\r\nContent-Length: 23\r\n\r\n" + `{"id": 42, "msg": "ab"}`

var benchAnswer = []byte(`{"msg":"hello"}`)

// benchServers are the candidates of docs/decisions/002-http1.md, each
// answering with benchAnswer and two headers.
var benchServers = []struct {
	name  string
	serve func(b *testing.B, cert *tls.Certificate) (addr string)
}{
	{"httpd", func(b *testing.B, cert *tls.Certificate) string {
		h := handlerFunc(func(context.Context, *Session, *app.Request) *app.Response {
			return &app.Response{Status: 200, Body: benchAnswer, Header: app.Header{
				{Name: "content-type", Value: "application/json"}, {Name: "x-ms-ccf-transaction-id", Value: "2.42"},
			}}
		})
		cfg := Interface{IdleTimeout: time.Minute, GetCertificate: func() *tls.Certificate { return cert }}
		return start(b, cfg, h).Addr().String()
	}},
	{"fasthttp", func(b *testing.B, cert *tls.Certificate) string {
		s := &fasthttp.Server{
			Logger: log.New(io.Discard, "", 0), NoDefaultServerHeader: true, NoDefaultDate: true,
			Handler: func(c *fasthttp.RequestCtx) {
				c.Response.Header.SetContentType("application/json")
				c.Response.Header.Set("x-ms-ccf-transaction-id", "2.42")
				c.Response.SetBody(benchAnswer)
			},
		}
		ln := benchListen(b, cert)
		go s.Serve(ln)
		b.Cleanup(func() { ln.Close() })
		return ln.Addr().String()
	}},
	{"nethttp", func(b *testing.B, cert *tls.Certificate) string {
		s := &http.Server{
			ErrorLog: log.New(io.Discard, "", 0), IdleTimeout: time.Minute,
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("content-type", "application/json")
				w.Header().Set("x-ms-ccf-transaction-id", "2.42")
				w.Write(benchAnswer)
			}),
		}
		ln := benchListen(b, cert)
		go s.Serve(ln)
		b.Cleanup(func() { s.Close() })
		return ln.Addr().String()
	}},
	// The floor: TLS and the kernel, no HTTP.
	{"tls-only", func(b *testing.B, cert *tls.Certificate) string {
		answer := []byte("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-ms-ccf-transaction-id: 2.42\r\ncontent-length: 15\r\n\r\n" + string(benchAnswer))
		ln := benchListen(b, cert)
		b.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					for buf := make([]byte, 4096); ; {
						if _, err := c.Read(buf); err != nil {
							return
						}
						if _, err := c.Write(answer); err != nil {
							return
						}
					}
				}()
			}
		}()
		return ln.Addr().String()
	}},
}

func benchListen(b *testing.B, cert *tls.Certificate) net.Listener {
	cfg := serverTLS(&Interface{GetCertificate: func() *tls.Certificate { return cert }})
	ln, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		b.Fatal(err)
	}
	return ln
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRequest measures one small request and its answer over one TLS
// connection that is kept: cpu-µs/req counts server and client, which is the
// same for all. Subtract tls-only for what HTTP costs.
func BenchmarkRequest(b *testing.B) {
	cert := testCert(b, "server")
	for _, request := range []struct{ name, text string }{{"get", benchRequest}, {"post", benchPost}} {
		for _, server := range benchServers {
			b.Run(request.name+"/"+server.name, func(b *testing.B) {
				c, err := tls.Dial("tcp", server.serve(b, cert), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				out, in := []byte(request.text), make([]byte, 4096)
				b.ReportAllocs()
				before := cpu(b)
				for b.Loop() {
					if _, err := c.Write(out); err != nil {
						b.Fatal(err)
					}
					n, err := c.Read(in)
					if err != nil || !bytes.HasSuffix(in[:n], benchAnswer) {
						b.Fatalf("got %q, %v", in[:n], err)
					}
				}
				b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/req")
			})
		}
	}
}

// BenchmarkParse measures parsing alone.
func BenchmarkParse(b *testing.B) {
	data := []byte(benchRequest)
	report := func(b *testing.B, before time.Duration) {
		b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/req")
	}
	b.Run("httpd", func(b *testing.B) {
		h := head{sizeMax: 16 << 10, countMax: 256, totalMax: headMax}
		var scratch []byte
		b.ReportAllocs()
		defer report(b, cpu(b))
		for b.Loop() {
			h.reset()
			if done, f := h.parse(data); !done || f != nil {
				b.Fatal(f)
			}
			_, scratch = h.request(data, scratch)
		}
	})
	b.Run("fasthttp", func(b *testing.B) {
		var r fasthttp.RequestHeader
		rd := bytes.NewReader(data)
		br := bufio.NewReader(rd)
		b.ReportAllocs()
		defer report(b, cpu(b))
		for b.Loop() {
			rd.Reset(data)
			br.Reset(rd)
			if err := r.Read(br); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("nethttp", func(b *testing.B) {
		rd := bytes.NewReader(data)
		br := bufio.NewReader(rd)
		b.ReportAllocs()
		defer report(b, cpu(b))
		for b.Loop() {
			rd.Reset(data)
			br.Reset(rd)
			if _, err := http.ReadRequest(br); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkScan shows that a head that arrives byte by byte costs linear time.
func BenchmarkScan(b *testing.B) {
	data := fmt.Appendf(nil, "GET / HTTP/1.1\r\nx: %s\r\n\r\n", bytes.Repeat([]byte("x"), 16000))
	h := head{sizeMax: 16 << 10, countMax: 256, totalMax: headMax}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		h.reset()
		for n := range data {
			if _, f := h.parse(data[:n+1]); f != nil {
				b.Fatal(f)
			}
		}
	}
}
