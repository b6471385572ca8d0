package config

import "time"

// Defaults, as CCF has them (CCF: doc/host_config_schema/cchost_config.json,
// include/ccf/node/startup_config.h). Sizes are in bytes.
const (
	DefaultServiceCertificateFile = "service_cert.pem"
	DefaultServiceSubjectName     = "CN=CCF Service"
	DefaultNodeSubjectName        = "CN=CCF Node"
	DefaultCurveID                = "Secp384R1"
	// DefaultInitialValidityDays is short on purpose: members renew certificates
	// by proposal soon after start.
	DefaultInitialValidityDays   = 1
	DefaultMaximumValidityDays   = 365
	DefaultRecentProposalsWindow = 100 // proposals kept against replay

	DefaultProtocol     = "tcp"
	DefaultAppProtocol  = AppHTTP1
	DefaultSessionsSoft = 1000
	DefaultSessionsHard = 1010
	// DefaultBodySizeMax and its neighbours bound what one client can make a
	// node hold before authentication.
	DefaultBodySizeMax          = 1 << 20
	DefaultHeaderSizeMax        = 16 << 10
	DefaultHeadersCountMax      = 256
	DefaultStreamsMax           = 100
	DefaultInitialWindowSize    = 64 << 10
	DefaultFrameSizeMax         = 16 << 10
	DefaultForwardingTimeout    = 3000 * time.Millisecond
	DefaultJoinRetryTimeout     = time.Second
	DefaultFetchSnapshotTries   = 3
	DefaultFetchSnapshotWait    = time.Second
	DefaultFetchSnapshotSizeMax = 10 << 30
	DefaultEndorsementsRetries  = 3
	// DefaultSealedResumeWait is long enough for machines that come back together.
	DefaultSealedResumeWait = 30 * time.Second
	DefaultEndorsementsType = "Azure"

	DefaultLedgerDirectory    = "ledger"
	DefaultLedgerChunkSize    = 5 << 20
	DefaultSnapshotsDirectory = "snapshots"
	DefaultSnapshotsTxCount   = 10000
	DefaultCleanupInterval    = 30 * time.Second
	DefaultHostLevel          = "Info"

	DefaultMessageTimeout   = 100 * time.Millisecond
	DefaultElectionTimeout  = 5 * time.Second
	DefaultUncommittedTxMax = 10000
	DefaultSignatureTxCount = 5000
	DefaultSignatureDelay   = time.Second
	DefaultJWTKeyRefresh    = 30 * time.Minute

	DefaultNodeCertificateFile = "nodecert.pem"
	// DefaultPIDFile is the name that CCF's code uses; its schema says node.pid.
	DefaultPIDFile = "my_node.pid"

	DefaultTickInterval            = 10 * time.Millisecond
	DefaultSlowIOThreshold         = 10 * time.Millisecond
	DefaultClientConnectionTimeout = 2 * time.Second
	DefaultIdleConnectionTimeout   = 60 * time.Second
	DefaultCircuitSize             = 16 << 20
	DefaultMaxMsgSize              = 64 << 20
	DefaultMaxFragmentSize         = 256 << 10
	// DefaultNodeToNodeMessageLimit is 2^24.5 (RFC 8446 §5.5).
	DefaultNodeToNodeMessageLimit   = 23726566
	DefaultHistoricalCacheSoftLimit = 512 << 20
)

// Bounds that Validate enforces.
const (
	// ChunkSizeMax is the largest ledger.chunk_size: positions in a chunk are
	// 32-bit.
	ChunkSizeMax = 1<<32 - 1
	// FrameSizeMin and FrameSizeMax bound max_frame_size (RFC 9113 §4.2).
	FrameSizeMin = 16 << 10
	FrameSizeMax = 16 << 20
	// WorkerThreadsMax is CCF's: more make it stop with TooManyThreads.
	WorkerThreadsMax = 23
	// FileSizeMax bounds the configuration and every file that it names, in
	// bytes.
	FileSizeMax = 16 << 20
)

