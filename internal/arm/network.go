package arm

import (
	"encoding/json"
	"strings"
	"time"
)

// NetworkID says which network is meant, as a path of the API does. Compare by
// Key: ARM's names are equal without regard to case.
type NetworkID struct {
	Subscription string `json:"subscription"`
	Group        string `json:"group"`
	Name         string `json:"name"`
}

// Key returns the form of id that is equal for equal networks.
func (id NetworkID) Key() string {
	return strings.ToLower(id.Subscription + "/" + id.Group + "/" + id.Name)
}

// ResourceID returns the identifier that ARM's clients see.
func (id NetworkID) ResourceID() string {
	return "/subscriptions/" + id.Subscription + "/resourceGroups/" + id.Group +
		"/providers/" + providerName + "/ManagedCCFs/" + id.Name
}

// Network is one managed network: what its user wants and what is.
type Network struct {
	ID       NetworkID
	Location string
	Tags     map[string]string
	Desired  Desired
	Status   Status

	// ETag changes with each write of a user, not with Status.
	ETag string
	// Revision counts the writes of users, from 1. A status that has seen the
	// last of them has it as ObservedRevision.
	Revision int64

	CreatedAt, ModifiedAt time.Time
	CreatedBy, ModifiedBy string
}

// Values of Desired.RunningState.
const (
	RunningActive = "Active"
	RunningPaused = "Paused"
)

// Values of Desired.UpgradeStrategy.
const (
	// Supervised waits for the members' vote on the new release's measurement.
	Supervised = "Supervised"
	// Unsupervised has the operator allow it, if the constitution lets it.
	Unsupervised = "Unsupervised"
)

// Values of Desired.AppSourceURI that are no addresses.
const (
	// AppCustom starts without an application: members deploy one.
	AppCustom = "customImage"
	// AppSample starts with the shipped sample application.
	AppSample = "sample"
)

// Desired is what the user of a network wants.
type Desired struct {
	NodeCount int      `json:"nodeCount"`       // 1, 3, 5, 7 or 9
	Zones     []string `json:"zones,omitempty"` // labels that nodes are spread over; none: one zone
	Members   []Member `json:"members"`         // at creation; the network governs them afterwards

	LanguageRuntime string `json:"languageRuntime,omitempty"` // JS
	AppSourceURI    string `json:"appSourceUri,omitempty"`    // AppCustom, AppSample or an address
	RunningState    string `json:"runningState"`              // RunningActive or RunningPaused

	// Constitution is the JavaScript text of a constitution, or empty for the
	// shipped one that limits the operator.
	Constitution string `json:"constitution,omitempty"`
	// Release names the node's binary; empty is the server's own.
	Release         string `json:"release,omitempty"`
	UpgradeStrategy string `json:"upgradeStrategy"` // Supervised or Unsupervised

	Backup           BackupPolicy `json:"backup"`
	DeleteProtection bool         `json:"deleteProtection,omitempty"`
	// Deleted asks for everything to be taken down; the network's record goes
	// last.
	Deleted bool `json:"deleted,omitempty"`
	// CertificateDays is the validity of node and service certificates, in
	// days; they are renewed at two thirds of it.
	CertificateDays int `json:"certificateDays"`
	// RestoreFrom makes a network of a backup instead of a new one.
	RestoreFrom *RestoreSource `json:"restoreFrom,omitempty"`
}

// Member is an identity that a network is created with.
type Member struct {
	Certificate   string          `json:"certificate"`             // PEM
	EncryptionKey string          `json:"encryptionKey,omitempty"` // PEM of an RSA key; empty: no recovery member
	Tags          json.RawMessage `json:"tags,omitempty"`          // becomes the member's data
}

// BackupPolicy says where a network's backups go and when they are made.
type BackupPolicy struct {
	// Target is the address of a backup store (file:, s3:), which may hold a
	// token; empty is the server's own directory.
	Target string `json:"target,omitempty"`
	// Every is the time between scheduled backups; zero makes none.
	Every time.Duration `json:"every,omitempty"`
	// Keep is how many scheduled backups are kept; zero keeps all.
	Keep int `json:"keep,omitempty"`
	// Continuous uploads committed chunks and snapshots as they come.
	Continuous bool `json:"continuous,omitempty"`
}

// RestoreSource is the backup that a network is made of.
type RestoreSource struct {
	Target string `json:"target,omitempty"` // address of the backup store; empty is the server's own directory
	Share  string `json:"share"`            // the backup's name there
	Region string `json:"region,omitempty"` // where the restored network shall be
}

// Values of Status.ProvisioningState, as ARM shows them.
const (
	StateAccepted  = "Accepted"
	StateCreating  = "Creating"
	StateUpdating  = "Updating"
	StateDeleting  = "Deleting"
	StateSucceeded = "Succeeded"
	StateFailed    = "Failed"
	StateCanceled  = "Canceled"
)

