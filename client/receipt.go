package client

import (
	"context"
	"fmt"
	"net/http"

	"synod"
	"synod/receipt"
)

// VerifiedReceipt is a receipt that this client has verified.
type VerifiedReceipt struct {
	Receipt *receipt.Receipt
	Result  receipt.Result
	JSON    []byte // as received, to be kept
}

// Receipt fetches the receipt of a committed transaction, waiting for it a
// bounded time, and verifies it against the service that this client trusts;
// opts may add what the caller knows of the transaction. Errors of the
// verification are those of package receipt.
//
// The receipt of a signature transaction does not say which one it is of: look
// at Result.IsSignature before relying on the ID.
func (c *Client) Receipt(ctx context.Context, id synod.TxID, opts receipt.Options) (*VerifiedReceipt, error) {
	resp, err := c.Do(ctx, Request{Path: "/app/receipt?transaction_id=" + id.String()})
	if err != nil {
		return nil, fmt.Errorf("receipt of transaction %s: %w", id, err)
	}
	if resp.Status != http.StatusOK {
		return nil, fmt.Errorf("receipt of transaction %s: not ready (status %d)", id, resp.Status)
	}
	v, err := c.VerifyReceipt(id, resp.Body, opts)
	if err != nil {
		return nil, fmt.Errorf("receipt of transaction %s: %w", id, err)
	}
	return v, nil
}

// VerifyReceipt parses the JSON of transaction id's receipt and verifies it as
// Receipt does, for instance one that came with an answer.
func (c *Client) VerifyReceipt(id synod.TxID, body []byte, opts receipt.Options) (*VerifiedReceipt, error) {
	r, err := receipt.Parse(body)
	if err != nil {
		return nil, err
	}
	opts.ServiceCert = c.serviceCert
	if !r.IsSignature() {
		opts.TxID = id
	}
	res, err := r.Verify(opts)
	if err != nil {
		return nil, err
	}
	return &VerifiedReceipt{Receipt: r, Result: res, JSON: body}, nil
}
