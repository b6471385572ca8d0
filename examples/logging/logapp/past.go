package logapp

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"synod"
	"synod/app"
)

// pageMax is how many transactions one answer about a range looks at, as in
// CCF.
const pageMax = 10000

const rangePath = "/log/public/historical/range"

// past are the endpoints that read what was recorded before.
type past struct{ index *app.KeyIndex }

type receiptAnswer struct {
	Msg     string          `json:"msg"`
	Receipt json.RawMessage `json:"receipt"`
}

type rangeEntry struct {
	SeqNo synod.SeqNo `json:"seqno"`
	ID    uint64      `json:"id"`
	Msg   string      `json:"msg"`
}

type rangeAnswer struct {
	NextLink string       `json:"@nextLink,omitempty"`
	Entries  []rangeEntry `json:"entries"`
}

type handleQuery struct {
	Handle uint64      `query:"handle"`
	SeqNo  synod.SeqNo `query:"seqno"`
}

type rangeQuery struct {
	From uint64 `query:"from_seqno,optional"`
	To   uint64 `query:"to_seqno,optional"`
	ID   uint64 `query:"id"`
}

type sparseQuery struct {
	SeqNos string `query:"seqnos"`
	ID     uint64 `query:"id"`
}

func declarePast(a *app.App) {
	p := &past{index: a.IndexKeys(recordsOf("public:records").Name())}
	get := func(path string, h app.Handler) *app.Endpoint { return a.Get(path, h, std...).Historical() }
	app.Document[recordQuery, message](get("/log/private/historical", app.HistoricalQuery(private.before)))
	app.Document[handleQuery, json.RawMessage](get("/log/private/historical/handle", byHandle))
	app.Document[recordQuery, receiptAnswer](get("/log/private/historical_receipt", app.HistoricalQuery(private.proven)))
	app.Document[recordQuery, receiptAnswer](get("/log/public/historical_receipt", app.HistoricalQuery(public.proven)))
	app.Document[rangeQuery, rangeAnswer](get(rangePath, p.inRange))
	app.Document[sparseQuery, rangeAnswer](get("/log/private/historical/sparse", sparse))
}

// before answers what a transaction recorded, 204 if it did not write the
// record.
func (k kind) before(c *app.Context, s *app.State) error {
	msg, ok, err := k.recorded(c, s)
	if err != nil || !ok {
		return err
	}
	return c.JSON(message{msg})
}

func (k kind) recorded(c *app.Context, s *app.State) (string, bool, error) {
	id, err := app.QueryUint(c, "id")
	if err != nil {
		return "", false, err
	}
	msg, ok, err := k.records(c).Get(s, id)
	if err == nil && !ok {
		c.Status(204)
	}
	return msg, ok, err
}

// proven adds a receipt. That of a public record lacks the claims digest, which
// whoever verifies it makes of the message.
func (k kind) proven(c *app.Context, s *app.State) error {
	msg, ok, err := k.recorded(c, s)
	if err != nil || !ok {
		return err
	}
	proof, err := s.Proof()
	if err != nil {
		return err
	}
	receipt := json.RawMessage(proof.Receipt)
	if k == public {
		if receipt, err = withoutClaims(receipt); err != nil {
			return err
		}
	}
	return c.JSON(receiptAnswer{msg, receipt})
}

func withoutClaims(receipt json.RawMessage) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	var leaf map[string]string
	if err := json.Unmarshal(receipt, &fields); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(fields["leaf_components"], &leaf); err != nil {
		return nil, err
	}
	delete(leaf, "claims_digest")
	var err error
	if fields["leaf_components"], err = json.Marshal(leaf); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

// byHandle answers the receipt of a transaction, fetched under a handle of the
// client's choice.
func byHandle(c *app.Context) error {
	handle, err := app.QueryUint(c, "handle")
	if err != nil {
		return err
	}
	seqno, err := app.QueryUint(c, "seqno")
	if err != nil {
		return err
	}
	if status, _ := statusOf(c, synod.SeqNo(seqno)); status != synod.TxCommitted {
		return synod.Errorf(400, synod.CodeInvalidHeaderValue, "Requested historical TxID is not committed")
	}
	states, err := c.Node().History().StateRange(handle, synod.SeqNo(seqno), synod.SeqNo(seqno), app.DefaultExpiry)
	if errors.Is(err, app.ErrNotYet) {
		c.Retry("Pending")
		return nil
	}
	if err != nil {
		return err
	}
	proof, err := states[0].Proof()
	if err != nil {
		return err
	}
	return c.JSON(json.RawMessage(proof.Receipt))
}

// statusOf is the status of whatever transaction this node has at a number,
// false if it has none.
func statusOf(c *app.Context, seqno synod.SeqNo) (synod.TxStatus, bool) {
	view, ok := c.Node().ViewOf(seqno)
	if !ok {
		return "", false
	}
	return c.Node().Status(synod.TxID{View: view, SeqNo: seqno}), true
}

