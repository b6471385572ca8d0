package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"synod/client"
	"synod/internal/arm"
	"synod/internal/armclient"
	"synod/internal/identity"
)

func newNetworkUp(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "up [NAME]",
		Short: "Create a network for development, with a member of your own, and open it",
		Long: `Makes a member's keys in the directory NAME, creates a network with that member,
activates it, and waits until the network is open. The service's certificate is
written beside the keys. Called again, it goes on where it was.`,
		Example: "  synod network up dev",
		Args:    args(cobra.MaximumNArgs(1)),
	}
	p := newPrinter(env, c)
	n, name := newNetworkControl(env, c)
	nodes := c.Flags().Int("node-count", 1, "how many nodes: 1, 3, 5, 7 or 9")
	app := c.Flags().String("app-type", arm.AppSample, "sample: an application is there from the start; customImage: none")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		if len(argv) == 0 && name.name == "" {
			argv = []string{"dev"}
		}
		path, err := name.path(cmd, argv)
		if err != nil {
			return err
		}
		up := &networkUp{control: n, path: path, dir: filepath.Base(path)}
		return up.run(cmd.Context(), p, *nodes, *app)
	}
	return c
}

// networkUp is one run of the command.
type networkUp struct {
	*control
	path, dir string
}

// upWait bounds the wait for a network to open after its member is active.
const upWait = time.Minute

func (u *networkUp) run(ctx context.Context, p *printer, nodes int, app string) error {
	member := filepath.Join(u.dir, "member0")
	if err := u.keys(member); err != nil {
		return err
	}
	certFile, _ := keyFiles(member)
	m, err := readMember(map[string]any{"certificate": certFile, "encryption-key": member + "_enc_pubk.pem", "identifier": "member0"})
	if err != nil {
		return err
	}
	ctx, cl, done, err := u.dial(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := u.ensureGroup(ctx, cl, defaultLocation); err != nil {
		return err
	}
	body := networkResource{Location: defaultLocation, Properties: networkProperties{
		NodeCount: nodes, Members: []memberResource{m}, DeploymentType: &deploymentType{LanguageRuntime: "JS", AppSourceURI: app},
	}}
	var net networkResource
	if err := u.write(ctx, cl, armclient.Call{Method: http.MethodPut, Path: u.path, In: body}, false, &net); err != nil {
		return err
	}
	serviceCert := filepath.Join(u.dir, "service_cert.pem")
	if err := os.WriteFile(serviceCert, []byte(net.Properties.ServiceCertificate), 0o644); err != nil {
		return err
	}
	if err := u.open(ctx, cl, &net, member); err != nil {
		return err
	}
	result := struct {
		Name        string `json:"name"`
		URL         string `json:"url"`
		ServiceCert string `json:"service_cert"`
		Member      string `json:"member"`
	}{net.Name, net.Properties.AppURI, serviceCert, member}
	return p.line(result, "%s is open at %s\n  service certificate %s, member %s\n  curl --cacert %s %s/node/network",
		result.Name, result.URL, serviceCert, member, serviceCert, result.URL)
}

// keys makes the member's keys unless they are there.
func (u *networkUp) keys(member string) error {
	certFile, _ := keyFiles(member)
	if _, err := os.Stat(certFile); err == nil {
		return nil
	}
	if err := os.MkdirAll(u.dir, 0o755); err != nil {
		return err
	}
	_, err := writeIdentity(u.dir, filepath.Base(member), identity.Secp384r1, true)
	return err
}

// open activates the member and waits until the service is open.
func (u *networkUp) open(ctx context.Context, cl *armclient.Client, net *networkResource, member string) error {
	signer, err := loadSigner(member)
	if err != nil {
		return err
	}
	c, err := client.Dial(net.Properties.AppURI, client.WithServiceCertificate([]byte(net.Properties.ServiceCertificate)))
	if err != nil {
		return err
	}
	defer c.Close()
	tx, err := client.NewMember(c, signer).Activate(ctx)
	if err != nil {
		return fmt.Errorf("activate the member: %w", err)
	}
	if err := c.WaitCommitted(ctx, tx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, upWait)
	defer cancel()
	for net.Properties.condition(arm.ConditionAvailable).Status != "True" {
		if pause(ctx, 100*time.Millisecond) != nil {
			return errors.New("the network has not opened: " + net.Properties.condition(arm.ConditionWaitingForMembers).Message)
		}
		*net = networkResource{}
		if _, err := cl.Do(ctx, armclient.Call{Method: http.MethodGet, Path: u.path}, net); err != nil {
			return err
		}
	}
	return nil
}
