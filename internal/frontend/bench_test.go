package frontend

import (
	"strconv"
	"testing"
)

// BenchmarkForward is what routing adds to a request, without the network: a
// read here, and the same read by way of another node.
func BenchmarkForward(b *testing.B) {
	for _, size := range []int{0, 64 << 10} {
		body := make([]byte, size)
		for _, at := range []string{"local", "forwarded", "certified"} {
			b.Run(at+"/"+strconv.Itoa(size), func(b *testing.B) {
				s := newService(b, 2, nil)
				line, c := "GET /app/get/always?k=a", s.dial(b, "n2")
				if at == "local" {
					c = s.dial(b, "n1")
				}
				if at == "certified" {
					c.hs.ClientCert = clientCert(b)
					line = "POST /app/who?k=a"
				}
				b.ReportAllocs()
				for b.Loop() {
					if resp := c.send(line, body, "content-type: text/plain", "accept: */*", "user-agent: bench", "x-mine: y"); resp.Status != 200 {
						b.Fatal(resp.Status)
					}
				}
			})
		}
	}
}
