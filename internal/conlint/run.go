package conlint

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"synod"
	"synod/internal/js"
	"synod/internal/kv"
)

const (
	// callTime bounds one call; a call of a sound constitution takes about a
	// thousandth of it.
	callTime = time.Second
	// timeoutsMax ends a lint: each costs callTime.
	timeoutsMax = 2
	// lintMax bounds all calls together. A large constitution takes seconds.
	lintMax = 2 * time.Minute
)

// errSpent ends a lint of a text that loops or takes all memory, since every
// call would take long.
var errSpent = errors.New("a call took all the time or memory that it may have")

// errUnfinished ends a lint of a text whose calls are slow.
var errUnfinished = errors.New("the calls took too long together")

// outcome is what one call came to.
type outcome struct {
	value  json.RawMessage // nil for undefined
	thrown *js.Exception   // nil if it returned
}

// text is a result that is a text, and else its JSON.
func (o outcome) text() string {
	var s string
	switch {
	case o.thrown != nil:
		return "throws"
	case json.Unmarshal(o.value, &s) == nil:
		return s
	case o.value == nil:
		return "undefined"
	}
	return string(o.value)
}

// runner calls the constitution on the engine and notices what is reached.
type runner struct {
	ctx      context.Context
	engine   *js.Engine
	source   string // with probes, or plain if those do not compile
	hit      map[int]bool
	last     int // probe that was hit last
	callTime time.Duration
	until    time.Time // when to give up
	timeouts int
	spent    *js.Exception // what errSpent is about
}

func newRunner(ctx context.Context, plain string, limit time.Duration) (*runner, error) {
	r := &runner{ctx: ctx, callTime: limit, until: time.Now().Add(lintMax), source: plain, hit: map[int]bool{}}
	var err error
	r.engine, err = js.NewEngine(js.Config{Log: slog.New(&hitLog{r})})
	return r, err
}

// call calls an exported function with the text as it is linted.
func (r *runner) call(tx *kv.Tx, function string, args ...any) (outcome, error) {
	return r.run(tx, r.source, function, js.GovReadOnly, nil, args...)
}

func (r *runner) run(tx *kv.Tx, source, function string, access js.Access, effects *js.Effects, args ...any) (outcome, error) {
	if time.Now().After(r.until) {
		return outcome{}, errUnfinished
	}
	value, err := r.engine.CallGov(r.ctx, js.GovCall{
		Module: module, Source: source, Function: function, Args: args,
		Access: access, Tx: tx, Effects: effects, Within: r.callTime,
	})
	var thrown *js.Exception
	if errors.As(err, &thrown) {
		if thrown.Timeout { // once more: the machine may have been busy
			if r.timeouts++; r.timeouts < timeoutsMax {
				return r.run(tx, source, function, access, effects, args...)
			}
		}
		if thrown.Timeout || strings.Contains(thrown.Reason, "out of memory") {
			r.spent = thrown
			return outcome{thrown: thrown}, errSpent
		}
		return outcome{thrown: thrown}, nil
	}
	return outcome{value: value}, err
}

// hitLog receives what the text prints, of which only the probes' lines count.
type hitLog struct{ r *runner }

// Enabled takes everything.
func (*hitLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle notes a probe.
func (h *hitLog) Handle(_ context.Context, record slog.Record) error {
	if n, ok := strings.CutPrefix(record.Message, probeMark); ok {
		if i, err := strconv.Atoi(n); err == nil {
			h.r.hit[i], h.r.last = true, i
		}
	}
	return nil
}

// WithAttrs drops the attributes.
func (h *hitLog) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup drops the group.
func (h *hitLog) WithGroup(string) slog.Handler { return h }

// effects writes down what apply asks of its node.
func effects(did *[]string) *js.Effects {
	note := func(text string) func() error {
		return func() error { *did = append(*did, text); return nil }
	}
	return &js.Effects{
		TriggerLedgerRekey:           note("new ledger secret"),
		TriggerRecoverySharesRefresh: note("new recovery shares"),
		TriggerLedgerChunk:           note("new ledger chunk"),
		TriggerSnapshot:              note("snapshot"),
		TransitionServiceToOpen:      func(_, _ []byte) error { return note("opens the service")() },
		SetSealedResume:              func(bool) error { return note("sealed keys")() },
		LatestLedgerSecretSeqno:      func() (synod.SeqNo, error) { return 1, nil },
		GenerateEndorsedCertificate: func(_, _ string, _ int) (string, error) {
			return "a certificate", note("node certificate")()
		},
		GenerateNetworkCertificate: func(_ string, _ int) (string, error) {
			return "a certificate", note("service certificate")()
		},
		SetJWTPublicSigningKeys:    func(string, json.RawMessage, json.RawMessage) error { return note("token signing keys")() },
		RemoveJWTPublicSigningKeys: func(string) error { return note("token signing keys")() },
	}
}
