package transfers

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"synod"
	"synod/app"
)

// order moves money; it is the body of a request and the claim of a receipt.
type order struct {
	Amount uint64 `json:"amount"` // in cents
	From   string `json:"from"`
	To     string `json:"to"`
}

// Validate refuses an order that moves nothing.
func (o order) Validate() error {
	if o.From == o.To {
		return errors.New("from and to are the same account")
	}
	return positive(o.Amount)
}

// Digest is what the receipt of a transfer claims: SHA-256 of the order as
// compact JSON.
func (o order) Digest() ([32]byte, error) {
	b, err := json.Marshal(o)
	return sha256.Sum256(b), err
}

// The number of transfers is public: anybody who has the ledger can read it.
// The transfers themselves, and who received any, are encrypted there.
var (
	count    = app.ValueOf[uint64]("public:transfers.count")
	settled  = app.MapOf[string, order]("transfers")
	partners = app.SetOf[string]("transfers.partners")
)

type receiptNumber struct {
	Number uint64 `json:"number"`
}

// transfer moves money from an account of the caller's. The transaction either
// holds all of it or nothing: an error drops every write.
func transfer(c *app.Context, in order) (receiptNumber, error) {
	from, err := owned(c, in.From)
	if err != nil {
		return receiptNumber{}, err
	}
	if from.Balance < in.Amount {
		return receiptNumber{}, synod.Errorf(409, "InsufficientFunds", "Account %s has %d cents.", in.From, from.Balance)
	}
	from.Balance -= in.Amount
	if err := accounts.Put(c.Tx(), in.From, from); err != nil {
		return receiptNumber{}, err
	}
	if _, err := credit(c.Tx(), in.To, in.Amount); err != nil {
		return receiptNumber{}, err
	}
	digest, err := in.Digest()
	if err != nil {
		return receiptNumber{}, err
	}
	c.Claim(digest)
	return record(c.Tx(), in)
}

// record numbers a transfer and keeps it.
func record(tx app.Tx, in order) (receiptNumber, error) {
	n, _, err := count.Get(tx)
	if err != nil {
		return receiptNumber{}, err
	}
	n++
	if err := count.Put(tx, n); err != nil {
		return receiptNumber{}, err
	}
	if err := partners.Add(tx, in.To); err != nil {
		return receiptNumber{}, err
	}
	return receiptNumber{n}, settled.Put(tx, key(n), in)
}

// key has the order of the numbers: stored keys are ordered by their bytes.
func key(n uint64) string { return fmt.Sprintf("%020d", n) }

type page struct {
	After uint64 `query:"after,optional"`
}

type statement struct {
	Partners int    `json:"partners"`
	Total    uint64 `json:"total"`
}

// list sums up the transfers after a number, for anybody.
func list(c *app.Context, in page) (statement, error) {
	out := statement{Partners: partners.Len(c.Tx())}
	err := settled.Range(c.Tx(), key(in.After+1), key(in.After+101), func(_ string, o order) bool {
		out.Total += o.Amount
		return true
	})
	return out, err
}
