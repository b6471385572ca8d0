package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/armclient"
	"synod/internal/portal"
)

func newPortal(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "portal",
		Short: "Sign in to a managed service's portal, or serve it from this machine",
		Long: `Prints the portal's address with a code that signs in once, within ten minutes.

With --connect, the portal's pages come from this program, on a loopback address,
and only what they ask for goes to the managed service: a member of a consortium
who does not trust whoever runs the service signs with pages of their own. Sign in
there with a token.`,
		Example: "  synod portal --sign-in\n  synod portal --connect https://synod.example:8400 --server-ca ca.pem",
		Args:    args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	n := newControl(env, c)
	f := c.Flags()
	f.Bool("sign-in", true, "print an address that signs in")
	connect := f.String("connect", "", "serve the portal of the managed service at this address")
	listen := f.String("listen", "127.0.0.1:8480", "where to serve it: a loopback address")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if *connect != "" {
			n.url = *connect
			return n.servePortal(cmd, p, *listen)
		}
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		var made struct {
			Code string `json:"code"`
		}
		if _, err := cl.Do(ctx, armclient.Call{Method: http.MethodPost, Path: "/portal/v1/codes", In: struct{}{}}, &made); err != nil {
			return err
		}
		address := n.address() + "/portal/#code=" + made.Code
		return p.line(map[string]string{"url": address}, "%s", address)
	}
	return c
}

// servePortal serves the portal on a loopback address until interrupted.
func (n *control) servePortal(cmd *cobra.Command, p *printer, listen string) error {
	upstream, err := url.Parse(n.url)
	if err != nil || upstream.Scheme != "https" || upstream.Host == "" {
		return usagef(cmd, "--connect: want https://host:port")
	}
	authority, err := n.read(n.ca, "ca.pem")
	if err != nil {
		return withHint(fmt.Errorf("read the server's authority: %w", err), "name it with --server-ca")
	}
	trust := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	if !trust.RootCAs.AppendCertsFromPEM(authority) {
		return errors.New("the server's authority is no PEM certificate")
	}
	listener, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", listen)
	if err != nil {
		return withHint(fmt.Errorf("listen: %w", err), "name another address with --listen")
	}
	defer listener.Close()
	at, ok := listener.Addr().(*net.TCPAddr)
	if !ok || !at.IP.IsLoopback() {
		return usagef(cmd, "--listen: only a loopback address keeps the session on this machine")
	}
	hosts := []string{at.String(), fmt.Sprintf("localhost:%d", at.Port)}
	web := &http.Server{
		Handler:           portal.Local(upstream, trust, hosts, slog.New(slog.NewTextHandler(n.env.Stderr, nil))),
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytesMax,
	}
	address := "http://" + at.String() + "/portal/"
	if err := p.line(map[string]string{"url": address}, "%s", address); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(listener) }()
	select {
	case err = <-ended:
	case <-cmd.Context().Done():
		stopping, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), time.Second)
		defer cancel()
		if web.Shutdown(stopping) != nil {
			err = web.Close()
		}
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
