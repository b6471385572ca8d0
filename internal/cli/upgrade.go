package cli

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"synod/internal/arm"
	"synod/internal/armclient"
)

func newUpgrade(env *Env) *cobra.Command {
	return newGroup("upgrade", "Move a network to another release of the nodes' program",
		newUpgradeStart(env), newUpgradeStatus(env))
}

func newUpgradeStart(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "start NAME RELEASE",
		Short: "Upgrade a network node by node",
		Long: `Adds nodes of the new release and retires the old ones, the primary last, while
the network serves. If it is Supervised, it waits until the members have voted
for the release's measurement: the condition WaitingForMembers says for what.`,
		Example: "  synod upgrade start bank 1.1 --no-wait",
		Args:    args(cobra.ExactArgs(2)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	noWait := c.Flags().Bool("no-wait", false, "do not wait until it is done")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		ctx, cl, path, done, err := name.dialAt(cmd, argv[:1])
		if err != nil {
			return err
		}
		defer done()
		call := armclient.Call{Method: http.MethodPost, Path: path + "/upgrade", In: arm.UpgradeInput{Release: argv[1]}}
		if _, err := n.operate(ctx, cl, call, *noWait, nil); err != nil {
			return err
		}
		state := "runs release " + argv[1]
		if *noWait {
			state = "goes to release " + argv[1]
		}
		return p.line(map[string]string{"name": argv[0], "state": state}, "%s: %s", argv[0], state)
	}
	return c
}

func newUpgradeStatus(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "status [NAME]",
		Short:   "Show which release each node runs, and what an upgrade waits for",
		Example: "  synod upgrade status bank",
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
		releases := map[string]int{}
		for _, node := range props.Nodes {
			releases[node.Release]++
		}
		waiting, available := props.condition(arm.ConditionWaitingForMembers), props.condition(arm.ConditionUpgradeAvailable)
		if p.format == formatJSON {
			return p.json(struct {
				Release   string         `json:"release"`
				Nodes     map[string]int `json:"nodes"`
				Waiting   arm.Condition  `json:"waiting"`
				Available arm.Condition  `json:"available"`
			}{props.Release, releases, waiting, available})
		}
		for release, count := range releases {
			fmt.Fprintf(p.out, "%d nodes run %s\n", count, orDefault(release, "the server's own release"))
		}
		printConditions(p, []arm.Condition{waiting, available})
		return nil
	}
	return c
}
