package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"synod/internal/archive"
	"synod/internal/arm"
	"synod/internal/observe"
	"synod/internal/portal"
	"synod/internal/provision"
	"synod/internal/provision/process"
	"synod/serve"
)

// Limits of the server's connections.
const (
	// connectionsMax bounds the connections that are open at a time.
	connectionsMax = 2000
	headerTimeout  = 10 * time.Second
	readTimeout    = 60 * time.Second
	writeTimeout   = 5 * time.Minute
	idleTimeout    = 2 * time.Minute
	// headerBytesMax bounds a request's headers, in bytes.
	headerBytesMax = 64 << 10
	// stopWait is how long requests may go on after the server was told to stop.
	stopWait = 10 * time.Second
)

// running are the parts of a server at work.
type running struct {
	store     *arm.Store
	authority *arm.Authority
	token     string // "" without a static token
	url       string
	driver    *process.Driver
	manager   *provision.Manager
	api       *arm.Server
	portal    *portal.Portal // nil without
}

// serverInfo is what a started server says of itself, also in server.json of
// its data directory.
type serverInfo struct {
	URL          string `json:"url"`
	Portal       string `json:"portal,omitempty"`
	CA           string `json:"ca,omitempty"` // file
	Fingerprint  string `json:"caFingerprint,omitempty"`
	TokenFile    string `json:"tokenFile,omitempty"`
	Data         string `json:"data"`
	Subscription string `json:"subscription"`
}

// run serves until ctx ends.
func (s *server) run(ctx context.Context, p *printer) (err error) {
	lock, err := s.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.config.Listen)
	if err != nil {
		return withHint(fmt.Errorf("listen: %w", err), "another program has that port: name another address with --listen, or look with synod server doctor")
	}
	defer listener.Close()
	r := &running{url: s.url(listener.Addr())}
	config, err := s.open(ctx, r)
	if r.store != nil {
		defer func() { err = errors.Join(err, r.store.Close()) }()
	}
	if err != nil {
		return err
	}
	info, err := s.announce(r, p)
	if err != nil {
		return err
	}
	defer os.Remove(s.path("server.json")) //nolint:errcheck // the next start writes it anew
	err = s.serve(ctx, r, tls.NewListener(&boundedListener{Listener: listener, slots: make(chan struct{}, connectionsMax)}, config))
	if s.temp {
		return errors.Join(err, s.clear(context.WithoutCancel(ctx), r))
	}
	if p.format == formatTable {
		fmt.Fprintf(s.env.Stdout, "stopped; nodes go on, and the next start on %s takes them over\n", info.Data)
	}
	return err
}

