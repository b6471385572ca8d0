package govaudit

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"synod"
	"synod/app"
	"synod/internal/gov"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/tables"
)

// roots gives the Merkle root over the entries up to one, if it is recent.
type roots func(synod.SeqNo) ([32]byte, bool)

// replay is the state of a service's governance at one place in its ledger.
type replay struct {
	ctx       context.Context
	store     *kv.Store // tables of governance and of the service itself
	engine    *js.Engine
	clock     atomic.Int64 // nanoseconds to add to the time, for scripts
	node      *node
	endpoints map[string]*app.Endpoint // by path
	report    *Report

	signed     map[string]bool // roots of signatures, in hex
	secretFrom synod.SeqNo     // where the ledger secret in use starts
	resumes    bool            // the last service that was made is the one before it, which resumed
	window     bool            // the service keeps recent proposals, as those from 4.0 do
	cose       bool            // members sign with COSE, as of 4.0
	counted    bool            // the service keeps final votes, as some before 6.0 do not
}

func newReplay(ctx context.Context) (*replay, error) {
	r := &replay{
		ctx: ctx, store: kv.New(), report: &Report{},
		signed: map[string]bool{}, secretFrom: 1, endpoints: map[string]*app.Endpoint{},
	}
	engine, err := js.NewEngine(js.Config{Now: func() time.Time { return time.Now().Add(time.Duration(r.clock.Load())) }})
	if err != nil {
		return nil, err
	}
	r.engine, r.node = engine, &node{}
	a := gov.New(gov.Config{Engine: engine, Node: r.node, Log: slog.New(slog.DiscardHandler)})
	for _, e := range a.Endpoints() {
		if e.Method == "POST" {
			r.endpoints[e.Path] = e
		}
	}
	return r, nil
}

func (r *replay) close() { r.engine.Close() }

// setTime makes scripts see a time.
func (r *replay) setTime(at time.Time) { r.clock.Store(int64(time.Until(at))) }

// add judges the next entry and installs it. roots are those of the entries
// before it. An entry that does not parse is the integrity check's to report.
func (r *replay) add(e *ledger.Entry, roots roots) error {
	if e.TxID.SeqNo != r.store.Tip().SeqNo+1 {
		return nil
	}
	maps, err := kv.DecodeDomain(e.PublicMaps, true)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	ws := &kv.WriteSet{Maps: governed(maps)}
	if len(ws.Maps) > 0 && !e.IsSignature() {
		t := &transaction{replay: r, id: e.TxID, maps: maps, private: len(e.Cipher) > 0, roots: roots, before: r.store.Begin()}
		t.judge()
		t.before.Release()
		if err := r.ctx.Err(); err != nil {
			return err
		}
	}
	if err := r.store.Commit(ws, e.TxID); err != nil {
		return err
	}
	if e.IsSignature() {
		r.signature()
	}
	r.newSecret(e.TxID, maps)
	return nil
}

// newSecret notes that a rekey made a ledger secret for the entries after it.
// Those that a recovery brings back have versions.
func (r *replay) newSecret(id synod.TxID, maps []kv.MapWrites) {
	value, ok := (&transaction{maps: maps}).unitValue(tables.EncryptedLedgerSecrets)
	var secrets tables.LedgerSecretsForNodes
	if !ok || json.Unmarshal(value, &secrets) != nil {
		return
	}
	for _, list := range secrets {
		for _, s := range list {
			if s.Version == nil {
				r.secretFrom = id.SeqNo + 1
			}
		}
	}
}

// governed are the writes that the replay keeps. Signatures bring a whole
// tree with them, which nothing reads.
func governed(maps []kv.MapWrites) []kv.MapWrites {
	var keep []kv.MapWrites
	for _, m := range maps {
		switch {
		case m.Name == tables.Tree || m.Name == tables.COSESignatures:
		case tables.Access(m.Name).Category != tables.Application:
			keep = append(keep, m)
		}
	}
	return keep
}

// signature remembers what was signed, which members acknowledge.
func (r *replay) signature() {
	tx := r.store.Begin()
	defer tx.Release()
	if rec, ok, err := tables.GetJSON[tables.SignatureRecord](tx, tables.Signatures, tables.UnitKey()); ok && err == nil {
		r.signed[rec.Root] = true
	}
	r.store.Compact(r.store.Tip().SeqNo)
}

// node is what the handlers of governance ask of a node, answered from the
// transaction that is replayed.
type node struct {
	root    [32]byte
	effects func(app.Tx) *js.Effects
}

var errNotHere = errors.New("not part of a replay")

func (n *node) RootAt(synod.SeqNo) ([32]byte, error)        { return n.root, nil }
func (n *node) Committed() synod.TxID                       { return synod.TxID{} }
func (n *node) Status(synod.TxID) synod.TxStatus            { return "" }
func (n *node) Effects(tx app.Tx) *js.Effects               { return n.effects(tx) }
func (n *node) OnMemberActive(app.Tx, synod.MemberID) error { return errNotHere }
func (n *node) SubmitShare(app.Tx, synod.MemberID, []byte) (int, bool, error) {
	return 0, false, errNotHere
}
func (n *node) Recover(app.Tx) error { return errNotHere }
func (n *node) ReadsPrivate() bool   { return false }

// run gives a signed request to a handler of governance on the state before
// the transaction. The handler's writes are in the returned transaction, which
// the caller releases; they are void with an error.
func (r *replay) run(path string, params []app.Param, caller *app.Caller) (*kv.Tx, error) {
	tx := r.store.Begin()
	e := r.endpoints[path]
	request := &app.Request{Method: "POST", Path: "/gov" + path, Query: "api-version=2024-07-01"}
	c := app.NewContext(r.ctx, request, tx, e, params)
	c.Prefix, c.Caller = "/gov", caller
	return tx, e.Handler(c)
}

// firstLine is what an error of a handler says, without the script's trace.
func firstLine(err error) string {
	var shown *synod.Error
	text := err.Error()
	if errors.As(err, &shown) {
		text = shown.Message
	}
	text, _, _ = strings.Cut(text, "\n")
	return text
}
