package host

import (
	"sync"

	"synod"
	"synod/app"
	"synod/internal/consensus"
	"synod/internal/historical"
	"synod/internal/kv"
	"synod/internal/secrets"
)

// Host is a node as its applications see it. Its fields are set before use.
type Host struct {
	Replica *consensus.Replica
	Store   *kv.Store
	Secrets *secrets.Chain
	Past    *historical.History
	// Issuer and Subject are those of the service's signatures.
	Issuer, Subject string
	// NodeID is the node's.
	NodeID synod.NodeID

	mu      sync.Mutex
	indexes map[string]index // by name; guarded by mu
}

var _ app.Node = (*Host)(nil)

// History is the service's past.
func (h *Host) History() app.History { return h.Past }

// ID is the node's.
func (h *Host) ID() synod.NodeID { return h.NodeID }

// ViewOf is the view of a transaction that this node holds.
func (h *Host) ViewOf(seqno synod.SeqNo) (synod.View, bool) { return h.Replica.ViewOf(seqno) }

// Committed is the last transaction that the service has committed.
func (h *Host) Committed() synod.TxID { return h.Replica.Committed() }

// Status is the status of a transaction. Asking after one that is pending
// hastens its signature.
func (h *Host) Status(id synod.TxID) synod.TxStatus {
	status := h.Replica.Status(id)
	if status == synod.TxPending {
		h.Replica.Interest()
	}
	return status
}

// SignedAs are the issuer and subject of the service's signatures.
func (h *Host) SignedAs() (issuer, subject string) { return h.Issuer, h.Subject }
