package provision

import (
	"context"
	"encoding/json"
	"time"
)

// Driver starts, finds and stops nodes somewhere. What it knows of them outlives
// this process, so that a reconciler which starts anew finds what is there. All
// methods may be called from several goroutines, for one network from one at a
// time.
type Driver interface {
	// Nodes lists every node of a network that takes up room: those that run,
	// those that have ended and those that never came to anything.
	Nodes(ctx context.Context, network string) ([]Node, error)
	// Networks lists the networks of which there is anything.
	Networks(ctx context.Context) ([]string, error)
	// Start makes a new node, under an ordinal that the network never had, and
	// starts it. It does not wait for the node to answer.
	Start(ctx context.Context, spec NodeSpec) (Node, error)
	// Stop ends a node, in order if it does so in time, and waits until it is gone.
	// Without keepData nothing of it is left but its log and what Kept has. A node that
	// is not there is no error.
	Stop(ctx context.Context, network string, ordinal int, keepData bool) error
	// RequestReplacement notes that somebody wants a node replaced, though nothing is
	// wrong with it.
	RequestReplacement(network string, ordinal int) error
	// Files are the ledger and snapshot directories of a node, whether it runs or
	// not, for reading.
	Files(network string, ordinal int) (ledger, snapshots string)
	// Sealed is the directory of what a node has sealed, if members allow it.
	Sealed(network string, ordinal int) string
	// Kept is a directory with the committed ledger files of nodes that are gone, which
	// those that came after them may lack: nodes read it. DropKept empties it, once no
	// node is there.
	Kept(network string) string
	DropKept(ctx context.Context, network string) error
	// Remove removes everything of a network, whose nodes have been stopped.
	Remove(ctx context.Context, network string) error
}

// Kind is how a node starts.
type Kind string

// The kinds, as in a node's configuration.
const (
	KindStart   Kind = "Start"
	KindJoin    Kind = "Join"
	KindRecover Kind = "Recover"
)

// NodeSpec says what node to start. Of Genesis, Join and Recover the one that
// Kind names is set.
type NodeSpec struct {
	Network string // a name that can be that of a directory
	Zone    string
	Release Release
	Kind    Kind
	// CertificateDays is the validity of the first certificates, in days.
	CertificateDays int
	// Hosts are names and addresses, besides the node's own, that its certificate
	// is to be valid for: those of the network's endpoint.
	Hosts []string

	Genesis Genesis
	Join    Join
	Recover Recover
}

// Genesis is what a new service begins with.
type Genesis struct {
	Constitution string
	Members      []GenesisMember
	Threshold    int // of recovery shares
}

// GenesisMember is one of the first members.
type GenesisMember struct {
	Certificate, EncryptionKey string // PEM; no key: no recovery member
	Data                       json.RawMessage
}

// Join is whom a node asks to let it in.
type Join struct {
	Target             string // host:port of a node
	ServiceCertificate string // PEM
}

// Recover is what a service is recovered from. The directories are copied.
type Recover struct {
	Ledger, Snapshots   string // directories
	PreviousCertificate string // PEM, of the service before
	// SealedSecrets is a directory with what a node before has sealed, from which the
	// same service goes on, or empty: then members' shares are needed.
	SealedSecrets string
}

// Release is code that nodes run.
type Release struct {
	Name string   `json:"name"`
	Path string   `json:"path"`           // of the binary
	Args []string `json:"args,omitempty"` // before those of a node, such as "node"
	// HostData identifies the code in virtual evidence: the SHA-256 of the binary,
	// in hex.
	HostData string `json:"hostData,omitempty"`
}

// Node is a node as its driver sees it.
type Node struct {
	Ordinal   int
	Kind      Kind
	Zone      string
	Release   string
	StartedAt time.Time

	// Alive says whether it runs; Why is then empty, else why it ended, as far as
	// its log says.
	Alive bool
	Why   string
	PID   int

	Address string // host:port for clients, "" until it listens
	NodeID  string // hex, "" until it has written its certificate
	// ServiceCertificate is the PEM of the service that a Start or Recover node
	// made, "" until it has.
	ServiceCertificate string
	Replace            bool // somebody asked for it to be replaced
}
