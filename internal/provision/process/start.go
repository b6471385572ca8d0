package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"synod/internal/provision"
)

// specFile is what a node was started as, for whoever finds it.
type specFile struct {
	Kind      provision.Kind    `json:"kind"`
	Zone      string            `json:"zone"`
	Release   provision.Release `json:"release"`
	StartedAt time.Time         `json:"startedAt"`
}

// Start implements provision.Driver.
func (d *Driver) Start(ctx context.Context, spec provision.NodeSpec) (provision.Node, error) {
	dir, err := d.network(spec.Network)
	if err != nil {
		return provision.Node{}, err
	}
	if spec.Kind == provision.KindStart {
		// What is kept is of a service that came to nothing: that has other entries
		// under the same numbers.
		if err := d.DropKept(ctx, spec.Network); err != nil {
			return provision.Node{}, err
		}
	}
	ordinal, err := d.takeOrdinal(dir, spec.Network)
	if err != nil {
		return provision.Node{}, err
	}
	home := d.home(spec.Network, ordinal)
	for _, make := range []string{home, filepath.Join(dir, "logs")} {
		if err := os.MkdirAll(make, 0o700); err != nil {
			return provision.Node{}, fmt.Errorf("make directory of node %d: %w", ordinal, err)
		}
	}
	if err := d.dropOldLogs(spec.Network); err != nil {
		return provision.Node{}, fmt.Errorf("drop old logs: %w", err)
	}
	if err := d.prepare(ctx, home, ordinal, spec); err != nil {
		return provision.Node{}, errors.Join(fmt.Errorf("prepare node %d: %w", ordinal, err), os.RemoveAll(home))
	}
	if err := writeJSON(filepath.Join(home, "spec.json"), specFile{spec.Kind, spec.Zone, spec.Release, time.Now().UTC()}); err != nil {
		return provision.Node{}, err
	}
	if err := d.run(home, ordinal, spec); err != nil {
		return provision.Node{}, errors.Join(fmt.Errorf("start node %d: %w", ordinal, err), os.RemoveAll(home))
	}
	// It has been started, whatever can be read of it now.
	n, err := d.node(spec.Network, ordinal)
	if err != nil {
		n = provision.Node{Ordinal: ordinal, Kind: spec.Kind, Zone: spec.Zone, Release: spec.Release.Name, Alive: true}
	}
	return n, nil
}

// takeOrdinal takes the next ordinal, and notes that it is taken first.
func (d *Driver) takeOrdinal(dir, network string) (int, error) {
	for _, sub := range []string{"nodes", keptDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return 0, fmt.Errorf("make directory of network: %w", err)
		}
	}
	file := filepath.Join(dir, "next")
	next := 0
	text, err := os.ReadFile(file)
	switch {
	case err == nil:
		if next, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil || next < 0 {
			return 0, fmt.Errorf("%s says %q: want the next ordinal", file, text)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("read next ordinal: %w", err)
	}
	all, err := d.ordinals(network)
	if err != nil {
		return 0, err
	}
	if len(all) > 0 {
		next = max(next, all[len(all)-1]+1)
	}
	return next, writeFile(file, []byte(strconv.Itoa(next+1)+"\n"))
}

// run starts the process of a node and notes which it is.
func (d *Driver) run(home string, ordinal int, spec provision.NodeSpec) error {
	log, err := os.OpenFile(d.LogFile(spec.Network, ordinal), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	args := append(append([]string{spec.Release.Path}, spec.Release.Args...), "--config", configFile(home), "--log-level", d.o.LogLevel)
	cmd := &exec.Cmd{
		Path: spec.Release.Path, Args: args, Dir: home, Env: []string{}, Stdout: log, Stderr: log,
		// It lives on when this process ends, and Ctrl-C in a terminal is not for it.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	release, err := d.o.Limits.apply(cmd, spec.Network, ordinal)
	if err != nil {
		return err
	}
	err = cmd.Start()
	release()
	if err != nil {
		return fmt.Errorf("run %s: %w", spec.Release.Path, err)
	}
	done := make(chan struct{})
	d.mu.Lock()
	d.children[cmd.Process.Pid] = done
	d.mu.Unlock()
	go func() {
		_ = cmd.Wait() // how it ended stands in its log
		d.mu.Lock()
		delete(d.children, cmd.Process.Pid)
		d.mu.Unlock()
		close(done)
	}()
	began, _ := (&look{}).beginOf(cmd.Process.Pid)
	return writeJSON(filepath.Join(home, "process.json"), found{PID: cmd.Process.Pid, Began: began})
}

func configFile(home string) string { return filepath.Join(home, "node.json") }

// prepare writes what a node reads.
func (d *Driver) prepare(ctx context.Context, home string, ordinal int, spec provision.NodeSpec) error {
	put := func(name string, content []byte) error { return writeFile(filepath.Join(home, name), content) }
	data, err := json.Marshal(map[string]any{"zone": spec.Zone, "ordinal": ordinal, "release": spec.Release.Name, "network": spec.Network})
	if err != nil {
		return fmt.Errorf("encode node data: %w", err)
	}
	if err := put("node_data.json", data); err != nil {
		return err
	}
	config := d.config(spec)
	switch spec.Kind {
	case provision.KindStart:
		err = d.prepareStart(config, put, spec)
	case provision.KindJoin:
		err = put("service_cert.pem", []byte(spec.Join.ServiceCertificate))
	case provision.KindRecover:
		if err = put("previous_cert.pem", []byte(spec.Recover.PreviousCertificate)); err == nil {
			err = copyRecovered(ctx, home, spec.Recover)
		}
	default:
		err = fmt.Errorf("kind %q", spec.Kind)
	}
	if err != nil {
		return err
	}
	return writeJSON(configFile(home), config)
}
