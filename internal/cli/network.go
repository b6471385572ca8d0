package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"synod/internal/arm"
	"synod/internal/armclient"
)

func newNetwork(env *Env) *cobra.Command {
	return newGroup("network", "Networks of a managed service: create, look at, change, delete",
		newNetworkCreate(env), newNetworkUp(env), newNetworkShow(env), newNetworkList(env), newNetworkUpdate(env), newNetworkDelete(env),
		newNetworkWait(env), newNetworkHealth(env), newNetworkEvents(env), newNetworkNodes(env), newNetworkCheckName(env))
}

const azSpellings = `The arguments are also taken as the Azure CLI spells those of
"az confidentialledger managedccfs".`

func newNetworkCreate(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Create a network",
		Long: `Creates a network and waits until its address answers with its certificate.

A member is given as {certificate:FILE,identifier:TEXT,group:TEXT,encryption-key:FILE},
once or several times; the files are what "synod member keygen" writes. Members
whose encryption key is given hold a share of the key that recovers the network.

With --file the request is read from a file, in JSON or YAML, with the names
of the API: location, tags, properties. Flags change what it says.

` + azSpellings,
		Example: "  synod network create bank --members '{certificate:member0_cert.pem,identifier:member0,encryption-key:member0_enc_pubk.pem}' --node-count 3\n  synod network create bank --file network.yaml --no-wait",
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	f := c.Flags()
	file := f.StringP("file", "f", "", "file with the request, JSON or YAML")
	noWait := f.Bool("no-wait", false, "do not wait until the network is there")
	w := newNetworkFlags(c)
	members := f.StringArray("members", nil, "a member, or a list of members")
	constitution := f.String("constitution", "", "file with the members' own constitution, instead of the shipped one")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		rest := w.takeWords(argv, members)
		if len(rest) > 1 {
			return usagef(cmd, "more than one name: %s", strings.Join(rest, " "))
		}
		path, err := name.path(cmd, rest)
		if err != nil {
			return err
		}
		var body networkResource
		if *file != "" {
			if err := readRequest(env, *file, &body); err != nil {
				return err
			}
		}
		if err := w.apply(cmd, &body); err != nil {
			return err
		}
		if len(*members) > 0 {
			if body.Properties.Members, err = readMembers(cmd, *members); err != nil {
				return err
			}
		}
		if *constitution != "" {
			text, err := os.ReadFile(*constitution)
			if err != nil {
				return err
			}
			body.Properties.Constitution = string(text)
		}
		body.Location = orDefault(body.Location, defaultLocation)
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		if err := n.ensureGroup(ctx, cl, body.Location); err != nil {
			return err
		}
		var made networkResource
		if err := n.write(ctx, cl, armclient.Call{Method: http.MethodPut, Path: path, In: body}, *noWait, &made); err != nil {
			return err
		}
		return p.line(made, "%s: %s%s", made.Name, made.Properties.state(), prefixed(" at ", made.Properties.AppURI))
	}
	return c
}

// defaultLocation is the location of those who have one.
const defaultLocation = "local"

// ensureGroup makes the resource group if there is none: Azure wants one made
// first, people with one machine have no use for the ceremony.
func (n *control) ensureGroup(ctx context.Context, c *armclient.Client, location string) error {
	path := n.groupPath() + "?api-version=2021-04-01"
	_, err := c.Do(ctx, armclient.Call{Method: http.MethodGet, Path: path}, nil)
	var refused *armclient.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		return err
	}
	_, err = c.Do(ctx, armclient.Call{Method: http.MethodPut, Path: path, In: map[string]string{"location": location}}, nil)
	return err
}

