package frontend

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"synod"
	"synod/app"
	"synod/internal/auth"
	"synod/internal/consensus"
)

// session is what the front end keeps for one connection. It binds the
// session to the view of its first request: an answer from another view might
// lack what the session has seen (CCF: src/node/rpc/frontend.h,
// check_session_consistency).
type session struct {
	cache *auth.Cache
	view  synod.View // of the first request, 0 before it
	// led says that the session was shown what this node had ordered as
	// primary of view. A primary that stands down forgets what was not
	// committed, and may stay in the view.
	led bool
	// forwarding says that a request was sent to the primary: from then on
	// everything goes there that may, so that the session sees its writes.
	forwarding bool
	seen       synod.TxID // newest transaction whose effects it was shown
	ran        synod.View // in which the last request ran here, 0 if none did
}

// bind notes in which role a request is about to run.
func (s *session) bind(role consensus.Role) {
	if s.view == 0 {
		s.view = role.View
	}
	if role.Leading && role.View == s.view {
		s.led = true
	}
	s.ran = role.View
}

// intact says whether what this node shows in its role includes all that the
// session has seen.
func (s *session) intact(role consensus.Role) bool {
	return role.View == s.view && (role.Leading || !s.led)
}

// saw notes a transaction whose effects an answer shows.
func (s *session) saw(id synod.TxID) {
	if id.SeqNo > s.seen.SeqNo {
		s.seen = id
	}
}

// lost ends the session if this node's view or role is no longer that of the
// session, else it returns nil.
func (x *execution) lost() *app.Response {
	role := x.server.cfg.Replica.Role()
	if x.sess.view == 0 {
		x.sess.bind(role)
	}
	if x.sess.intact(role) {
		return nil
	}
	return x.inconsistent(role.View)
}

// inconsistent is the last answer of a session that has seen view and could
// now see less.
func (x *execution) inconsistent(now synod.View) *app.Response {
	x.server.routing.sessionsLost.Add(1)
	resp := failure(synod.Errorf(500, synod.CodeSessionConsistencyLost,
		"Potential loss of session consistency on session %d. Started in view %d, now in view %d. Closing session.",
		x.session.ID, x.sess.view, now))
	resp.Close = true
	return resp
}

// forwardedCaches keeps, for some of the sessions of other nodes, what sparing
// their callers' certificates and tokens another check needs. It forgets a
// session when another takes its slot; what it returns is only ever used for
// equal bytes.
type forwardedCaches struct {
	slots [forwardedCachesMax]atomic.Pointer[forwardedCache]
}

// forwardedCachesMax bounds the sessions of other nodes that are remembered.
const forwardedCachesMax = 1024

type forwardedCache struct {
	of   remoteSession
	auth auth.Cache
}

// remoteSession names a session of another node.
type remoteSession struct {
	from  synod.NodeID
	iface string
	id    uint64
}

var forwardedSeed = maphash.MakeSeed()

func (f *forwardedCaches) of(from synod.NodeID, r *forwardedRequest) *auth.Cache {
	id := remoteSession{from, r.iface, r.sessionID}
	slot := &f.slots[maphash.Comparable(forwardedSeed, id)%forwardedCachesMax]
	if c := slot.Load(); c != nil && c.of == id {
		return &c.auth
	}
	id.iface = strings.Clone(id.iface) // not the whole request's text
	c := &forwardedCache{of: id}
	slot.Store(c)
	return &c.auth
}
