package frontend

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"synod"
	"synod/app"
	"synod/internal/consensus"
	"synod/internal/machine"
)

// waitMax bounds how long an answer is held back until its transaction is
// committed.
const waitMax = 10 * time.Second

// wait is what x-synod-wait asks for.
type wait int

const (
	waitNone wait = iota
	waitCommitted
	waitReceipt
)

func waitMode(req *app.Request) (wait, error) {
	switch v := req.Header.Get("x-synod-wait"); v {
	case "":
		return waitNone, nil
	case "committed":
		return waitCommitted, nil
	case "receipt":
		return waitReceipt, nil
	default:
		return waitNone, synod.Errorf(400, synod.CodeInvalidHeaderValue,
			"The header x-synod-wait is %q; use committed or receipt.", v)
	}
}

// outcome is what became of a transaction that was waited for.
type outcome struct {
	status synod.TxStatus
	proof  *consensus.Proof
}

// submit has a transaction ordered, and waits for its outcome if the request does.
func (x *execution) submit(ctx context.Context, p *machine.Prepared) (synod.TxID, outcome, error) {
	if x.wait == waitNone {
		id, err := x.server.cfg.Replica.Submit(p)
		return id, outcome{}, err
	}
	limit := waitMax
	if x.patience != 0 {
		limit = min(limit, x.patience)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	id, status, proof, err := x.server.cfg.Replica.SubmitAndWait(ctx, p, x.wait == waitReceipt)
	return id, outcome{status, proof}, err
}

// answerCommitted completes an answer that was held back until the service has
// committed the transaction, or for as long as it may. The header x-synod-status
// says what became of it; with receipt the header x-synod-receipt holds the receipt
// as compact JSON, and the body stays the handler's.
func (x *execution) answerCommitted(ctx context.Context, resp *app.Response, id synod.TxID, o outcome) *app.Response {
	s := x.server
	resp.Header.Set("x-synod-status", string(o.status))
	if o.status == synod.TxInvalid {
		fail := failure(synod.Errorf(503, synod.CodeTransactionReplicationFailed,
			"The transaction %s was not committed: the service elected another primary. Retry it.", id))
		fail.Header = append(fail.Header, app.Field{Name: txHeader, Value: id.String()},
			app.Field{Name: "x-synod-status", Value: string(o.status)})
		return fail
	}
	if o.status == synod.TxCommitted && x.wait == waitReceipt {
		receipt, err := s.cfg.Receipt(id, o.proof)
		if err != nil {
			// The write is committed, which the answer says; the receipt can be
			// asked for again.
			s.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "no receipt", slog.String("tx", id.String()), slog.String("err", err.Error()))
			return resp
		}
		resp.Header.Set("x-synod-receipt", string(bytes.TrimSpace(receipt)))
	}
	return resp
}
