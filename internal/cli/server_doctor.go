package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/arm"
	"synod/internal/provision"
)

// Limits of the doctor's looks.
const (
	// roomMin is the free space that a data directory should have, in bytes.
	roomMin = 2 << 30
	// lookTimeout bounds one look.
	lookTimeout = 10 * time.Second
)

// finding is what one look has shown.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // ok, warning or failed
	What   string `json:"what"`
	Hint   string `json:"hint,omitempty"`
}

func newServerDoctor(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use: "doctor", Short: "Say what would keep a managed service from working here",
		Long: `Looks at the data directory, the disk, the ports, the nodes' program, keys,
certificates, the store, the issuer and the clock, and says of each what is
wrong and what to do. It changes nothing, and may look beside a server that runs.`,
		Example: "  synod server doctor --data managed", Args: args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	var flags serverFlags
	flags.add(env, c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := flags.read(env, cmd)
		if err != nil {
			return err
		}
		found := s.examine(cmd.Context())
		rows, failed := [][]string{}, 0
		for _, f := range found {
			rows = append(rows, []string{f.Check, f.Result, f.What})
			if f.Hint != "" {
				rows = append(rows, []string{"", "", "→ " + f.Hint})
			}
			if f.Result == "failed" {
				failed++
			}
		}
		if err := p.table(found, []string{"check", "result", "what"}, rows); err != nil {
			return err
		}
		if failed > 0 {
			return fmt.Errorf("%d of %d checks failed", failed, len(found))
		}
		return nil
	}
	return c
}

func ok(format string, a ...any) finding {
	return finding{Result: "ok", What: fmt.Sprintf(format, a...)}
}

func warning(hint, format string, a ...any) finding {
	return finding{Result: "warning", What: fmt.Sprintf(format, a...), Hint: hint}
}

func failed(hint, format string, a ...any) finding {
	return finding{Result: "failed", What: fmt.Sprintf(format, a...), Hint: hint}
}

func (s *server) examine(ctx context.Context) []finding {
	var found []finding
	for _, look := range []struct {
		name string
		at   func(context.Context) finding
	}{
		{"data directory", s.lookData},
		{"disk", s.lookDisk},
		{"listen", s.lookListen},
		{"endpoint ports", s.lookPorts},
		{"node binary", s.lookBinary},
		{"keys", s.lookKeys},
		{"certificates", s.lookCertificates},
		{"store", s.lookStore},
		{"issuer", s.lookIssuer},
		{"backup stores", s.lookBackups},
		{"clock", s.lookClock},
	} {
		looking, cancel := context.WithTimeout(ctx, lookTimeout)
		f := look.at(looking)
		cancel()
		f.Check = look.name
		found = append(found, f)
	}
	return found
}

func (s *server) lookData(context.Context) finding {
	info, err := os.Stat(s.data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := writable(existing(s.data)); err != nil {
			return failed("choose a directory that you may write with --data", "%s cannot be made: %v", s.data, err)
		}
		return ok("%s will be made at the first start", s.data)
	case err != nil:
		return failed("", "%v", err)
	case !info.IsDir():
		return failed("name a directory with --data", "%s is no directory", s.data)
	case info.Mode().Perm()&0o077 != 0:
		return warning("chmod 700 "+s.data, "%s may be read by others: it holds keys", s.data)
	}
	if err := writable(s.data); err != nil {
		return failed("run as the user that owns it", "%s cannot be written: %v", s.data, err)
	}
	return ok("%s", s.data)
}

// existing is the nearest folder of a path that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

const mayWrite = 2

func writable(dir string) error { return syscall.Access(dir, mayWrite) }

