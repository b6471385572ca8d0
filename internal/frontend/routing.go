package frontend

import "sync/atomic"

// forwardedInFlightMax bounds the requests of other nodes that are answered at
// a time; further ones are told to come again.
const forwardedInFlightMax = 4096

// routing counts what became of requests that concern other nodes.
type routing struct {
	forwarded, unreachable, unanswered, noPrimary atomic.Int64
	redirected, received, serving                 atomic.Int64
	sessionsLost, linearizable, notConfirmed      atomic.Int64
}

// RoutingMetrics are counts since the node started.
type RoutingMetrics struct {
	Forwarded    int64 `json:"forwarded"`     // sent to the primary, or tried to
	NoPrimary    int64 `json:"no_primary"`    // not forwarded: nobody knew where to
	Redirected   int64 `json:"redirected"`    // 307
	Unreachable  int64 `json:"unreachable"`   // of Forwarded: nothing was sent
	Unanswered   int64 `json:"unanswered"`    // of Forwarded: no answer in time
	Received     int64 `json:"received"`      // forwarded by other nodes
	Serving      int64 `json:"serving"`       // of Received: now
	SessionsLost int64 `json:"sessions_lost"` // sessions ended by a new view
	Linearizable int64 `json:"linearizable"`  // linearizable reads asked for
	NotConfirmed int64 `json:"not_confirmed"` // of Linearizable: no majority in time
}

// Routing returns the counts.
func (s *Server) Routing() RoutingMetrics {
	r := &s.routing
	return RoutingMetrics{
		Forwarded: r.forwarded.Load(), NoPrimary: r.noPrimary.Load(), Redirected: r.redirected.Load(),
		Unreachable: r.unreachable.Load(), Unanswered: r.unanswered.Load(),
		Received: r.received.Load(), Serving: r.serving.Load(), SessionsLost: r.sessionsLost.Load(),
		Linearizable: r.linearizable.Load(), NotConfirmed: r.notConfirmed.Load(),
	}
}
