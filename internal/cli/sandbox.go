package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/sourcemap"
)

// openWait bounds how long a sandbox may take to open.
const openWait = 30 * time.Second

// sandbox is one run of the command: a service of one node in this process,
// with everything that it needs in one directory.
type sandbox struct {
	env     *Env
	app     string // folder or bundle; "" for none
	dir     string // absolute
	temp    bool   // dir is removed at the end
	address string
	members int
	nodes   int
	level   string
	watch   bool
	// mapper knows the lines of the application that was built last; nil for
	// a bundle.
	mapper atomic.Pointer[sourcemap.Mapper]
}

func newSandbox(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Run a whole service on this machine, for development",
		Long: `Makes keys for members and a user, starts a service of one node, activates the
members, deploys the application by a proposal on which the members vote, opens
the service and prints curl commands that work as they are.

Everything is in one directory: a temporary one, which is gone after Ctrl-C, or
the one named with --dir, which is kept. The service is a new one each time.
It proves nothing about the machine that it runs on.

With --nodes 3 two more nodes join, each a process of its own that may be killed
or stopped to see what the service does.

What the application's scripts print and throw is shown here, exceptions with
the lines of their sources. With --watch, each saved change of the sources is
built and deployed at once; one that does not build is explained, and the
application before it stays.`,
		Example: "  synod sandbox --app examples/logging-ts --watch",
		Args:    args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	f := c.Flags()
	app := f.String("app", "", "application to deploy: a folder with app.json, or a bundle.json")
	dir := f.String("dir", "", "keep everything in this directory, which must be new or empty")
	address := f.String("address", "127.0.0.1:8000", "where to listen, host:port; port 0 lets the system choose")
	members := f.Int("members", 3, "number of members, 1 to 9")
	nodes := f.Int("nodes", 1, "number of nodes, 1 to 9, in zones a, b and c; all but the first are processes of their own")
	watch := f.Bool("watch", false, "deploy again when the sources of --app change")
	level := f.String("log-level", "info", "level of the node's log in node.log: trace, debug, info, fail or fatal")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		const membersMax = 9
		if *members < 1 || *members > membersMax {
			return usagef(cmd, "--members %d: want 1 to %d", *members, membersMax)
		}
		if *nodes < 1 || *nodes > membersMax {
			return usagef(cmd, "--nodes %d: want 1 to %d", *nodes, membersMax)
		}
		if _, _, err := net.SplitHostPort(*address); err != nil {
			return usagef(cmd, "--address: %w", err)
		}
		if info, err := os.Stat(*app); *watch && (err != nil || !info.IsDir()) {
			return usagef(cmd, "--watch needs --app with the folder of an application")
		}
		// Whoever reads the output may stop reading; that must not end the process
		// before it has cleaned up.
		signal.Ignore(syscall.SIGPIPE)
		s := &sandbox{env: env, app: *app, address: *address, members: *members, nodes: *nodes, level: *level, watch: *watch}
		if err := s.makePaths(*dir); err != nil {
			return err
		}
		err := s.run(cmd.Context(), p)
		return errors.Join(err, s.remove())
	}
	return c
}

// makePaths makes the application's path absolute, since the node changes
// into the sandbox's directory, and makes that.
func (s *sandbox) makePaths(dir string) error {
	if s.app != "" {
		abs, err := filepath.Abs(s.app)
		if err != nil {
			return fmt.Errorf("find application: %w", err)
		}
		s.app = abs
	}
	return s.makeDir(dir)
}

// makeDir finds or makes the sandbox's directory.
func (s *sandbox) makeDir(dir string) error {
	if dir == "" {
		made, err := os.MkdirTemp("", "synod-sandbox-")
		if err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
		s.dir, s.temp = made, true
		return nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find directory: %w", err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	entries, err := os.ReadDir(abs)
	if err != nil {
		return fmt.Errorf("read directory: %w", err)
	}
	if len(entries) > 0 {
		return withHint(fmt.Errorf("%s is not empty", dir), "a sandbox is a new service: name a new directory, or leave --dir away")
	}
	s.dir = abs
	return nil
}

func (s *sandbox) remove() error {
	if !s.temp {
		return nil
	}
	// The node's working directory was in there.
	if err := os.Chdir(os.TempDir()); err != nil {
		return fmt.Errorf("leave directory: %w", err)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove directory: %w", err)
	}
	return nil
}

// run opens the service, says so and keeps it until ctx ends.
func (s *sandbox) run(ctx context.Context, p *printer) error {
	began := time.Now()
	bundleJSON, err := s.prepare()
	if err != nil {
		return err
	}
	running, err := s.start(ctx)
	if err != nil {
		return err
	}
	opening, cancel := context.WithTimeout(ctx, openWait)
	err = running.open(opening, bundleJSON)
	cancel()
	switch {
	case ctx.Err() != nil:
		return running.stop()
	case err != nil:
		return errors.Join(s.explain(err), running.stop())
	}
	if err := s.announce(p, running, bundleJSON, time.Since(began)); err != nil {
		return errors.Join(err, running.stop())
	}
	return errors.Join(s.wait(ctx, running, bundleJSON), running.stop())
}

// wait returns when ctx ends, or with an error when the node ends by itself.
// Meanwhile it follows the application's sources, if that was asked for.
func (s *sandbox) wait(ctx context.Context, r *sandboxNode, deployed []byte) error {
	if s.watch {
		w, err := s.newWatcher(r, deployed)
		if err != nil {
			return err
		}
		return errors.Join(w.run(ctx, r), w.close())
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-r.ended:
		r.ended <- err
		return s.explain(fmt.Errorf("the node ended by itself: %w", err))
	}
}

// explain shows the end of the node's log with an error, since a temporary
// directory is gone in a moment.
func (s *sandbox) explain(err error) error {
	const shown = 2048 // bytes
	b, rerr := os.ReadFile(s.path("node.log"))
	if rerr != nil {
		return err
	}
	if len(b) > shown {
		b = b[len(b)-shown:]
	}
	fmt.Fprintf(s.env.Stderr, "the end of the node's log:\n%s\n", b)
	return err
}

func (s *sandbox) path(name string) string { return filepath.Join(s.dir, name) }
