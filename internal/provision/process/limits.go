package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Limits bound what each node may take. They need a directory of version 2 of the
// kernel's control groups that this process may make others in, with the
// controllers memory and cpu on; without one nothing is bounded.
type Limits struct {
	Cgroup string // directory, such as /sys/fs/cgroup/synod; empty for no limits
	// MemoryBytes is how much memory a node may take, CPUs how many processors; 0
	// for no bound.
	MemoryBytes int64
	CPUs        float64
}

func (l Limits) check() error {
	if l.Cgroup == "" {
		if l.MemoryBytes != 0 || l.CPUs != 0 {
			return errors.New("limits of nodes need a directory of control groups")
		}
		return nil
	}
	if _, err := os.Stat(filepath.Join(l.Cgroup, "cgroup.controllers")); err != nil {
		return fmt.Errorf("%s is no directory of control groups: %w", l.Cgroup, err)
	}
	return nil
}

func (l Limits) dir(network string, ordinal int) string {
	return filepath.Join(l.Cgroup, fmt.Sprintf("synod-%s-%d", strings.ToLower(network), ordinal))
}

// apply has a command start in a group of its own. release is called once it has.
func (l Limits) apply(cmd *exec.Cmd, network string, ordinal int) (release func(), err error) {
	if l.Cgroup == "" {
		return func() {}, nil
	}
	dir := l.dir(network, ordinal)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make control group: %w", err)
	}
	const period = 100_000 // microseconds, the kernel's default
	settings := map[string]string{}
	if l.MemoryBytes > 0 {
		settings["memory.max"] = strconv.FormatInt(l.MemoryBytes, 10)
		// Collect garbage harder before the kernel kills it.
		cmd.Env = append(cmd.Env, fmt.Sprintf("GOMEMLIMIT=%d", l.MemoryBytes/10*9))
	}
	if l.CPUs > 0 {
		settings["cpu.max"] = fmt.Sprintf("%d %d", int64(l.CPUs*period), period)
	}
	for name, value := range settings {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o644); err != nil {
			return nil, fmt.Errorf("limit %s: %w", name, err)
		}
	}
	group, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open control group: %w", err)
	}
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	return func() { _ = group.Close() }, nil
}

// remove removes the group of a node that has ended. One that is still there costs
// nothing.
func (l Limits) remove(network string, ordinal int) {
	if l.Cgroup != "" {
		_ = os.Remove(l.dir(network, ordinal))
	}
}
