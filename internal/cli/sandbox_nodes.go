package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// zones are the labels of a sandbox's nodes, in turn.
var zones = []string{"a", "b", "c"}

// otherNode is a node of the sandbox that runs in a process of its own, so that
// it can be killed and stopped as a machine can.
type otherNode struct {
	URL  string `json:"url"`
	PID  int    `json:"pid"`
	Zone string `json:"zone"`
	Dir  string `json:"dir"`

	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when the process has ended
}

// join starts the sandbox's other nodes, which join the service while it opens,
// and waits until all of them vote.
func (r *sandboxNode) join(ctx context.Context) error {
	for i := 1; i < r.s.nodes; i++ {
		o, err := r.startOther(i)
		if err != nil {
			return err
		}
		r.others = append(r.others, o)
	}
	if len(r.others) == 0 {
		return nil
	}
	c, _, err := r.asMembers()
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		var consensus struct {
			Details struct {
				Configs []struct{ Nodes map[string]any }
			}
		}
		_, err := c.Get(ctx, "/node/consensus", &consensus)
		if err == nil && len(consensus.Details.Configs) == 1 && len(consensus.Details.Configs[0].Nodes) == r.s.nodes {
			return r.readAddresses(ctx)
		}
		if err := r.pause(ctx); err != nil {
			return fmt.Errorf("wait for %d nodes: %w", r.s.nodes, err)
		}
	}
}

// pause is between two looks. It fails if waiting has no use any more.
func (r *sandboxNode) pause(ctx context.Context) error {
	for _, o := range r.others {
		select {
		case <-o.done:
			return fmt.Errorf("the node in %s ended: see its node.log", o.Dir)
		default:
		}
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Millisecond):
		return nil
	}
}

// startOther starts the i-th node.
func (r *sandboxNode) startOther(i int) (*otherNode, error) {
	o := &otherNode{Dir: r.s.path(fmt.Sprintf("node%d", i)), Zone: zones[i%len(zones)], done: make(chan struct{})}
	if err := os.Mkdir(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	path := func(name string) string { return filepath.Join(o.Dir, name) }
	data, err := zoneData(path("node_data.json"), o.Zone)
	if err != nil {
		return nil, err
	}
	config := r.s.config()
	type object = map[string]any
	config["node_data_json_file"] = data
	config["network"].(object)["rpc_interfaces"].(object)["main"].(object)["bind_address"] = "127.0.0.1:0"
	config["command"] = object{
		"type": "Join", "service_certificate_file": r.s.path("service_cert.pem"),
		"join": object{"target_rpc_address": r.node.Address("main")},
	}
	config["ledger"] = object{"directory": path("ledger")}
	config["snapshots"] = object{"directory": path("snapshots")}
	config["output_files"] = object{"pid_file": path("node.pid"), "rpc_addresses_file": path("rpc_addresses.json")}
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	if err := os.WriteFile(path("node.json"), append(text, '\n'), 0o644); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if o.log, err = os.Create(path("node.log")); err != nil {
		return nil, fmt.Errorf("make log: %w", err)
	}
	o.cmd = &exec.Cmd{
		Path: executable, Args: []string{"synod", "node", "--config", path("node.json"), "--log-level", r.s.level},
		Dir: o.Dir, Env: os.Environ(), Stdout: o.log, Stderr: o.log,
		// Ctrl-C in a terminal is for this process, which stops the others.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if err := o.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start a node: %w", err), o.log.Close())
	}
	o.PID = o.cmd.Process.Pid
	go func() {
		_ = o.cmd.Wait()
		close(o.done)
	}()
	return o, nil
}

func zoneData(name, zone string) (string, error) {
	text, err := json.Marshal(map[string]string{"zone": zone})
	if err == nil {
		err = os.WriteFile(name, text, 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("write node data: %w", err)
	}
	return name, nil
}

// readAddresses notes where the other nodes listen.
func (r *sandboxNode) readAddresses(ctx context.Context) error {
	for _, o := range r.others {
		for o.URL == "" {
			text, err := os.ReadFile(filepath.Join(o.Dir, "rpc_addresses.json"))
			var addresses map[string]string
			if err == nil && json.Unmarshal(text, &addresses) == nil {
				o.URL = "https://" + addresses["main"]
				break
			}
			if err := r.pause(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// stopOthers ends the other nodes. One that does not end by itself is killed.
func (r *sandboxNode) stopOthers() error {
	const patience = 10 * time.Second
	var errs []error
	for _, o := range r.others {
		_ = o.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	for _, o := range r.others {
		select {
		case <-o.done:
		case <-time.After(patience):
			_ = o.cmd.Process.Kill()
			<-o.done
		}
		errs = append(errs, o.log.Close())
	}
	return errors.Join(errs...)
}
