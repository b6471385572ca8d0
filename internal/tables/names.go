package tables

// The prefixes that decide a map's domain and category.
const (
	PublicPrefix     = "public:"
	GovPrefix        = "public:ccf.gov."
	InternalPrefix   = "public:ccf.internal."
	SynodPrefix      = "public:synod."
	reservedCategory = "ccf."
)

// Governance tables: members and users
// (CCF: include/ccf/service/tables/members.h, users.h).
const (
	MemberCerts          = "public:ccf.gov.members.certs"                  // member ID raw → PEM raw
	MemberEncryptionKeys = "public:ccf.gov.members.encryption_public_keys" // member ID raw → PEM raw; recovery participants and owners only
	Members              = "public:ccf.gov.members.info"                   // member ID raw → MemberInfo json
	MemberAcks           = "public:ccf.gov.members.acks"                   // member ID raw → MemberAck json
	UserCerts            = "public:ccf.gov.users.certs"                    // user ID raw → PEM raw
	Users                = "public:ccf.gov.users.info"                     // user ID raw → UserInfo json
)

// Governance tables: nodes and what may join
// (CCF: include/ccf/service/tables/nodes.h, code_id.h, host_data.h and others).
const (
	Nodes                    = "public:ccf.gov.nodes.info"                  // node ID raw → NodeInfo json
	NodeEndorsedCertificates = "public:ccf.gov.nodes.endorsed_certificates" // node ID raw → PEM raw
	NodeCodeIDs              = "public:ccf.gov.nodes.code_ids"              // 64 hex raw → "AllowedToJoin" json; SGX, legacy
	VirtualMeasurements      = "public:ccf.gov.nodes.virtual.measurements"  // text raw → "AllowedToJoin" json
	VirtualHostData          = "public:ccf.gov.nodes.virtual.host_data"     // 64 hex raw → unit
	SNPMeasurements          = "public:ccf.gov.nodes.snp.measurements"      // 96 hex raw → "AllowedToJoin" json
	SNPHostData              = "public:ccf.gov.nodes.snp.host_data"         // 64 hex raw → security policy text json
	SNPUVMEndorsements       = "public:ccf.gov.nodes.snp.uvm_endorsements"  // DID raw → UVMEndorsements json
	SNPTCBVersions           = "public:ccf.gov.nodes.snp.tcb_versions"      // 8 hex CPUID raw → TCBVersion json
)

// Governance tables: the service and its constitution
// (CCF: include/ccf/service/tables/service.h, constitution.h, gov.h,
// src/service/tables/config.h, governance_history.h).
const (
	Service                 = "public:ccf.gov.service.info"                      // unit → ServiceInfo json
	ServiceConfiguration    = "public:ccf.gov.service.config"                    // unit → ServiceConfig json
	PreviousServiceIdentity = "public:ccf.gov.service.previous_service_identity" // unit → PEM text json
	Constitution            = "public:ccf.gov.constitution"                      // unit → module text json
	Proposals               = "public:ccf.gov.proposals"                         // proposal ID raw → payload raw
	ProposalsInfo           = "public:ccf.gov.proposals_info"                    // proposal ID raw → ProposalInfo json
	GovHistory              = "public:ccf.gov.history"                           // member ID raw → SignedReq json; legacy
	COSEHistory             = "public:ccf.gov.cose_history"                      // member ID raw → Bytes json, the whole COSE_Sign1
	COSERecentProposals     = "public:ccf.gov.cose_recent_proposals"             // "<created_at, 10 digits>:<hex>" raw → proposal ID json
)

// Governance tables: JavaScript application
// (CCF: include/ccf/service/tables/modules.h, jsengine.h,
// src/service/tables/endpoints.h).
const (
	Modules          = "public:ccf.gov.modules"                  // module name with leading "/" raw → source raw
	ModulesBytecode  = "public:ccf.gov.modules_quickjs_bytecode" // module name raw → bytecode raw
	ModulesVersion   = "public:ccf.gov.modules_quickjs_version"  // unit → engine version raw
	InterpreterFlush = "public:ccf.gov.interpreter.flush"        // unit → true json; only the write's version matters
	JSRuntime        = "public:ccf.gov.js_runtime_options"       // unit → JSRuntimeOptions json
	Endpoints        = "public:ccf.gov.endpoints"                // "GET /path" raw → EndpointProperties json
)

// Governance tables: TLS and JWT
// (CCF: include/ccf/service/tables/cert_bundles.h, jwt.h).
const (
	CACertBundles       = "public:ccf.gov.tls.ca_cert_bundles"                 // name raw → PEM bundle text json
	JWTIssuers          = "public:ccf.gov.jwt.issuers"                         // issuer raw → JWTIssuer json
	JWTSigningKeys      = "public:ccf.gov.jwt.public_signing_keys_metadata_v2" // key ID raw → []JWTKey json
	JWTSigningCerts     = "public:ccf.gov.jwt.public_signing_keys_metadata"    // key ID raw → []JWTCert json; legacy, removals only
	JWTSigningKeyV1     = "public:ccf.gov.jwt.public_signing_key"              // key ID raw → DER raw; legacy, removals only
	JWTSigningKeyIssuer = "public:ccf.gov.jwt.public_signing_key_issuer"       // key ID raw → issuer raw; legacy, removals only
)

// Internal tables: never written by scripts
// (CCF: src/service/tables/signatures.h, secrets.h, shares.h and others).
const (
	Signatures             = "public:ccf.internal.signatures"                            // unit → SignatureRecord json
	COSESignatures         = "public:ccf.internal.cose_signatures"                       // unit → Bytes json, a COSE_Sign1
	Tree                   = "public:ccf.internal.tree"                                  // unit → serialised Merkle tree raw
	Snapshots              = "public:ccf.internal.snapshot_evidence"                     // unit → SnapshotEvidence json
	EncryptedLedgerSecrets = "public:ccf.internal.encrypted_ledger_secrets"              // unit → LedgerSecretsForNodes json
	HistoricalLedgerSecret = "public:ccf.internal.historical_encrypted_ledger_secret"    // unit → EncryptedPastSecret json
	Shares                 = "public:ccf.internal.recovery_shares"                       // unit → RecoveryShares json
	SubmittedShares        = "public:ccf.internal.encrypted_submitted_shares"            // member ID raw → Bytes json, tag‖iv‖ciphertext
	ServiceEndorsement     = "public:ccf.internal.previous_service_identity_endorsement" // unit → COSEEndorsement json
	PreviousServiceRoot    = "public:ccf.internal.previous_service_last_signed_root"     // unit → hex root json
	LastRecoveryType       = "public:ccf.internal.last_recovery_type"                    // unit → RecoveryType json
)

// Raft holds the configuration of the consensus group: unit → RaftConfig
// json. An entry changes the configuration exactly when it writes this row.
const Raft = "public:synod.internal.raft"

// NodeStarts says where the log of a node that joined from a snapshot begins:
// node ID raw → seqno json of the snapshot. Other nodes have no row.
const NodeStarts = "public:synod.internal.node_starts"

// SealedResume is what members allow nodes to keep on their disks, sealed to their
// platform: unit → SealedResumePolicy json. Without a row they allow nothing.
const SealedResume = "public:synod.gov.sealed_resume"

// Recovery says where a recovered service goes on, and what was dropped: unit →
// RecoveryReport json, written by its first transaction.
const Recovery = "public:synod.internal.recovery"
