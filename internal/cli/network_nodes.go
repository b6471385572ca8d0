package cli

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/arm"
	"synod/internal/armclient"
)

func newNetworkNodes(env *Env) *cobra.Command {
	c := newNodesList(env)
	c.AddCommand(newNodesReplace(env))
	return c
}

func newNodesList(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "nodes [NAME]",
		Short:   "List the nodes of a network",
		Long:    "Lists the nodes as the managed service last saw them: their role, health with its reason, last transaction and zone.",
		Example: "  synod network nodes bank",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		net, err := getNetwork(cmd, n, name, argv)
		if err != nil {
			return err
		}
		nodes := net.Properties.Nodes
		rows := make([][]string, len(nodes))
		for i, node := range nodes {
			rows[i] = []string{
				strconv.Itoa(node.Ordinal), short(node.NodeID), node.Role, node.Health + prefixed(": ", node.Reason),
				fmt.Sprintf("%d.%d", node.View, node.Seqno), node.Zone, node.Address,
			}
		}
		return p.table(nodes, []string{"node", "id", "role", "health", "last", "zone", "address"}, rows)
	}
	return c
}

func newNodesReplace(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "replace NAME NODE",
		Short: "Replace a node by a new one",
		Long: `Adds a new node, waits until it votes, then retires the named one. NODE is the
number of the list. Dead nodes are replaced without being asked for.`,
		Example: "  synod network nodes replace bank 2",
		Args:    args(cobra.ExactArgs(2)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	noWait := c.Flags().Bool("no-wait", false, "do not wait until it is done")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		path, err := name.path(cmd, argv[:1])
		if err != nil {
			return err
		}
		if _, err := strconv.ParseUint(argv[1], 10, 31); err != nil {
			return usagef(cmd, "NODE is a number of `synod network nodes`, not %q", argv[1])
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		if _, err := n.operate(ctx, cl, armclient.Call{Method: http.MethodPost, Path: path + "/nodes/" + argv[1] + "/replace"}, *noWait, nil); err != nil {
			return err
		}
		verb := "replaced"
		if *noWait {
			verb = "is being replaced"
		}
		return p.line(map[string]string{"node": argv[1], "state": verb}, "node %s: %s", argv[1], verb)
	}
	return c
}

func newNetworkHealth(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "health [NAME]",
		Short: "Say whether a network is well, and what is not",
		Long: `Prints each condition with its reason and each node that is not healthy. The
exit code is 1 if something needs somebody.`,
		Example: "  synod network health bank",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		net, err := getNetwork(cmd, n, name, argv)
		if err != nil {
			return err
		}
		props := &net.Properties
		var wrong []string
		for _, cond := range props.Conditions {
			if unwell(cond) && cond.Type != arm.ConditionProgressing && cond.Type != arm.ConditionUpgradeAvailable {
				wrong = append(wrong, cond.Type)
			}
		}
		if p.format == formatJSON {
			err = p.json(struct {
				Healthy    bool             `json:"healthy"`
				Conditions []arm.Condition  `json:"conditions"`
				Nodes      []arm.NodeStatus `json:"nodes"`
			}{len(wrong) == 0, props.Conditions, props.Nodes})
		} else {
			err = printHealth(p, net)
		}
		if err == nil && len(wrong) > 0 {
			err = fmt.Errorf("%s is not well: %s", net.Name, quotedList(wrong))
		}
		return err
	}
	return c
}

func quotedList(words []string) string {
	text := words[0]
	for _, w := range words[1:] {
		text += ", " + w
	}
	return text
}

func printHealth(p *printer, net *networkResource) error {
	rows := [][]string{}
	for _, cond := range net.Properties.Conditions {
		rows = append(rows, []string{cond.Type, cond.Status, cond.Since.Local().Format(time.DateTime), orDefault(cond.Message, cond.Reason)})
	}
	for _, node := range net.Properties.Nodes {
		if node.Health != arm.HealthOk {
			rows = append(rows, []string{fmt.Sprintf("node %d", node.Ordinal), node.Health, "", node.Reason})
		}
	}
	return p.table(nil, []string{"what", "state", "since", "why"}, rows)
}

func newNetworkEvents(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "events [NAME]",
		Short:   "List what was done to a network: operations and who asked for them",
		Example: "  synod network events bank",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	p := newPrinter(env, c)
	_, name := newNetworkControl(env, c)
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		ctx, cl, path, done, err := name.dialAt(cmd, argv)
		if err != nil {
			return err
		}
		defer done()
		ops := []operationResource{}
		if err := armclient.List(ctx, cl, path+"/operations", func(op operationResource) error {
			ops = append(ops, op)
			return nil
		}); err != nil {
			return err
		}
		slices.SortStableFunc(ops, func(a, b operationResource) int { return a.StartTime.Compare(b.StartTime) })
		rows := make([][]string, len(ops))
		for i, op := range ops {
			rows[i] = []string{op.StartTime.Local().Format(time.DateTime), op.Kind, op.Status, op.took(), op.RequestedBy, op.Name}
		}
		return p.table(ops, []string{"began", "what", "state", "took", "who", "operation"}, rows)
	}
	return c
}
