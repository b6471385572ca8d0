package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/arm"
)

// Where a server is unless somebody says otherwise.
const (
	serverListen = "127.0.0.1:8400"
	serverData   = "synod-server"
)

// serverConfig is a server's configuration file; flags win over it.
type serverConfig struct {
	Listen string   `json:"listen"` // host:port
	Hosts  []string `json:"hosts"`  // further names and addresses in the server's certificate
	// PublicURL is the address that clients use, if it is not the one listened on.
	PublicURL  string `json:"publicUrl"`
	NodeBinary string `json:"nodeBinary"`
	Portal     *bool  `json:"portal"`
	LogLevel   string `json:"logLevel"` // debug, info, warn or error

	// StaticToken lets the holder of the token in the data directory do everything.
	StaticToken *bool `json:"staticToken"`
	TLS         struct {
		Certificate string `json:"certificate"` // files, PEM; without them the server has an authority of its own
		Key         string `json:"key"`
		ClientCA    string `json:"clientCA"`
	} `json:"tls"`
	OIDC struct {
		Issuer      string `json:"issuer"`
		Audience    string `json:"audience"`
		GroupsClaim string `json:"groupsClaim"`
	} `json:"oidc"`

	Locations   []string `json:"locations"`
	NetworksMax int      `json:"networksMax"`
	WritesMax   int      `json:"writesMax"`

	// Endpoint is where the networks' stable addresses are.
	Endpoint struct {
		Bind      string `json:"bind"`
		Host      string `json:"host"`
		PortsFrom int    `json:"portsFrom"`
		PortsTo   int    `json:"portsTo"` // the last
	} `json:"endpoint"`
	// Operator says who signs for the operator, if not a key in a file.
	Operator struct {
		Command []string `json:"command"`
		HandOff string   `json:"handOff"`
	} `json:"operator"`
	// Nodes bounds what each node may take.
	Nodes struct {
		Cgroup      string  `json:"cgroup"`
		MemoryBytes int64   `json:"memoryBytes"`
		CPUs        float64 `json:"cpus"`
		LogLevel    string  `json:"logLevel"`
	} `json:"nodes"`
	// Logs says where nodes' log lines are sent, besides their files.
	Logs struct {
		OTLP struct {
			Endpoint string            `json:"endpoint"` // https://host:port/v1/logs
			Headers  map[string]string `json:"headers"`
		} `json:"otlp"`
	} `json:"logs"`
	// Backup says which stores networks may be backed up to.
	Backup struct {
		Stores map[string]string `json:"stores"` // by name: file: or s3: addresses
		Roots  []string          `json:"roots"`  // directories under which a file: address may be
		S3     bool              `json:"s3"`     // whether any s3: address may be named
	} `json:"backup"`
}

// ports are where networks' addresses may be: from the first up to, without, the
// second. The configuration names the first and the last.
func (c *serverConfig) ports() (from, to int) {
	from, to = c.Endpoint.PortsFrom, c.Endpoint.PortsTo
	if from == 0 {
		from = 8500
	}
	if to == 0 {
		to = from + 999
	}
	return from, to + 1
}

