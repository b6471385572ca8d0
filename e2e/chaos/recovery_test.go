//go:build e2e

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"synod"
)

// outage is how a service took the loss of its primary.
type outage struct {
	elected   time.Duration // from the loss until another node says that it leads
	commit    time.Duration // from then until that node's commit is of its view
	recovered time.Duration // from the loss until a write sent after it was known to be committed, in a later view
}

// electionWait is how long after the service is back one waits to see who leads.
const electionWait = 5 * time.Second

// probeKey is the key of the writes of this test's own.
const probeKey = "probe"

var probes atomic.Int64

// probe has a node commit a write.
func (s *service) probe(ctx context.Context, n *node, within time.Duration) error {
	c, err := s.dial(ctx, n, within)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	_, _, err = c.probe(within)
	return err
}

// probe has a write committed, and says in which view.
func (c *session) probe(within time.Duration) (view synod.View, ended bool, err error) {
	o := &operation{Kind: kindCommitted, Key: probeKey, Value: fmt.Sprintf("p%d", probes.Add(1))}
	ended = c.do(o, within, func() time.Duration { return 0 })
	if !o.ok() || o.Status != string(synod.TxCommitted) {
		return 0, ended, fmt.Errorf("write: %s%s %d %s", o.Error, o.Wire, o.Code, o.Status)
	}
	return o.TxID.View, ended, nil
}

// probing is the writes that look for the moment at which a node commits again.
// One that waits for who is gone must not hold up those that come after it.
type probing struct {
	service *service
	node    *node
	idle    chan *session
}

const (
	probeEvery = 50 * time.Millisecond
	probesMax  = 40 // that wait at a time, for probeWait
	probeWait  = 2 * time.Second
)

// run probes until ctx ends, and calls back at each write that was committed,
// with its view.
func (p *probing) run(ctx context.Context, committed func(synod.View)) {
	p.idle = make(chan *session, probesMax)
	var all sync.WaitGroup
	slots := make(chan struct{}, probesMax)
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}:
			all.Go(func() {
				defer func() { <-slots }()
				if view, err := p.once(ctx); err == nil {
					committed(view)
				}
			})
		default:
		}
		pause(ctx, probeEvery)
	}
	all.Wait()
	close(p.idle)
	for c := range p.idle {
		_ = c.conn.Close()
	}
}

// once probes on a connection that is kept, or on a new one: those of before the
// loss of the primary end, each with its first answer after it.
func (p *probing) once(ctx context.Context) (synod.View, error) {
	for {
		var c *session
		kept := true
		select {
		case c = <-p.idle:
		default:
			var err error
			if c, err = p.service.dial(ctx, p.node, probeWait); err != nil {
				return 0, err
			}
			kept = false
		}
		stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Now()) })
		view, ended, err := c.probe(probeWait)
		stop()
		if !ended {
			p.idle <- c
			return view, err
		}
		_ = c.conn.Close()
		if !kept || ctx.Err() != nil {
			return view, err
		}
	}
}

// measure watches the others take over after the primary of a view was lost, at
// the time given. It waits for patience at most.
func (s *service) measure(ctx context.Context, others []*node, view uint64, lost time.Time) (*outage, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var mu sync.Mutex
	var result outage
	var watchers sync.WaitGroup
	recovered, recovery := context.WithCancel(ctx)
	defer recovery()
	for _, n := range others {
		p := probing{service: s, node: n}
		watchers.Go(func() {
			p.run(recovered, func(in synod.View) {
				if uint64(in) <= view {
					return // whoever is lost had not noticed yet
				}
				mu.Lock()
				if result.recovered == 0 {
					result.recovered = time.Since(lost)
				}
				mu.Unlock()
				recovery()
			})
		})
	}
	elected, election := context.WithCancel(ctx)
	defer election()
	for _, n := range others {
		watchers.Go(func() {
			at, commit, ok := s.watch(elected, n, view)
			if !ok {
				return
			}
			mu.Lock()
			result.elected, result.commit = at.Sub(lost), commit
			mu.Unlock()
			election()
		})
	}
	// A primary that was only held up may go on leading.
	defer context.AfterFunc(recovered, func() { time.AfterFunc(electionWait, election) })()
	watchers.Wait()
	if result.recovered == 0 {
		return nil, fmt.Errorf("no write was committed within %v after the primary of view %d was lost", time.Since(lost), view)
	}
	return &result, nil
}

