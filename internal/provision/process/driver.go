package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"synod/internal/provision"
)

const (
	// termGrace is how long a node may take to end in order; a primary hands over
	// within a second.
	termGrace = 10 * time.Second
	// killGrace is how long a killed process may take to be gone.
	killGrace = 5 * time.Second
	// pollInterval is between two looks at a process that is to end.
	pollInterval = 5 * time.Millisecond
)

// Options are what all nodes of a Driver have in common.
type Options struct {
	// Dir is where everything is; it is made if it is not there.
	Dir string
	// Bind is the address, without a port, that nodes listen on; default 127.0.0.1.
	Bind string
	// LogLevel is the level of their logs; default info.
	LogLevel string
	// ElectionTimeout is the longest of the random election timeouts of nodes;
	// default 2 s.
	ElectionTimeout time.Duration
	// LogSizeMax is the size in bytes at which a log is put aside; default 16 MiB.
	// LogsMax is how many are kept of each node besides the newest; default 3.
	LogSizeMax int64
	LogsMax    int
	Limits     Limits
}

// Driver runs nodes as processes. It implements provision.Driver.
type Driver struct {
	o Options

	mu       sync.Mutex
	children map[int]chan struct{} // processes that this one started, until they were waited for
}

// New makes a Driver. Nodes that a former one has started are found in its
// directory.
func New(o Options) (*Driver, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("directory of networks: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of networks: %w", err)
	}
	o.Dir = dir
	if o.Bind == "" {
		o.Bind = "127.0.0.1"
	}
	if o.LogLevel == "" {
		o.LogLevel = "info"
	}
	if o.ElectionTimeout == 0 {
		o.ElectionTimeout = 2 * time.Second
	}
	if o.LogSizeMax == 0 {
		o.LogSizeMax = 16 << 20
	}
	if o.LogsMax == 0 {
		o.LogsMax = 3
	}
	if err := o.Limits.check(); err != nil {
		return nil, err
	}
	return &Driver{o: o, children: map[int]chan struct{}{}}, nil
}

var errName = errors.New("want 1 to 64 letters, digits, hyphens")

// network is the directory of a network, whose name comes from outside.
func (d *Driver) network(name string) (string, error) {
	if name == "" || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
		return "", fmt.Errorf("network %q: %w", name, errName)
	}
	return filepath.Join(d.o.Dir, strings.ToLower(name)), nil
}

// home is the directory of a node.
func (d *Driver) home(network string, ordinal int) string {
	return filepath.Join(d.o.Dir, strings.ToLower(network), "nodes", strconv.Itoa(ordinal))
}

// LogFile is the newest file of a node's log. Older ones have .1, .2 … added.
func (d *Driver) LogFile(network string, ordinal int) string {
	return filepath.Join(d.o.Dir, strings.ToLower(network), "logs", strconv.Itoa(ordinal)+".log")
}

// Files implements provision.Driver.
func (d *Driver) Files(network string, ordinal int) (ledger, snapshots string) {
	home := d.home(network, ordinal)
	return filepath.Join(home, "ledger"), filepath.Join(home, "snapshots")
}

// Sealed implements provision.Driver.
func (d *Driver) Sealed(network string, ordinal int) string {
	return filepath.Join(d.home(network, ordinal), "sealed")
}