// readRequest reads JSON or YAML with the API's names.
func readRequest(env *Env, file string, out any) error {
	text, err := readInput(env, file)
	if err != nil {
		return err
	}
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	asJSON, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := json.Unmarshal(asJSON, out); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// networkFlags are what create and update have in common.
type networkFlags struct {
	location, appType, runtime, release, strategy string
	nodeCount, certificateDays                    int
	tags, deployment, zones                       []string
	deleteProtection                              bool
}

func newNetworkFlags(c *cobra.Command) *networkFlags {
	w := &networkFlags{}
	f := c.Flags()
	f.StringVarP(&w.location, "location", "l", "", "where the network is, a label")
	f.StringVar(&w.appType, "app-type", "", "customImage: members deploy an application; sample: one is there from the start")
	f.StringVar(&w.runtime, "language-runtime", "", "JS")
	f.StringSliceVar(&w.deployment, "deployment-type", nil, "app-source-uri=… and language-runtime=…")
	f.IntVar(&w.nodeCount, "node-count", 0, "1 (survives no loss), 3, 5, 7 or 9")
	f.StringSliceVar(&w.zones, "zones", nil, "labels that nodes are spread over")
	f.StringSliceVar(&w.tags, "tags", nil, "tags, NAME=VALUE; with an empty value the tag goes")
	f.StringVar(&w.release, "release", "", "release of the nodes' program")
	f.StringVar(&w.strategy, "upgrade-strategy", "", "Supervised: members vote on each release; Unsupervised")
	f.IntVar(&w.certificateDays, "certificate-days", 0, "validity of certificates, which are renewed at two thirds of it")
	f.BoolVar(&w.deleteProtection, "delete-protection", false, "refuse to delete the network until this is taken back")
	return w
}

// takeWords takes what the Azure CLI writes as further words of a flag: members
// and tags. It returns the others.
func (w *networkFlags) takeWords(argv []string, members *[]string) (rest []string) {
	for _, a := range argv {
		switch {
		case members != nil && (strings.HasPrefix(a, "{") || strings.HasPrefix(a, "[")):
			*members = append(*members, a)
		case strings.HasPrefix(a, "app-source-uri=") || strings.HasPrefix(a, "language-runtime="):
			w.deployment = append(w.deployment, a)
		case strings.Contains(a, "="):
			w.tags = append(w.tags, a)
		default:
			rest = append(rest, a)
		}
	}
	return rest
}

// apply changes a request to what the flags say.
func (w *networkFlags) apply(c *cobra.Command, body *networkResource) error {
	p := &body.Properties
	body.Location = orDefault(w.location, body.Location)
	for _, d := range w.deployment {
		key, value, _ := strings.Cut(d, "=")
		switch key {
		case "app-source-uri":
			w.appType = value
		case "language-runtime":
			w.runtime = value
		default:
			return usagef(c, "--deployment-type: want app-source-uri=… or language-runtime=…")
		}
	}
	if w.appType != "" || w.runtime != "" {
		if p.DeploymentType == nil {
			p.DeploymentType = &deploymentType{}
		}
		p.DeploymentType.AppSourceURI = orDefault(w.appType, p.DeploymentType.AppSourceURI)
		p.DeploymentType.LanguageRuntime = orDefault(w.runtime, p.DeploymentType.LanguageRuntime)
	}
	for _, tag := range w.tags {
		key, value, ok := strings.Cut(tag, "=")
		if !ok || key == "" {
			return usagef(c, "--tags: want NAME=VALUE, not %q", tag)
		}
		if body.Tags == nil {
			body.Tags = map[string]string{}
		}
		body.Tags[key] = value
	}
	if w.nodeCount != 0 {
		p.NodeCount = w.nodeCount
	}
	if w.certificateDays != 0 {
		p.CertificateDays = w.certificateDays
	}
	if len(w.zones) > 0 {
		p.Zones = w.zones
	}
	p.Release = orDefault(w.release, p.Release)
	p.UpgradeStrategy = orDefault(w.strategy, p.UpgradeStrategy)
	if c.Flags().Changed("delete-protection") {
		p.DeleteProtection = &w.deleteProtection
	}
	return nil
}

// readMembers reads members as the Azure CLI takes them, and the files that
// they name.
func readMembers(c *cobra.Command, values []string) ([]memberResource, error) {
	var members []memberResource
	for _, text := range values {
		v, err := parseShorthand(text)
		if err != nil {
			return nil, usagef(c, "--members: %w", err)
		}
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, one := range list {
			m, err := readMember(one)
			if err != nil {
				return nil, usagef(c, "--members: %w", err)
			}
			members = append(members, m)
		}
	}
	return members, nil
}

func readMember(v any) (memberResource, error) {
	fields, ok := v.(map[string]any)
	if !ok {
		return memberResource{}, errors.New("want {certificate:FILE,identifier:TEXT,…}")
	}
	tags := map[string]string{}
	m := memberResource{Tags: tags}
	for key, v := range fields {
		if v == nil {
			continue
		}
		text, ok := v.(string)
		if !ok {
			return m, fmt.Errorf("%s is no text", key)
		}
		var err error
		switch key {
		case "certificate":
			m.Certificate, err = readPEM(text)
		case "encryption-key", "encryptionkey":
			m.EncryptionKey, err = readPEM(text)
		case "identifier", "group":
			tags[key] = text
		default:
			err = fmt.Errorf("a member has no %q: want certificate, identifier, group or encryption-key", key)
		}
		if err != nil {
			return m, err
		}
	}
	if m.Certificate == "" {
		return m, errors.New("a member needs a certificate")
	}
	return m, nil
}

// readPEM takes PEM itself, or the name of a file with it.
func readPEM(s string) (string, error) {
	if strings.HasPrefix(s, "-----BEGIN") {
		return s, nil
	}
	b, err := os.ReadFile(s)
	if err != nil {
		return "", err
	}
	if strings.Contains(string(b), "PRIVATE KEY") {
		return "", fmt.Errorf("%s holds a private key, which goes nowhere: name the certificate, or the public key", s)
	}
	return string(b), nil
}

func newNetworkShow(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "show [NAME]",
		Short:   "Show a network",
		Long:    "Shows a network: its state, addresses and nodes, and what waits for somebody.\n\n" + azSpellings,
		Example: "  synod network show bank\n  synod network show bank -o json",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		net, err := getNetwork(cmd, n, name, argv)
		if err != nil {
			return err
		}
		if p.format == formatJSON {
			return p.json(net)
		}
		printNetwork(p, net)
		return nil
	}
	return c
}

