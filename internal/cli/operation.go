package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/arm"
	"synod/internal/armclient"
)

// operationResource is an operation as the server shows it.
type operationResource struct {
	ID          string              `json:"id,omitempty"`
	Name        string              `json:"name"`
	ResourceID  string              `json:"resourceId"`
	Kind        string              `json:"kind"`
	Status      string              `json:"status"`
	Steps       []arm.OperationStep `json:"steps"`
	Error       *arm.Error          `json:"error,omitempty"`
	StartTime   time.Time           `json:"startTime"`
	EndTime     time.Time           `json:"endTime,omitzero"`
	RequestedBy string              `json:"requestedBy,omitempty"`
}

func (o *operationResource) took() string {
	if o.EndTime.IsZero() {
		return "…"
	}
	return o.EndTime.Sub(o.StartTime).Round(time.Millisecond).String()
}

func newOperation(env *Env) *cobra.Command {
	return newGroup("operation", "Work of a managed service that goes on: look at it, wait for it, cancel it",
		newOperationShow(env), newOperationWait(env), newOperationCancel(env))
}

func operationPath(name string) string {
	return "/providers/Microsoft.ConfidentialLedger/locations/" + defaultLocation + "/operationStatuses/" + url.PathEscape(name)
}

func newOperationShow(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "show OPERATION",
		Short:   "Show how far an operation is, step by step",
		Example: "  synod operation show 6f9619ff",
		Args:    args(cobra.ExactArgs(1)),
	}
	p := newPrinter(env, c)
	n := newControl(env, c)
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		var op operationResource
		if _, err := cl.Do(ctx, armclient.Call{Method: http.MethodGet, Path: operationPath(argv[0])}, &op); err != nil {
			return err
		}
		if p.format == formatJSON {
			return p.json(op)
		}
		fmt.Fprintf(p.out, "%s %s: %s, %s\n", op.Kind, op.ResourceID, op.Status, op.took())
		for _, s := range op.Steps {
			took := "…"
			if !s.EndedAt.IsZero() {
				took = s.EndedAt.Sub(s.StartedAt).Round(time.Millisecond).String()
			}
			fmt.Fprintf(p.out, "  %-10s %8s  %s%s\n", s.Status, took, s.Name, prefixed(": ", s.Message))
		}
		if op.Error != nil {
			fmt.Fprintf(p.out, "  %s\n", op.Error.Error())
		}
		return nil
	}
	return c
}

func newOperationWait(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "wait OPERATION",
		Short:   "Wait for the end of an operation",
		Example: "  synod operation wait 6f9619ff --timeout 5m",
		Args:    args(cobra.ExactArgs(1)),
	}
	p := newPrinter(env, c)
	n := newControl(env, c)
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		op, err := cl.Wait(ctx, operationPath(argv[0]), stepTeller(env))
		if err != nil {
			return operationError(err, op, operationPath(argv[0]))
		}
		return p.line(op, "%s", op.Status)
	}
	return c
}

func newOperationCancel(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "cancel OPERATION",
		Short:   "Ask for an operation to stop where it safely can",
		Example: "  synod operation cancel 6f9619ff",
		Args:    args(cobra.ExactArgs(1)),
	}
	p := newPrinter(env, c)
	n := newControl(env, c)
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		if _, err := cl.Do(ctx, armclient.Call{Method: http.MethodPost, Path: operationPath(argv[0]) + "/cancel"}, nil); err != nil {
			return err
		}
		return p.line(map[string]string{"name": argv[0], "state": "asked to stop"}, "%s: asked to stop", argv[0])
	}
	return c
}
