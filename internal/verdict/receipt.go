package verdict

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"synod"
	"synod/internal/merkle"
	"synod/receipt"
)

// Outcome of a step.
type Outcome string

// The outcomes of a step.
const (
	OK         Outcome = "ok"
	Failed     Outcome = "failed"
	NotReached Outcome = "not reached" // an earlier step failed
)

// Step is one thing that was checked, in the order in which it was.
type Step struct {
	Name   string  `json:"name"`
	Value  string  `json:"value,omitempty"` // what was computed
	Result Outcome `json:"result"`
	Text   string  `json:"text,omitempty"` // why it failed
}

// Receipt is what became of a receipt.
type Receipt struct {
	Verified    bool   `json:"verified"`
	Kind        string `json:"kind"` // JSON or COSE
	IsSignature bool   `json:"is_signature"`

	TransactionID  synod.TxID `json:"transaction_id,omitzero"`
	Root           string     `json:"root,omitempty"`
	WriteSetDigest string     `json:"write_set_digest,omitempty"`
	ClaimsDigest   string     `json:"claims_digest,omitempty"`
	NodeID         string     `json:"node_id,omitempty"`

	Steps []Step `json:"steps"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// names of the steps, in the order in which package receipt takes them.
const (
	stepParse    = "the receipt can be read"
	stepLeaf     = "leaf from write set, evidence and claims"
	stepRoot     = "root from leaf and siblings"
	stepSigned   = "signature over the root"
	stepNode     = "node ID is the hash of the signing key"
	stepService  = "the signer is endorsed by the service"
	stepExpected = "it is of what was expected"
)

// VerifyReceipt verifies a receipt, JSON, which starts with a brace, or COSE.
// The error is that of package receipt; the verdict says the same in words.
// An unusable certificate in opts is an error of receipt.ErrTrust without a
// verdict about the receipt.
func VerifyReceipt(body []byte, opts receipt.Options) (*Receipt, error) {
	v := &Receipt{Kind: "COSE"}
	var res receipt.Result
	var err error
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '{' {
		v.Kind = "JSON"
		res, err = v.json(body, opts)
	} else {
		res, err = v.cose(body, opts)
	}
	v.settle(err)
	if err != nil {
		v.Error, v.Hint = err.Error(), Hint(err)
		return v, err
	}
	v.Verified, v.IsSignature, v.TransactionID = true, res.IsSignature, res.TxID
	v.Root, v.NodeID = hex.EncodeToString(res.Root[:]), string(res.NodeID)
	if !res.TxID.IsZero() {
		v.WriteSetDigest = hex.EncodeToString(res.WriteSetDigest[:])
		v.ClaimsDigest = hex.EncodeToString(res.ClaimsDigest[:])
	}
	return v, nil
}

func (v *Receipt) json(body []byte, opts receipt.Options) (receipt.Result, error) {
	r, err := receipt.Parse(body)
	if err != nil {
		v.plan(stepParse, "", stepLeaf, "", stepRoot, "", stepSigned, "", stepNode, "", stepService, "")
		return receipt.Result{}, err
	}
	leaf := "a signature transaction: its leaf is the root"
	if r.LeafComponents != nil {
		d := r.LeafComponents.Digest()
		leaf = hex.EncodeToString(d[:])
	}
	root := r.Root()
	v.plan(stepParse, fmt.Sprintf("%d bytes", len(body)),
		stepLeaf, leaf,
		stepRoot, fmt.Sprintf("%x, over %d siblings", root, len(r.Proof)),
		stepSigned, fmt.Sprintf("ECDSA, %d bytes", len(r.Signature)),
		stepNode, string(r.NodeID),
		stepService, anchor(opts, len(r.ServiceEndorsements)))
	v.expect(opts)
	return r.Verify(opts)
}

func (v *Receipt) cose(body []byte, opts receipt.Options) (receipt.Result, error) {
	r, err := receipt.ParseCOSE(body)
	if err != nil {
		v.plan(stepParse, "", stepLeaf, "", stepRoot, "", stepService, "", stepSigned, "")
		return receipt.Result{}, err
	}
	first := r.Proofs[0]
	leaf := first.Digest()
	v.plan(stepParse, fmt.Sprintf("%d bytes", len(body)),
		stepLeaf, hex.EncodeToString(leaf[:]),
		stepRoot, fmt.Sprintf("%x, over %d siblings", merkle.Path(first.Path).Root(leaf), len(first.Path)),
		stepService, anchor(opts, len(opts.Endorsements)),
		stepSigned, "by the service's own key "+r.KID)
	v.expect(opts)
	return r.Verify(opts)
}

// plan sets the steps, as pairs of name and value.
func (v *Receipt) plan(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		v.Steps = append(v.Steps, Step{Name: pairs[i], Value: pairs[i+1], Result: OK})
	}
}

func (v *Receipt) expect(o receipt.Options) {
	what := ""
	for _, e := range []struct {
		set  bool
		name string
	}{{o.Entry != nil || o.WriteSetDigest != nil, "content"}, {o.Claims != nil, "claims"}, {!o.TxID.IsZero(), "transaction " + o.TxID.String()}} {
		if e.set && what != "" {
			what += ", "
		}
		if e.set {
			what += e.name
		}
	}
	if what != "" {
		v.plan(stepExpected, what)
	}
}

// anchor names the key that is trusted.
func anchor(o receipt.Options, endorsements int) string {
	key := "unusable"
	if block, _ := pem.Decode(o.ServiceCert); block != nil {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			key = fmt.Sprintf("%x", sha256.Sum256(cert.RawSubjectPublicKeyInfo))
		}
	}
	s := "service key " + key
	if endorsements > 0 {
		s += fmt.Sprintf(", over %d recoveries", endorsements)
	}
	return s
}

// settle marks the step that err is of, and those after it.
func (v *Receipt) settle(err error) {
	if err == nil {
		return
	}
	at := stepOf(err)
	failed := false
	for i := range v.Steps {
		switch s := &v.Steps[i]; {
		case failed:
			s.Result, s.Value = NotReached, ""
		case s.Name == at:
			s.Result, s.Text = Failed, err.Error()
			failed = true
		}
	}
	if !failed && len(v.Steps) > 0 {
		s := &v.Steps[len(v.Steps)-1]
		s.Result, s.Text = Failed, err.Error()
	}
}

func stepOf(err error) string {
	switch {
	case errors.Is(err, receipt.ErrMalformed):
		return stepParse
	case errors.Is(err, receipt.ErrBadSignature), errors.Is(err, receipt.ErrNoCertificate):
		return stepSigned
	case errors.Is(err, receipt.ErrWrongNode):
		return stepNode
	case errors.Is(err, receipt.ErrWrongService), errors.Is(err, receipt.ErrTrust):
		return stepService
	}
	return stepExpected
}

// Hint says what to do about an error of package receipt.
func Hint(err error) string {
	switch {
	case errors.Is(err, receipt.ErrMalformed):
		return "a receipt is the JSON of /app/receipt, or a COSE_Sign1 message"
	case errors.Is(err, receipt.ErrWrongService):
		return "is this the present certificate of the right service?"
	case errors.Is(err, receipt.ErrNoCertificate):
		return "the receipt does not hold the certificate of the node that signed: fetch a newer one"
	case errors.Is(err, receipt.ErrClaimsMismatch):
		return "the receipt is genuine, but the application claimed something else"
	}
	return "do not rely on it: the receipt was changed, or is of something else"
}