// Default returns a Config with every default set, and without the required
// parts: listeners, command type and the selected command.
func Default() *Config {
	return &Config{
		Network: Network{RPCInterfaces: map[string]Interface{}},
		Command: Command{
			ServiceCertificateFile: DefaultServiceCertificateFile,
			Start: Start{
				ServiceSubjectName:  DefaultServiceSubjectName,
				InitialValidityDays: DefaultInitialValidityDays,
				ServiceConfiguration: ServiceConfiguration{
					MaximumNodeValidityDays:    DefaultMaximumValidityDays,
					MaximumServiceValidityDays: DefaultMaximumValidityDays,
					RecentProposalsWindow:      DefaultRecentProposalsWindow,
				},
			},
			Join: Join{
				RetryTimeout:         DefaultJoinRetryTimeout,
				FollowRedirect:       true,
				FetchRecentSnapshot:  true,
				FetchSnapshotTries:   DefaultFetchSnapshotTries,
				FetchSnapshotWait:    DefaultFetchSnapshotWait,
				FetchSnapshotSizeMax: DefaultFetchSnapshotSizeMax,
			},
			Recover: Recover{InitialValidityDays: DefaultInitialValidityDays, SealedResumeWait: DefaultSealedResumeWait},
		},
		NodeCertificate: NodeCertificate{
			SubjectName:         DefaultNodeSubjectName,
			CurveID:             DefaultCurveID,
			InitialValidityDays: DefaultInitialValidityDays,
		},
		Ledger:           Ledger{Directory: DefaultLedgerDirectory, ChunkSize: DefaultLedgerChunkSize},
		Snapshots:        Snapshots{Directory: DefaultSnapshotsDirectory, TxCount: DefaultSnapshotsTxCount},
		FilesCleanup:     FilesCleanup{Interval: DefaultCleanupInterval},
		Logging:          Logging{Format: LogText, HostLevel: DefaultHostLevel},
		LedgerSignatures: LedgerSignatures{TxCount: DefaultSignatureTxCount, Delay: DefaultSignatureDelay},
		Consensus: Consensus{
			MessageTimeout:   DefaultMessageTimeout,
			ElectionTimeout:  DefaultElectionTimeout,
			UncommittedTxMax: DefaultUncommittedTxMax,
		},
		JWT: JWT{KeyRefreshInterval: DefaultJWTKeyRefresh},
		OutputFiles: OutputFiles{
			NodeCertificateFile: DefaultNodeCertificateFile,
			PIDFile:             DefaultPIDFile,
		},
		TickInterval: DefaultTickInterval,
		Memory: Memory{
			CircuitSize:     DefaultCircuitSize,
			MaxMsgSize:      DefaultMaxMsgSize,
			MaxFragmentSize: DefaultMaxFragmentSize,
		},
		SlowIOThreshold:          DefaultSlowIOThreshold,
		ClientConnectionTimeout:  DefaultClientConnectionTimeout,
		IdleConnectionTimeout:    DefaultIdleConnectionTimeout,
		NodeToNodeMessageLimit:   DefaultNodeToNodeMessageLimit,
		HistoricalCacheSoftLimit: DefaultHistoricalCacheSoftLimit,
	}
}

// DefaultInterface returns an Interface with every default set and no address.
func DefaultInterface() Interface {
	return Interface{
		Protocol:     DefaultProtocol,
		AppProtocol:  DefaultAppProtocol,
		SessionsSoft: DefaultSessionsSoft,
		SessionsHard: DefaultSessionsHard,
		HTTP: HTTP{
			BodySizeMax:       DefaultBodySizeMax,
			HeaderSizeMax:     DefaultHeaderSizeMax,
			HeadersCountMax:   DefaultHeadersCountMax,
			StreamsMax:        DefaultStreamsMax,
			InitialWindowSize: DefaultInitialWindowSize,
			FrameSizeMax:      DefaultFrameSizeMax,
		},
		Authority:         AuthorityService,
		ForwardingTimeout: DefaultForwardingTimeout,
	}
}
