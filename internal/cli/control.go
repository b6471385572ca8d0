package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/arm"
	"synod/internal/armclient"
)

// control is how a command reaches a managed service.
type control struct {
	env                      *Env
	data, url, ca, tokenFile string
	subscription, group      string
	timeout                  time.Duration
}

// defaultGroup is the resource group of those who do not need several.
const defaultGroup = "default"

// newControl adds the flags that name a managed service.
func newControl(env *Env, c *cobra.Command) *control {
	n := &control{env: env}
	f := c.Flags()
	f.StringVar(&n.data, "data", orDefault(env.Getenv("SYNOD_SERVER_DATA"), serverData), "the server's data directory, where its authority and token are read if no flag names them (SYNOD_SERVER_DATA)")
	f.StringVar(&n.url, "server", env.Getenv("SYNOD_SERVER"), "address of the managed service, if not that of the server of --data (SYNOD_SERVER)")
	f.StringVar(&n.ca, "server-ca", env.Getenv("SYNOD_SERVER_CA"), "certificate that vouches for the server, PEM (SYNOD_SERVER_CA)")
	f.StringVar(&n.tokenFile, "token-file", "", "file with the token to sign in with, or the token itself in SYNOD_TOKEN")
	f.StringVar(&n.subscription, "subscription", orDefault(env.Getenv("SYNOD_SUBSCRIPTION"), arm.DefaultSubscription), "subscription (SYNOD_SUBSCRIPTION)")
	f.DurationVar(&n.timeout, "timeout", 10*time.Minute, "give up after so long; what was begun goes on")
	return n
}

// newNetworkControl adds the flags that name one network, too. Its name is
// also taken as an argument.
func newNetworkControl(env *Env, c *cobra.Command) (*control, *networkName) {
	n := newControl(env, c)
	name := &networkName{control: n}
	c.Flags().StringVarP(&n.group, "resource-group", "g", orDefault(env.Getenv("SYNOD_GROUP"), defaultGroup), "resource group (SYNOD_GROUP)")
	c.Flags().StringVarP(&name.name, "name", "n", "", "name of the network, if it is not an argument")
	c.Flags().StringVar(&name.id, "ids", "", "resource ID, instead of name, group and subscription")
	return n, name
}

