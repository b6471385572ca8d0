package cli

import (
	"context"
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
	return took(o.StartTime, o.EndTime)
}

// took is how long something took, or that it has not ended.
func took(from, to time.Time) string {
	if to.IsZero() {
		return "…"
	}
	return to.Sub(from).Round(time.Millisecond).String()
}

func newOperation(env *Env) *cobra.Command {
	return newGroup("operation", "Work of a managed service that goes on: look at it, wait for it, cancel it",
		newOperationShow(env), newOperationWait(env), newOperationCancel(env))
}

func operationPath(name string) string {
	return "/providers/Microsoft.ConfidentialLedger/locations/" + defaultLocation + "/operationStatuses/" + url.PathEscape(name)
}

// newOperationCommand makes a command that asks about one operation.
func newOperationCommand(env *Env, use, short, example string, run func(context.Context, *armclient.Client, *printer, string) error) *cobra.Command {
	c := &cobra.Command{Use: use + " OPERATION", Short: short, Example: "  synod operation " + example, Args: args(cobra.ExactArgs(1))}
	p := newPrinter(env, c)
	n := newControl(env, c)
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		return run(ctx, cl, p, argv[0])
	}
	return c
}

// exampleOperation stands for the identifier of an operation in examples.
const exampleOperation = "0f9619ff-8b86-4011-b42d-00cf4fc964ff"

func newOperationShow(env *Env) *cobra.Command {
	return newOperationCommand(env, "show", "Show how far an operation is, step by step", "show "+exampleOperation, showOperation)
}

func showOperation(ctx context.Context, cl *armclient.Client, p *printer, name string) error {
	var op operationResource
	if _, err := cl.Do(ctx, armclient.Call{Method: http.MethodGet, Path: operationPath(name)}, &op); err != nil {
		return err
	}
	if p.format == formatJSON {
		return p.json(op)
	}
	fmt.Fprintf(p.out, "%s %s: %s, %s\n", op.Kind, op.ResourceID, op.Status, op.took())
	for _, s := range op.Steps {
		fmt.Fprintf(p.out, "  %-10s %8s  %s%s\n", s.Status, took(s.StartedAt, s.EndedAt), s.Name, prefixed(": ", s.Message))
	}
	if op.Error != nil {
		fmt.Fprintf(p.out, "  %s\n", op.Error.Error())
	}
	return nil
}

func newOperationWait(env *Env) *cobra.Command {
	return newOperationCommand(env, "wait", "Wait for the end of an operation", "wait "+exampleOperation+" --timeout 5m",
		func(ctx context.Context, cl *armclient.Client, p *printer, name string) error {
			op, err := cl.Wait(ctx, operationPath(name), stepTeller(env))
			if err != nil {
				return operationError(err, op, operationPath(name))
			}
			return p.line(op, "%s", op.Status)
		})
}

func newOperationCancel(env *Env) *cobra.Command {
	return newOperationCommand(env, "cancel", "Ask for an operation to stop where it safely can", "cancel "+exampleOperation,
		func(ctx context.Context, cl *armclient.Client, p *printer, name string) error {
			if _, err := cl.Do(ctx, armclient.Call{Method: http.MethodPost, Path: operationPath(name) + "/cancel"}, nil); err != nil {
				return err
			}
			return p.line(map[string]string{"name": name, "state": "asked to stop"}, "%s: asked to stop", name)
		})
}