// Networks implements provision.Driver.
func (d *Driver) Networks(context.Context) ([]string, error) {
	entries, err := os.ReadDir(d.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// ordinals lists the nodes of a network that have a directory, in their order.
func (d *Driver) ordinals(network string) ([]int, error) {
	dir, err := d.network(network)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, "nodes"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	var all []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n >= 0 {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// Nodes implements provision.Driver. It also puts logs aside that have grown large.
func (d *Driver) Nodes(_ context.Context, network string) ([]provision.Node, error) {
	all, err := d.ordinals(network)
	if err != nil {
		return nil, err
	}
	nodes := make([]provision.Node, 0, len(all))
	for _, ordinal := range all {
		n, err := d.node(network, ordinal)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
		if err := d.rotate(network, ordinal); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// Stop implements provision.Driver.
func (d *Driver) Stop(ctx context.Context, network string, ordinal int, keepData bool) error {
	if _, err := d.network(network); err != nil {
		return err
	}
	home := d.home(network, ordinal)
	l := &look{}
	p, ok := l.process(home)
	if l.err != nil {
		return fmt.Errorf("stop node %d: %w", ordinal, l.err) // it may run
	}
	if ok {
		if err := d.end(ctx, p); err != nil {
			return fmt.Errorf("stop node %d: %w", ordinal, err)
		}
	}
	if keepData {
		return nil
	}
	if err := d.keepLedger(network, home); err != nil {
		return fmt.Errorf("keep the ledger of node %d: %w", ordinal, err)
	}
	d.o.Limits.remove(network, ordinal)
	if err := os.RemoveAll(home); err != nil {
		return fmt.Errorf("remove node %d: %w", ordinal, err)
	}
	return nil
}

// end ends a process: asked to, then killed. One that was stopped by a signal is
// let go on first, so that it can.
func (d *Driver) end(ctx context.Context, p found) error {
	for _, step := range []struct {
		signals []syscall.Signal
		grace   time.Duration
	}{
		{[]syscall.Signal{syscall.SIGTERM, syscall.SIGCONT}, termGrace},
		{[]syscall.Signal{syscall.SIGKILL}, killGrace},
	} {
		for _, s := range step.signals {
			if err := syscall.Kill(p.PID, s); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("signal process %d: %w", p.PID, err)
			}
		}
		l, deadline := &look{}, time.Now().Add(step.grace)
		for l.runs(p) {
			if time.Now().After(deadline) {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("wait for process %d to end: %w", p.PID, ctx.Err())
			case <-time.After(pollInterval):
			}
		}
		if l.err != nil {
			return l.err
		}
		if !l.runs(p) && l.err == nil {
			d.mu.Lock()
			waited := d.children[p.PID]
			d.mu.Unlock()
			if waited != nil {
				<-waited
			}
			return nil
		}
	}
	return fmt.Errorf("process %d does not end", p.PID)
}

// StopAll stops the nodes of all networks, those of one network side by side, and
// keeps what they have on disk.
func (d *Driver) StopAll(ctx context.Context) error {
	networks, err := d.Networks(ctx)
	if err != nil {
		return err
	}
	var stopping sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, network := range networks {
		all, err := d.ordinals(network)
		if err != nil {
			return err
		}
		for _, ordinal := range all {
			stopping.Go(func() {
				err := d.Stop(ctx, network, ordinal, true)
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			})
		}
	}
	stopping.Wait()
	return errors.Join(errs...)
}

// Remove implements provision.Driver.
func (d *Driver) Remove(_ context.Context, network string) error {
	dir, err := d.network(network)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove network %s: %w", network, err)
	}
	return nil
}

// Signal sends a signal to the process of a node, if it runs: tests kill nodes
// and stop them for a while.
func (d *Driver) Signal(network string, ordinal int, s syscall.Signal) error {
	p, ok := (&look{}).process(d.home(network, ordinal))
	if !ok {
		return fmt.Errorf("node %d of %s does not run", ordinal, network)
	}
	return syscall.Kill(p.PID, s)
}

// RequestReplacement implements provision.Driver.
func (d *Driver) RequestReplacement(network string, ordinal int) error {
	if _, err := d.network(network); err != nil {
		return err
	}
	home := d.home(network, ordinal)
	if _, err := os.Stat(home); err != nil {
		return fmt.Errorf("node %d of %s: %w", ordinal, network, err)
	}
	return writeFile(filepath.Join(home, "replace"), nil)
}

// writeFile writes a file as a whole: whoever looks, and whatever comes between,
// finds all of it or nothing.
func writeFile(name string, content []byte) error {
	tmp := name + ".tmp"
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(name), err)
	}
	if err := os.Rename(tmp, name); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(name), err)
	}
	return nil
}

func writeJSON(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(name), err)
	}
	return writeFile(name, append(text, '\n'))
}
