//go:build js && wasm

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"syscall/js"

	"synod"
	"synod/internal/audit"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/verdict"
	"synod/receipt"
)

func main() {
	js.Global().Set("synodVerifier", map[string]any{
		"receipt": js.FuncOf(verifyReceipt),
		"ledger":  js.FuncOf(verifyLedger),
		"entry":   js.FuncOf(showEntry),
	})
	select {}
}

// failure is the answer to a question that could not be answered.
func failure(err error) string { return encode(map[string]string{"error": err.Error()}) }

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return `{"error":"the answer cannot be encoded"}`
	}
	return string(b)
}

// receiptOptions are those of `synod receipt verify`.
type receiptOptions struct {
	ServiceCert  string   `json:"serviceCert"`
	Endorsements [][]byte `json:"endorsements"`
	TxID         string   `json:"tx"`
	ClaimsDigest string   `json:"claimsDigest"`
	Entry        []byte   `json:"entry"`
}

func (o *receiptOptions) options() (receipt.Options, error) {
	out := receipt.Options{ServiceCert: []byte(o.ServiceCert), Endorsements: o.Endorsements, Entry: o.Entry}
	if o.TxID != "" {
		id, err := synod.ParseTxID(o.TxID)
		if err != nil {
			return out, err
		}
		out.TxID = id
	}
	if o.ClaimsDigest != "" {
		b, err := hex.DecodeString(o.ClaimsDigest)
		if err != nil || len(b) != 32 {
			return out, fmt.Errorf("claims digest: want 64 hex digits")
		}
		out.Claims = (*[32]byte)(b)
	}
	return out, nil
}

func verifyReceipt(_ js.Value, args []js.Value) any {
	body := make([]byte, args[0].Get("length").Int())
	js.CopyBytesToGo(body, args[0])
	var o receiptOptions
	if err := json.Unmarshal([]byte(args[1].String()), &o); err != nil {
		return failure(err)
	}
	opts, err := o.options()
	if err != nil {
		return failure(err)
	}
	v, _ := verdict.VerifyReceipt(body, opts) // the verdict says it
	return encode(v)
}

// row is one entry in the index of a ledger.
type row struct {
	TxID      string   `json:"tx"`
	SizeBytes int      `json:"size"`
	Private   int      `json:"private"`
	Signature bool     `json:"sig,omitempty"`
	Tables    []string `json:"tables"`
}

// progress is sent now and then with what was read since.
type progress struct {
	Entries   uint64 `json:"entries"`
	SizeBytes int64  `json:"bytes"`
	Rows      []row  `json:"rows"`
}

// rowsMax is how many entries are told at a time.
const rowsMax = 500

type ledgerOptions struct {
	Dir         string `json:"dir"`
	ServiceCert string `json:"serviceCert"`
	Contains    string `json:"contains"`
}

// ledgerVerdict is what `synod ledger verify -o json` prints, and why not.
type ledgerVerdict struct {
	Verified bool `json:"verified"`
	*audit.Report
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

func verifyLedger(_ js.Value, args []js.Value) any {
	text, tell := args[0].String(), args[1]
	return js.Global().Get("Promise").New(js.FuncOf(func(_ js.Value, p []js.Value) any {
		go func() { p[0].Invoke(ledgerText(text, tell)) }()
		return nil
	}))
}

func ledgerText(text string, tell js.Value) string {
	var o ledgerOptions
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return failure(err)
	}
	var least synod.TxID
	if o.Contains != "" {
		var err error
		if least, err = synod.ParseTxID(o.Contains); err != nil {
			return failure(err)
		}
	}
	var now progress
	report, err := audit.Replay(context.Background(), func(e *ledger.Entry, _ *audit.Verifier) error {
		now.add(e)
		if len(now.Rows) == rowsMax {
			tell.Invoke(encode(now))
			now.Rows = now.Rows[:0]
		}
		return nil
	}, o.Dir)
	tell.Invoke(encode(now))
	if err == nil && o.ServiceCert != "" {
		err = verdict.SameService(report, []byte(o.ServiceCert))
	}
	if err == nil {
		err = verdict.Reaches(report, least)
	}
	v := ledgerVerdict{Verified: err == nil, Report: report}
	if err != nil {
		v.Error = err.Error()
		v.Hint, _ = verdict.LedgerHint(err)
	}
	return encode(v)
}

func (p *progress) add(e *ledger.Entry) {
	r := row{TxID: e.TxID.String(), SizeBytes: len(e.Raw), Private: len(e.Cipher), Signature: e.IsSignature(), Tables: []string{}}
	if maps, err := kv.DecodeDomain(e.PublicMaps, true); err == nil {
		for _, m := range maps {
			r.Tables = append(r.Tables, m.Name)
		}
	}
	p.Entries++
	p.SizeBytes += int64(len(e.Raw))
	p.Rows = append(p.Rows, r)
}

func showEntry(_ js.Value, args []js.Value) any {
	dir, seqno := args[0].String(), args[1].Int()
	return js.Global().Get("Promise").New(js.FuncOf(func(_ js.Value, p []js.Value) any {
		go func() { p[0].Invoke(entryText(dir, seqno)) }()
		return nil
	}))
}

func entryText(dir string, seqno int) string {
	e, file, offset, err := verdict.FindEntry(context.Background(), dir, synod.SeqNo(seqno)) //nolint:gosec // a row that was shown
	if err != nil {
		return failure(err)
	}
	out, err := verdict.ShowEntry(e, file, offset)
	if err != nil {
		return failure(err)
	}
	return encode(out)
}
