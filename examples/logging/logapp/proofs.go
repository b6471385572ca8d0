package logapp

import (
	"errors"

	"synod"
	"synod/app"
)

// The endpoints that hand out what proves a transaction, which the header
// x-ms-ccf-transaction-id names.

type signatureAnswer struct {
	COSESignature []byte `json:"cose_signature"`
}

type endorsementsAnswer struct {
	Endorsements [][]byte `json:"endorsements"`
}

func declareProofs(a *app.App) {
	get := func(path string, answer func(c *app.Context, p *app.Proof) error) *app.Endpoint {
		return a.Get(path, func(c *app.Context) error {
			p, err := proofOf(c)
			if err != nil {
				return err
			}
			return answer(c, p)
		}, std...).ReadOnly().Forward(app.ForwardNever)
	}
	app.Document[app.None, app.None](get("/log/public/cbor_merkle_proof", merkleProof))
	app.Document[app.None, endorsementsAnswer](get("/log/public/cose_endorsements", endorsements))
	app.Document[app.None, signatureAnswer](get("/log/public/cose_signature", coseSignature))
	app.Document[app.None, app.None](get("/log/public/cose_receipt", coseReceipt))
	app.Document[app.None, app.None](a.Get("/cose_signatures_config", signaturesConfig, std...).ReadOnly().Forward(app.ForwardNever))
}

// proofOf finds the transaction that the request names. CCF answers a header
// that is missing or no ID with 404 (CCF: src/node/historical_queries_adapter.cpp).
func proofOf(c *app.Context) (*app.Proof, error) {
	const header = "x-ms-ccf-transaction-id"
	if !c.Request.Header.Has(header) {
		return nil, synod.Errorf(404, synod.CodeTransactionInvalid, "Historical query is missing 'x-ms-ccf-transaction-id' header.")
	}
	text := c.Request.Header.Get(header)
	id, err := synod.ParseTxID(text)
	if err != nil {
		return nil, synod.Errorf(404, synod.CodeTransactionInvalid,
			"The value '%s' in header 'x-ms-ccf-transaction-id' could not be converted to a valid Transaction ID.", text)
	}
	p, err := c.Node().Proof(id)
	if wire := (*synod.Error)(nil); errors.As(err, &wire) && wire.Code == synod.CodeTransactionPendingOrUnknown {
		c.SetHeader("cache-control", "no-cache")
	}
	return p, err
}

func nothing(what string) error {
	return synod.Errorf(404, synod.CodeResourceNotFound, "No %s available for this transaction", what)
}

func merkleProof(c *app.Context, p *app.Proof) error {
	if p.MerkleProof == nil {
		return nothing("merkle proof")
	}
	c.Bytes("application/cbor", p.MerkleProof)
	return nil
}

// endorsements of older identities: a service that was never recovered has
// none.
func endorsements(*app.Context, *app.Proof) error { return nothing("COSE endorsements") }

func coseSignature(c *app.Context, p *app.Proof) error {
	return c.JSON(signatureAnswer{p.COSESignature})
}

func coseReceipt(c *app.Context, p *app.Proof) error {
	if p.COSEReceipt == nil {
		return nothing("merkle proof")
	}
	c.Bytes("application/cose", p.COSEReceipt)
	return nil
}

func signaturesConfig(c *app.Context) error {
	issuer, subject := c.Node().SignedAs()
	return c.JSON(struct {
		Issuer  string `json:"issuer"`
		Subject string `json:"subject"`
	}{issuer, subject})
}