// getNetwork asks for the network that arguments and flags name.
func getNetwork(cmd *cobra.Command, n *control, name *networkName, argv []string) (*networkResource, error) {
	path, err := name.path(cmd, argv)
	if err != nil {
		return nil, err
	}
	ctx, cl, done, err := n.dial(cmd.Context())
	if err != nil {
		return nil, err
	}
	defer done()
	net := &networkResource{}
	_, err = cl.Do(ctx, armclient.Call{Method: http.MethodGet, Path: path}, net)
	return net, err
}

func printNetwork(p *printer, net *networkResource) {
	props := &net.Properties
	fmt.Fprintf(p.out, "%s: %s\n", net.Name, props.state())
	for _, row := range [][2]string{
		{"address", props.AppURI},
		{"identity", props.IdentityURI},
		{"release", props.Release},
		{"location", net.Location},
	} {
		if row[1] != "" {
			fmt.Fprintf(p.out, "  %-9s %s\n", row[0], row[1])
		}
	}
	fmt.Fprintf(p.out, "  %-9s %d of %d healthy\n", "nodes", props.healthyNodes(), props.NodeCount)
	printConditions(p, props.Conditions)
}

// printConditions prints what is not as it should be.
func printConditions(p *printer, conditions []arm.Condition) {
	for _, cond := range conditions {
		if unwell(cond) {
			fmt.Fprintf(p.out, "  %s: %s\n", cond.Type, orDefault(cond.Message, cond.Reason))
		}
	}
}

// unwell says whether somebody should know of a condition.
func unwell(c arm.Condition) bool {
	switch c.Type {
	case arm.ConditionAvailable, arm.ConditionCertsValid, arm.ConditionBackupRecent:
		return c.Status == "False"
	}
	return c.Status == "True"
}

