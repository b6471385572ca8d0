package frontend

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"synod"
	"synod/app"
)

// common are the endpoints that every application has unless it declines them
// (CCF: src/endpoints/common_endpoint_registry.cpp).
func (s *Server) common(m *mount) []*app.Endpoint {
	a := app.New("common")
	local := func(e *app.Endpoint) *app.Endpoint {
		return e.NoTx().Forward(app.ForwardSometimes).Redirect(app.RedirectNone)
	}
	app.Document[commitQuery, commitAnswer](local(a.Get("/commit", s.commit))).
		Summary("Current commit level", "Latest transaction ID that has been committed on the service")
	app.Document[txQuery, txAnswer](local(a.Get("/tx", s.tx))).
		Summary("Current status of a transaction", "Possible statuses returned are Unknown, Pending, Committed or Invalid.")
	app.Document[txQuery, json.RawMessage](local(a.Get("/receipt", s.receipt))).
		Summary("Receipt for a transaction", "A signed statement from the service over a transaction entry in the ledger")
	app.Document[app.None, json.RawMessage](a.Get("/api", func(c *app.Context) error { return s.api(c, m) }).ReadOnly()).
		Summary("OpenAPI schema", "")
	return slices.DeleteFunc(a.Endpoints(), func(e *app.Endpoint) bool { return !m.App.HasCommonEndpoint(e.Path) })
}

// What the common endpoints take and give, with CCF's names of the schemas.
type (
	commitQuery struct {
		ViewHistory      bool   `query:"view_history,optional"`
		ViewHistorySince uint64 `query:"view_history_since,optional"`
	}
	commitAnswer struct {
		TransactionID synod.TxID   `json:"transaction_id"`
		ViewHistory   []synod.TxID `json:"view_history,omitempty"`
	}
	txQuery struct {
		TransactionID synod.TxID `query:"transaction_id"`
	}
	txAnswer struct {
		TransactionID synod.TxID     `json:"transaction_id"`
		Status        synod.TxStatus `json:"status"`
	}
)

// OpenAPIName is CCF's.
func (commitAnswer) OpenAPIName() string { return "GetCommit__Out" }

// OpenAPIName is CCF's.
func (txAnswer) OpenAPIName() string { return "GetTxStatus__Out" }

func (s *Server) commit(c *app.Context) error {
	var out commitAnswer
	out.TransactionID = s.cfg.Replica.Committed()
	if text, ok := c.Query("view_history_since"); ok {
		since, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return synod.Errorf(400, synod.CodeInvalidQueryParameterValue, "Unable to parse value '%s' in parameter 'view_history_since'", text)
		}
		status := 0
		if since < 1 {
			status = 400
		} else if synod.View(since) > s.cfg.Replica.Role().View {
			status = 404
		}
		if status != 0 {
			return synod.Errorf(status, synod.CodeInvalidQueryParameterValue,
				"Invalid value for view_history_since, must be in range [1, current_term]")
		}
		out.ViewHistory = s.cfg.Replica.ViewHistory(synod.View(since))
	}
	if text, ok := c.Query("view_history"); ok {
		switch text {
		case "true":
			out.ViewHistory = s.cfg.Replica.ViewHistory(1)
		case "false":
			out.ViewHistory = nil
		default:
			return synod.Errorf(400, synod.CodeInvalidQueryParameterValue,
				"Invalid value for view_history, must be one of [true, false] when present")
		}
	}
	return c.JSON(out)
}

// queryTxID reads the parameter transaction_id.
func queryTxID(c *app.Context) (synod.TxID, error) {
	text, ok := c.Query("transaction_id")
	if !ok {
		return synod.TxID{}, fmt.Errorf("No value provided for query parameter 'transaction_id'") //nolint:staticcheck // shown to clients, compared by tests
	}
	id, err := synod.ParseTxID(text)
	if err != nil {
		return synod.TxID{}, fmt.Errorf("The value '%s' passed as query parameter 'transaction_id' could not be converted to a valid Transaction ID.", text) //nolint:staticcheck // as above
	}
	return id, nil
}

func (s *Server) tx(c *app.Context) error {
	id, err := queryTxID(c)
	if err != nil {
		return synod.Errorf(400, synod.CodeInvalidQueryParameterValue, "%s", err)
	}
	status := s.cfg.Replica.Status(id)
	if status == synod.TxPending {
		s.cfg.Replica.Interest()
	}
	return c.JSON(struct {
		Status        synod.TxStatus `json:"status"`
		TransactionID synod.TxID     `json:"transaction_id"`
	}{status, id})
}

func (s *Server) receipt(c *app.Context) error {
	id, err := queryTxID(c)
	if err != nil {
		return synod.Errorf(404, synod.CodeTransactionInvalid, "%s", err)
	}
	proof, err := s.cfg.Node.Proof(id)
	if err != nil {
		return notProven(c, err)
	}
	c.Bytes("application/json", proof.Receipt)
	return nil
}

// notProven says why there is no proof; one that may come is not to be
// remembered.
func notProven(c *app.Context, err error) error {
	if errors.Is(err, app.ErrNotYet) {
		c.Retry(err.Error())
		return nil
	}
	if wire := (*synod.Error)(nil); errors.As(err, &wire) && wire.Code == synod.CodeTransactionPendingOrUnknown {
		c.SetHeader("cache-control", "no-cache")
	}
	return err
}
