package logapp

import (
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
		return a.Get(path, app.HistoricalQuery(func(c *app.Context, s *app.State) error {
			p, err := s.Proof()
			if err != nil {
				return err
			}
			return answer(c, p)
		}), std...).Historical()
	}
	app.Document[app.None, app.None](get("/log/public/cbor_merkle_proof", merkleProof))
	app.Document[app.None, endorsementsAnswer](get("/log/public/cose_endorsements", endorsements))
	app.Document[app.None, signatureAnswer](get("/log/public/cose_signature", coseSignature))
	app.Document[app.None, app.None](get("/log/public/cose_receipt", coseReceipt))
	app.Document[app.None, app.None](a.Get("/cose_signatures_config", signaturesConfig, std...).ReadOnly().Forward(app.ForwardNever))
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

// endorsements lead to the older identity that a transaction was signed under.
func endorsements(c *app.Context, p *app.Proof) error {
	if p.COSEEndorsements == nil {
		return nothing("COSE endorsements")
	}
	return c.JSON(endorsementsAnswer{p.COSEEndorsements})
}

func coseSignature(c *app.Context, p *app.Proof) error {
	if p.COSESignature == nil {
		return nothing("COSE signature")
	}
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