func newNetworkList(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the networks of a subscription, or of a resource group",
		Long:    "Lists networks.\n\n" + azSpellings,
		Example: "  synod network list\n  synod network list -g default -o json",
		Args:    args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	n := newControl(env, c)
	c.Flags().StringVarP(&n.group, "resource-group", "g", "", "only those of this resource group")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		path := n.subscriptionPath()
		if n.group != "" {
			path = n.groupPath()
		}
		nets := []networkResource{}
		err = armclient.List(ctx, cl, path+"/providers/Microsoft.ConfidentialLedger/managedCCFs", func(net networkResource) error {
			nets = append(nets, net)
			return nil
		})
		if err != nil {
			return err
		}
		rows := make([][]string, len(nets))
		for i, net := range nets {
			props := &net.Properties
			rows[i] = []string{net.Name, groupOf(net.ID), props.state(), fmt.Sprintf("%d/%d", props.healthyNodes(), props.NodeCount), props.AppURI}
		}
		return p.table(nets, []string{"name", "group", "state", "nodes", "address"}, rows)
	}
	return c
}

// groupOf is the resource group in a resource ID.
func groupOf(id string) string {
	parts := strings.Split(id, "/")
	for i := range parts[:max(len(parts)-1, 0)] {
		if strings.EqualFold(parts[i], "resourceGroups") {
			return parts[i+1]
		}
	}
	return ""
}

func newNetworkUpdate(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "update [NAME]",
		Short: "Change a network: its size, tags, schedule, or whether it runs",
		Long: `Changes what flags name and leaves the rest. Members and constitution are
changed by the members' votes: see synod proposal.

` + azSpellings,
		Example: "  synod network update bank --node-count 5\n  synod network update bank --running-state Paused",
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	f := c.Flags()
	noWait := f.Bool("no-wait", false, "do not wait until it is done")
	state := f.String("running-state", "", "Active or Paused")
	w := newNetworkFlags(c)
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		rest := w.takeWords(argv, nil)
		if len(rest) > 1 {
			return usagef(cmd, "more than one name: %s", strings.Join(rest, " "))
		}
		path, err := name.path(cmd, rest)
		if err != nil {
			return err
		}
		var body networkResource
		if err := w.apply(cmd, &body); err != nil {
			return err
		}
		body.Properties.RunningState = *state
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		var net networkResource
		if err := n.write(ctx, cl, armclient.Call{Method: http.MethodPatch, Path: path, In: patchOf(body)}, *noWait, &net); err != nil {
			return err
		}
		return p.line(net, "%s: %s", net.Name, net.Properties.state())
	}
	return c
}

// patchOf makes a merge patch: a tag without a value goes.
func patchOf(body networkResource) any {
	tags := map[string]any{}
	for k, v := range body.Tags {
		if v == "" {
			tags[k] = nil
			continue
		}
		tags[k] = v
	}
	patch := map[string]any{"properties": body.Properties}
	if len(tags) > 0 {
		patch["tags"] = tags
	}
	if body.Location != "" {
		patch["location"] = body.Location
	}
	return patch
}

func newNetworkDelete(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "delete [NAME]",
		Short: "Delete a network and its nodes' data",
		Long: `Stops the nodes and removes their files. Backups stay. Without --yes, the
network's name must be typed on standard input.

` + azSpellings,
		Example: "  synod network delete bank --yes",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	yes := c.Flags().BoolP("yes", "y", false, "do not ask")
	noWait := c.Flags().Bool("no-wait", false, "do not wait until it is gone")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		path, err := name.path(cmd, argv)
		if err != nil {
			return err
		}
		short := path[strings.LastIndex(path, "/")+1:]
		if !*yes {
			if err := confirm(env, short); err != nil {
				return err
			}
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		if _, err := n.operate(ctx, cl, armclient.Call{Method: http.MethodDelete, Path: path}, *noWait, nil); err != nil {
			return err
		}
		verb := "deleted"
		if *noWait {
			verb = "is being deleted"
		}
		return p.line(map[string]string{"name": short, "state": verb}, "%s: %s", short, verb)
	}
	return c
}

