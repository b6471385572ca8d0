package provision

import (
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"synod/internal/arm"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/tables"
)

// TestSampleConstitution installs the sample by the action that only its
// constitution has.
func TestSampleConstitution(t *testing.T) {
	t.Parallel()
	text, err := sampleConstitution()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := js.NewEngine(js.Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	tx := kv.New().Begin()
	defer tx.Release()
	proposal := `{"actions":[{"name":"install_sample_application"}]}`
	var checked struct {
		Valid       bool
		Description string
	}
	call := func(function string, access js.Access, args ...any) json.RawMessage {
		t.Helper()
		out, err := engine.CallGov(t.Context(), js.GovCall{
			Module: "c", Source: text, Function: function, Args: args, Access: access, Tx: tx,
			Effects: &js.Effects{},
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if err := json.Unmarshal(call("validate", js.GovReadOnly, proposal), &checked); err != nil || !checked.Valid {
		t.Fatalf("%+v, %v", checked, err)
	}
	call("apply", js.GovReadWrite, proposal, "id")
	module, ok := tx.Get(tables.Modules, []byte("/bank.js"))
	if !ok || string(module) != sampleModule {
		t.Errorf("the module is %d bytes", len(module))
	}
	for _, endpoint := range []string{"PUT /account/{account}", "GET /account/{account}", "POST /deposit/{account}", "POST /transfer/{account}"} {
		if !tx.Has(tables.Endpoints, []byte(endpoint)) {
			t.Errorf("no endpoint %s", endpoint)
		}
	}
}

// TestGenesis says what services begin with: who holds recovery shares, and how many
// are needed.
func TestGenesis(t *testing.T) {
	t.Parallel()
	op, err := LoadOperator(OperatorOptions{Dir: t.TempDir()}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for keys, want := range map[int]int{0: 1, 1: 1, 2: 2, 3: 2, 5: 3} {
		d := arm.Desired{Members: []arm.Member{{Certificate: "without"}}}
		for range keys {
			d.Members = append(d.Members, arm.Member{Certificate: "c", EncryptionKey: "e", Tags: json.RawMessage(`{"identifier":"x"}`)})
		}
		g, err := genesisOf(d, op)
		if err != nil {
			t.Fatal(err)
		}
		own := g.Members[len(g.Members)-1]
		if g.Threshold != want || len(g.Members) != keys+2 || (own.EncryptionKey != "") != (keys == 0) || own.Certificate != op.cert {
			t.Errorf("%d keys: threshold %d, operator's key %q", keys, g.Threshold, own.EncryptionKey)
		}
		if !strings.Contains(g.Constitution, "OPERATOR_ACTIONS") {
			t.Error("not the managed constitution")
		}
	}
	if g, err := genesisOf(arm.Desired{Constitution: "own"}, op); err != nil || g.Constitution != "own" {
		t.Errorf("%+v, %v", g, err)
	}
	for tags, want := range map[string]bool{`{"is_operator":true}`: true, `{"is_operator":1}`: true, `{"is_operator":false}`: false, `"is_operator"`: false, ``: false, `null`: false} {
		_, err := genesisOf(arm.Desired{Members: []arm.Member{{Certificate: "c", Tags: json.RawMessage(tags)}}}, op)
		if (err != nil) != want {
			t.Errorf("tags %s: %v", tags, err)
		}
	}
	if _, err := genesisOf(arm.Desired{Constitution: "own", AppSourceURI: arm.AppSample}, op); err == nil {
		t.Error("the sample with a constitution that cannot install it")
	}
}
