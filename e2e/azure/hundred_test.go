//go:build e2e

package azure

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"synod/internal/arm"
)

var networks = flag.Int("networks", 0, "how many one-node networks TestManyNetworks makes; 0 leaves it out")

// TestManyNetworks makes many networks of one node on one control plane, and
// measures its API and what it costs at rest. Goals for 100: p99 under 200 ms,
// less than a tenth of a core.
func TestManyNetworks(t *testing.T) {
	if *networks == 0 {
		t.Skip("make bench-managed runs it")
	}
	to := startServer(t)
	to.makeGroup(t, "many")
	base := "/subscriptions/" + arm.DefaultSubscription + "/resourceGroups/many/providers/Microsoft.ConfidentialLedger/managedCCFs"
	const version = "?api-version=2024-09-19-preview"
	cert, err := os.ReadFile(member(t))
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"location": "local", "properties": map[string]any{
		"nodeCount": 1, "memberIdentityCertificates": []any{map[string]string{"certificate": string(cert)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	client := to.client(t)
	ask := func(method, path string, body []byte) (reply, time.Duration) {
		at := path
		if strings.HasPrefix(path, "/") {
			at = to.url + path
		}
		r, err := http.NewRequestWithContext(t.Context(), method, at, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+to.token)
		began := time.Now()
		resp, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return reply{}, 0
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return reply{resp.StatusCode, resp.Header, string(text)}, time.Since(began)
	}

	began := time.Now()
	names := make(chan string, *networks)
	for i := range *networks {
		names <- fmt.Sprintf("net-%03d", i)
	}
	close(names)
	var makers sync.WaitGroup
	for range 4 {
		makers.Go(func() {
			for name := range names {
				made, _ := ask("PUT", base+"/"+name+version, body)
				deadline := time.Now().Add(3 * time.Minute)
				for made.status == 201 {
					r, _ := ask("GET", made.header.Get("Azure-AsyncOperation"), nil)
					if strings.Contains(r.body, `"Succeeded"`) {
						break
					}
					if strings.Contains(r.body, `"Failed"`) || time.Now().After(deadline) {
						t.Errorf("%s: %s", name, r.body)
						return
					}
					<-time.After(200 * time.Millisecond)
				}
				if made.status != 201 {
					t.Error(made)
				}
			}
		})
	}
	makers.Wait()
	t.Logf("%d networks created in %.0f s", *networks, time.Since(began).Seconds())

	took := map[string][]time.Duration{}
	for i := range 1000 {
		kind, method, path, body := "one", "GET", fmt.Sprintf("%s/net-%03d%s", base, i%*networks, "?api-version="+arm.OwnVersion), []byte(nil)
		switch i % 10 {
		case 0:
			kind, path = "list", base+version
		case 1:
			kind, method, path, body = "change", "PATCH", fmt.Sprintf("%s/net-%03d%s", base, i%*networks, version), fmt.Appendf(nil, `{"tags":{"n":"%d"}}`, i)
		}
		r, d := ask(method, path, body)
		if r.status != http.StatusOK {
			t.Error(r)
		}
		took[kind], took["all"] = append(took[kind], d), append(took["all"], d)
		<-time.After(5 * time.Millisecond)
	}
	for kind, all := range took {
		slices.Sort(all)
		t.Logf("API with %d networks, %s: p50 %v, p99 %v, longest %v", *networks, kind, all[len(all)/2], all[len(all)*99/100], all[len(all)-1])
	}

	<-time.After(5 * time.Second)
	used, began := cpu(t, to.pid), time.Now()
	<-time.After(30 * time.Second)
	t.Logf("control plane at rest: %.1f %% of a core", 100*float64(cpu(t, to.pid)-used)/float64(time.Since(began)))

	r, _ := ask("DELETE", "/subscriptions/"+arm.DefaultSubscription+"/resourcegroups/many?api-version=2021-04-01", nil)
	for deadline := time.Now().Add(3 * time.Minute); r.status == http.StatusAccepted && time.Now().Before(deadline); <-time.After(time.Second) {
		r, _ = ask("GET", r.header.Get("Location"), nil)
	}
	if r.status != http.StatusOK {
		t.Error(r)
	}
}

// cpu is the processor time that a process has used.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