// Values of Status.RunningState beside RunningActive and RunningPaused.
const (
	RunningUnknown  = "Unknown"
	RunningPausing  = "Pausing"
	RunningResuming = "Resuming"
)

// Status is what the reconciler saw of a network.
type Status struct {
	ProvisioningState string `json:"provisioningState,omitempty"`
	RunningState      string `json:"runningState,omitempty"`

	AppURI             string `json:"appUri,omitempty"`
	IdentityServiceURI string `json:"identityServiceUri,omitempty"`

	ServiceCertificate string     `json:"serviceCertificate,omitempty"` // PEM
	PreviousIdentities []Identity `json:"previousIdentities,omitempty"` // oldest first
	// ServiceStatus is what the network says of its service: Opening, Open,
	// Recovering or WaitingForRecoveryShares.
	ServiceStatus string `json:"serviceStatus,omitempty"`
	// MadeAt is when the network first was as wanted; zero while it is being made
	// and nothing in it is of value.
	MadeAt time.Time `json:"madeAt,omitzero"`
	// ConstitutionDigest is the SHA-256 of the constitution in force, in hex.
	ConstitutionDigest string `json:"constitutionDigest,omitempty"`

	Nodes      []NodeStatus `json:"nodes,omitempty"`
	Conditions []Condition  `json:"conditions,omitempty"`
	Release    string       `json:"release,omitempty"`
	// NextOrdinal is the first node ordinal that was never used.
	NextOrdinal int `json:"nextOrdinal,omitempty"`

	LastBackup *BackupRecord `json:"lastBackup,omitempty"`
	// LastWholeBackup is when the last was made that does not grow with the ledger: the
	// next scheduled one is due after that. Zero: there was none.
	LastWholeBackup time.Time `json:"lastWholeBackup,omitzero"`
	// RestoredBy is the operation whose backup the network is from, if any.
	RestoredBy string `json:"restoredBy,omitempty"`
	// ObservedRevision is the Network.Revision that this status is about.
	ObservedRevision int64 `json:"observedRevision,omitempty"`
}

// Identity is a service identity that a network had.
type Identity struct {
	Certificate string `json:"certificate"` // PEM
	// From and Until are when it was seen to begin and to end; zero if only a
	// restored ledger tells of it.
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// Values of NodeStatus.Role.
const (
	RolePrimary = "Primary"
	RoleBackup  = "Backup"
	RoleLearner = "Learner"
	RolePending = "Pending"
	RoleRetired = "Retired"
	RoleNone    = "None"
)

// Values of NodeStatus.Health.
const (
	HealthOk          = "Ok"
	HealthReplacement = "NeedsReplacement"
	HealthUnknown     = "Unknown"
)

// NodeStatus is one node as the reconciler saw it.
type NodeStatus struct {
	Ordinal int    `json:"ordinal"` // never used twice in one network
	NodeID  string `json:"nodeId,omitempty"`
	Zone    string `json:"zone,omitempty"`
	Address string `json:"address,omitempty"` // host:port of its client interface
	Release string `json:"release,omitempty"`
	PID     int    `json:"pid,omitempty"`

	Role   string `json:"role,omitempty"`
	Health string `json:"health,omitempty"`
	Reason string `json:"reason,omitempty"` // of a health that is not Ok

	View  uint64 `json:"view,omitempty"`
	Seqno uint64 `json:"seqno,omitempty"`

	CertificateNotAfter time.Time       `json:"certificateNotAfter,omitzero"`
	Evidence            json.RawMessage `json:"evidence,omitempty"` // the node's answer to /node/quotes/self
}

// Types of conditions.
const (
	ConditionAvailable         = "Available"
	ConditionProgressing       = "Progressing"
	ConditionDegraded          = "Degraded"
	ConditionCertsValid        = "CertsValid"
	ConditionBackupRecent      = "BackupRecent"
	ConditionQuorumAtRisk      = "QuorumAtRisk"
	ConditionUpgradeAvailable  = "UpgradeAvailable"
	ConditionWaitingForMembers = "WaitingForMembers"
)

// Condition is one thing that holds of a network, or does not.
type Condition struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"` // True, False or Unknown
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since"`
}

// BackupRecord is a backup that was made and can be restored.
type BackupRecord struct {
	Share      string    `json:"share"` // its name in the store: <network>-<time>
	Target     string    `json:"target,omitempty"`
	At         time.Time `json:"at"`
	View       uint64    `json:"view,omitempty"`
	Seqno      uint64    `json:"seqno,omitempty"` // the last transaction in it
	SizeBytes  int64     `json:"sizeBytes,omitempty"`
	Network    string    `json:"network,omitempty"`   // resource ID of the network that it is of
	Region     string    `json:"region,omitempty"`    // where it may be restored, if that was said
	Continual  bool      `json:"continual,omitempty"` // grows with the ledger
	VerifiedAt time.Time `json:"verifiedAt,omitzero"`
}
