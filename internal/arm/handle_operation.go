package arm

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// statusVersion is the api-version of operation addresses, as recorded.
const statusVersion = "2020-12-01-preview"

// wireID is an operation's id as clients see it: a GUID, a star, and 64 hex
// digits that here say which network it is on.
func (op Operation) wireID() string {
	sum := sha256.Sum256([]byte(op.Network.Key()))
	return op.ID + "*" + strings.ToUpper(hex.EncodeToString(sum[:]))
}

func (c *call) operationLink(kind, location string, op Operation) string {
	version := statusVersion
	if c.own() {
		version = OwnVersion
	}
	return c.link(operationPath(kind, location, op)) + "?api-version=" + version
}

// operationPath is the path of an operation. The location may be any that a caller
// has named in one.
func operationPath(kind, location string, op Operation) string {
	return "/providers/" + providerName + "/locations/" + url.PathEscape(strings.ToUpper(location)) + "/" + kind + "/" + op.wireID()
}

// follow tells the caller where to ask for op.
func (s *Server) follow(c *call, n Network, op Operation) {
	c.w.Header().Set("Azure-AsyncOperation", c.operationLink("operationStatuses", n.Location, op))
	c.w.Header().Set("Retry-After", "1")
}

// operation returns the operation of the path if the caller may read the network
// that it is on. To everybody else there is no such operation.
func (s *Server) operation(c *call) (Operation, error) {
	missing := errorf(http.StatusNotFound, CodeOperationNotFound, "", "There is no such operation; ended ones are kept for %d days.", OperationsKept/(24*time.Hour))
	id, rest, whole := strings.Cut(c.params["operation"], "*")
	op, err := s.Store.Operation(c.r.Context(), strings.ToLower(id))
	if errors.Is(err, ErrNotFound) {
		return Operation{}, missing
	}
	if err != nil {
		return Operation{}, err
	}
	_, want, _ := strings.Cut(op.wireID(), "*")
	if whole && subtle.ConstantTimeCompare([]byte(strings.ToUpper(rest)), []byte(want)) != 1 {
		return Operation{}, missing
	}
	readable, err := s.readable(c.r.Context(), c.principal)
	if err == nil && !readable(op.Network.ResourceID()) {
		err = missing
	}
	return op, err
}

// operationOutput is an operation as clients see it.
type operationOutput struct {
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	ResourceID string          `json:"resourceId"`
	Status     string          `json:"status"`
	StartTime  string          `json:"startTime"`
	EndTime    string          `json:"endTime,omitempty"`
	Properties json.RawMessage `json:"properties"`
	Error      *Error          `json:"error,omitempty"`
	*ownOperation
}

// ownOperation is what only OwnVersion shows.
type ownOperation struct {
	Kind            string          `json:"kind"`
	Steps           []OperationStep `json:"steps"`
	RequestedBy     string          `json:"requestedBy"`
	RequestID       string          `json:"requestId"`
	CancelRequested bool            `json:"cancelRequested"`
}

func (op Operation) output(c *call, location string) operationOutput {
	out := operationOutput{
		ID: operationPath("operationStatuses", location, op), Name: op.wireID(), ResourceID: op.Network.ResourceID(), Status: op.Status, StartTime: armTime(op.StartedAt),
		Properties: op.Result, Error: op.Error,
	}
	if op.Ended() {
		out.EndTime = armTime(op.EndedAt)
	}
	if c.own() {
		out.ownOperation = &ownOperation{op.Kind, op.Steps, op.RequestedBy, op.RequestID, op.CancelRequested}
		if out.Steps == nil {
			out.Steps = []OperationStep{}
		}
	}
	return out
}

// operationStatus answers a poll. A delete that goes on has status 202, as
// recorded; everything else 200, also a failure.
func (s *Server) operationStatus(c *call) error {
	op, err := s.operation(c)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if !op.Ended() {
		c.w.Header().Set("Retry-After", "1")
		if op.Kind == KindDelete {
			status = http.StatusAccepted
			c.w.Header().Set("Location", c.operationLink("operationStatuses", c.params["location"], op))
		}
	}
	return c.answer(status, op.output(c, c.params["location"]))
}

// operationResult is where Location leads: 202 until the end, then the result,
// or the failure as an error.
func (s *Server) operationResult(c *call) error {
	op, err := s.operation(c)
	switch {
	case err != nil:
		return err
	case !op.Ended():
		c.w.Header().Set("Retry-After", "1")
		c.w.Header().Set("Location", c.operationLink("operationResults", c.params["location"], op))
		return c.empty(http.StatusAccepted)
	case op.Error != nil:
		failure := *op.Error
		failure.Status = http.StatusConflict
		return &failure
	case op.Result == nil:
		return c.empty(http.StatusNoContent)
	default:
		return c.answer(http.StatusOK, op.Result)
	}
}

func (s *Server) cancelOperation(c *call) error {
	op, err := s.operation(c)
	if err != nil {
		return err
	}
	c.target = op.Network.ResourceID()
	c.audited.entry.Target = c.target
	if err := s.Allow(c.r.Context(), c.principal, Operate, c.route.action, op.Network.ResourceID()); err != nil {
		return err
	}
	err = s.Store.RequestCancel(c.r.Context(), op.ID)
	if errors.Is(err, ErrOperationEnded) {
		return errorf(http.StatusConflict, CodeOperationNotAllowed, "", "The operation has ended (%s).", op.Status)
	}
	if err != nil {
		return err
	}
	op.CancelRequested = true
	return c.answer(http.StatusAccepted, op.output(c, c.params["location"]))
}

// operationsMax is how many of a network's operations are listed.
const operationsMax = 100

func (s *Server) listOperations(c *call) error {
	n, err := s.network(c)
	if err != nil {
		return err
	}
	ops, err := s.Store.Operations(c.r.Context(), n.ID, operationsMax)
	if err != nil {
		return err
	}
	out := page{Value: []any{}}
	for _, op := range ops {
		out.Value = append(out.Value, op.output(c, n.Location))
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) listAudit(c *call) error {
	n, err := s.network(c)
	if err != nil {
		return err
	}
	entries, err := s.Store.Audit(c.r.Context(), AuditFilter{Target: n.ID.ResourceID(), Limit: operationsMax})
	if err != nil {
		return err
	}
	out := page{Value: []any{}}
	for _, e := range entries {
		out.Value = append(out.Value, e)
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) listLogs(c *call) error {
	n, err := s.network(c)
	if err != nil {
		return err
	}
	if s.Logs == nil {
		return c.answer(http.StatusOK, page{Value: []any{}})
	}
	out, err := s.Logs(c.r.Context(), n, c.r.URL.Query())
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) measure(c *call) error {
	n, err := s.network(c)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if s.NetworkMetrics != nil {
		if err := s.NetworkMetrics(c.r.Context(), n, &b); err != nil {
			return err
		}
	}
	return c.metrics(b.Bytes())
}
