package app

import (
	"context"
	"errors"
	"time"

	"synod"
)

// A Reader is what can be read of the key-value store at one point of the
// ledger. What is handed out must not be changed.
type Reader interface {
	// Get returns the value and whether the key is present.
	Get(mapName string, key []byte) ([]byte, bool)
	// Has says whether the key is present.
	Has(mapName string, key []byte) bool
	// ForEach visits the map in ascending byte order of keys until visit
	// returns false.
	ForEach(mapName string, visit func(key, value []byte) bool)
	// Range is ForEach over from <= key < to; a nil bound is open.
	Range(mapName string, from, to []byte, visit func(key, value []byte) bool)
	// Len returns the number of keys.
	Len(mapName string) int
	// VersionOfPreviousWrite returns the sequence number that wrote the key
	// last.
	VersionOfPreviousWrite(mapName string, key []byte) (synod.SeqNo, bool)
	// ReadVersion is the transaction that the reader shows the state after.
	ReadVersion() synod.TxID
}

// State is one committed transaction as the ledger has it. Of the key-value
// store it shows what that transaction wrote and nothing else: a key that it
// did not write, or deleted, is not there (CCF: include/ccf/historical_queries_interface.h).
type State struct {
	Reader
	proof   func() (*Proof, error)
	deleted func(visit func(mapName string, key []byte) bool)
}

// NewState is for nodes. proof makes what proves the transaction, and deleted
// visits the keys that it deleted.
func NewState(r Reader, proof func() (*Proof, error), deleted func(visit func(mapName string, key []byte) bool)) *State {
	return &State{r, proof, deleted}
}

// ID is the transaction's.
func (s *State) ID() synod.TxID { return s.ReadVersion() }

// Proof is what proves the transaction to those who trust the service as it is
// now.
func (s *State) Proof() (*Proof, error) { return s.proof() }

// Deleted visits the keys that the transaction deleted, until visit returns
// false.
func (s *State) Deleted(visit func(mapName string, key []byte) bool) { s.deleted(visit) }

// ErrNotYet says that what was asked for is being fetched: ask again, with the
// same handle, a little later.
var ErrNotYet = errors.New("not fetched from the ledger yet")

// DefaultExpiry is how long a request for states is remembered that nobody
// repeats, unless it says otherwise.
const DefaultExpiry = 30 * time.Minute

// History is the past of the service as a node can read it: any committed
// transaction, decrypted and checked against the service's signatures. It may
// be used from several goroutines.
//
// Requests have a handle, which the application chooses. A request that is
// asked for again under its handle goes on; another set of transactions under
// the same handle takes its place. What is fetched is kept until the handle
// expires, is dropped, or makes room for others: the node's
// historical_cache_soft_limit bounds what all handles hold together.
type History interface {
	// State returns one transaction, under its sequence number as the handle.
	// Errors: ErrNotYet, or *synod.Error, of which one that is not committed is
	// 404 TransactionPendingOrUnknown or TransactionInvalid.
	State(id synod.TxID) (*State, error)
	// States returns the transactions of the given numbers, ascending and each
	// once. Errors: ErrNotYet; any other says what is wrong with the request
	// or with the ledger. All of them must be committed.
	States(handle uint64, seqnos []synod.SeqNo, expiry time.Duration) ([]*State, error)
	// StateRange is States for from..to.
	StateRange(handle uint64, from, to synod.SeqNo, expiry time.Duration) ([]*State, error)
	// At lets read look at whole maps as they were after a committed transaction:
	// point reads, ranges, whatever a Reader has. The maps are built from the
	// ledger when first asked for and then kept, those of the last 65536
	// transactions too, so that reads nearby cost what a read of the present
	// does; further back, or ahead, they are built from a checkpoint. Errors:
	// ErrNotYet, which says so if the ledger of the node lacks its start, read's, or
	// what is wrong with the request or the ledger; maps that take more than
	// historical_cache_soft_limit are refused.
	At(seqno synod.SeqNo, maps []string, read func(r Reader) error) error
	// Drop forgets a handle, and says whether it was known.
	Drop(handle uint64) bool
	// Changes tells of each transaction that wrote, or deleted, in one of the
	// query's maps: in order, once each, those that are committed by now and then
	// each as it is committed. Without anything to tell it calls alive with how far
	// it is, each ten seconds. It returns the first error of either, ctx's,
	// ErrTooManyFeeds, or what is wrong with the ledger.
	Changes(ctx context.Context, q FeedQuery, tell func(*State) error, alive func(upTo synod.TxID) error) error
	// Admits returns ErrTooManyFeeds if Changes would just now.
	Admits(q FeedQuery) error
	// Resumable returns nil if Changes can go on after a transaction, or begin
	// with the first if it is zero; or else a *synod.Error that says why not.
	Resumable(id synod.TxID) error
}

