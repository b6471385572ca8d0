package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"synod"
)

const (
	// silenceMax is how long a feed may say nothing before it is opened anew:
	// the service says each ten seconds how far it is.
	silenceMax = 30 * time.Second
	// feedPause is how long a client waits before it opens a feed anew.
	feedPause = time.Second
)

// Feed says what to follow.
type Feed struct {
	// Path is that of the feed, such as /node/changes?maps=public:records.
	Path string
	// Since is the last transaction that is known already; zero begins with what
	// is committed from now on.
	Since synod.TxID
	// FromStart begins with the service's first transaction, if Since is zero.
	FromStart bool
}

// Event is what a feed tells of one transaction.
type Event struct {
	ID   synod.TxID
	Data json.RawMessage
}

// Change is the Data of an event, unless the application tells something else.
type Change struct {
	TransactionID synod.TxID     `json:"transaction_id"`
	Writes        []ChangedValue `json:"writes"`
}

// ChangedValue is one write of a Change.
type ChangedValue struct {
	Map     string `json:"map"`
	Key     []byte `json:"key"`
	Value   []byte `json:"value"`
	Deleted bool   `json:"deleted"`
}

// Follow tells of each event of a feed, in order and once each, until ctx ends
// or tell fails, whose error it returns. When the connection breaks it is made
// anew and goes on after the last event; when the service refuses, that
// *synod.Error is returned: it says why the feed cannot be resumed.
func (c *Client) Follow(ctx context.Context, f Feed, tell func(Event) error) error {
	for {
		err := c.followOnce(ctx, &f, tell)
		var told *tellError
		var wire *synod.Error
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &told):
			return told.err
		case errors.As(err, &wire) && wire.Status != http.StatusServiceUnavailable:
			return err
		}
		if err := sleep(ctx, feedPause); err != nil {
			return err
		}
	}
}

// tellError is one of the caller's own.
type tellError struct{ err error }

func (e *tellError) Error() string { return e.err.Error() }
func (e *tellError) Unwrap() error { return e.err }

// followOnce follows over one connection, and keeps in f how far it came.
func (c *Client) followOnce(ctx context.Context, f *Feed, tell func(Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(silenceMax, cancel)
	defer silence.Stop()
	target, err := c.base.Parse(f.Path)
	if err != nil || target.Host != c.base.Host {
		return &tellError{fmt.Errorf("path of a feed %q: %w", f.Path, err)}
	}
	if f.Since.IsZero() && f.FromStart {
		query := target.Query()
		query.Set("since", "start")
		target.RawQuery = query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return &tellError{err}
	}
	req.Header.Set("accept", "text/event-stream")
	if !f.Since.IsZero() {
		req.Header.Set("last-event-id", f.Since.String())
	}
	resp, err := c.http.Transport.RoundTrip(req) // not the client's, whose timeout is for whole answers
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, DefaultBodyMax))
		if err != nil {
			return err
		}
		return errorOf(&Response{Status: resp.StatusCode, Header: resp.Header, Body: body})
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, DefaultBodyMax)
	var now Event
	for lines.Scan() {
		silence.Reset(silenceMax)
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			if now.ID, err = synod.ParseTxID(value); err != nil {
				return fmt.Errorf("a feed's event: %w", err)
			}
		case "data":
			now.Data = json.RawMessage(value)
		case "":
			if now.Data != nil {
				if err := tell(now); err != nil {
					return &tellError{err}
				}
			}
			if !now.ID.IsZero() {
				f.Since = now.ID
			}
			now = Event{}
		}
	}
	return lines.Err()
}