// open makes the parts and connects them.
func (s *server) open(ctx context.Context, r *running) (*tls.Config, error) {
	var err error
	if r.store, err = arm.OpenStore(ctx, s.path("server.db"), time.Now); err != nil {
		return nil, err
	}
	certs := arm.ServerTLS{Hosts: s.hosts(), CertFile: s.config.TLS.Certificate, KeyFile: s.config.TLS.Key, Now: time.Now}
	if certs.CertFile == "" {
		if r.authority, err = arm.OpenAuthority(s.data, time.Now); err != nil {
			return nil, err
		}
		certs.Authority = r.authority
	}
	if name := s.config.TLS.ClientCA; name != "" {
		if certs.ClientCA, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("client authority: %w", err)
		}
	}
	config, err := certs.Config()
	if err != nil {
		return nil, err
	}
	if on(s.config.StaticToken) {
		if r.token, err = arm.OpenToken(s.path("token")); err != nil {
			return nil, err
		}
	}
	auth, err := arm.NewAuth(arm.AuthConfig{
		Token: r.token, Issuer: s.config.OIDC.Issuer, Audience: s.config.OIDC.Audience, GroupsClaim: s.config.OIDC.GroupsClaim, Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	stores, err := s.backupPolicy()
	if err != nil {
		return nil, err
	}
	releases, err := s.openProvision(r, stores)
	if err != nil {
		return nil, err
	}
	r.api, err = arm.NewServer(ctx, arm.Config{
		Store: r.store, Auth: auth, Now: time.Now, Log: s.log, PublicURL: r.url,
		Locations: s.config.Locations, NetworksMax: s.config.NetworksMax, WritesMax: s.config.WritesMax,
		CheckTarget: func(address string) error {
			_, err := stores.Open(address)
			return err
		},
		Logs: r.logs, NetworkMetrics: r.nodeMetrics,
		ListBackups: r.manager.ListBackups, FindBackup: r.manager.FindBackup,
		CheckRelease: func(name string) error {
			if _, ok := releases.Get(name); !ok {
				return fmt.Errorf("there is no release %q on this server", name)
			}
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	return config, s.openPortal(r)
}

// openProvision makes what runs nodes.
func (s *server) openProvision(r *running, stores archive.Policy) (*provision.Releases, error) {
	if err := os.MkdirAll(s.path("scratch"), 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	operator, err := provision.LoadOperator(provision.OperatorOptions{
		Dir: s.path("operator"), Command: s.config.Operator.Command, HandOff: s.config.Operator.HandOff,
	}, time.Now)
	if err != nil {
		return nil, err
	}
	releases, err := provision.OpenReleases(s.path("releases"))
	if err != nil {
		return nil, err
	}
	binary, args, err := provision.FindNode(s.config.NodeBinary)
	if err != nil {
		return nil, err
	}
	own, err := releases.Add("", serve.Version, binary, args...)
	if err != nil {
		return nil, withHint(err, "name the nodes' program with --node-binary")
	}
	releases.SetCurrent(own.Name)
	r.driver, err = process.New(process.Options{
		Dir: s.path("networks"), LogLevel: s.config.Nodes.LogLevel,
		Limits: process.Limits{Cgroup: s.config.Nodes.Cgroup, MemoryBytes: s.config.Nodes.MemoryBytes, CPUs: s.config.Nodes.CPUs},
	})
	if err != nil {
		return nil, err
	}
	at := s.config.Endpoint
	portsFrom, portsTo := s.config.ports()
	r.manager, err = provision.New(provision.Options{
		Store: r.store, Driver: r.driver, Operator: operator, Releases: releases, Log: s.log,
		EndpointBind: at.Bind, EndpointHost: at.Host, PortsFrom: portsFrom, PortsTo: portsTo,
		Stores: stores, Scratch: s.path("scratch"),
		IdentityURI: func(network string) string { return r.url + "/ledgerIdentity/" + network },
	})
	return releases, err
}

// backupPolicy opens the stores that the configuration names, and the server's
// own directory as the default one.
func (s *server) backupPolicy() (archive.Policy, error) {
	policy := archive.Policy{Named: map[string]archive.Store{}, Roots: s.config.Backup.Roots, S3: s.config.Backup.S3}
	own, err := archive.OpenDir(s.path("backups"))
	if err != nil {
		return policy, err
	}
	policy.Named["default"] = own
	for name, address := range s.config.Backup.Stores {
		anything := archive.Policy{Roots: []string{"/"}, S3: true} // whoever writes the configuration may
		st, err := anything.Open(address)
		if err != nil {
			return policy, fmt.Errorf("backup store %s: %w", name, err)
		}
		policy.Named[name] = st
	}
	return policy, nil
}

func (s *server) openPortal(r *running) error {
	if !on(s.config.Portal) {
		return nil
	}
	key, err := arm.OpenKey(s.path("portal.key"))
	if err != nil {
		return err
	}
	r.portal, err = portal.New(portal.Config{
		Store: r.store, ARM: r.api, Token: r.token, Key: key, Version: serve.Version, Logger: s.log,
		Ledger: func(network string, ordinal int) string {
			ledger, _ := r.driver.Files(network, ordinal)
			return ledger
		},
		Log: r.driver.LogFile,
		Backups: func(ctx context.Context, n arm.Network) ([]arm.BackupRecord, error) {
			return r.manager.ListBackups(ctx, n.Desired.Backup.Target)
		},
	})
	return err
}

// announce says where the server is and how to sign in.
func (s *server) announce(r *running, p *printer) (serverInfo, error) {
	info := serverInfo{URL: r.url, Data: s.data, Subscription: arm.DefaultSubscription}
	if r.authority != nil {
		info.CA, info.Fingerprint = s.path("ca.pem"), r.authority.Fingerprint()
	}
	if r.token != "" {
		info.TokenFile = s.path("token")
	}
	if r.portal != nil {
		info.Portal = r.url + "/portal/"
	}
	// What is kept has no sign-in code: that is for who reads the terminal.
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return info, err
	}
	tmp := s.path("server.json.tmp")
	if err := errors.Join(os.WriteFile(tmp, append(text, '\n'), 0o600), os.Rename(tmp, s.path("server.json"))); err != nil {
		return info, fmt.Errorf("data directory: %w", err)
	}
	if r.portal != nil {
		if code := r.portal.NewCode(); code != "" {
			info.Portal += "#code=" + code
		}
	}
	if p.format == formatJSON {
		return info, p.json(info)
	}
	return info, s.print(info)
}

func (s *server) print(info serverInfo) error {
	w := s.env.Stdout
	fmt.Fprintf(w, "managed service   %s\n", info.URL)
	if info.Portal != "" {
		fmt.Fprintf(w, "portal            %s\n", info.Portal)
		if info.TokenFile != "" {
			fmt.Fprintf(w, "                  (signs you in once, within ten minutes; afterwards the token does)\n")
		}
	}
	if info.CA != "" {
		fmt.Fprintf(w, "authority         %s\n                  SHA-256 %s\n", info.CA, info.Fingerprint)
		fmt.Fprintf(w, "                  clients need it: --cacert, NODE_EXTRA_CA_CERTS, REQUESTS_CA_BUNDLE; a browser warns until it has it\n")
	}
	if info.TokenFile != "" {
		fmt.Fprintf(w, "token             %s (its holder may do everything)\n", info.TokenFile)
	}
	fmt.Fprintf(w, "subscription      %s\n", info.Subscription)
	if s.temp {
		_, err := fmt.Fprintf(w, "Ctrl-C stops the server and all nodes, and removes everything\n")
		return err
	}
	_, err := fmt.Fprintf(w, "data              %s\nCtrl-C stops the server; nodes go on\n", info.Data)
	return err
}

// serve runs the parts until ctx ends or one of them fails. Requests that are
// under way get stopWait to end.
func (s *server) serve(ctx context.Context, r *running, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	web := &http.Server{
		Handler: r.handler(), ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytesMax,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ends := make(chan error, 4)
	var parts sync.WaitGroup
	for _, part := range []func() error{
		func() error { return web.Serve(listener) },
		func() error { return r.manager.Run(ctx) },
		func() error { return r.api.Run(ctx) },
		func() error { return s.exportLogs(ctx, r) },
	} {
		parts.Go(func() { ends <- part() })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-ends:
	}
	cancel()
	stopping, done := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer done()
	if web.Shutdown(stopping) != nil {
		err = errors.Join(err, web.Close())
	}
	parts.Wait()
	close(ends)
	for end := range ends {
		err = errors.Join(err, end)
	}
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, context.Canceled) {
		err = removeStops(err)
	}
	return err
}

// removeStops leaves of joined errors those that are not of stopping.
func removeStops(err error) error {
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // the join itself is looked at
	if !ok {
		if errors.Is(err, http.ErrServerClosed) || errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	var left []error
	for _, one := range joined.Unwrap() {
		left = append(left, removeStops(one))
	}
	return errors.Join(left...)
}

// exportLogs sends nodes' log lines to where the configuration says, if it does.
func (s *server) exportLogs(ctx context.Context, r *running) error {
	otlp := s.config.Logs.OTLP
	if otlp.Endpoint == "" {
		<-ctx.Done()
		return nil
	}
	e := &observe.Exporter{Endpoint: otlp.Endpoint, Headers: otlp.Headers, Sources: r.allLogs, State: s.path("exported.json"), Log: s.log}
	return e.Run(ctx)
}

// handler sends each request to the part that it is for.
func (r *running) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r.portal != nil && !arm.IsPath(q.URL.Path) {
			r.portal.ServeHTTP(w, q)
			return
		}
		r.api.ServeHTTP(w, q)
	})
}

// clear ends the nodes of a temporary server and removes its directory.
func (s *server) clear(ctx context.Context, r *running) error {
	err := r.driver.StopAll(ctx)
	// What is removed is named, so that a wrong path cannot take more with it.
	for _, name := range []string{"networks", "releases", "operator", "backups", "scratch"} {
		err = errors.Join(err, os.RemoveAll(s.path(name)))
	}
	files, globErr := filepath.Glob(s.path("*"))
	for _, f := range files {
		err = errors.Join(err, os.Remove(f))
	}
	return errors.Join(err, globErr, os.Remove(s.data))
}

// boundedListener accepts no more connections while as many as slots has are
// open.
type boundedListener struct {
	net.Listener
	slots chan struct{}
}

// Accept waits for a slot and a connection.
func (l *boundedListener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &boundedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

type boundedConn struct {
	net.Conn
	release func()
}

// Close gives the connection's slot back.
func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
