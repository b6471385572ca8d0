package portal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"synod/internal/arm"
)

// The event stream.
const (
	// streamsMax bounds the streams that are open at a time, userStreamsMax those of
	// one user.
	streamsMax     = 512
	userStreamsMax = 64
	// batchInterval is how long changes are gathered, so that a client gets at most
	// ten batches a second.
	batchInterval = 100 * time.Millisecond
	// pingInterval keeps proxies from closing a quiet stream.
	pingInterval = 15 * time.Second
)

// event says that something is new; the page reads what it shows of it.
type event struct {
	Kind      string `json:"kind"`
	Network   string `json:"network,omitempty"`
	Operation string `json:"operation,omitempty"`
}

// events tells what changes, until the client goes or the session ends. Each
// stream begins with `resync`, on which a page reads everything again: what was
// missed in between needs no memory here.
func (p *Portal) events(w http.ResponseWriter, r *http.Request) error {
	who := sessionIn(r.Context()).who.Name
	if !p.enter(who) {
		return &problem{http.StatusServiceUnavailable, "TooManyStreams", "Too many pages are open."}
	}
	defer p.leave(who)

	out := http.NewResponseController(w)
	// The stream lasts longer than any answer, but not longer than somebody reads it.
	patience := func() { _ = out.SetWriteDeadline(time.Now().Add(2 * pingInterval)) }
	patience()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	changes := p.c.Store.Watch(r.Context())
	fmt.Fprint(w, "retry: 1000\nevent: resync\ndata: {}\n\n")
	if err := out.Flush(); err != nil {
		return nil
	}
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	for s := sessionIn(r.Context()); p.c.Now().Before(s.Until); {
		select {
		case <-r.Context().Done():
			return nil
		case <-ping.C:
			if _, err := p.sessionOf(r); err != nil {
				return nil // its token counts no more
			}
			patience()
			fmt.Fprint(w, "event: ping\ndata: {}\n\n") // the page takes long silence for a lost stream
		case c, ok := <-changes:
			if !ok {
				return nil
			}
			patience()
			p.writeBatch(w, r, c, changes)
		}
		if out.Flush() != nil {
			return nil
		}
	}
	return nil
}

// enter counts a user's stream, if there may be one more.
func (p *Portal) enter(who string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := 0
	for _, n := range p.streams {
		all += n
	}
	if all >= streamsMax || p.streams[who] >= userStreamsMax {
		return false
	}
	p.streams[who]++
	return true
}

func (p *Portal) leave(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams[who]--; p.streams[who] == 0 {
		delete(p.streams, who)
	}
}

// writeBatch writes a change and those that follow it closely, each once, as far as
// they are of what the session may read.
func (p *Portal) writeBatch(w http.ResponseWriter, r *http.Request, first arm.Change, more <-chan arm.Change) {
	batch := map[event]string{eventOf(first): scopeOf(first)}
	for end := time.After(batchInterval); ; {
		select {
		case c, ok := <-more:
			if ok {
				batch[eventOf(c)] = scopeOf(c)
				continue
			}
		case <-end:
		}
		break
	}
	readable := map[string]bool{"": true}
	for e, scope := range batch {
		if _, known := readable[scope]; !known {
			readable[scope] = p.allow(r.Context(), arm.Read, actionRead, scope) == nil
		}
		if !readable[scope] {
			continue
		}
		data, err := json.Marshal(e)
		if err != nil {
			continue // three texts
		}
		fmt.Fprintf(w, "data: %s\n\n", data)
	}
}

// scopeOf is where the right to read is needed to be told of a change; "" for one that
// tells nothing.
func scopeOf(c arm.Change) string {
	switch c.Kind {
	case arm.ChangeAll:
		return ""
	case arm.ChangeAudit:
		return "/"
	}
	return c.Network.ResourceID()
}

func eventOf(c arm.Change) event {
	return event{Kind: c.Kind, Network: c.Network.Name, Operation: c.Operation}
}
