package gov

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"synod"
	"synod/app"
	"synod/internal/js"
	"synod/internal/tables"
)

// Reasons that members see instead of what the engine says.
const tookTooLong = "Operation took too long to complete."

// script is one text that exports functions: the constitution or a ballot.
type script struct {
	module string // as it appears in traces
	source string
}

// currentConstitution reads the constitution in force.
func currentConstitution(c *app.Context, use string) (script, error) {
	source, ok, err := tables.GetJSON[string](c.Tx(), tables.Constitution, tables.UnitKey())
	if err != nil {
		return script{}, broken(err)
	}
	if !ok {
		return script{}, internal("No constitution is set - %s cannot be evaluated", use)
	}
	return script{module: tables.Constitution + "[0]", source: source}, nil
}

// ballotScript is a member's ballot on a proposal.
func ballotScript(proposal string, member synod.MemberID, source string) script {
	return script{
		module: fmt.Sprintf("%s[%s].ballots[%s]", tables.ProposalsInfo, proposal, string(member)),
		source: source,
	}
}

// run is one call of an exported function.
type run struct {
	script   script
	function string
	args     []any
	access   js.Access
	effects  *js.Effects   // with js.GovReadWrite
	within   time.Duration // bounds the run below the service's limit; 0 for not
}

// call makes a run in a fresh interpreter. What the script throws comes back
// as a failure; an error is anything else that stopped it.
func (g *gov) call(c *app.Context, r run) (json.RawMessage, *tables.Failure, error) {
	limits, err := limits(c.Tx())
	if err != nil {
		return nil, nil, err
	}
	value, err := g.engine.CallGov(c.Context(), js.GovCall{
		Module: r.script.module, Source: r.script.source, Function: r.function, Args: r.args,
		Access: r.access, Tx: c.Tx(), Effects: r.effects, Limits: limits, Within: r.within,
	})
	var thrown *js.Exception
	if !errors.As(err, &thrown) {
		return value, nil, err
	}
	reason := thrown.Reason
	if thrown.Timeout {
		reason = tookTooLong
	}
	return nil, &tables.Failure{Reason: reason, Trace: thrown.Trace}, nil
}

// doesNotLoad says whether a failure is that of a text which is no module
// with the function called, in the engine's words.
func doesNotLoad(f *tables.Failure) bool {
	return f.Trace == "" &&
		(strings.HasPrefix(f.Reason, "Failed to compile ") || strings.HasPrefix(f.Reason, "Failed to find export "))
}

// limits are the service's runtime options where they allow more than the
// defaults, which governance always has.
func limits(tx tables.Reader) (js.Limits, error) {
	l := js.DefaultLimits()
	set, ok, err := tables.GetJSON[tables.JSRuntimeOptions](tx, tables.JSRuntime, tables.UnitKey())
	if err != nil || !ok {
		return l, err
	}
	const most = 1 << 40 // bytes or milliseconds; keeps what follows in range
	l.HeapBytes = max(l.HeapBytes, int64(min(set.MaxHeapBytes, most)))
	l.StackBytes = max(l.StackBytes, int64(min(set.MaxStackBytes, most)))
	l.Execution = max(l.Execution, time.Duration(min(set.MaxExecutionTimeMS, most))*time.Millisecond)
	return l, nil
}
