package frontend

import (
	"strings"
	"testing"

	"synod"
	"synod/internal/config"
)

func TestRedirect(t *testing.T) {
	byRole := func(role string) *config.Resolver {
		return &config.Resolver{Kind: config.KindNodeByRole, Role: role}
	}
	static := func(address string) *config.Resolver {
		return &config.Resolver{Kind: config.KindStaticAddress, Address: address}
	}
	const noPrimary = "Request should be redirected to primary, but receiving node does not know current primary address"
	const noBackup = "Request should be redirected to backup, but receiving node does not know any current backup address"
	for name, test := range map[string]struct {
		block  config.Redirections
		at     synod.NodeID
		leader synod.NodeID // "" if nobody knows
		line   string
		want   string // location, or a part of the body
	}{
		"write on a backup":             {at: "n2", leader: "n1", line: "POST /app/put?k=a&v=%20", want: "https://n1.main:443/app/put?k=a&v=%20"},
		"without the prefix":            {at: "n2", leader: "n1", line: "POST /put", want: "https://n1.main:443/put"},
		"governance":                    {at: "n2", leader: "n1", line: "POST /gov/put", want: "https://n1.main:443/gov/put"},
		"write on the primary":          {at: "n1", leader: "n1", line: "POST /app/put?v=1", want: "n1 wrote 1"},
		"read on a backup":              {at: "n2", leader: "n1", line: "GET /app/get", want: "n2 has"},
		"read for the primary":          {at: "n2", leader: "n1", line: "GET /app/get/always", want: "https://n1.main:443/app/get/always"},
		"local write on a backup":       {at: "n2", leader: "n1", line: "POST /app/put/local", want: synod.CodeTransactionReplicationFailed},
		"read for backups on one":       {at: "n2", leader: "n1", line: "GET /app/get/backup", want: "n2 has"},
		"read for backups on a primary": {at: "n1", leader: "n1", line: "GET /app/get/backup", want: "https://n2.main:443/app/get/backup"},
		"command":                       {at: "n2", leader: "n1", line: "GET /app/commit", want: "transaction_id"},
		"unknown path":                  {at: "n2", leader: "n1", line: "GET /app/nothing", want: synod.CodeResourceNotFound},
		"nobody leads":                  {at: "n2", line: "POST /app/put", want: noPrimary},
		"nobody leads, code":            {at: "n2", line: "POST /app/put", want: synod.CodePrimaryNotFound},
		"static primary":                {block: config.Redirections{ToPrimary: static("p.example:1")}, at: "n2", line: "POST /app/put", want: "https://p.example:1/app/put"},
		"static backup":                 {block: config.Redirections{ToBackup: static("b.example")}, at: "n1", leader: "n1", line: "GET /app/get/backup?k=1", want: "https://b.example/app/get/backup?k=1"},
		"primary by role":               {block: config.Redirections{ToPrimary: byRole("primary")}, at: "n2", leader: "n1", line: "POST /app/put", want: "https://n1.main:443/app/put"},
		"backup by role":                {block: config.Redirections{ToBackup: byRole("backup")}, at: "n1", leader: "n1", line: "GET /app/get/backup", want: "https://n2.main:443/app/get/backup"},
		"to itself":                     {block: config.Redirections{ToBackup: byRole("primary")}, at: "n1", leader: "n1", line: "GET /app/get/backup", want: noBackup},
		"writes to a backup":            {block: config.Redirections{ToPrimary: byRole("backup")}, at: "n2", leader: "n1", line: "POST /app/put", want: noPrimary},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, 2, func(n *fakeNode) { n.ifaces["main"] = config.Interface{Redirections: &test.block} })
			s.elect(test.leader, 3)
			c := s.dial(t, test.at)
			resp := c.do(test.line)
			if !strings.HasPrefix(test.want, "https://") {
				if !strings.Contains(string(resp.Body), test.want) || resp.Header.Has("location") {
					t.Errorf("got %d %q, want %q", resp.Status, resp.Body, test.want)
				}
				return
			}
			if got := resp.Header.Get("location"); resp.Status != 307 || got != test.want || resp.Body != nil {
				t.Errorf("got %d to %q, want 307 to %q", resp.Status, got, test.want)
			}
			if n := s.nodes[test.at].forwardings(); n != 0 {
				t.Errorf("%d requests were forwarded", n)
			}
		})
	}
}

// TestRedirectInterface: a redirect goes to the interface of the same name, and
// only to nodes that have one.
func TestRedirectInterface(t *testing.T) {
	s := newService(t, 3, func(n *fakeNode) {
		n.ifaces["main"] = config.Interface{Redirections: &config.Redirections{}}
		if n.id != "n2" {
			n.ifaces["other"] = n.ifaces["main"]
		}
	})
	c := s.dial(t, "n1")
	c.hs.Interface = "other"
	for range 20 {
		if got := c.do("GET /app/get/backup").Header.Get("location"); got != "https://n3.other:443/app/get/backup" {
			t.Fatalf("sent to %q", got)
		}
	}
	delete(s.nodes["n3"].ifaces, "other")
	resp := c.do("GET /app/get/backup")
	c.want(resp, 503, synod.CodeBackupNotFound)
	if !resp.Header.Has("retry-after") {
		t.Error("no retry-after")
	}
	// Every backup has its turn.
	c = s.dial(t, "n1")
	seen := map[string]bool{}
	for range 100 {
		seen[c.do("GET /app/get/backup").Header.Get("location")] = true
	}
	if len(seen) != 2 {
		t.Errorf("sent to %v", seen)
	}
	// On a backup that redirects, a write goes to the primary's interface.
	delete(s.nodes["n1"].ifaces, "other")
	s.nodes["n2"].ifaces["other"] = s.nodes["n2"].ifaces["main"]
	c = s.dial(t, "n2")
	c.hs.Interface = "other"
	c.want(c.do("POST /app/put"), 503, synod.CodePrimaryNotFound)
}
