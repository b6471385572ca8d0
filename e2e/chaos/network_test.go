//go:build e2e

package chaos

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// rule is what happens to bytes from one node to another.
type rule struct {
	cut    bool          // they wait until the rule changes
	delay  time.Duration // they are late
	jitter time.Duration // by up to so much more
	rate   int           // bytes per second; 0: any number
}

// network is what is between the nodes.
type network struct {
	mu      sync.Mutex
	doors   []*door
	rules   map[[2]*door]rule // from, to
	links   map[*link]bool
	changed chan struct{} // closed when rules change
}

func newNetwork() *network {
	return &network{rules: map[[2]*door]rule{}, links: map[*link]bool{}, changed: make(chan struct{})}
}

// door is where a node is reached by the others.
type door struct {
	network  *network
	listener net.Listener
	dir      string // of the node, which writes its real address there
	pid      int    // set once the node runs
}

// open makes the door of a node that will run in dir.
func (n *network) open(dir string) (*door, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &door{network: n, listener: l, dir: dir}
	n.mu.Lock()
	n.doors = append(n.doors, d)
	n.mu.Unlock()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			go d.serve(conn.(*net.TCPConn))
		}
	}()
	return d, nil
}

func (d *door) address() string { return d.listener.Addr().String() }

// runs notes which process is behind the door.
func (d *door) runs(pid int) {
	d.network.mu.Lock()
	d.pid = pid
	d.network.mu.Unlock()
}

func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range n.doors {
		_ = d.listener.Close()
	}
	for l := range n.links {
		l.reset()
	}
}

// set makes the rule for bytes from one node to another.
func (n *network) set(r rule, from, to *door) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules[[2]*door{from, to}] = r
	n.change()
}

// heal ends all rules.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.rules)
	n.change()
}

func (n *network) change() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// rule is the rule of the moment, and what is closed when it may change.
func (n *network) rule(from, to *door) (rule, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rules[[2]*door{from, to}], n.changed
}

// reset breaks the connections between two nodes.
func (n *network) reset(a, b *door) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for l := range n.links {
		if l.from == a && l.to == b || l.from == b && l.to == a {
			l.reset()
		}
	}
}

// link is a connection that one node made to another.
type link struct {
	from, to     *door
	dialed, made *net.TCPConn
	ended        chan struct{}
	end          sync.Once
}

func (l *link) reset() {
	l.end.Do(func() {
		close(l.ended)
		_ = l.dialed.SetLinger(0)
		_ = l.made.SetLinger(0)
		_ = l.dialed.Close()
		_ = l.made.Close()
	})
}

func (d *door) serve(conn *net.TCPConn) {
	from := d.network.dialer(conn)
	made, err := d.dial()
	if from == nil || err != nil {
		_ = conn.Close()
		return
	}
	l := &link{from: from, to: d, dialed: conn, made: made, ended: make(chan struct{})}
	d.network.mu.Lock()
	d.network.links[l] = true
	d.network.mu.Unlock()
	var directions sync.WaitGroup
	directions.Go(func() { l.pump(conn, made, from, d) })
	directions.Go(func() { l.pump(made, conn, d, from) })
	directions.Wait()
	d.network.mu.Lock()
	delete(d.network.links, l)
	d.network.mu.Unlock()
}

// dial connects to the node behind the door.
func (d *door) dial() (*net.TCPConn, error) {
	text, err := os.ReadFile(filepath.Join(d.dir, "peer_address.json"))
	var addresses map[string]string
	if err == nil {
		err = json.Unmarshal(text, &addresses)
	}
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", addresses["node_to_node_interface"], time.Second)
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// parcel is what was read at once, or the end.
type parcel struct {
	data []byte
	due  time.Time
}

// onTheWay bounds the parcels between two nodes: a peer that does not read is
// felt by who writes.
const onTheWay = 64

// pump carries bytes one way until that way ends. The end of a connection waits
// behind a cut as bytes do: silence is all that shows of it.
func (l *link) pump(in, out *net.TCPConn, from, to *door) {
	parcels := make(chan parcel, onTheWay)
	go func() {
		defer close(parcels)
		var due time.Time
		for {
			buffer := make([]byte, 32<<10)
			n, err := in.Read(buffer)
			if n > 0 {
				r, _ := l.to.network.rule(from, to)
				at := time.Now().Add(r.delay)
				if r.jitter > 0 {
					at = at.Add(rand.N(r.jitter))
				}
				if at.After(due) {
					due = at
				}
				if r.rate > 0 {
					due = due.Add(time.Duration(n) * time.Second / time.Duration(r.rate))
				}
				select {
				case parcels <- parcel{buffer[:n], due}:
				case <-l.ended:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range parcels {
		if !l.wait(time.After(time.Until(p.due))) || !l.passable(from, to) {
			return
		}
		if _, err := out.Write(p.data); err != nil {
			break
		}
	}
	if l.passable(from, to) {
		l.reset()
	}
}

// passable waits while the way is cut.
func (l *link) passable(from, to *door) bool {
	for {
		r, changed := l.to.network.rule(from, to)
		if !r.cut {
			return true
		}
		select {
		case <-changed:
		case <-l.ended:
			return false
		}
	}
}

func (l *link) wait(c <-chan time.Time) bool {
	select {
	case <-c:
		return true
	case <-l.ended:
		return false
	}
}

// dialer finds the node whose connection this is: the socket of the other end
// is in the kernel's table, and the process that has it says so in /proc.
func (n *network) dialer(conn net.Conn) *door {
	socket := socketOf(conn.RemoteAddr().(*net.TCPAddr).Port, conn.LocalAddr().(*net.TCPAddr).Port)
	if socket == "" {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.doors {
		d := n.doors[len(n.doors)-1-i] // the newest are alive
		dir := fmt.Sprintf("/proc/%d/fd", d.pid)
		files, err := os.ReadDir(dir)
		if d.pid == 0 || err != nil {
			continue
		}
		for _, f := range files {
			if to, err := os.Readlink(filepath.Join(dir, f.Name())); err == nil && to == socket {
				return d
			}
		}
	}
	return nil
}

// socketOf names the socket of a TCP connection as /proc/<pid>/fd does, "" if
// there is none.
func socketOf(local, remote int) string {
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", local)) && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", remote)) {
			return "socket:[" + f[9] + "]"
		}
	}
	return ""
}
