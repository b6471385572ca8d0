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
	// Proof returns what proves a committed transaction. For one that is not
	// committed the error is 404 TransactionPendingOrUnknown or
	// TransactionInvalid.
	Proof(id synod.TxID) (*Proof, error)
	// SignedAs are the issuer and subject of the service's signatures over
	// its ledger, "" if they have none.
	SignedAs() (issuer, subject string)
	// InstallIndex tells the index of every transaction that is ordered from
	// now on, once it is committed. It fails if an index of that name is
	// installed.
	InstallIndex(Index) error
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
}

// Index follows one map as it is committed. It is state of this process, gone
// with it: for reads that may be answered from memory, not for decisions.
type Index struct {
	Name string // unique on the node
	Map  string
	// Apply is told what each transaction wrote to the map, in order. It runs
	// on the goroutine that commits, so it must be quick; it may not keep or
	// change the slices.
	Apply func(id synod.TxID, writes []Write)
}

// Write is one change of a map.
type Write struct {
	Key     []byte
	Value   []byte // nil if Deleted
	Deleted bool
}

// Node is what the handler may ask of its node. It is nil in a Context that no
// front end made.
func (c *Context) Node() Node { return c.node }

// Attach sets what Node returns; it is for front ends.
func (c *Context) Attach(n Node) { c.node = n }
