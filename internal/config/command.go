package config

import "time"

// CommandType is how the node starts.
type CommandType string

// The command types (CCF: src/common/configuration.h).
const (
	CommandStart   CommandType = "Start"
	CommandJoin    CommandType = "Join"
	CommandRecover CommandType = "Recover"
)

// Command is how the node starts. Of Start, Join and Recover only the one that
// Type selects has been read.
type Command struct {
	Type CommandType
	// ServiceCertificateFile is written by Start and Recover and read by Join.
	ServiceCertificateFile string
	Start                  Start
	Join                   Join
	Recover                Recover
}

// Start makes a new service.
type Start struct {
	ConstitutionFiles    []string
	Members              []MemberFiles
	ServiceConfiguration ServiceConfiguration
	InitialValidityDays  int64 // of the service certificate
	ServiceSubjectName   string
	COSEIssuer           string // CWT iss of ledger signatures, "" if not set
	COSESubject          string // CWT sub of ledger signatures, "" if not set
}

// Recovery roles of a member.
const (
	RoleNonParticipant = "NonParticipant"
	RoleParticipant    = "Participant"
	RoleOwner          = "Owner"
)

// MemberFiles names what is known of an initial member. Empty means absent.
type MemberFiles struct {
	CertificateFile   string
	EncryptionKeyFile string
	DataFile          string
	RecoveryRole      string
}

// ServiceConfiguration is the initial row of the service's configuration.
type ServiceConfiguration struct {
	RecoveryThreshold          int64 // as written; see Config.RecoveryThreshold
	MaximumNodeValidityDays    int64
	MaximumServiceValidityDays int64
	RecentProposalsWindow      int64
}

// Join makes a node of an existing service.
type Join struct {
	TargetRPCAddress     string
	RetryTimeout         time.Duration
	FollowRedirect       bool
	FetchRecentSnapshot  bool
	FetchSnapshotTries   int64
	FetchSnapshotWait    time.Duration
	FetchSnapshotSizeMax int64 // bytes
}

// Recover makes a new service from the ledger of a lost one.
type Recover struct {
	PreviousServiceIdentityFile string
	// PreviousSealedSecretLocation is a directory, "" to recover by shares.
	PreviousSealedSecretLocation string
	InitialValidityDays          int64 // of the service certificate
	// SealedResume goes on with the same service, from what is sealed there, if its
	// members allow that. Synod's own.
	SealedResume bool
	// SealedResumeWait is how long a service that resumes waits for as many nodes
	// as it had, which are trusted at once until it opens.
	SealedResumeWait time.Duration
}

func readCommand(f *fields, c *Command) {
	t := string(c.Type)
	f.enum("type", &t, required, string(CommandStart), string(CommandJoin), string(CommandRecover))
	c.Type = CommandType(t)
	f.str("service_certificate_file", &c.ServiceCertificateFile, optional)
	f.known("start", "join", "recover")
	switch c.Type {
	case CommandStart:
		if s, ok := f.object("start", required); ok {
			readStart(s, &c.Start)
		}
	case CommandJoin:
		if j, ok := f.object("join", required); ok {
			readJoin(j, &c.Join)
		}
	case CommandRecover:
		if r, ok := f.object("recover", required); ok {
			r.str("previous_service_identity_file", &c.Recover.PreviousServiceIdentityFile, required)
			r.str("previous_sealed_ledger_secret_location", &c.Recover.PreviousSealedSecretLocation, optional)
			r.integer("initial_service_certificate_validity_days", &c.Recover.InitialValidityDays, 1)
			r.boolean("sealed_resume", &c.Recover.SealedResume)
			r.duration("sealed_resume_wait", &c.Recover.SealedResumeWait, optional)
			r.close()
		}
	}
	f.closeTolerant()
}

func readStart(f *fields, s *Start) {
	f.strs("constitution_files", &s.ConstitutionFiles, required)
	f.objects("members", required, func(m *fields) {
		var files MemberFiles
		m.str("certificate_file", &files.CertificateFile, required)
		m.str("encryption_public_key_file", &files.EncryptionKeyFile, nullable)
		m.str("data_json_file", &files.DataFile, nullable)
		m.enum("recovery_role", &files.RecoveryRole, optional, RoleNonParticipant, RoleParticipant, RoleOwner)
		m.close()
		s.Members = append(s.Members, files)
	})
	if v, ok := f.object("service_configuration", optional); ok {
		sc := &s.ServiceConfiguration
		if !v.has("recovery_threshold") {
			v.fault("recovery_threshold", "is required")
		}
		v.integer("recovery_threshold", &sc.RecoveryThreshold, 0)
		v.integer("maximum_node_certificate_validity_days", &sc.MaximumNodeValidityDays, 1)
		v.integer("maximum_service_certificate_validity_days", &sc.MaximumServiceValidityDays, 1)
		v.integer("recent_cose_proposals_window_size", &sc.RecentProposalsWindow, 1)
		v.close()
	}
	f.integer("initial_service_certificate_validity_days", &s.InitialValidityDays, 1)
	f.str("service_subject_name", &s.ServiceSubjectName, optional)
	if v, ok := f.object("cose_signatures", optional); ok {
		v.str("issuer", &s.COSEIssuer, optional)
		v.str("subject", &s.COSESubject, optional)
		v.closeTolerant()
	}
	f.close()
}

func readJoin(f *fields, j *Join) {
	f.str("target_rpc_address", &j.TargetRPCAddress, required)
	f.duration("retry_timeout", &j.RetryTimeout, optional)
	f.boolean("follow_redirect", &j.FollowRedirect)
	f.boolean("fetch_recent_snapshot", &j.FetchRecentSnapshot)
	f.integer("fetch_snapshot_max_attempts", &j.FetchSnapshotTries, 1)
	f.duration("fetch_snapshot_retry_interval", &j.FetchSnapshotWait, optional)
	f.size("fetch_snapshot_max_size", &j.FetchSnapshotSizeMax)
	f.close()
}