// dial makes a client; cancel bounds everything done with it.
func (n *control) dial(ctx context.Context) (context.Context, *armclient.Client, func(), error) {
	cfg := armclient.Config{URL: n.address(), APIVersion: arm.OwnVersion, Token: n.env.Getenv("SYNOD_TOKEN")}
	var err error
	if cfg.Authority, err = n.read(n.ca, "ca.pem"); err != nil {
		return nil, nil, nil, withHint(fmt.Errorf("read the server's authority: %w", err),
			"name it with --server-ca, or the server's data directory with --data; `synod server` prints both")
	}
	if cfg.Token == "" {
		token, err := n.read(n.tokenFile, "token")
		if err != nil && (n.tokenFile != "" || !errors.Is(err, os.ErrNotExist)) {
			return nil, nil, nil, fmt.Errorf("read the token: %w", err)
		}
		cfg.Token = strings.TrimSpace(string(token))
	}
	c, err := armclient.Dial(cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := bounded(ctx, n.timeout)
	return ctx, c, func() { cancel(); c.Close() }, nil
}

// address is where the server is: what a flag says, or the server that runs on the
// data directory, or the default.
func (n *control) address() string {
	if n.url != "" {
		return n.url
	}
	var info serverInfo
	text, err := os.ReadFile(filepath.Join(n.data, "server.json"))
	if err == nil && json.Unmarshal(text, &info) == nil && info.URL != "" {
		return info.URL
	}
	return "https://" + serverListen
}

// read reads a named file, or one of the server's data directory.
func (n *control) read(name, fallback string) ([]byte, error) {
	if name == "" {
		name = filepath.Join(n.data, fallback)
	}
	return os.ReadFile(name)
}

// networkName says which network is meant.
type networkName struct {
	*control
	name, id string
}

// path returns the network's path, from its name among the arguments or the
// flags.
func (n *networkName) path(c *cobra.Command, args []string) (string, error) {
	if n.id != "" {
		if !strings.HasPrefix(n.id, "/subscriptions/") {
			return "", usagef(c, "--ids: a resource ID begins with /subscriptions/")
		}
		return n.id, nil
	}
	if len(args) > 0 {
		n.name = args[0]
	}
	if n.name == "" {
		return "", usagef(c, "name a network")
	}
	return n.groupPath() + "/providers/Microsoft.ConfidentialLedger/managedCCFs/" + url.PathEscape(n.name), nil
}

// dialAt is path and dial in one.
func (n *networkName) dialAt(c *cobra.Command, args []string) (context.Context, *armclient.Client, string, func(), error) {
	path, err := n.path(c, args)
	if err != nil {
		return nil, nil, "", nil, err
	}
	ctx, cl, done, err := n.dial(c.Context())
	return ctx, cl, path, done, err
}

func (n *control) subscriptionPath() string {
	return "/subscriptions/" + url.PathEscape(n.subscription)
}

func (n *control) groupPath() string {
	return n.subscriptionPath() + "/resourceGroups/" + url.PathEscape(n.group)
}

// networkResource is a network as the server shows it to us.
type networkResource struct {
	ID         string            `json:"id,omitempty"`
	Name       string            `json:"name,omitempty"`
	Type       string            `json:"type,omitempty"`
	Location   string            `json:"location,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties networkProperties `json:"properties"`
}

type networkProperties struct {
	AppName            string            `json:"appName,omitempty"`
	AppURI             string            `json:"appUri,omitempty"`
	IdentityURI        string            `json:"identityServiceUri,omitempty"`
	ProvisioningState  string            `json:"provisioningState,omitempty"`
	RunningState       string            `json:"runningState,omitempty"`
	NodeCount          int               `json:"nodeCount,omitempty"`
	Members            []memberResource  `json:"memberIdentityCertificates,omitempty"`
	DeploymentType     *deploymentType   `json:"deploymentType,omitempty"`
	EnclavePlatform    string            `json:"enclavePlatform,omitempty"`
	Zones              []string          `json:"zones,omitempty"`
	Release            string            `json:"release,omitempty"`
	UpgradeStrategy    string            `json:"upgradeStrategy,omitempty"`
	Constitution       string            `json:"constitution,omitempty"`
	Backup             *backupPolicy     `json:"backupPolicy,omitempty"`
	DeleteProtection   *bool             `json:"deleteProtection,omitempty"`
	CertificateDays    int               `json:"certificateDays,omitempty"`
	Conditions         []arm.Condition   `json:"conditions,omitempty"`
	Nodes              []arm.NodeStatus  `json:"nodes,omitempty"`
	LastBackup         *arm.BackupRecord `json:"lastBackup,omitempty"`
	ConstitutionDigest string            `json:"constitutionDigest,omitempty"`
	ServiceCertificate string            `json:"serviceCertificate,omitempty"`
}

type deploymentType struct {
	LanguageRuntime string `json:"languageRuntime,omitempty"`
	AppSourceURI    string `json:"appSourceUri,omitempty"`
}

type memberResource struct {
	Certificate   string `json:"certificate"`
	EncryptionKey string `json:"encryptionkey,omitempty"`
	Tags          any    `json:"tags,omitempty"`
}

type backupPolicy struct {
	Target     *string `json:"target,omitempty"`
	Every      *string `json:"every,omitempty"`
	Keep       *int    `json:"keep,omitempty"`
	Continuous *bool   `json:"continuous,omitempty"`
}

// condition returns the condition of a type, or an unknown one.
func (p *networkProperties) condition(kind string) arm.Condition {
	for _, c := range p.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return arm.Condition{Type: kind, Status: "Unknown"}
}

// state is a network's state in a word or two.
func (p *networkProperties) state() string {
	switch {
	case p.ProvisioningState != "" && p.ProvisioningState != arm.StateSucceeded:
		return p.ProvisioningState
	case p.RunningState != "":
		return p.RunningState
	}
	return p.condition(arm.ConditionAvailable).Status
}

// healthyNodes counts the nodes that are well.
func (p *networkProperties) healthyNodes() (n int) {
	for _, node := range p.Nodes {
		if node.Health == arm.HealthOk {
			n++
		}
	}
	return n
}

// operate makes a change that goes on after the answer, waits for its end and
// tells each step on standard error. It returns the operation, nil if there is
// none or it is not to be waited for.
func (n *control) operate(ctx context.Context, c *armclient.Client, call armclient.Call, noWait bool, out any) (*armclient.Operation, error) {
	a, err := c.Do(ctx, call, out)
	if err != nil || a.Operation == "" {
		return nil, err
	}
	if noWait {
		fmt.Fprintf(n.env.Stderr, "goes on as operation %s\n", operationName(a.Operation))
		return nil, nil
	}
	op, err := c.Wait(ctx, a.Operation, stepTeller(n.env))
	if err != nil {
		return nil, operationError(err, op, a.Operation)
	}
	return op, nil
}

// message is operate for work whose result is a message, which it prints.
func (n *control) message(ctx context.Context, c *armclient.Client, call armclient.Call, noWait bool, p *printer) error {
	op, err := n.operate(ctx, c, call, noWait, nil)
	if err != nil || op == nil {
		return err
	}
	var made arm.MessageResult
	if err := op.Result(&made); err != nil {
		return err
	}
	return p.line(made, "%s", made.Message)
}

// write is operate for a PUT or PATCH of a resource, which it reads again at
// the end.
func (n *control) write(ctx context.Context, c *armclient.Client, call armclient.Call, noWait bool, out *networkResource) error {
	op, err := n.operate(ctx, c, call, noWait, out)
	if err != nil || op == nil {
		return err
	}
	*out = networkResource{}
	_, err = c.Do(ctx, armclient.Call{Method: http.MethodGet, Path: call.Path}, out)
	return err
}

// operationName is the name of an operation, from its status address.
func operationName(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	name, _, _ := strings.Cut(u.Path[strings.LastIndex(u.Path, "/")+1:], "*")
	return name
}

func operationError(err error, op *armclient.Operation, address string) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return withHint(err, "see how far it is with: synod operation show "+operationName(address))
	}
	if op != nil {
		for _, s := range op.Steps {
			if s.Status == arm.OperationFailed {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
		}
	}
	return err
}

// stepTeller prints each step of an operation once it begins, with what it
// took once it ends.
func stepTeller(env *Env) func(*armclient.Operation) {
	begun, ended := map[int]string{}, map[int]bool{}
	return func(op *armclient.Operation) {
		for i, s := range op.Steps {
			if begun[i] != s.Name+s.Message && s.EndedAt.IsZero() {
				begun[i] = s.Name + s.Message
				fmt.Fprintf(env.Stderr, "%s%s …\n", s.Name, prefixed(": ", s.Message))
			}
			if !s.EndedAt.IsZero() && !ended[i] {
				ended[i] = true
				fmt.Fprintf(env.Stderr, "%s: %s after %s\n", s.Name, strings.ToLower(s.Status), s.EndedAt.Sub(s.StartedAt).Round(time.Millisecond))
			}
		}
	}
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
