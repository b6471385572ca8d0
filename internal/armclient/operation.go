package armclient

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Operation is work that goes on after an answer, as its status address tells.
type Operation struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	ResourceID string     `json:"resourceId"`
	Status     string     `json:"status"`
	StartTime  time.Time  `json:"startTime"`
	EndTime    time.Time  `json:"endTime"`
	Failure    *wireError `json:"error"`
	Steps      []Step     `json:"steps"` // what Azure has no word for

	Properties json.RawMessage `json:"properties"` // the result of one that succeeded
}

// Result decodes the result of an operation that succeeded.
func (o *Operation) Result(out any) error {
	if len(o.Properties) == 0 || string(o.Properties) == "null" {
		return nil
	}
	if err := json.Unmarshal(o.Properties, out); err != nil {
		return fmt.Errorf("the operation's result is not what it should be: %w", err)
	}
	return nil
}

// Step is one step of an operation.
type Step struct {
	Name      string    `json:"name"`
	Status    string    `json:"status"`
	Message   string    `json:"message"`
	StartedAt time.Time `json:"startedAt"`
	EndedAt   time.Time `json:"endedAt"`
}

// Ended says whether the operation will change no more.
func (o *Operation) Ended() bool {
	switch strings.ToLower(o.Status) {
	case "succeeded", "completed", "failed", "canceled", "cancelled":
		return true
	}
	return false
}

// Err is an *Error if the operation ended without success.
func (o *Operation) Err() error {
	switch strings.ToLower(o.Status) {
	case "failed", "canceled", "cancelled":
	default:
		return nil
	}
	if o.Failure == nil {
		return &Error{Status: http.StatusOK, Code: o.Status, Message: "the operation ended without a reason"}
	}
	e := o.Failure.read()
	e.Status = http.StatusOK
	return &e
}

const (
	pollMin = 100 * time.Millisecond
	pollMax = 2 * time.Second
)

// Wait asks for an operation's status until it has ended, and tells each answer
// to see, if that is not nil. The error is an *Error if the operation failed.
func (c *Client) Wait(ctx context.Context, address string, see func(*Operation)) (*Operation, error) {
	pause := pollMin
	for {
		var op Operation
		if _, err := c.Do(ctx, Call{Method: http.MethodGet, Path: address}, &op); err != nil {
			return nil, err
		}
		if see != nil {
			see(&op)
		}
		if op.Ended() {
			return &op, op.Err()
		}
		if err := sleep(ctx, pause); err != nil {
			return &op, fmt.Errorf("the operation goes on without us: %w", err)
		}
		pause = min(2*pause, pollMax)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
