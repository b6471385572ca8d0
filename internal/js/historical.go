package js

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"synod"
	"synod/app"
)

// historicalOps are ccf.historical and what the states that it returns are made
// of (CCF: src/js/extensions/ccf/historical.cpp).
var historicalOps = []hostOp{
	{"historical.getStateRange", 4, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.want(4) {
			return valExc, false
		}
		var n [4]int64
		for i := range n {
			var ok bool
			if n[i], ok = v.integer(a.at(i)); !ok {
				return valExc, false
			}
		}
		for _, x := range n {
			if x < 0 {
				return v.throw(rangeError, "Invalid handle or seqno or expiry: cannot be negative")
			}
		}
		return v.stateRange(c, uint64(n[0]), synod.SeqNo(n[1]), synod.SeqNo(n[2]), time.Duration(min(n[3], expiryMax))*time.Second)
	}},
	{"historical.dropCachedStates", 1, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.want(1) {
			return valExc, false
		}
		handle, ok := v.integer(a.at(0))
		if !ok {
			return valExc, false
		}
		if handle < 0 {
			return v.throw(rangeError, "Invalid handle: cannot be negative")
		}
		h := c.history()
		if h == nil {
			return v.throw(internalError, "Failed to drop cached states: %s", errNoHistory)
		}
		var found bool
		v.outsideDo(func() { found = h.Drop(uint64(handle)) })
		return boolValue(found), true
	}},
	{"state.receipt", 1, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		s, ok := v.stateAt(c, a.at(0))
		if !ok {
			return valExc, false
		}
		var text []byte
		var err error
		v.outsideDo(func() { text, err = receiptForScripts(s) })
		if err != nil {
			return v.throw(internalError, "Failed to make a receipt: %s", err)
		}
		return owned(v.parseJSON(bytesAsString(text), v.json))
	}},
}

// expiryMax bounds how long a script may have its states kept, in seconds.
const expiryMax = 24 * 60 * 60

var errNoHistory = errors.New("this node serves no historical queries")

// history is the node's past, nil if there is none to ask.
func (c *call) history() app.History {
	if c.host == nil {
		return nil
	}
	return c.host.History()
}

// stateRange returns the IDs of states, which the call then has, or null while
// they are fetched.
func (v *vm) stateRange(c *call, handle uint64, from, to synod.SeqNo, expiry time.Duration) (value, bool) {
	h := c.history()
	if h == nil {
		return v.throw(internalError, "Failed to get state range: %s", errNoHistory)
	}
	var states []*app.State
	var err error
	v.outsideDo(func() { states, err = h.StateRange(handle, from, to, expiry) })
	if errors.Is(err, app.ErrNotYet) {
		return valNull, true
	}
	if err != nil {
		return v.throw(internalError, "Failed to get state range: %s", err)
	}
	ids := make([]string, len(states))
	for i, s := range states {
		ids[i] = s.ID().String()
		c.remember(s)
	}
	text, err := json.Marshal(ids)
	if err != nil {
		return v.throw(internalError, "Failed to get state range: %s", err)
	}
	return owned(v.parseJSON(bytesAsString(text), v.json))
}

// remember keeps a state for as long as the call runs.
func (c *call) remember(s *app.State) {
	if c.states == nil {
		c.states = map[synod.SeqNo]*app.State{}
	}
	c.states[s.ID().SeqNo] = s
}

// stateAt is a state that the call has; false means that it threw.
func (v *vm) stateAt(c *call, seqno value) (*app.State, bool) {
	n, ok := v.integer(seqno)
	if !ok {
		return nil, false
	}
	s := c.states[synod.SeqNo(n)]
	if s == nil { // of an earlier call, in an interpreter that is reused
		v.throw(internalError, "Internal: Unable to access MapHandle")
		return nil, false
	}
	return s, true
}

// pastOps are the methods of the tables of a past state. Every table that a
// script may read or write at all is read-only there.
var pastOps = opsOf("past.", func(v *vm, c *call, a args, op *tableOp, table string) (value, bool) {
	p := permissionFor(c.access, table)
	why := "See " + restrictionsPage + " for more detail."
	if c.space != nil && p != permitNone {
		p, why = c.space.restricted(table, p, why)
	}
	if p != permitNone {
		p, why = permitRead, "All tables are read-only during historical transaction."
	}
	if p&op.need == 0 {
		return v.throw(typeError, "%s", deniedText(op.method, table, p, c.access, why))
	}
	n := v.g.GetProperty(v.ctx, a.this, v.atoms[atomSeqNo])
	if isException(n) {
		return n, false
	}
	s, ok := v.stateAt(c, n)
	v.free(n)
	if !ok {
		return valExc, false
	}
	return op.call(v, c, a, s, table)
})

// showState makes the call's own past state ccf.historicalState, or takes away
// the one of the call before.
func (v *vm) showState(run *call) error {
	var r value
	if run.state == nil {
		r = v.invoke(v.setState, valUndef)
	} else {
		run.remember(run.state)
		id := v.newString(run.state.ID().String())
		r = v.invoke(v.setState, id)
		v.free(id)
	}
	if isException(r) {
		return v.takeException()
	}
	v.free(r)
	return nil
}

// receiptForScripts is a state's receipt in the form that scripts get
// (CCF: src/js/extensions/ccf/historical.cpp, ccf_receipt_to_js).
func receiptForScripts(s *app.State) ([]byte, error) {
	proof, err := s.Proof()
	if err != nil {
		return nil, err
	}
	var r struct {
		Signature  json.RawMessage `json:"signature"`
		Cert       string          `json:"cert"`
		NodeID     json.RawMessage `json:"node_id"`
		Leaf       string          `json:"leaf"`
		Components *struct {
			WriteSet string `json:"write_set_digest"`
			Evidence string `json:"commit_evidence"`
			Claims   string `json:"claims_digest,omitempty"`
		} `json:"leaf_components"`
		Proof json.RawMessage `json:"proof"`
	}
	if err := json.Unmarshal(proof.Receipt, &r); err != nil {
		return nil, fmt.Errorf("receipt of %s: %w", s.ID(), err)
	}
	type common struct {
		Signature   json.RawMessage `json:"signature"`
		Cert        string          `json:"cert"`
		NodeID      json.RawMessage `json:"node_id"`
		IsSignature bool            `json:"is_signature_transaction"`
	}
	head := common{r.Signature, r.Cert, r.NodeID, r.Components == nil}
	if head.IsSignature {
		return json.Marshal(struct {
			common
			Root string `json:"root_hex"`
		}{head, r.Leaf})
	}
	return json.Marshal(struct {
		common
		Components any             `json:"leaf_components"`
		Proof      json.RawMessage `json:"proof"`
	}{head, r.Components, r.Proof})
}
