package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"synod"
)

// Intervals between two looks at a transaction's status.
const (
	pollMin = 2 * time.Millisecond
	pollMax = 200 * time.Millisecond
)

// ErrInvalid says that a transaction was not and will never be committed.
var ErrInvalid = errors.New("transaction is invalid: it will never be committed")

// Status asks what the service knows of a transaction.
func (c *Client) Status(ctx context.Context, id synod.TxID) (synod.TxStatus, error) {
	var out struct {
		Status synod.TxStatus `json:"status"`
	}
	_, err := c.Get(ctx, "/app/tx?transaction_id="+id.String(), &out)
	var refused *synod.Error
	if errors.As(err, &refused) && refused.Code == synod.CodeFrontendNotOpen {
		// The service is not open yet; governance commits all the same.
		_, err = c.Get(ctx, "/node/tx?transaction_id="+id.String(), &out)
	}
	if err != nil {
		return "", fmt.Errorf("status of transaction %s: %w", id, err)
	}
	switch out.Status {
	case synod.TxUnknown, synod.TxPending, synod.TxCommitted, synod.TxInvalid:
		return out.Status, nil
	}
	return "", fmt.Errorf("status of transaction %s: the service said %q", id, out.Status)
}

// WaitCommitted returns nil once the transaction is committed, ErrInvalid if
// it never will be, or the context's error.
func (c *Client) WaitCommitted(ctx context.Context, id synod.TxID) error {
	var last synod.TxStatus
	for pause := pollMin; ; pause = min(2*pause, pollMax) {
		status, err := c.Status(ctx, id)
		if err != nil && ctx.Err() != nil && last != "" {
			return fmt.Errorf("wait for transaction %s, which is %s: %w", id, last, ctx.Err())
		}
		if err != nil {
			return err
		}
		last = status
		switch status {
		case synod.TxCommitted:
			return nil
		case synod.TxInvalid:
			return fmt.Errorf("transaction %s: %w", id, ErrInvalid)
		}
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("wait for transaction %s, which is %s: %w", id, status, err)
		}
	}
}
