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

// Status asks what the service knows of a transaction. The answer holds over
// changes of the primary, so those that end sessions do not end the question.
func (c *Client) Status(ctx context.Context, id synod.TxID) (synod.TxStatus, error) {
	var out struct {
		Status synod.TxStatus `json:"status"`
	}
	err := c.getAnew(ctx, "/app/tx?transaction_id="+id.String(), &out)
	if refused, ok := errors.AsType[*synod.Error](err); ok && refused.Code == synod.CodeFrontendNotOpen {
		// The service is not open yet; governance commits all the same.
		err = c.getAnew(ctx, "/node/tx?transaction_id="+id.String(), &out)
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

// getAnew is Get for what does not depend on the session.
func (c *Client) getAnew(ctx context.Context, path string, out any) error {
	_, err := c.anew(func() (*Response, error) { return c.Get(ctx, path, out) })
	return err
}

// anew sends what does not depend on the session: again, a bounded number of times,
// on another connection when the node closes this one because the primary changed,
// unless the request was ordered all the same.
func (c *Client) anew(send func() (*Response, error)) (resp *Response, err error) {
	for range c.retriesMax + 1 {
		resp, err = send()
		refused, ok := errors.AsType[*synod.Error](err)
		if !ok || refused.Code != synod.CodeSessionConsistencyLost || resp != nil && resp.TxID != (synod.TxID{}) {
			break
		}
	}
	return resp, err
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
