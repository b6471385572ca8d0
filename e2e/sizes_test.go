//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSizes runs services of every size that there is: each node takes writes
// and answers linearizable reads, also after noise on the node ports and with
// a minority killed. With a majority killed, answers still come.
func TestSizes(t *testing.T) {
	for _, size := range []int{1, 3, 5, 7, 9} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			s := startSandbox(t, "--nodes", strconv.Itoa(size))
			urls := []string{s.URL}
			for _, o := range s.Others {
				urls = append(urls, o.URL)
			}
			if len(urls) != size {
				t.Fatalf("%d nodes", len(urls))
			}
			user := []string{"-sS", "--max-time", "20", "--cacert", "service_cert.pem", "--cert", "user0_cert.pem", "--key", "user0_privk.pem", "-w", "\n%{http_code}"}
			curl := func(url string, args ...string) (string, int) {
				out, _, code := run(t, s.Dir, "curl", slices.Concat(user, []string{url}, args)...)
				body, status, _ := strings.Cut(out, "\n")
				n, err := strconv.Atoi(status)
				if code != 0 || err != nil {
					return out, 0
				}
				return body, n
			}
			id := 100
			everywhere := func(urls []string) {
				t.Helper()
				for _, writer := range urls {
					id++
					eventually(t, 30*time.Second, "a committed write by way of "+writer, func() bool {
						body, status := curl(writer+"/app/log/private", "-X", "POST", "-H", "content-type: application/json", "-H", "x-synod-wait: committed",
							"--data", fmt.Sprintf(`{"id": %d, "msg": "message %d"}`, id, id))
						if status != 200 {
							t.Logf("%d %s", status, body)
						}
						return status == 200
					})
					for _, reader := range urls {
						body, status := curl(fmt.Sprintf("%s/app/log/private?id=%d", reader, id), "-H", "x-synod-consistency: linearizable")
						if status != 200 || !strings.Contains(body, fmt.Sprintf("message %d", id)) {
							t.Errorf("written by way of %s, read from %s: %d %s", writer, reader, status, body)
						}
					}
				}
			}
			everywhere(urls)

			var nodes map[string]struct{ Address string }
			config, _ := curl(s.URL + "/node/config")
			if err := json.Unmarshal([]byte(config), &nodes); err != nil || len(nodes) != size {
				t.Fatalf("%s: %v", config, err)
			}
			for _, n := range nodes {
				noise(t, n.Address)
			}
			everywhere(urls[:1])
			if size == 1 {
				return
			}

			kill := func(n int) {
				for _, o := range s.Others[len(s.Others)-n:] {
					if err := syscall.Kill(o.PID, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
				}
				s.Others = s.Others[:len(s.Others)-n]
				urls = urls[:len(urls)-n]
			}
			kill((size - 1) / 2)
			everywhere(urls)
			kill(1)
			for _, u := range urls {
				began := time.Now()
				body, status := curl(u+"/app/log/private", "-X", "POST", "-H", "content-type: application/json", "-H", "x-synod-wait: committed",
					"--data", `{"id": 1, "msg": "lost"}`)
				if status == 0 || time.Since(began) > 15*time.Second {
					t.Errorf("a write without a majority: %d %s after %v", status, body, time.Since(began))
				}
				if body, status := curl(fmt.Sprintf("%s/app/log/private?id=%d", u, 101)); status != 200 {
					t.Errorf("a read without a majority: %d %s", status, body)
				}
			}
		})
	}
}

// noise sends a node port what no node sends, on connections that stay open
// until the end.
func noise(t *testing.T, address string) {
	t.Helper()
	for i := range 20 {
		conn, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		b := make([]byte, 1<<i%(1<<16)+1)
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(b) // the node may have closed it
	}
}