func (s *server) lookDisk(context.Context) finding {
	var st syscall.Statfs_t
	if err := syscall.Statfs(existing(s.data), &st); err != nil {
		return failed("", "%v", err)
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	if free < roomMin {
		return failed("make room, or move the data directory: on a full disk nodes take no transaction", "%d MiB are free, less than %d", free>>20, int64(roomMin)>>20)
	}
	return ok("%d GiB are free", free>>30)
}

func (s *server) lookListen(ctx context.Context) finding {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.config.Listen)
	if err == nil {
		l.Close() //nolint:errcheck // it was only tried
		return ok("%s is free", s.config.Listen)
	}
	if s.answers(ctx) {
		return ok("this server runs at %s and answers", s.config.Listen)
	}
	return failed("name another address with --listen, or stop the program that has it (ss -ltnp)", "%v", err)
}

// answers reports whether the server of the data directory answers at the
// address.
func (s *server) answers(ctx context.Context) bool {
	pool := x509.NewCertPool()
	text, err := os.ReadFile(s.path("ca.pem"))
	if err != nil || !pool.AppendCertsFromPEM(text) {
		return false
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	_, port, _ := net.SplitHostPort(s.config.Listen)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://localhost:"+port+"/healthz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

func (s *server) lookPorts(ctx context.Context) finding {
	bind := orDefault(s.config.Endpoint.Bind, "127.0.0.1")
	from, to := s.config.ports()
	if to <= from || to > 1<<16 {
		return failed("correct endpoint.portsFrom and portsTo in the configuration", "networks may have ports from %d to %d: there is none", from, to-1)
	}
	tries, free := min(20, to-from), 0
	for port := from; port < from+tries; port++ {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(bind, strconv.Itoa(port)))
		if err == nil {
			l.Close() //nolint:errcheck // it was only tried
			free++
		}
	}
	if free == 0 {
		return warning("they are tried one after the other; give others with endpoint.portsFrom", "none of the first %d ports from %d is free on %s", tries, from, bind)
	}
	return ok("networks get ports of %s from %d up to %d", bind, from, to-1)
}

func (s *server) lookBinary(ctx context.Context) finding {
	path, args, err := provision.FindNode(s.config.NodeBinary)
	if err != nil {
		return failed("name the nodes' program with --node-binary", "%v", err)
	}
	out, err := exec.CommandContext(ctx, path, append(args, "--version")...).Output() //nolint:gosec // the administrator's own program
	if err != nil {
		return failed("name the nodes' program with --node-binary; make build makes bin/synod-node", "%s --version: %v", path, err)
	}
	version, _, _ := strings.Cut(string(out), "\n")
	return ok("%s: %s", path, strings.TrimSpace(version))
}

func (s *server) lookKeys(context.Context) finding {
	seen := 0
	for _, name := range []string{"ca.key", "token", "server.db.key", "portal.key", filepath.Join("operator", "key.pem")} {
		info, err := os.Stat(s.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return failed("", "%v", err)
		}
		seen++
		if info.Mode().Perm()&0o077 != 0 {
			return failed("chmod 600 "+s.path(name)+", and think of who may have read it", "%s may be read by others", name)
		}
	}
	if seen == 0 {
		return ok("they will be made at the first start")
	}
	return ok("%d files, none for others", seen)
}

func (s *server) lookCertificates(context.Context) finding {
	if c := s.config.TLS.Certificate; c != "" {
		pair, err := tls.LoadX509KeyPair(c, s.config.TLS.Key)
		if err != nil {
			return failed("correct tls.certificate and tls.key in the configuration", "%v", err)
		}
		return certificateLife(pair.Leaf, "the server's certificate", "renew it; the server reads the new file by itself")
	}
	if _, err := os.Stat(s.path("ca.pem")); errors.Is(err, fs.ErrNotExist) {
		return ok("an authority will be made at the first start")
	}
	ca, err := arm.ReadAuthority(s.data, time.Now)
	if err != nil {
		return failed("put back ca.pem and ca.key, or remove both: then clients need the new ca.pem", "%v", err)
	}
	return certificateLife(ca.Certificate, "the authority", "the next start makes a new certificate: give its ca.pem to clients")
}

func certificateLife(cert *x509.Certificate, what, hint string) finding {
	left := time.Until(cert.NotAfter)
	switch {
	case time.Now().Before(cert.NotBefore):
		return failed("set the clock", "%s is valid only from %s", what, cert.NotBefore.Format(time.RFC3339))
	case left < 0:
		return failed(hint, "%s has run out on %s", what, cert.NotAfter.Format(time.RFC3339))
	case left < cert.NotAfter.Sub(cert.NotBefore)/3:
		return warning(hint, "%s is valid for %d more days", what, int(left.Hours()/24))
	}
	return ok("%s is valid for %d more days", what, int(left.Hours()/24))
}

func (s *server) lookStore(ctx context.Context) finding {
	if _, err := os.Stat(s.path("server.db")); errors.Is(err, fs.ErrNotExist) {
		return ok("it will be made at the first start")
	}
	store, err := arm.OpenStore(ctx, s.path("server.db"), time.Now)
	if err != nil {
		return failed("restore server.db and server.db.key from one backup", "%v", err)
	}
	defer store.Close()
	all, err := store.Networks(ctx, arm.Filter{})
	if err != nil {
		return failed("restore server.db and server.db.key from one backup", "%v", err)
	}
	last, _, err := store.VerifyAudit(ctx)
	if err != nil {
		return failed("somebody has changed server.db: compare with a backup", "%v", err)
	}
	return ok("%d networks; the audit log of %d entries verifies", len(all), last)
}

func (s *server) lookIssuer(ctx context.Context) finding {
	issuer := s.config.OIDC.Issuer
	switch {
	case issuer == "" && !on(s.config.StaticToken) && s.config.TLS.ClientCA == "":
		return failed("configure oidc, tls.clientCA, or allow the static token", "nobody could sign in")
	case issuer == "":
		return ok("none is configured")
	case s.config.OIDC.Audience == "":
		return failed("set oidc.audience to the identifier of this server at the issuer", "%s has no audience", issuer)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", http.NoBody)
	if err != nil {
		return failed("correct oidc.issuer", "%v", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return failed("nobody can sign in by it until it answers", "%v", err)
	}
	if resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
		return failed("correct oidc.issuer", "%s answers with status %d", req.URL, resp.StatusCode)
	}
	return ok("%s answers", issuer)
}

func (s *server) lookBackups(context.Context) finding {
	for name, address := range s.config.Backup.Stores {
		if strings.HasPrefix(address, "file:") {
			continue
		}
		if !strings.HasPrefix(address, "s3:") {
			return failed("addresses begin with file: or s3:", "the store %s has an address of another kind", name)
		}
	}
	for _, root := range s.config.Backup.Roots {
		if err := writable(root); err != nil {
			return failed("correct backup.roots in the configuration", "%s: %v", root, err)
		}
	}
	return ok("store:default and %d more", len(s.config.Backup.Stores))
}

// lookClock compares the clock with the newest thing that a server has written:
// who has no clock to ask can still tell that this one went back.
func (s *server) lookClock(ctx context.Context) finding {
	now := time.Now()
	if _, err := os.Stat(s.path("server.db")); err != nil {
		return ok("%s", now.UTC().Format(time.RFC3339))
	}
	store, err := arm.OpenStore(ctx, s.path("server.db"), time.Now)
	if err != nil {
		return failed("", "%v", err)
	}
	defer store.Close()
	last, err := store.Audit(ctx, arm.AuditFilter{Limit: 1})
	if err != nil {
		return failed("", "%v", err)
	}
	if len(last) > 0 && last[0].At.After(now.Add(time.Minute)) {
		return failed("set the clock: certificates and schedules go by it", "it is %s, and the store has seen %s", now.UTC().Format(time.RFC3339), last[0].At.Format(time.RFC3339))
	}
	return ok("%s", now.UTC().Format(time.RFC3339))
}
