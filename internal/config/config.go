package config

import "time"

// Config is a node's whole configuration with defaults filled in.
type Config struct {
	Network         Network
	Command         Command
	NodeCertificate NodeCertificate
	// NodeDataFile and ServiceDataFile name JSON files, "" if there is none.
	// ServiceDataFile has no effect on a joining node.
	NodeDataFile, ServiceDataFile string
	Attestation                   Attestation
	Ledger                        Ledger
	Snapshots                     Snapshots
	FilesCleanup                  FilesCleanup
	Logging                       Logging
	Consensus                     Consensus
	LedgerSignatures              LedgerSignatures
	JWT                           JWT
	OutputFiles                   OutputFiles
	// TickInterval, WorkerThreads and Memory describe CCF's host process.
	// They are accepted and have no effect.
	TickInterval  time.Duration
	WorkerThreads int64
	Memory        Memory
	// SlowIOThreshold is the duration of a ledger or snapshot operation above
	// which it is logged.
	SlowIOThreshold time.Duration
	// NodeClientInterface is the source address of outgoing node-to-node
	// connections, "" to let the operating system choose.
	NodeClientInterface string
	// ClientConnectionTimeout bounds the making of an outgoing connection.
	ClientConnectionTimeout time.Duration
	// IdleConnectionTimeout closes idle client sessions; 0 means never.
	IdleConnectionTimeout time.Duration
	// IgnoreFirstSIGTERM makes the first SIGTERM only raise stop_notice.
	IgnoreFirstSIGTERM bool
	// NodeToNodeMessageLimit is CCF's bound on messages per channel key.
	NodeToNodeMessageLimit int64
	// HistoricalCacheSoftLimit is in bytes.
	HistoricalCacheSoftLimit int64
	// Text is the file as it was read; nil for a Config made in code.
	Text []byte
}

// Network is where the node listens.
type Network struct {
	NodeToNode    NodeToNode
	RPCInterfaces map[string]Interface // at least one, by name
}

// NodeToNode is the listener for other nodes.
type NodeToNode struct {
	BindAddress      string // host:port; port 0 lets the OS choose
	PublishedAddress string // what peers dial; "" means the bound address
}

// NodeCertificate shapes the node's own certificate.
type NodeCertificate struct {
	SubjectName         string
	SubjectAltNames     []string // "iPAddress:…", "dNSName:…"; none means the published hosts
	CurveID             string   // Secp384R1 or Secp256R1; also the service key's curve
	InitialValidityDays int64
}

// Attestation says where SEV-SNP collateral comes from. File names and URLs
// may contain $NAME; they are kept as written.
type Attestation struct {
	SecurityPolicyFile  string
	UVMEndorsementsFile string
	EndorsementsFile    string
	EndorsementsServers []EndorsementsServer
}

// EndorsementsServer is one source of AMD endorsements.
type EndorsementsServer struct {
	Type       string // Azure, AMD or THIM
	URL        string
	RetriesMax int64
}

// Ledger is where the ledger lives.
type Ledger struct {
	Directory           string
	ReadOnlyDirectories []string
	ChunkSize           int64 // bytes after which a chunk ends at the next signature
}

// Snapshots is where snapshots live and how often they are taken.
type Snapshots struct {
	Directory         string
	TxCount           int64
	ReadOnlyDirectory string // "" if there is none
}

// FilesCleanup is what the node removes of its own files by itself. CCF got it
// after version 6.
type FilesCleanup struct {
	// SnapshotsMax is how many committed snapshots stay in snapshots.directory,
	// the newest; 0 means all.
	SnapshotsMax int64
	Interval     time.Duration // how often the node looks
}

// Log formats (CCF: src/host/configuration.h).
const (
	LogText = "Text"
	LogJSON = "Json"
)

// Logging is how the node logs. HostLevel is accepted and not used: the level
// is a flag.
type Logging struct {
	Format    string // LogText or LogJSON
	HostLevel string
}

// Consensus are the timers of replication. They should be equal on all nodes.
type Consensus struct {
	MessageTimeout  time.Duration // heartbeat interval
	ElectionTimeout time.Duration // the longest of the random election timeouts
	// UncommittedTxMax is the number of uncommitted transactions at which the
	// primary refuses new ones; 0 means unlimited.
	UncommittedTxMax int64
}

// LedgerSignatures bounds the distance between two signatures.
type LedgerSignatures struct {
	TxCount int64
	Delay   time.Duration
}

// JWT is the refreshing of JWT signing keys.
type JWT struct {
	KeyRefreshInterval time.Duration
}

// OutputFiles are written at start. An empty name means that the file is not
// written.
type OutputFiles struct {
	NodeCertificateFile        string
	PIDFile                    string
	NodeToNodeAddressFile      string
	RPCAddressesFile           string
	SealedLedgerSecretLocation string
}

// Memory is the size of CCF's ring buffers, in bytes.
type Memory struct {
	CircuitSize, MaxMsgSize, MaxFragmentSize int64
}
