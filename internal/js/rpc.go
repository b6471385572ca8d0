package js

import "synod"

// rpcOps are ccf.rpc and ccf.consensus
// (CCF: src/js/extensions/ccf/rpc.cpp, consensus.cpp).
var rpcOps = []hostOp{
	{"rpc.setApplyWrites", 1, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.want(1) {
			return valExc, false
		}
		c.app.SetApplyWrites(v.g.ToBool(v.ctx, a.at(0)) != 0)
		return valUndef, true
	}},
	{"rpc.setClaimsDigest", 1, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.want(1) {
			return valExc, false
		}
		b, ok := v.buffer(a.at(0))
		if !ok {
			return v.throw(typeError, "Argument must be an ArrayBuffer")
		}
		if len(b) != 32 {
			return v.throw(typeError, "Argument must be an ArrayBuffer of the right size")
		}
		c.app.Claim([32]byte(b))
		return valUndef, true
	}},
	{"consensus.getLastCommittedTxId", 0, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.want(0) {
			return valExc, false
		}
		var id synod.TxID
		v.outsideDo(func() { id = c.host.LastCommitted() })
		return owned(v.parseJSON(`{"view":`+decimal(id.View)+`,"seqno":`+decimal(id.SeqNo)+`}`, v.json))
	}},
	{"consensus.getStatusForTxId", 2, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.want(2) {
			return valExc, false
		}
		view, ok := v.integer(a.at(0))
		if !ok {
			return valExc, false
		}
		seqno, ok := v.integer(a.at(1))
		if !ok {
			return valExc, false
		}
		if view < 0 || seqno < 0 {
			return v.throw(rangeError, "Invalid view or seqno: cannot be negative")
		}
		var status synod.TxStatus
		v.outsideDo(func() {
			status = c.host.Status(synod.TxID{View: synod.View(view), SeqNo: synod.SeqNo(seqno)})
		})
		return owned(v.newString(string(status)))
	}},
	{"consensus.getViewForSeqno", 1, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if !a.want(1) {
			return valExc, false
		}
		seqno, ok := v.integer(a.at(0))
		if !ok {
			return valExc, false
		}
		if seqno < 0 {
			return v.throw(rangeError, "Invalid seqno: cannot be negative")
		}
		var view synod.View
		v.outsideDo(func() { view, ok = c.host.ViewOf(synod.SeqNo(seqno)) })
		if !ok {
			return valNull, true
		}
		return v.newNumber(float64(view)), true
	}},
}
