package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"synod/client"
)

// TestRouting writes and reads by way of every kind of interface of real nodes:
// one that forwards, one that redirects by role, one that redirects to an
// address.
func TestRouting(t *testing.T) {
	s := startNodes(t, 3, func(cfg object) {
		itf := func(redirections object) object {
			return object{"bind_address": "127.0.0.1:0", "redirections": redirections}
		}
		interfaces := cfg["network"].(object)["rpc_interfaces"].(object)
		interfaces["roles"] = itf(object{
			"to_primary": object{"kind": "NodeByRole", "target": object{"role": "primary"}},
			"to_backup":  object{"kind": "NodeByRole", "target": object{"role": "backup"}},
		})
		interfaces["fixed"] = itf(object{
			"to_primary": object{"kind": "StaticAddress", "target": object{"address": "writes.example.com"}},
		})
	})
	primary, backup := s.primary(), s.backups()[0]
	write := func(r *running, itf string) answer {
		return s.requestOn(r, itf, "POST", "/app/log/private", `{"id":7,"msg":"x"}`, "content-type", "application/json")
	}
	for _, x := range []struct {
		on       *running
		itf      string
		status   int
		location string
	}{
		{primary, "main", 200, ""},
		{backup, "main", 200, ""},
		{primary, "roles", 200, ""},
		{backup, "roles", 307, "https://" + primary.Address("roles") + "/app/log/private"},
		{primary, "fixed", 200, ""},
		{backup, "fixed", 307, "https://writes.example.com/app/log/private"},
	} {
		if a := write(x.on, x.itf); a.status != x.status || a.header.Get("location") != x.location {
			t.Errorf("a write to %s of primary %v: %d to %q, %s", x.itf, x.on == primary, a.status, a.header.Get("location"), a.body)
		}
		s.poll(fmt.Sprintf("a read from %s of primary %v", x.itf, x.on == primary), func() error { // a backup may not have it yet
			if a := s.requestOn(x.on, x.itf, "GET", "/app/log/private?id=7", ""); a.status != 200 {
				return fmt.Errorf("%d %s", a.status, a.body)
			}
			return nil
		})
	}

	// One session of a backup sees its own writes.
	c := s.at(backup.Node, s.user)
	for i := range 20 {
		body := fmt.Appendf(nil, `{"id":%d,"msg":"own %d"}`, i, i)
		if _, err := c.Do(t.Context(), client.Request{Method: "POST", Path: "/app/log/private", Body: body}); err != nil {
			t.Fatal(err)
		}
		var got struct{ Msg string }
		if _, err := c.Get(t.Context(), fmt.Sprintf("/app/log/private?id=%d", i), &got); err != nil || got.Msg != fmt.Sprintf("own %d", i) {
			t.Errorf("read %q, %v", got.Msg, err)
		}
	}

	// Without a majority every answer comes, and soon. A node that led takes writes,
	// not committed ones, until it notices.
	for _, r := range s.nodes {
		if r != backup {
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		}
	}
	s.nodes = []*running{backup}
	began := time.Now()
	for {
		a := write(backup, "main")
		if a.status != 200 && a.status != 503 && a.status != 504 || time.Since(began) > 20*time.Second {
			t.Fatalf("a write without a primary: %d %s", a.status, a.body)
		}
		if strings.Contains(a.body, "unknown primary") {
			break
		}
	}
	if a := write(backup, "roles"); a.status != 503 || !strings.Contains(a.body, "PrimaryNotFound") {
		t.Errorf("a write to be redirected, without a primary: %d %s", a.status, a.body)
	}
	if a := s.request(backup, "GET", "/app/log/private?id=7", ""); a.status != 200 {
		t.Errorf("a read without a primary: %d %s", a.status, a.body)
	}
	if a := s.request(backup, "GET", "/app/log/private?id=7", "", "x-synod-consistency", "linearizable"); a.status != 503 {
		t.Errorf("a linearizable read without a majority: %d %s", a.status, a.body)
	}
	for method, want := range map[string]int{"HEAD": 500, "GET": 404} {
		if a := s.request(backup, method, "/node/primary", ""); a.status != want {
			t.Errorf("%s /node/primary without one: %d", method, a.status)
		}
	}
	if a := s.request(backup, "GET", "/node/network/nodes/primary", ""); a.status != 500 {
		t.Errorf("the primary's record without one: %d %s", a.status, a.body)
	}
}
