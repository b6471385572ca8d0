package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"synod/internal/arm"
	"synod/internal/observe"
)

// logPage is an answer about logs.
type logPage struct {
	Value  []observe.Line `json:"value"`
	Cursor string         `json:"cursor"` // what came later is asked for with it
}

// logs answers GET …/logs: the lines of a network's nodes, those that are gone
// included.
func (r *running) logs(_ context.Context, n arm.Network, query url.Values) (any, error) {
	refuse := func(target, message string) error {
		return &arm.Error{Status: http.StatusBadRequest, Code: arm.CodeInvalidParameter, Target: target, Message: message}
	}
	q := observe.Query{Level: query.Get("level"), Contains: query.Get("contains")}
	if q.Level != "" && !observe.IsLevel(q.Level) {
		return nil, refuse("level", "A level is trace, debug, info, fail or fatal.")
	}
	var err error
	if text := query.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > observe.LinesMax {
			return nil, refuse("limit", fmt.Sprintf("The limit is a number of lines from 1 to %d.", observe.LinesMax))
		}
	}
	if q.After, err = observe.ParseCursor(query.Get("cursor")); err != nil {
		return nil, refuse("cursor", "It is not one that this server gave.")
	}
	files, err := r.logFiles(n.ID.Name)
	if err != nil {
		return nil, err
	}
	if node := query.Get("node"); node != "" {
		ordinal, err := strconv.Atoi(node)
		if err != nil || files[ordinal] == "" {
			return nil, refuse("node", fmt.Sprintf("There is no log of a node %.20q.", node))
		}
		files = map[int]string{ordinal: files[ordinal]}
	}
	lines, next, err := observe.Read(files, q)
	if err != nil {
		return nil, err
	}
	if lines == nil {
		lines = []observe.Line{}
	}
	return logPage{lines, next.String()}, nil
}

// logFiles are the newest log files of a network's nodes, by ordinal.
func (r *running) logFiles(network string) (map[int]string, error) {
	names, err := filepath.Glob(filepath.Join(filepath.Dir(r.driver.LogFile(network, 0)), "*.log"))
	if err != nil {
		return nil, err
	}
	files := map[int]string{}
	for _, name := range names {
		if ordinal, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(name), ".log")); err == nil {
			files[ordinal] = name
		}
	}
	return files, nil
}

// allLogs are the log files of all networks.
func (r *running) allLogs(ctx context.Context) (map[string]map[int]string, error) {
	networks, err := r.driver.Networks(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]map[int]string{}
	for _, network := range networks {
		if all[network], err = r.logFiles(network); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// nodeMetrics answers GET …/metrics: what the nodes of a network measure.
func (r *running) nodeMetrics(ctx context.Context, n arm.Network, w io.Writer) error {
	var targets []observe.Target
	for _, node := range n.Status.Nodes {
		if node.Role != arm.RoleRetired && node.Address != "" {
			targets = append(targets, observe.Target{Ordinal: node.Ordinal, Address: node.Address})
		}
	}
	return observe.Scrape(ctx, w, n.ID.Name, n.Status.ServiceCertificate, targets)
}

func newServerAlerts(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "alerts",
		Short:   "Print alert rules for Prometheus",
		Long:    "Prints alert rules, YAML, over the metrics of a managed service and its networks: see docs/observe.md.",
		Example: "  synod server alerts",
		Args:    args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	c.RunE = func(*cobra.Command, []string) error {
		return p.line(map[string]string{"rules": observe.Alerts}, "%s", strings.TrimSuffix(observe.Alerts, "\n"))
	}
	return c
}
