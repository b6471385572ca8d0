package js

// hostTable lists the host functions; the prelude finds them by name. A name
// is the object within `ccf`, a dot and the member.
func hostTable() []hostOp {
	var t []hostOp
	for _, part := range [][]hostOp{kvOps, pastOps, historicalOps, converterOps, requestOps, rpcOps, consoleOps, cryptoOps, govOps, applyOps, {tcbOp, traceOp, unitOp, hostOpOfSpace, verifySNPOp}} {
		t = append(t, part...)
	}
	return t
}
