// Package peer is the links between the nodes of a service: TLS 1.3 with
// certificates on both sides, raft's messages one way, calls with answers.
//
// What it is not: it knows nothing of raft, of requests or of the node table;
// bytes go in on one node and come out on another, or are lost. It resends
// nothing.
//
// Who may speak: whoever shows the key of a node that Config.Peer knows, in a
// certificate that the service has signed. Names and validity dates are ignored,
// as CCF ignores them (CCF: src/node/channels.h): a node whose certificate ran
// out must still reach the primary that renews it. There is no resumption: a
// link always rests on a handshake of its own.
//
// A node dials one connection to each peer and sends its messages and calls on
// it; the answers come back on it. What the peer sends comes on the connection
// that the peer dialled. The format is in docs/formats/peer.md.
//
// Invariants:
//   - Send never blocks. What a peer that does not read can make us hold is
//     bounded in messages and in bytes.
//   - A frame's length is checked before any of it is stored, and only so many
//     large frames are received at once.
//   - Messages of one connection arrive in the order of Send, without gaps other
//     than those that Send or Config.Unreachable told of.
//   - An error of Call says whether the peer can have seen the request.
//   - A connection that moves no byte for idleTimeout is closed.
//
// Goroutines: one per peer that dials and writes, one that reads what comes back
// while it is connected; one for each accepted connection, with one that keeps it
// alive, and one for each call that is being served. Close ends all and waits.
//
// Reading order: links.go, trust.go, frame.go, wire.go, queue.go, link.go,
// converse.go, calls.go, accept.go, inbound.go, throttle.go.
package peer