// watch asks a node until it leads a view after view, and then until its commit
// is of that view; commit is how long that took.
func (s *service) watch(ctx context.Context, n *node, view uint64) (elected time.Time, commit time.Duration, ok bool) {
	for ctx.Err() == nil {
		c, err := s.dial(ctx, n, time.Second)
		if err != nil {
			pause(ctx, 5*time.Millisecond)
			continue
		}
		for ctx.Err() == nil {
			if elected.IsZero() {
				var answer consensusAnswer
				if c.json("/node/consensus", &answer) != nil {
					break
				}
				if answer.Details.State != "Leader" || answer.Details.View <= view {
					pause(ctx, 4*time.Millisecond)
					continue
				}
				elected = time.Now()
			}
			var answer struct {
				ID string `json:"transaction_id"`
			}
			if c.json("/node/commit", &answer) != nil {
				break
			}
			if id, err := synod.ParseTxID(answer.ID); err == nil && uint64(id.View) > view {
				_ = c.conn.Close()
				return elected, time.Since(elected), true
			}
		}
		_ = c.conn.Close()
	}
	return elected, 0, false
}

// json asks for a document.
func (c *session) json(path string, out any) error {
	req, err := http.NewRequest(http.MethodGet, "https://"+c.conn.RemoteAddr().String()+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, body, err := c.ask(req, time.Second)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return json.Unmarshal(body, out)
}

// pulse notes what the machine is to blame for: how late this process is woken
// when there is more to do than processors can, and how long the disk takes for a
// small write.
type pulse struct {
	mu   sync.Mutex
	late []lateness // guarded by mu
	disk []lateness // guarded by mu
}

type lateness struct {
	at time.Time
	by time.Duration
}

// run feels the pulse until ctx ends; file is one that it writes to.
func (p *pulse) run(ctx context.Context, file *os.File) {
	const beat, diskEvery = 10 * time.Millisecond, 100 * time.Millisecond
	var both sync.WaitGroup
	both.Go(func() {
		for ctx.Err() == nil {
			due := time.Now().Add(beat)
			pause(ctx, beat)
			if late := time.Since(due); late > beat {
				p.note(&p.late, late)
			}
		}
	})
	both.Go(func() {
		for ctx.Err() == nil {
			pause(ctx, diskEvery)
			began := time.Now()
			_, err := file.Write([]byte("a few bytes\n"))
			if err != nil || file.Sync() != nil {
				return // then there is nothing to say
			}
			if took := time.Since(began); took > diskEvery {
				p.note(&p.disk, took)
			}
		}
	})
	both.Wait()
}

func (p *pulse) note(list *[]lateness, by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*list = append(*list, lateness{time.Now(), by})
}

// since is how late this process was woken since then, in all, and the longest
// that the disk took.
func (p *pulse) since(begin time.Time) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var late, disk time.Duration
	for _, l := range p.late {
		if l.at.After(begin) {
			late += l.by
		}
	}
	for _, l := range p.disk {
		if l.at.After(begin) {
			disk = max(disk, l.by)
		}
	}
	return fmt.Sprintf("this process was woken %v late in all, the disk took up to %v for a write", late.Round(time.Millisecond), disk.Round(time.Millisecond))
}

// figures are what was measured, by what it is.
type figures struct {
	names []string
	times map[string][]time.Duration
}

func (f *figures) add(name string, d time.Duration) {
	if f.times == nil {
		f.times = map[string][]time.Duration{}
	}
	if _, ok := f.times[name]; !ok {
		f.names = append(f.names, name)
	}
	f.times[name] = append(f.times[name], d)
}

func (f *figures) lost(how string, o *outage) {
	if o.elected > 0 {
		f.add(how+": another leads", o.elected)
		f.add(how+": its commit moves, after that", o.commit)
	}
	f.add(how+": a write is committed", o.recovered)
}

func (f *figures) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-52s %6s %10s %10s %10s\n", "", "count", "p50", "p99", "max")
	for _, name := range f.names {
		list := slices.Clone(f.times[name])
		slices.Sort(list)
		at := func(q float64) time.Duration {
			return list[min(int(q*float64(len(list))), len(list)-1)].Round(100 * time.Microsecond)
		}
		fmt.Fprintf(&b, "%-52s %6d %10v %10v %10v\n", name, len(list), at(0.5), at(0.99), at(1))
	}
	return b.String()
}
