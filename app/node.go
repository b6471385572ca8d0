package app

import "synod"

// Node is what a handler may ask of the node that runs it, besides the
// transaction. It may be used from several goroutines, also after the handler
// returned.
type Node interface {
	// ID is the node's.
	ID() synod.NodeID
	// Committed is the last transaction that the service has committed.
	Committed() synod.TxID
	// Status is the status of a transaction as this node knows it.
	Status(id synod.TxID) synod.TxStatus
	// ViewOf is the view of a transaction that this node knows by its number,
	// false if it knows none. One that is not committed may yet get another.
	ViewOf(seqno synod.SeqNo) (synod.View, bool)
	// Proof returns what proves a committed transaction: that of its State in
	// History, with the same errors.
	Proof(id synod.TxID) (*Proof, error)
	// SignedAs are the issuer and subject of the service's signatures over
	// its ledger, "" if they have none.
	SignedAs() (issuer, subject string)
	// History is the service's past as this node can read it.
	History() History
	// InstallIndex begins to tell an index. It fails if one of that name is
	// installed.
	InstallIndex(Index) error
	// Indexed is the last transaction up to which an index has been told
	// everything. The error says why it cannot go on just now, or that there is
	// no such index.
	Indexed(name string) (synod.SeqNo, error)
	// UninstallIndex says whether an index of that name was installed.
	UninstallIndex(name string) bool
}

// Proof is what proves that a committed transaction is in the ledger, in each
// of CCF's forms (CCF: include/ccf/historical_queries_adapter.h). What a
// signature transaction does not have is nil.
type Proof struct {
	Receipt       []byte // JSON, see package receipt
	MerkleProof   []byte // CBOR; nil for a signature transaction
	COSESignature []byte // COSE_Sign1 over the root, which is detached
	COSEReceipt   []byte // COSESignature with MerkleProof in it; nil likewise
	// COSEEndorsements lead from the service's present identity back to the one
	// that COSESignature is of, newest first; nil if that is the present one,
	// or if the transaction is older than what the service has endorsed.
	COSEEndorsements [][]byte
}

// Node is what the handler may ask of its node. It is nil in a Context that no
// front end made.
func (c *Context) Node() Node { return c.node }

// Attach sets what Node returns; it is for front ends.
func (c *Context) Attach(n Node) { c.node = n }
