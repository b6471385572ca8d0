package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"

	"synod"
)

// Feed says what a change feed tells of.
type Feed struct {
	// Maps are those whose committed writes are told. Those that are not public
	// are decrypted: who may read the feed is the endpoint's policies' affair.
	Maps []string
	// Event makes what is told of one transaction, which is encoded as JSON, or
	// nil to tell nothing. Without it, it is a Change.
	Event func(c *Context, s *State) (any, error)
}

// Change is what a feed tells of a transaction.
type Change struct {
	TransactionID synod.TxID     `json:"transaction_id"`
	Writes        []ChangedValue `json:"writes"`
}

// ChangedValue is one write of a Change. Key and value are base64, as bytes are
// in JSON.
type ChangedValue struct {
	Deleted bool   `json:"deleted,omitempty"`
	Key     []byte `json:"key"`
	Map     string `json:"map"`
	Value   []byte `json:"value,omitempty"`
}

// ChangeOf lists what a transaction wrote and deleted in some maps.
func ChangeOf(s *State, maps []string) Change {
	change := Change{TransactionID: s.ID(), Writes: []ChangedValue{}}
	for _, name := range maps {
		s.ForEach(name, func(key, value []byte) bool {
			change.Writes = append(change.Writes, ChangedValue{Key: key, Map: name, Value: value})
			return true
		})
	}
	s.Deleted(func(name string, key []byte) bool {
		if slices.Contains(maps, name) {
			change.Writes = append(change.Writes, ChangedValue{Deleted: true, Key: key, Map: name})
		}
		return true
	})
	return change
}

// ChangeFeed makes the handler of an endpoint that answers with server-sent
// events (text/event-stream): one for each committed transaction that wrote to
// the feed's maps, as it is committed, with the transaction's ID as the event's.
// Declare it with Endpoint.Historical.
//
// It begins with what is committed after the request, or after the transaction
// that the header Last-Event-ID or the query parameter since names; since=start
// begins with the first transaction of the service. A transaction that is not
// committed is 404 TransactionPendingOrUnknown or TransactionInvalid, one that
// is no longer followed by what the ledger of the node holds is 404
// ResourceNotFound. While nothing changes, an ID alone is sent each ten seconds:
// clients that keep the last ID resume from there.
//
// A client that does not take what it is sent holds up its own feed only, and
// is cut off after half a minute; it may resume. How many feeds there may be is
// bounded for a node and for one caller, most of all of those that read what is
// long past: more are 503 TooManyFeeds with retry-after.
func ChangeFeed(f Feed) Handler {
	return func(c *Context) error { return ServeChanges(c, f) }
}

// ServeChanges answers one request as ChangeFeed does.
func ServeChanges(c *Context, f Feed) error {
	h := c.Node().History()
	after, err := resumeAfter(c, h)
	if err != nil {
		return err
	}
	q := FeedQuery{After: after, Maps: f.Maps, MapsOnly: f.Event == nil, Caller: c.Caller.key()}
	if err := h.Admits(q); err != nil {
		c.SetHeader("retry-after", feedRetry)
		return synod.Errorf(503, synod.CodeTooManyFeeds, "%s: retry later, or ask another node.", err)
	}
	c.SetHeader("content-type", "text/event-stream")
	c.SetHeader("cache-control", "no-cache")
	resp := c.Response()
	resp.Status = 200
	resp.Stream = func(ctx context.Context, send func([]byte) error) error {
		// At once, so that the client knows that it is being told.
		if err := send(appendEvent(nil, c.Node().Committed(), nil, after)); err != nil {
			return err
		}
		err := h.Changes(ctx, q, func(s *State) error { return f.send(c, s, send) },
			func(upTo synod.TxID) error { return send(appendEvent(nil, upTo, nil, upTo.SeqNo)) })
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the node stops; the client may resume on another
		case errors.Is(err, ErrTooManyFeeds): // another one came first
			return send([]byte(": " + err.Error() + "; retry later\nretry: 30000\n\n"))
		default:
			return err
		}
	}
	return nil
}

// feedRetry is when to ask for a feed again, in seconds.
const feedRetry = "10"

// key tells callers apart, "" of those whom nothing does.
func (c *Caller) key() string {
	switch {
	case c == nil:
		return ""
	case c.ID != "":
		return c.ID
	case c.JWT != nil:
		var claims struct {
			Subject string `json:"sub"`
		}
		if json.Unmarshal(c.JWT.Payload, &claims) == nil && claims.Subject != "" {
			return c.JWT.KeyIssuer + " " + claims.Subject
		}
	case len(c.Cert) > 0:
		digest := sha256.Sum256(c.Cert)
		return hex.EncodeToString(digest[:])
	}
	return ""
}

// send sends the event of one transaction.
func (f Feed) send(c *Context, s *State, send func([]byte) error) error {
	var told any = ChangeOf(s, f.Maps)
	if f.Event != nil {
		var err error
		if told, err = f.Event(c, s); err != nil || told == nil {
			return err
		}
	}
	data, err := MarshalJSON(told)
	if err != nil {
		return err
	}
	return send(appendEvent(nil, s.ID(), data, s.ID().SeqNo))
}

// appendEvent writes one event (WHATWG HTML §9.2): the ID of a transaction, if
// it is the one of seqno, and data, which is one line. Without data no client
// dispatches it, and all keep the ID.
func appendEvent(b []byte, id synod.TxID, data []byte, seqno synod.SeqNo) []byte {
	if id.SeqNo == seqno && seqno != 0 {
		b = append(append(append(b, "id: "...), id.String()...), '\n')
	} else {
		b = append(b, ": feed\n"...)
	}
	if data != nil {
		b = append(append(append(b, "data: "...), bytes.ReplaceAll(data, []byte("\n"), []byte(" "))...), '\n')
	}
	return append(b, '\n')
}

// resumeAfter is the number of the transaction that a request resumes after.
func resumeAfter(c *Context, h History) (synod.SeqNo, error) {
	text, where := c.Request.Header.Get("last-event-id"), "header 'last-event-id'"
	if text == "" {
		var ok bool
		if text, ok = c.Query("since"); !ok {
			return c.Node().Committed().SeqNo, nil
		}
		where = "query parameter 'since'"
	}
	if text == "start" {
		return 0, h.Resumable(synod.TxID{})
	}
	id, err := synod.ParseTxID(text)
	if err != nil {
		return 0, synod.Errorf(400, synod.CodeInvalidInput,
			"The value '%s' in %s could not be converted to a valid Transaction ID; since=start tells everything.", text, where)
	}
	return id.SeqNo, h.Resumable(id)
}