// readServerConfig reads a configuration file strictly; no name is an empty one.
func readServerConfig(name string) (serverConfig, error) {
	var c serverConfig
	if name == "" {
		return c, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, fmt.Errorf("configuration %s: %w", name, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("configuration %s: something follows the object", name)
	}
	return c, nil
}

// server is one run of the command, or a look at what a run would meet.
type server struct {
	env    *Env
	data   string // absolute
	temp   bool   // data and all nodes are gone at the end
	config serverConfig
	log    *slog.Logger
}

// serverFlags are the flags of a server and its doctor.
type serverFlags struct {
	data, config, listen, nodeBinary string
}

func (f *serverFlags) add(env *Env, c *cobra.Command) {
	c.Flags().StringVar(&f.data, "data", orDefault(env.Getenv("SYNOD_SERVER_DATA"), serverData), "directory with everything that the server keeps (SYNOD_SERVER_DATA)")
	c.Flags().StringVar(&f.config, "config", "", "configuration file, JSON")
	c.Flags().StringVar(&f.listen, "listen", "", "where to listen, host:port; port 0 lets the system choose (default "+serverListen+")")
	c.Flags().StringVar(&f.nodeBinary, "node-binary", "", "the nodes' program (default: synod-node beside this program, else this program)")
}

func (f *serverFlags) read(env *Env, c *cobra.Command) (*server, error) {
	config, err := readServerConfig(f.config)
	if err != nil {
		return nil, withHint(err, "docs/managed-service.md lists what may be in it")
	}
	s := &server{env: env, config: config}
	if f.listen != "" {
		s.config.Listen = f.listen
	}
	if s.config.Listen == "" {
		s.config.Listen = serverListen
	}
	if f.nodeBinary != "" {
		s.config.NodeBinary = f.nodeBinary
	}
	if _, _, err := net.SplitHostPort(s.config.Listen); err != nil {
		return nil, usagef(c, "--listen: %w", err)
	}
	if s.data, err = filepath.Abs(f.data); err != nil {
		return nil, err
	}
	level := slog.LevelInfo
	if config.LogLevel != "" {
		if err := level.UnmarshalText([]byte(config.LogLevel)); err != nil {
			return nil, fmt.Errorf("configuration: logLevel: %w", err)
		}
	}
	s.log = slog.New(slog.NewTextHandler(env.Stderr, &slog.HandlerOptions{Level: level}))
	return s, nil
}

func newServer(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "server",
		Short: "Run a managed service: networks that somebody creates, and nobody has to keep alive",
		Long: `Serves, on one address, the API of Azure Managed CCF (which Azure's own SDKs
speak), the identity service and the portal, and keeps the networks that are
created there as they are wanted: it starts their nodes as processes of this
machine, replaces those that die, renews certificates, upgrades and backs up.

At the first start it makes, in its data directory, a certificate authority
(ca.pem), a token that may do everything (token) and its operator's key. Ctrl-C
ends the server; the nodes go on, and the next start takes them over. With
--temp everything is in a temporary directory, and Ctrl-C ends and removes all.`,
		Example: "  synod server --data managed",
		Args:    cobra.ArbitraryArgs,
	}
	p := newPrinter(env, c)
	var flags serverFlags
	flags.add(env, c)
	temp := c.Flags().Bool("temp", false, "use a temporary directory, and stop the nodes at the end too")
	portal := c.Flags().Bool("portal", true, "serve the portal")
	noPortal := c.Flags().Bool("no-portal", false, "do not serve the portal")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef(cmd, "there is no command %q", "synod server "+args[0])
		}
		s, err := flags.read(env, cmd)
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("portal") || *noPortal {
			on := *portal && !*noPortal
			s.config.Portal = &on
		}
		if *temp {
			if cmd.Flags().Changed("data") {
				return usagef(cmd, "--temp chooses the data directory itself")
			}
			dir, err := os.MkdirTemp("", "synod-server-")
			if err != nil {
				return fmt.Errorf("data directory: %w", err)
			}
			s.data, s.temp = dir, true
		}
		// Whoever reads the output may stop reading; that must not end the server
		// before it has cleaned up.
		signal.Ignore(syscall.SIGPIPE)
		return s.run(cmd.Context(), p)
	}
	c.AddCommand(newServerDoctor(env), newServerRoles(env), newServerReleases(env), newServerAlerts(env), newServerAudit(env))
	return c
}

func on(setting *bool) bool { return setting == nil || *setting }

// path is a file of the data directory.
func (s *server) path(name ...string) string {
	return filepath.Join(append([]string{s.data}, name...)...)
}

// hosts are the names and addresses in the server's certificate.
func (s *server) hosts() []string {
	hosts := arm.LocalHosts()
	listen, _, _ := net.SplitHostPort(s.config.Listen)
	for _, h := range append(s.config.Hosts, listen) {
		if ip := net.ParseIP(h); h != "" && (ip == nil || !ip.IsUnspecified()) && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// url is the address that clients are told for a server that listens at at.
func (s *server) url(at net.Addr) string {
	if s.config.PublicURL != "" {
		return s.config.PublicURL
	}
	host, port, err := net.SplitHostPort(at.String())
	if err != nil {
		return "https://" + at.String()
	}
	if named, _, _ := net.SplitHostPort(s.config.Listen); named != "" {
		host = named
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() || host == "" {
		if host, err = os.Hostname(); err != nil {
			host = "localhost"
		}
	}
	return "https://" + net.JoinHostPort(host, port)
}

// lock keeps a second server off the data directory for as long as the returned
// file is open.
func (s *server) lock() (*os.File, error) {
	if err := os.MkdirAll(s.data, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	f, err := os.OpenFile(s.path("server.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := io.ReadAll(io.LimitReader(f, 20)) //nolint:errcheck // only for the message
		return nil, errors.Join(withHint(fmt.Errorf("another server (process %s) runs on %s", bytes.TrimSpace(owner), s.data), "stop it, or name another directory with --data"), f.Close())
	}
	err = errors.Join(f.Truncate(0), func() error { _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); return err }())
	return f, err
}

// openStore opens the store of a data directory that is there.
func openServerStore(ctx context.Context, data string) (*arm.Store, error) {
	name := filepath.Join(data, "server.db")
	if _, err := os.Stat(name); err != nil {
		return nil, withHint(fmt.Errorf("no server has kept anything here: %w", err), "name the server's data directory with --data")
	}
	return arm.OpenStore(ctx, name, time.Now)
}