// confirm has somebody type a name.
func confirm(env *Env, name string) error {
	fmt.Fprintf(env.Stderr, "This removes the network and its nodes' data. Type its name to go on: ")
	line := make([]byte, 256)
	n, err := env.Stdin.Read(line)
	if got := strings.TrimSpace(string(line[:n])); got != name {
		return withHint(fmt.Errorf("nothing was deleted: %q is not %q (%w)", got, name, errors.Join(err)), "use --yes in scripts")
	}
	return nil
}

func newNetworkWait(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "wait [NAME]",
		Short: "Wait until a network is there, changed, gone, or healthy",
		Long: `Waits for one of: --created, --updated (both: its state is Succeeded),
--deleted, --exists, or --healthy, which also wants every node healthy.

` + azSpellings,
		Example: "  synod network wait bank --created\n  synod network wait bank --healthy --timeout 2m",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	f := c.Flags()
	f.Lookup("timeout").DefValue, n.timeout = "1h0m0s", time.Hour
	f.Var((*seconds)(&n.timeout), "timeout-seconds", "give up after so many seconds")
	interval := f.Int("interval", 1, "seconds between looks")
	created := f.Bool("created", false, "until its state is Succeeded")
	updated := f.Bool("updated", false, "until its state is Succeeded")
	deleted := f.Bool("deleted", false, "until it is gone")
	exists := f.Bool("exists", false, "until there is one, in whatever state")
	healthy := f.Bool("healthy", false, "until it is available and every node is healthy")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		path, err := name.path(cmd, argv)
		if err != nil {
			return err
		}
		if !*created && !*updated && !*deleted && !*exists && !*healthy {
			return usagef(cmd, "say what to wait for: --created, --updated, --deleted, --exists or --healthy")
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		for {
			var net networkResource
			_, err := cl.Do(ctx, armclient.Call{Method: http.MethodGet, Path: path}, &net)
			var refused *armclient.Error
			gone := errors.As(err, &refused) && refused.Status == http.StatusNotFound
			props := &net.Properties
			switch {
			case gone && *deleted:
				return p.line(map[string]string{"state": "gone"}, "gone")
			case err != nil && !gone:
				return err
			case !gone && (*created || *updated) && props.ProvisioningState == arm.StateFailed:
				return fmt.Errorf("%s: Failed: %s", net.Name, props.condition(arm.ConditionAvailable).Message)
			case !gone && (*exists ||
				(*created || *updated) && (props.ProvisioningState == arm.StateSucceeded || props.ProvisioningState == "") ||
				*healthy && props.condition(arm.ConditionAvailable).Status == "True" && props.healthyNodes() >= props.NodeCount):
				return p.line(net, "%s: %s", net.Name, props.state())
			}
			if err := pause(ctx, time.Duration(*interval)*time.Second); err != nil {
				return fmt.Errorf("still %s: %w", orDefault(props.state(), "not there"), err)
			}
		}
	}
	return c
}

// seconds is a duration that is given in seconds, as the Azure CLI does.
type seconds time.Duration

func (s *seconds) String() string { return strconv.Itoa(int(time.Duration(*s) / time.Second)) }
func (s *seconds) Type() string   { return "int" }
func (s *seconds) Set(text string) error {
	n, err := strconv.Atoi(text)
	*s = seconds(time.Duration(n) * time.Second)
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newNetworkCheckName(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "check-name NAME",
		Short:   "Say whether a network may have a name",
		Example: "  synod network check-name bank",
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
		var answer struct {
			Available bool   `json:"nameAvailable"`
			Reason    string `json:"reason,omitempty"`
			Message   string `json:"message,omitempty"`
		}
		_, err = cl.Do(ctx, armclient.Call{
			Method: http.MethodPost, Path: n.subscriptionPath() + "/providers/Microsoft.ConfidentialLedger/checkNameAvailability",
			In: map[string]string{"name": argv[0], "type": "Microsoft.ConfidentialLedger/managedCCFs"},
		}, &answer)
		if err != nil {
			return err
		}
		if answer.Available {
			return p.line(answer, "%s is free", argv[0])
		}
		return p.line(answer, "%s: %s", argv[0], answer.Message)
	}
	return c
}

// queryOf makes the query of a path.
func queryOf(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}
