package propdiff

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"synod"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/tables"
)

// Change is one row that the proposal would change. Old is nil if the row is
// new, New if it goes.
type Change struct {
	Table, Key string
	Old, New   []byte
}

// Preview is what a proposal would do.
type Preview struct {
	Changes []Change // in order of table and key
	Effects []string // what the node would do besides, in words
}

// ErrRefused says that the constitution refuses the proposal, or fails on it.
var ErrRefused = errors.New("the constitution refuses the proposal")

// proposalID stands for the ID that the proposal has or will have, which
// `apply` is told.
var proposalID = strings.Repeat("0", 64)

// Preview runs validate and apply of the constitution in force, each in an
// interpreter of its own. Nothing of it is kept.
func (s *State) Preview(ctx context.Context, body []byte) (*Preview, error) {
	engine, err := js.NewEngine(js.Config{})
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	tx := s.store.Begin()
	defer tx.Release()
	source, ok, err := tables.GetJSON[string](tx, tables.Constitution, tables.UnitKey())
	if err != nil || !ok {
		return nil, fmt.Errorf("the constitution in force is not known: %w", errors.Join(err))
	}
	run := func(function string, access js.Access, effects *js.Effects, args ...any) (json.RawMessage, error) {
		out, err := engine.CallGov(ctx, js.GovCall{
			Module: tables.Constitution + "[0]", Source: source, Function: function, Args: args,
			Access: access, Tx: tx, Effects: effects,
		})
		var thrown *js.Exception
		if errors.As(err, &thrown) {
			return nil, fmt.Errorf("%w: %s throws %s", ErrRefused, function, thrown.Reason)
		}
		return out, err
	}
	verdict, err := run("validate", js.GovReadOnly, nil, string(body))
	if err != nil {
		return nil, err
	}
	var valid struct {
		Valid       bool   `json:"valid"`
		Description string `json:"description"`
	}
	if err := json.Unmarshal(verdict, &valid); err != nil || !valid.Valid {
		return nil, fmt.Errorf("%w: %s", ErrRefused, valid.Description)
	}
	p := &Preview{}
	if _, err := run("apply", js.GovReadWrite, p.effects(), string(body), proposalID); err != nil {
		return nil, err
	}
	p.compare(s.store, tx)
	return p, nil
}

// effects only notes what the node would be asked to do.
func (p *Preview) effects() *js.Effects {
	note := func(text string) func() error {
		return func() error { p.Effects = append(p.Effects, text); return nil }
	}
	return &js.Effects{
		TriggerLedgerRekey:           note("a new ledger secret is made and shared"),
		TriggerRecoverySharesRefresh: note("new recovery shares are dealt"),
		TriggerLedgerChunk:           note("the ledger begins a new file"),
		TriggerSnapshot:              note("a snapshot is taken"),
		TransitionServiceToOpen: func(_, _ []byte) error {
			return note("the service opens, or asks for recovery shares after a recovery")()
		},
		SetSealedResume: func(allowed bool) error {
			if !allowed {
				return note("nodes remove what they have sealed: the service can come back by recovery shares alone")()
			}
			return note("nodes keep the service's key and ledger secrets on their disks, sealed to their platform: the service can come back without recovery shares")()
		},
		LatestLedgerSecretSeqno: func() (synod.SeqNo, error) { return 1, nil },
		GenerateEndorsedCertificate: func(_, from string, days int) (string, error) {
			return "(a new certificate)\n", note(fmt.Sprintf("a node gets a new certificate, from %s for %d days", from, days))()
		},
		GenerateNetworkCertificate: func(from string, days int) (string, error) {
			return "(a new certificate)\n", note(fmt.Sprintf("the service gets a new certificate, from %s for %d days", from, days))()
		},
		SetJWTPublicSigningKeys: func(issuer string, _, _ json.RawMessage) error {
			return note("the signing keys of token issuer " + issuer + " are replaced")()
		},
		RemoveJWTPublicSigningKeys: func(issuer string) error {
			return note("the signing keys of token issuer " + issuer + " are removed")()
		},
	}
}

// compare lists the rows that tx leaves other than they were.
func (p *Preview) compare(store *kv.Store, tx *kv.Tx) {
	ws := tx.WriteSet()
	if ws == nil {
		return
	}
	before := store.Begin()
	defer before.Release()
	for _, m := range ws.Maps {
		after := map[string][]byte{}
		for _, w := range m.Writes {
			after[string(w.Key)] = w.Value
		}
		for _, key := range m.Removes {
			after[string(key)] = nil
		}
		for _, key := range slices.Sorted(maps.Keys(after)) {
			old, had := before.Get(m.Name, []byte(key))
			value := after[key]
			if !had && value == nil || had && value != nil && bytes.Equal(old, value) {
				continue
			}
			p.Changes = append(p.Changes, Change{Table: m.Name, Key: key, Old: bytes.Clone(old), New: value})
		}
	}
}