// FeedQuery says what Changes tells of.
type FeedQuery struct {
	After synod.SeqNo // the transaction after which it begins
	Maps  []string
	// MapsOnly says that only what was written to Maps is looked at: if they are
	// public, nothing is decrypted for it.
	MapsOnly bool
	// Caller is who follows, "" for somebody unknown: one caller may have a part
	// of a node's feeds only.
	Caller string
}

// ErrTooManyFeeds says that a node, or a caller at it, has as many feeds as may be,
// or as many of them that read what is long past.
var ErrTooManyFeeds = errors.New("as many feeds are open as may be")

// TransactionHeader names the transaction that a historical query is about.
const TransactionHeader = "x-ms-ccf-transaction-id"

// HistoricalQuery makes the handler of an endpoint that answers from the
// transaction named by the request's header x-ms-ccf-transaction-id. Declare
// it with Endpoint.Historical. What it answers otherwise is CCF's
// (CCF: src/node/historical_queries_adapter.cpp): 404 TransactionInvalid for a
// transaction that is invalid or not named, 404 TransactionPendingOrUnknown
// for one that is not committed, 202 with Retry-After while it is fetched.
func HistoricalQuery(answer func(c *Context, s *State) error) Handler {
	return func(c *Context) error { return AnswerHistorical(c, c.Node().History(), answer) }
}

// AnswerHistorical is a HistoricalQuery of a given history.
func AnswerHistorical(c *Context, h History, answer func(c *Context, s *State) error) error {
	text := c.Request.Header.Get(TransactionHeader)
	if !c.Request.Header.Has(TransactionHeader) {
		return synod.Errorf(404, synod.CodeTransactionInvalid, "Historical query is missing '%s' header.", TransactionHeader)
	}
	id, err := synod.ParseTxID(text)
	if err != nil {
		return synod.Errorf(404, synod.CodeTransactionInvalid,
			"The value '%s' in header '%s' could not be converted to a valid Tx ID.", text, TransactionHeader)
	}
	s, err := h.State(id)
	switch wire := (*synod.Error)(nil); {
	case errors.Is(err, ErrNotYet):
		c.Retry(err.Error())
		return nil
	case errors.As(err, &wire) && wire.Code == synod.CodeTransactionPendingOrUnknown && wire.Status == 404:
		c.SetHeader("cache-control", "no-cache")
		return err
	case err != nil:
		return err
	}
	return answer(c, s)
}

// retryAfter is CCF's, in seconds.
const retryAfter = "3"

// Retry answers 202 Accepted: what was asked for is on its way, and reason
// says so (CCF: src/node/historical_queries_adapter.cpp).
func (c *Context) Retry(reason string) {
	c.Status(202)
	c.SetHeader("retry-after", retryAfter)
	c.Text(reason)
}

// Historical makes the endpoint one that reads the past, which every node
// answers itself; see HistoricalQuery.
func (e *Endpoint) Historical() *Endpoint {
	e.Mode, e.Forwarding, e.Redirection = Historical, ForwardNever, RedirectNone
	return e
}
