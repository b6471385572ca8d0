package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"synod/client"
)

func newProposal(env *Env) *cobra.Command {
	return newGroup("proposal", "Propose, look and vote",
		newProposalCreate(env), newProposalList(env), newProposalShow(env),
		newProposalDiff(env), newProposalVote(env), newProposalWithdraw(env), newProposalWatch(env), newProposalSubmit(env))
}

func newProposalCreate(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "create FILE|--action NAME --as MEMBER",
		Short: "Submit a proposal",
		Long: `Submits the proposal in FILE, the JSON object {"actions":[{"name":…,"args":…}]}
("-" for standard input), or one action: --action names it, and each --arg
NAME=VALUE is an argument of it, as JSON if it is that, otherwise as text; with
NAME=@FILE the text is that of a file. A proposer's vote is not implied: --vote has
every member named vote for it.

With a key that lives elsewhere: --cert and --digest-out write a request to be
signed; see synod proposal submit.`,
		Example: `  synod proposal create open.json --as keys/member0 --vote
  synod proposal create --action set_recovery_threshold --arg recovery_threshold=2 --as keys/member0`,
		Args: args(cobra.MaximumNArgs(1)),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	action := c.Flags().String("action", "", "name of the one action to propose")
	arg := c.Flags().StringArray("arg", nil, "argument of --action, NAME=VALUE or NAME=@FILE; may be repeated")
	as := c.Flags().StringArray("as", nil, identityHelp+"; the first proposes")
	vote := c.Flags().Bool("vote", false, "have every member named vote for it")
	off := newOffline(c)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		body, err := proposalFrom(env, cmd, a, *action, *arg)
		if err != nil {
			return err
		}
		if off.wanted() {
			return off.write(cmd, p, "members/proposals:create", client.Message{Kind: client.KindProposal, Payload: body})
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		members, err := loadMembers(cmd, cl, *as)
		if err != nil {
			return err
		}
		var prop *client.Proposal
		if *vote {
			prop, err = decide(ctx, cl, members, body)
		} else if prop, err = members[0].Propose(ctx, body); err == nil {
			err = cl.WaitCommitted(ctx, prop.TxID)
		}
		if err != nil {
			return err
		}
		return printProposal(p, prop)
	}
	return c
}

// proposalFrom is the proposal of a file, or of one action with arguments.
func proposalFrom(env *Env, cmd *cobra.Command, a []string, action string, given []string) ([]byte, error) {
	switch {
	case action == "" && len(a) == 1 && len(given) == 0:
		body, err := readInput(env, a[0])
		if err != nil {
			return nil, fmt.Errorf("read proposal: %w", err)
		}
		if err := checkProposal(body); err != nil {
			return nil, fmt.Errorf("%s: %w", a[0], err)
		}
		return body, nil
	case action == "" || len(a) > 0:
		return nil, usagef(cmd, "name either a file or an --action")
	}
	if len(given) == 0 {
		return client.ProposalBody(client.Action{Name: action}) // {} is an argument to some
	}
	values := map[string]any{}
	for _, pair := range given {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, usagef(cmd, "--arg %q: want NAME=VALUE", pair)
		}
		if file, ok := strings.CutPrefix(value, "@"); ok {
			text, err := readInput(env, file)
			if err != nil {
				return nil, fmt.Errorf("--arg %s: %w", name, err)
			}
			values[name] = string(text)
			continue
		}
		values[name] = value
		if json.Valid([]byte(value)) {
			values[name] = json.RawMessage(value)
		}
	}
	return client.ProposalBody(client.Action{Name: action, Args: values})
}

// checkProposal catches what the service would refuse for its shape.
func checkProposal(body []byte) error {
	var shape struct {
		Actions []struct {
			Name string `json:"name"`
		} `json:"actions"`
	}
	const hint = `a proposal is {"actions":[{"name":"set_user","args":{…}}]}`
	if err := json.Unmarshal(body, &shape); err != nil {
		return withHint(fmt.Errorf("not a proposal: %w", err), hint)
	}
	if len(shape.Actions) == 0 {
		return withHint(fmt.Errorf("not a proposal: it has no actions"), hint)
	}
	for i, a := range shape.Actions {
		if a.Name == "" {
			return withHint(fmt.Errorf("not a proposal: actions[%d] has no name", i), hint)
		}
	}
	return nil
}

func printProposal(p *printer, prop *client.Proposal) error {
	return p.line(proposalJSON{prop, prop.TxID.String()}, "proposal %s is %s (%s)%s",
		prop.ID, prop.State, counted(prop.BallotCount, "ballot"), failureText(prop))
}

// proposalJSON adds the transaction to what the service said.
type proposalJSON struct {
	*client.Proposal
	TransactionID string `json:"transactionId"`
}

func newProposalList(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the proposals that the service still knows",
		Example: "  synod proposal list --service-cert service_cert.pem",
		Args:    args(cobra.NoArgs),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		list, err := cl.Proposals(ctx)
		if err != nil {
			return err
		}
		if list == nil {
			list = []client.Proposal{}
		}
		rows := make([][]string, len(list))
		for i, prop := range list {
			rows[i] = []string{prop.ID, string(prop.State), strconv.Itoa(prop.BallotCount), short(string(prop.Proposer))}
		}
		return p.table(list, []string{"proposal", "state", "ballots", "proposer"}, rows)
	}
	return c
}

