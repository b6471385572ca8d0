package constitutions_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"slices"
	"testing"

	"synod"
	"synod/constitutions"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/tables"
)

// consortium is the tables that the managed constitution reads: three voters, one of
// whom has a recovery key, an operator with another, and one who is not active yet.
type consortium struct {
	t      *testing.T
	engine *js.Engine
	store  *kv.Store
	at     synod.TxID
}

const moreFunctions = "\nexport function names() { return [...actions.keys()]; }\n" +
	"export function takesPlace(what, code) { return wasReplaced(what, code); }\n"

func newConsortium(t *testing.T, status tables.ServiceStatus) *consortium {
	t.Helper()
	engine, err := js.NewEngine(js.Config{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	c := &consortium{t: t, engine: engine, store: kv.New(), at: synod.TxID{View: 2}}
	c.write(func(tx *kv.Tx) {
		c.put(tx, tables.Service, tables.UnitKey(), tables.ServiceInfo{Status: status})
		for _, id := range []string{"voter0", "voter1", "voter2"} {
			c.put(tx, tables.Members, []byte(id), tables.MemberInfo{Status: tables.MemberActive})
		}
		c.put(tx, tables.Members, []byte("operator"), tables.MemberInfo{Status: tables.MemberActive, MemberData: json.RawMessage(`{"is_operator":true}`)})
		tx.Put(tables.MemberEncryptionKeys, []byte("operator"), []byte("key"))
		tx.Put(tables.MemberEncryptionKeys, []byte("voter0"), []byte("key"))
		c.put(tx, tables.Members, []byte("accepted"), tables.MemberInfo{Status: tables.MemberAccepted, MemberData: json.RawMessage(`{"is_operator":true}`)})
		c.put(tx, tables.Members, []byte("unmarked"), tables.MemberInfo{Status: tables.MemberActive, MemberData: json.RawMessage(`{"is_operator":false}`)})
	})
	return c
}

func (c *consortium) put(tx *kv.Tx, table string, key []byte, v any) {
	c.t.Helper()
	if err := tables.PutJSON(tx, table, key, v); err != nil {
		c.t.Fatal(err)
	}
}

func (c *consortium) write(f func(*kv.Tx)) {
	c.t.Helper()
	tx := c.store.Begin()
	defer tx.Release()
	f(tx)
	c.at.SeqNo++
	if err := c.store.Commit(tx.WriteSet(), c.at); err != nil {
		c.t.Fatal(err)
	}
}

// call calls a function of the constitution and decodes what it returns.
func (c *consortium) call(tx *kv.Tx, access js.Access, out any, function string, args ...any) {
	c.t.Helper()
	value, err := c.engine.CallGov(c.t.Context(), js.GovCall{
		Module: "constitution", Source: constitutions.Managed("actions.set('install_sample_application', { check() {}, run() {} });") + moreFunctions,
		Function: function, Args: args, Access: access, Tx: tx,
	})
	if err == nil && out != nil {
		err = json.Unmarshal(value, out)
	}
	if err != nil {
		c.t.Fatalf("%s: %v", function, err)
	}
}

type vote struct {
	Member string `json:"member_id"`
	Vote   bool   `json:"vote"`
}

func proposalOf(t *testing.T, actions ...map[string]any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"actions": append([]map[string]any{}, actions...)})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (c *consortium) resolve(proposer string, votes []vote, actions ...map[string]any) string {
	c.t.Helper()
	tx := c.store.Begin()
	defer tx.Release()
	var state string
	c.call(tx, js.GovReadOnly, &state, "resolve", proposalOf(c.t, actions...), proposer, append([]vote{}, votes...), "id")
	return state
}

// TestManagedOperator tries every action that there is as the operator, alone: it
// passes those of this list and no other, in every state of a service.
func TestManagedOperator(t *testing.T) {
	always := []string{
		"transition_node_to_trusted", "remove_node", "set_node_data", "set_node_certificate_validity",
		"set_all_nodes_certificate_validity", "set_service_certificate_validity", "trigger_ledger_chunk", "trigger_snapshot",
	}
	opening := []string{"transition_service_to_open", "install_sample_application"}
	for _, status := range []tables.ServiceStatus{tables.ServiceOpening, tables.ServiceOpen, tables.ServiceRecovering, tables.ServiceWaitingForRecoveryShares} {
		t.Run(string(status), func(t *testing.T) {
			c := newConsortium(t, status)
			tx := c.store.Begin()
			var names []string
			c.call(tx, js.GovReadOnly, &names, "names")
			tx.Release()
			if len(names) < 48 {
				t.Fatalf("%d actions", len(names))
			}
			for _, name := range names {
				may := slices.Contains(always, name) || status == tables.ServiceOpening && slices.Contains(opening, name)
				action := map[string]any{"name": name, "args": map[string]any{"host_data": "x", "measurement": "x"}}
				want := map[bool]string{true: "Accepted", false: "Open"}[may]
				if got := c.resolve("operator", nil, action); got != want {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
				if got := c.resolve("operator", []vote{{"operator", true}}, action); got != want {
					t.Errorf("%s with its own vote: %s, want %s", name, got, want)
				}
				snapshot := map[string]any{"name": "trigger_snapshot"}
				for _, both := range [][]map[string]any{{action, snapshot}, {snapshot, action}} {
					if got := c.resolve("operator", nil, both...); got != want {
						t.Errorf("%s beside trigger_snapshot: %s, want %s", name, got, want)
					}
				}
				for _, who := range []string{"voter0", "accepted", "unmarked", "nobody"} {
					if got := c.resolve(who, []vote{{"operator", true}, {"accepted", true}, {"voter0", true}}, action); got != "Open" {
						t.Errorf("%s by %s: %s", name, who, got)
					}
				}
				if got := c.resolve("voter0", []vote{{"voter0", true}, {"voter1", true}, {"unmarked", true}}, action); got != "Accepted" {
					t.Errorf("%s by three of four: %s", name, got)
				}
			}
			if got := c.resolve("operator", nil); got != "Open" {
				t.Errorf("nothing at all: %s", got)
			}
		})
	}
}

// TestManagedOnlyHolder has the operator hold the only recovery share: then it opens a
// service that was recovered, and no other kind of proposal is easier.
func TestManagedOnlyHolder(t *testing.T) {
	open := map[string]any{"name": "transition_service_to_open"}
	for status, want := range map[tables.ServiceStatus]string{
		tables.ServiceOpening: "Accepted", tables.ServiceRecovering: "Accepted", tables.ServiceOpen: "Open", tables.ServiceWaitingForRecoveryShares: "Open",
	} {
		c := newConsortium(t, status)
		c.write(func(tx *kv.Tx) { tx.Delete(tables.MemberEncryptionKeys, []byte("voter0")) })
		if got := c.resolve("operator", nil, open); got != want {
			t.Errorf("%s: %s, want %s", status, got, want)
		}
		if got := c.resolve("operator", nil, open, map[string]any{"name": "set_user"}); got != "Open" {
			t.Errorf("%s, and something else: %s", status, got)
		}
		c.write(func(tx *kv.Tx) {
			tx.Delete(tables.MemberEncryptionKeys, []byte("operator"))
			tx.Put(tables.MemberEncryptionKeys, []byte("voter1"), []byte("key"))
		})
		if got := c.resolve("voter1", nil, open); got != "Open" {
			t.Errorf("%s, by a voter who holds the only share: %s", status, got)
		}
	}
}

// TestManagedReleases approves one release after the other: the operator removes
// what was replaced, and only that.
func TestManagedReleases(t *testing.T) {
	c := newConsortium(t, tables.ServiceOpen)
	host := func(list ...string) map[string]any { return map[string]any{"virtual_host_data": list} }
	remove := func(code string) map[string]any {
		return map[string]any{"name": "remove_virtual_host_data", "args": map[string]any{"host_data": code}}
	}
	apply := func(action map[string]any) {
		t.Helper()
		c.write(func(tx *kv.Tx) { c.call(tx, js.GovReadWrite, nil, "apply", proposalOf(t, action), "id") })
	}
	approve := func(release string, allow, disallow map[string]any) {
		t.Helper()
		apply(map[string]any{"name": "approve_release", "args": map[string]any{"release": release, "allow": allow, "disallow": disallow}})
	}
	state := func(want map[string]string) {
		t.Helper()
		for code, w := range want {
			if got := c.resolve("operator", nil, remove(code)); got != w {
				t.Errorf("remove %s: %s, want %s", code, got, w)
			}
		}
	}
	joins := func(code string) bool {
		tx := c.store.Begin()
		defer tx.Release()
		return tx.Has(tables.VirtualHostData, []byte(code))
	}
	c.write(func(tx *kv.Tx) { tx.Put(tables.VirtualHostData, []byte("a"), tables.UnitKey()) })
	state(map[string]string{"a": "Open", "b": "Open"})

	approve("B", host("b"), host("a"))
	state(map[string]string{"a": "Accepted", "b": "Open"})
	if !joins("a") || !joins("b") {
		t.Error("both may join during an upgrade")
	}
	apply(remove("a"))
	if joins("a") {
		t.Error("a may still join")
	}
	approve("A", host("a"), host("b")) // back again
	state(map[string]string{"a": "Open", "b": "Accepted"})
	if !joins("a") {
		t.Error("a may not join")
	}
	apply(map[string]any{"name": "withdraw_release", "args": map[string]any{"release": "A"}})
	state(map[string]string{"a": "Open", "b": "Open"})
	if joins("a") || !joins("b") {
		t.Error("withdrawing A concerns what it allowed and nothing else")
	}
}
