package nobuiltinsapp_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/app/apptest"
	"synod/examples/nobuiltins/nobuiltinsapp"
)

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %s", err, text)
	}
	return v
}

func TestNode(t *testing.T) {
	s := apptest.New(t, nobuiltinsapp.New())
	c := s.Anybody()
	got := decode[struct {
		ID       string      `json:"node_id"`
		Format   string      `json:"quote_format"`
		View     synod.View  `json:"committed_view"`
		SeqNo    synod.SeqNo `json:"committed_seqno"`
		Quote    *string     `json:"quote"`
		Endorsed *string     `json:"endorsements"`
	}](t, c.Get("/app/node_summary").Expect(200).Body())
	if got.Format != "Insecure_Virtual" || got.View != 2 || got.SeqNo == 0 || len(got.ID) != 64 || got.Quote == nil || got.Endorsed == nil {
		t.Errorf("node_summary: %+v", got)
	}
	all := decode[struct {
		Nodes map[string]map[string]string `json:"nodes"`
	}](t, c.Get("/app/all_nodes").Expect(200).Body())
	if len(all.Nodes) != 1 || all.Nodes[got.ID]["quote_format"] != "Insecure_Virtual" {
		t.Errorf("all_nodes: %+v", all)
	}
}

func TestTransactions(t *testing.T) {
	s := apptest.New(t, nobuiltinsapp.New())
	c := s.Anybody()
	last := decode[struct {
		ID synod.TxID `json:"transaction_id"`
	}](t, c.Get("/app/commit").Expect(200).Body())
	if last.ID != s.Committed() {
		t.Errorf("commit %s, want %s", last.ID, s.Committed())
	}
	c.Get("/app/tx_id?seqno=1").Expect(200).ExpectBody(`{"transaction_id":"2.1"}`)
	c.Get("/app/tx_id?x=1&seqno=1").Expect(200)
	c.Get("/app/tx_id?seqno=1000000").ExpectError(500, "InternalError")
	c.Get("/app/tx_id?seqno=0").ExpectError(500, "InternalError")
	c.Get("/app/tx_id").ExpectError(400, "InvalidInput")
	for _, text := range []string{"x", "-1", "1.0", "", "18446744073709551616"} {
		c.Get("/app/tx_id?seqno="+text).ExpectError(400, "InvalidQueryParameterValue")
	}
}

func TestTimeAndDocument(t *testing.T) {
	c := apptest.New(t, nobuiltinsapp.New()).Anybody()
	text := decode[map[string]string](t, c.Get("/app/current_time").Expect(200).Body())["timestamp"]
	if now, err := time.Parse("2006-01-02T15:04:05.999999-07:00", text); err != nil || time.Since(now).Abs() > time.Minute || len(text) != len("2024-01-02T03:04:05.123456+00:00") || !strings.HasSuffix(text, "+00:00") {
		t.Errorf("current_time %q: %v", text, err)
	}
	document := decode[struct {
		Info  map[string]string         `json:"info"`
		Paths map[string]map[string]any `json:"paths"`
	}](t, c.Get("/app/api").Expect(200).Body())
	if document.Info["title"] != "app" || len(document.Paths) != 6 {
		t.Errorf("api: %+v", document)
	}
	for _, path := range []string{"/app/tx", "/app/receipt"} {
		c.Get(path).ExpectError(404, "ResourceNotFound")
	}
}
