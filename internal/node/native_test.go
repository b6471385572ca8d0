package node_test

import (
	"crypto/sha256"
	"encoding/json"
	"testing"

	"synod"
	"synod/client"
	"synod/constitutions"
	"synod/examples/logging/logapp"
	"synod/receipt"
)

// TestGenesisClaim: a service's first transaction claims what its application
// says.
func TestGenesisClaim(t *testing.T) {
	s := start(t, logapp.New())
	s.open()
	claim := sha256.Sum256([]byte(constitutions.Default()))
	if _, err := s.dial(nil).Receipt(t.Context(), synod.TxID{View: 2, SeqNo: 1}, receipt.Options{Claims: &claim}); err != nil {
		t.Errorf("the receipt of the first transaction: %v", err)
	}
}

// TestIndexOfAnApplication: what an application installs is listed, and
// follows what is committed on a real node.
func TestIndexOfAnApplication(t *testing.T) {
	s := start(t, logapp.New())
	s.open()
	c := s.dial(s.user)
	strategies := func() string {
		var list json.RawMessage
		if _, err := c.Get(t.Context(), "/node/index/strategies", &list); err != nil {
			t.Fatal(err)
		}
		return string(list)
	}
	post := func(path, body string, w client.Wait) {
		resp, err := c.Do(t.Context(), client.Request{Method: "POST", Path: "/app/log/private" + path, Body: []byte(body), Wait: w})
		if err != nil || resp.Status != 200 {
			t.Fatalf("%s: %+v, %v", path, resp, err)
		}
	}
	// The sample keeps one of its public records always.
	const own = `{"name":"keys of public:records"}`
	if got := strategies(); got != "["+own+"]" {
		t.Errorf("before: %s", got)
	}
	post("/install_committed_index", "", "")
	if got := strategies(); got != `[{"name":"CommittedRecords records"},`+own+"]" {
		t.Errorf("installed: %s", got)
	}
	post("", `{"id":7,"msg":"seven"}`, client.WaitCommitted)
	var got struct{ Msg string }
	if _, err := c.Get(t.Context(), "/app/log/private/committed?id=7", &got); err != nil || got.Msg != "seven" {
		t.Errorf("%+v, %v", got, err)
	}
	post("/uninstall_committed_index", "", "")
	if got := strategies(); got != "["+own+"]" {
		t.Errorf("uninstalled: %s", got)
	}
}
