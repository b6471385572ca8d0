package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"synod"
	"synod/client"
)

// watchEveryMin is the shortest time between two questions to a service.
const watchEveryMin = 10 * time.Millisecond

func newProposalWatch(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "watch [PROPOSAL...]",
		Short: "Say what becomes of proposals, as it happens",
		Long: `Prints a line for each proposal that is open, and again whenever one comes in,
gets a ballot or changes its state; with -o json one object a line. Without a
name it goes on until Ctrl-C or --timeout. With names it ends when all of them
are decided: exit code 0 if all were accepted, otherwise 1. A service that does
not answer is asked again.`,
		Example: "  synod proposal watch\n  synod proposal watch 5f3c… --timeout 1h && synod app diff examples/logging-ts",
	}
	p, n := newPrinter(env, c), newConn(env, c)
	n.endless(c)
	every := c.Flags().Duration("every", time.Second, "ask the service so often")
	c.RunE = func(cmd *cobra.Command, ids []string) error {
		if *every < watchEveryMin {
			return usagef(cmd, "--every %s: want at least %s", *every, watchEveryMin)
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		w := &proposalWatch{
			printer: p, client: cl, only: unique(ids), seen: map[string]*proposalEvent{},
			warn: func(text string) { fmt.Fprintf(env.Stderr, "warning: %s\n", text) },
		}
		err = w.run(ctx, *every)
		if errors.Is(err, context.Canceled) && len(ids) == 0 {
			return nil // Ctrl-C is how this ends
		}
		return err
	}
	return c
}

func unique(ids []string) []string {
	var out []string
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// proposalWatch tells of the proposals in only, or of all.
type proposalWatch struct {
	printer *printer
	client  *client.Client
	only    []string
	seen    map[string]*proposalEvent // what is known of each proposal
	looked  bool                      // once at least
	warn    func(text string)
}

// proposalEvent is a line of output. Gone says that the service does not list
// the proposal any more, so that nobody can say how it ended.
type proposalEvent struct {
	*client.Proposal
	Actions []string `json:"actions"`
	Gone    bool     `json:"gone,omitzero"`
}

func (e *proposalEvent) ended() bool { return e.Gone || e.State != client.ProposalOpen }

// run asks again and again until every proposal in only is decided.
func (w *proposalWatch) run(ctx context.Context, every time.Duration) error {
	for lost := false; ; {
		err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !unreachable(err):
			return err
		case err != nil && !lost:
			w.warn(err.Error())
		}
		lost = err != nil
		w.looked = w.looked || !lost
		if len(w.only) > 0 && !slices.ContainsFunc(w.only, w.open) {
			return w.outcome()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
}

func (w *proposalWatch) open(id string) bool { return w.seen[id] == nil || !w.seen[id].ended() }

// look asks once and prints what is new.
func (w *proposalWatch) look(ctx context.Context) error {
	list, err := w.proposals(ctx)
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for i := range list {
		listed[list[i].ID] = true
		if err := w.note(ctx, &list[i]); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.seen)) {
		if e := w.seen[id]; !e.ended() && !listed[id] {
			e.Gone = true
			if err := w.print(e, fmt.Sprintf("proposal %s was decided, and so was a later one: the service lists it no more", id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// proposals are those to tell of, as the service has them now. One that it
// never had is an error.
func (w *proposalWatch) proposals(ctx context.Context) ([]client.Proposal, error) {
	if len(w.only) == 0 {
		return w.client.Proposals(ctx)
	}
	var list []client.Proposal
	for _, id := range w.only {
		if !w.open(id) {
			continue
		}
		prop, err := w.client.Proposal(ctx, id)
		if notFound(err) && w.seen[id] != nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, *prop)
	}
	return list, nil
}

func notFound(err error) bool {
	var refused *synod.Error
	return errors.As(err, &refused) && refused.Code == synod.CodeProposalNotFound
}

// note prints a proposal if anything about it has changed, the first time with
// the names of its actions. What was decided before anybody watched is no news.
func (w *proposalWatch) note(ctx context.Context, prop *client.Proposal) error {
	e := w.seen[prop.ID]
	text := fmt.Sprintf("proposal %s is %s (%s)%s", prop.ID, prop.State, counted(prop.BallotCount, "ballot"), failureText(prop))
	if e != nil {
		same := e.State == prop.State && e.BallotCount == prop.BallotCount
		e.Proposal = prop
		if same {
			return nil
		}
		return w.print(e, text)
	}
	e = &proposalEvent{Proposal: prop}
	w.seen[prop.ID] = e
	if len(w.only) == 0 && !w.looked && e.ended() {
		return nil
	}
	body, err := w.client.ProposalActions(ctx, prop.ID)
	if err != nil && !notFound(err) {
		return err
	}
	var actions []client.Action
	if json.Unmarshal(actionsOf(body), &actions) != nil {
		actions = nil // it was not validated by a constitution of ours
	}
	e.Actions = make([]string, len(actions))
	for i, a := range actions {
		e.Actions[i] = a.Name
	}
	return w.print(e, text+": "+strings.Join(e.Actions, ", "))
}

func (w *proposalWatch) print(e *proposalEvent, text string) error {
	if w.printer.format == formatJSON {
		return w.printer.jsonLine(e)
	}
	_, err := fmt.Fprintln(w.printer.out, visible(text))
	return err
}

// outcome is an error unless every proposal in only was accepted.
func (w *proposalWatch) outcome() error {
	var lost []string
	for _, id := range w.only {
		if e := w.seen[id]; e.Gone {
			lost = append(lost, fmt.Sprintf("proposal %s is not listed any more", id))
		} else if e.State != client.ProposalAccepted {
			lost = append(lost, fmt.Sprintf("proposal %s is %s", id, e.State))
		}
	}
	if len(lost) > 0 {
		return errors.New(strings.Join(lost, "; "))
	}
	return nil
}
