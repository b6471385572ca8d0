package frontend

import (
	"fmt"
	"strconv"

	"synod"
	"synod/app"
)

// common are the endpoints that every application has
// (CCF: src/endpoints/common_endpoint_registry.cpp).
func (s *Server) common(m *mount) []*app.Endpoint {
	a := app.New("common")
	a.Get("/commit", s.commit).NoTx().Forward(app.ForwardSometimes).Redirect(app.RedirectNone)
	a.Get("/tx", s.tx).NoTx().Forward(app.ForwardSometimes).Redirect(app.RedirectNone)
	a.Get("/receipt", s.receipt).NoTx().Forward(app.ForwardSometimes).Redirect(app.RedirectNone)
	a.Get("/api", func(c *app.Context) error { return s.api(c, m) }).ReadOnly()
	return a.Endpoints()
}

func (s *Server) commit(c *app.Context) error {
	var out struct {
		TransactionID synod.TxID   `json:"transaction_id"`
		ViewHistory   []synod.TxID `json:"view_history,omitempty"`
	}
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
	switch status := s.cfg.Replica.Status(id); status {
	case synod.TxCommitted:
	case synod.TxInvalid:
		return synod.Errorf(404, synod.CodeTransactionInvalid, "Transaction %s is invalid.", id)
	default:
		if status == synod.TxPending {
			s.cfg.Replica.Interest()
		}
		c.SetHeader("cache-control", "no-cache")
		return synod.Errorf(404, synod.CodeTransactionPendingOrUnknown, "Transaction %s is not available. Its status is %s.", id, status)
	}
	body, err := s.cfg.Receipt(id, nil)
	if err != nil {
		return err
	}
	c.Bytes("application/json", body)
	return nil
}
