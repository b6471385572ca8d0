package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/armclient"
)

// followEvery is between two looks at logs that are followed.
const followEvery = 500 * time.Millisecond

func newLogs(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "logs [NAME]",
		Short: "Show, or follow, the logs of a network's nodes",
		Long: `Shows the last lines of all nodes' logs in the order of their times: the time,
the node's number, level, tag and text. Logs hold nothing private. With -o json
each line is an object of its own.`,
		Example: "  synod logs bank --level fail\n  synod logs bank --follow --node 0",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	f := c.Flags()
	f.Lookup("timeout").DefValue, n.timeout = "0s", 0
	follow := f.BoolP("follow", "f", false, "go on with what comes, until interrupted")
	node := f.Int("node", -1, "only this node")
	level := f.String("level", "", "this level and worse: trace, debug, info, fail or fatal")
	contains := f.String("contains", "", "only lines with this text")
	limit := f.Int("limit", 200, "how many of the last lines to begin with")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		ctx, cl, path, done, err := name.dialAt(cmd, argv)
		if err != nil {
			return err
		}
		defer done()
		which := ""
		if *node >= 0 {
			which = strconv.Itoa(*node)
		}
		cursor, count := "", strconv.Itoa(*limit)
		for {
			var page logPage
			query := queryOf("level", *level, "contains", *contains, "node", which, "limit", count, "cursor", cursor)
			if _, err := cl.Do(ctx, armclient.Call{Method: http.MethodGet, Path: path + "/logs" + query}, &page); err != nil {
				if ctx.Err() != nil && cmd.Context().Err() != nil && cursor != "" {
					return nil // interrupted
				}
				return err
			}
			for _, l := range page.Value {
				if p.format == formatJSON {
					err = p.jsonLine(l)
				} else {
					_, err = fmt.Fprintln(p.out, l)
				}
				if err != nil {
					return err
				}
			}
			cursor, count = page.Cursor, ""
			if !*follow {
				return nil
			}
			if err := pause(ctx, followEvery); err != nil {
				if errors.Is(cmd.Context().Err(), err) {
					return nil
				}
				return err
			}
		}
	}
	return c
}
