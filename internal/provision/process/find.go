package process

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"synod/internal/provision"
)

// found is a process: its number, and when it began, in the kernel's ticks since
// the machine has. Both together are never used twice.
type found struct {
	PID   int    `json:"pid"`
	Began uint64 `json:"began"`
}

// look is one look at what there is. What cannot be read, as when there is no file
// descriptor left, is not what is not there: a node that is taken for gone is removed.
type look struct {
	err error // of what could not be read
}

// read reads a file; ok is false if it is not there, or is of a process that has ended
// or is somebody else's.
func (l *look) read(name string) (text []byte, ok bool) {
	text, err := os.ReadFile(name)
	switch {
	case err == nil:
		return text, true
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH), errors.Is(err, fs.ErrPermission) && strings.HasPrefix(name, "/proc/"):
	default:
		l.err = errors.Join(l.err, err)
	}
	return nil, false
}

// json decodes a file; ok is false if it is not there or not whole.
func (l *look) json(name string, v any) (ok bool) {
	text, ok := l.read(name)
	return ok && json.Unmarshal(text, v) == nil
}

// beginOf reads when a process began; ok is false if there is none, or only what
// is left of one that nobody has waited for.
func (l *look) beginOf(pid int) (began uint64, ok bool) {
	text, ok := l.read("/proc/" + strconv.Itoa(pid) + "/stat")
	if !ok {
		return 0, false
	}
	// The name, in parentheses, may hold anything: what follows is counted from its
	// end. See proc_pid_stat(5): 3 is the state, 22 the begin.
	i := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[i+1:]))
	if i < 0 || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return 0, false
	}
	began, err := strconv.ParseUint(fields[19], 10, 64)
	return began, err == nil
}

func (l *look) runs(p found) bool {
	began, ok := l.beginOf(p.PID)
	return ok && began == p.Began
}

// commandHas says whether a process was started with that word.
func (l *look) commandHas(pid int, word string) bool {
	text, ok := l.read("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if !ok {
		return false
	}
	for _, w := range bytes.Split(text, []byte{0}) {
		if string(w) == word {
			return true
		}
	}
	return false
}

// noCommand says whether a process has no command line yet: one that was started just
// now may not.
func (l *look) noCommand(pid int) bool {
	text, ok := l.read("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return ok && len(text) == 0
}

// process finds the process of the node in a directory, if it runs. Whoever
// started it may have died before it was noted; then the configuration on the
// command line tells it.
func (l *look) process(home string) (found, bool) {
	var p found
	if l.json(filepath.Join(home, "process.json"), &p) {
		return p, l.runs(p) && (l.commandHas(p.PID, configFile(home)) || l.noCommand(p.PID))
	}
	if _, err := os.Stat(configFile(home)); err != nil {
		return found{}, false
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		l.err = errors.Join(l.err, err)
		return found{}, false
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !l.commandHas(pid, configFile(home)) {
			continue
		}
		// A node leads its group; what it forks has its command line for a moment.
		if group, err := syscall.Getpgid(pid); err != nil || group != pid {
			continue
		}
		if began, ok := l.beginOf(pid); ok {
			p = found{pid, began}
			// If this fails it is looked for again.
			_ = writeJSON(filepath.Join(home, "process.json"), p)
			return p, true
		}
	}
	return found{}, false
}

// node is what there is of a node.
func (d *Driver) node(network string, ordinal int) (provision.Node, error) {
	l := &look{}
	home := d.home(network, ordinal)
	n := provision.Node{Ordinal: ordinal}
	var spec specFile
	if l.json(filepath.Join(home, "spec.json"), &spec) {
		n.Kind, n.Zone, n.Release, n.StartedAt = spec.Kind, spec.Zone, spec.Release.Name, spec.StartedAt
	}
	p, alive := l.process(home)
	n.PID, n.Alive = p.PID, alive
	if !alive {
		n.Why = d.lastWords(network, ordinal)
	}
	var addresses map[string]string
	if l.json(filepath.Join(home, "rpc_addresses.json"), &addresses) {
		n.Address = addresses["main"]
	}
	n.NodeID = l.nodeID(filepath.Join(home, "node_cert.pem"))
	if n.Kind != provision.KindJoin {
		if text, ok := l.read(filepath.Join(home, "service_cert.pem")); ok {
			n.ServiceCertificate = string(text)
		}
	}
	_, err := os.Stat(filepath.Join(home, "replace"))
	n.Replace = err == nil
	if l.err != nil {
		return n, fmt.Errorf("look at node %d: %w", ordinal, l.err)
	}
	return n, nil
}

// nodeID is the identifier of a node by its certificate: the SHA-256 of its public
// key in DER. It is empty until the file is there.
func (l *look) nodeID(file string) string {
	text, ok := l.read(file)
	if !ok {
		return ""
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return ""
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}