// inRange lists what was recorded under an ID, page by page.
func (p *past) inRange(c *app.Context) error {
	id, err := app.QueryUint(c, "id")
	if err != nil {
		return err
	}
	records := public.records(c)
	from, to, err := bounds(c, records, id)
	if err != nil {
		return err
	}
	// A scope's records are not indexed, as in CCF.
	if upTo, err := p.index.UpTo(c.Node()); upTo < to {
		text := fmt.Sprintf("Still constructing index for public records on key %d - indexed to %d/%d", id, upTo, to)
		if err != nil {
			text += ": " + err.Error()
		}
		c.Retry(text)
		return nil
	}
	key := []byte(strconv.FormatUint(id, 10))
	end := min(to, from+pageMax)
	entries, err := list(c, records, id, p.index.Seqnos(key, from, end), from, end)
	if errors.Is(err, app.ErrNotYet) {
		c.Retry(fmt.Sprintf("Historical transactions from %d to %d are not yet available, fetching now", from, end))
		return nil
	}
	if err != nil {
		return err
	}
	answer := rangeAnswer{Entries: entries}
	if end != to {
		next := p.index.Seqnos(key, end+1, min(to, end+1+pageMax))
		if len(next) > 0 {
			// What the next page needs is fetched while this one is read.
			if _, err := list(c, records, id, next, end+1, min(to, end+1+pageMax)); err != nil && !errors.Is(err, app.ErrNotYet) {
				return err
			}
			answer.NextLink = fmt.Sprintf("/app%s?from_seqno=%d&to_seqno=%d&id=%d", rangePath, end+1, to, id)
		}
	}
	return c.JSON(answer)
}

// bounds are the first and the last transaction that a range query is about:
// without a last one, that which wrote the record last, or else the commit.
func bounds(c *app.Context, records recordMap, id uint64) (from, to synod.SeqNo, err error) {
	from = 1
	if n, err := app.QueryUint(c, "from_seqno"); err == nil {
		from = synod.SeqNo(n)
	}
	if n, err := app.QueryUint(c, "to_seqno"); err == nil {
		to = synod.SeqNo(n)
	} else {
		last, written, err := records.VersionOfPreviousWrite(c.Tx(), id)
		if err != nil {
			return 0, 0, err
		}
		to = last
		if !written {
			to = c.Node().Committed().SeqNo
		}
	}
	if to < from {
		return 0, 0, synod.Errorf(400, synod.CodeInvalidInput, "Invalid range: Starts at %d but ends at %d", from, to)
	}
	return from, to, committed(c, to)
}

// committed refuses a transaction that is not committed.
func committed(c *app.Context, seqno synod.SeqNo) error {
	status, known := statusOf(c, seqno)
	if status == synod.TxCommitted {
		return nil
	}
	text := string(status)
	if !known {
		text = "not found"
	}
	return synod.Errorf(400, synod.CodeInvalidInput, "Only committed transactions can be queried. Transaction at seqno %d is %s", seqno, text)
}

// sparse lists what the named transactions recorded under an ID.
func sparse(c *app.Context) error {
	id, err := app.QueryUint(c, "id")
	if err != nil {
		return err
	}
	text, ok := c.Query("seqnos")
	if !ok {
		return synod.Errorf(400, synod.CodeInvalidQueryParameterValue, "Missing query parameter 'seqnos'")
	}
	var seqnos []synod.SeqNo
	for term := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(term, 10, 64)
		if err != nil {
			return synod.Errorf(400, synod.CodeInvalidQueryParameterValue, "Unable to parse '%s' as a seqno", term)
		}
		seqnos = append(seqnos, synod.SeqNo(n))
	}
	slices.Sort(seqnos)
	seqnos = slices.Compact(seqnos)
	if err := committed(c, seqnos[len(seqnos)-1]); err != nil {
		return err
	}
	entries, err := list(c, private.records(c), id, seqnos, seqnos...)
	if errors.Is(err, app.ErrNotYet) {
		c.Retry("Historical transactions are not yet available, fetching now")
		return nil
	}
	if err != nil {
		return err
	}
	return c.JSON(rangeAnswer{Entries: entries})
}

// list reads what transactions recorded under an ID. What the request is about
// is its handle: clients that ask for the same share what is fetched.
func list(c *app.Context, records recordMap, id uint64, seqnos []synod.SeqNo, about ...synod.SeqNo) ([]rangeEntry, error) {
	entries := []rangeEntry{}
	if len(seqnos) == 0 {
		return entries, nil
	}
	h := fnv.New64a()
	fmt.Fprintln(h, records.Name(), id, about)
	states, err := c.Node().History().States(h.Sum64(), seqnos, app.DefaultExpiry)
	if err != nil {
		return nil, err
	}
	for _, s := range states {
		msg, ok, err := records.Get(s, id)
		if err != nil {
			return nil, err
		}
		if ok {
			entries = append(entries, rangeEntry{s.ID().SeqNo, id, msg})
		}
	}
	return entries, nil
}