func newProposalShow(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "show PROPOSAL",
		Short:   "Show a proposal: its state, votes and actions",
		Long:    "Long texts and lists, such as the modules of an application, are cut; --full\nshows them.",
		Example: "  synod proposal show 5f3c… -o json",
		Args:    args(cobra.ExactArgs(1)),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	full := c.Flags().Bool("full", false, "show long texts and lists whole")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		prop, err := cl.Proposal(ctx, a[0])
		if err != nil {
			return err
		}
		actions, err := cl.ProposalActions(ctx, a[0])
		if err != nil {
			return err
		}
		if p.format == formatJSON {
			return p.json(struct {
				*client.Proposal
				Actions json.RawMessage `json:"actions"`
			}{prop, actionsOf(actions)})
		}
		if err := printProposal(p, prop); err != nil {
			return err
		}
		fmt.Fprintf(p.out, "proposer %s\n", string(prop.Proposer))
		for member, vote := range prop.FinalVotes {
			fmt.Fprintf(p.out, "vote     %s %v\n", member, vote)
		}
		for member, failure := range prop.VoteFailures {
			fmt.Fprintf(p.out, "ballot   %s failed: %s\n", member, failure.Reason)
		}
		var out []any
		if json.Unmarshal(actionsOf(actions), &out) != nil {
			return nil
		}
		for i := range out { // every action is shown
			if !*full {
				out[i] = cut(out[i])
			}
		}
		text, err := json.MarshalIndent(out, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.out, "actions  %s\n", text)
		return err
	}
	return c
}

// cut shortens every long text and list in a JSON value.
func cut(v any) any {
	const textMax, listMax = 160, 20 // bytes, elements
	switch v := v.(type) {
	case string:
		if len(v) > textMax {
			return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(v[:textMax], ""), len(v))
		}
	case []any:
		shown := v
		if len(v) > listMax {
			shown = append(v[:listMax:listMax], fmt.Sprintf("… (%d more)", len(v)-listMax))
		}
		for i := range shown {
			shown[i] = cut(shown[i])
		}
		return shown
	case map[string]any:
		for k := range v {
			v[k] = cut(v[k])
		}
	}
	return v
}

func actionsOf(body json.RawMessage) json.RawMessage {
	var shape struct {
		Actions json.RawMessage `json:"actions"`
	}
	if json.Unmarshal(body, &shape) != nil || shape.Actions == nil {
		return json.RawMessage("[]")
	}
	return shape.Actions
}

func newProposalVote(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "vote PROPOSAL --as MEMBER",
		Short: "Vote for or against a proposal",
		Long: `Submits a ballot: for the proposal, or with --against against it, or with
--ballot the JavaScript module in a file, which exports
vote(proposal, proposerId) and is run when the proposal is decided.`,
		Example: "  synod proposal vote 5f3c… --as keys/member1\n  synod proposal vote 5f3c… --as keys/member2 --against",
		Args:    args(cobra.ExactArgs(1)),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	as := c.Flags().StringArray("as", nil, identityHelp+"; repeat for more votes")
	against := c.Flags().Bool("against", false, "vote against it")
	file := c.Flags().String("ballot", "", "file with the ballot's module")
	off := newOffline(c)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		ballot := client.BallotFor
		switch {
		case *against && *file != "":
			return usagef(cmd, "--against and --ballot exclude each other")
		case *against:
			ballot = client.BallotAgainst
		case *file != "":
			text, err := readInput(env, *file)
			if err != nil {
				return fmt.Errorf("read ballot: %w", err)
			}
			ballot = string(text)
		}
		if off.wanted() {
			return off.writeBallot(cmd, p, a[0], ballot)
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		members, err := loadMembers(cmd, cl, *as)
		if err != nil {
			return err
		}
		var prop *client.Proposal
		for _, m := range members {
			if prop, err = m.Vote(ctx, a[0], ballot); err != nil {
				return err
			}
			if prop.State != client.ProposalOpen {
				break
			}
		}
		if err := cl.WaitCommitted(ctx, prop.TxID); err != nil {
			return err
		}
		return printProposal(p, prop)
	}
	return c
}

func newProposalWithdraw(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "withdraw PROPOSAL --as MEMBER",
		Short:   "Take back a proposal of one's own",
		Example: "  synod proposal withdraw 5f3c… --as keys/member0",
		Args:    args(cobra.ExactArgs(1)),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	as := c.Flags().String("as", "", identityHelp)
	off := newOffline(c)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		if off.wanted() {
			return off.write(cmd, p, "members/proposals/"+a[0]+":withdraw", client.Message{Kind: client.KindWithdrawal, ProposalID: a[0]})
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		if *as == "" {
			return usagef(cmd, "name a member with --as")
		}
		members, err := loadMembers(cmd, cl, []string{*as})
		if err != nil {
			return err
		}
		prop, err := members[0].Withdraw(ctx, a[0])
		if err != nil {
			return err
		}
		if err := cl.WaitCommitted(ctx, prop.TxID); err != nil {
			return err
		}
		return printProposal(p, prop)
	}
	return c
}
