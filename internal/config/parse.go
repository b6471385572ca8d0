package config

// Parse reads the text of a configuration file. Every fault that the text has
// is in the *Error that it returns.
func Parse(text []byte) (*Config, error) {
	root, faults, err := decode(text)
	if err != nil {
		return nil, err
	}
	c := Default()
	c.Text = text
	r := &reader{faults: faults}
	if f, ok := r.root(root); ok {
		readConfig(f, c)
	}
	r.faults = append(r.faults, c.check(r.reported())...)
	if len(r.faults) > 0 {
		return nil, &Error{Faults: r.faults}
	}
	return c, nil
}

func readConfig(f *fields, c *Config) {
	if v, ok := f.object("network", required); ok {
		readNetwork(v, c)
	}
	if v, ok := f.object("command", required); ok {
		readCommand(v, &c.Command)
	}
	if v, ok := f.object("node_certificate", optional); ok {
		n := &c.NodeCertificate
		v.str("subject_name", &n.SubjectName, optional)
		v.strs("subject_alt_names", &n.SubjectAltNames, optional)
		v.enum("curve_id", &n.CurveID, optional, "Secp384R1", "Secp256R1")
		v.integer("initial_validity_days", &n.InitialValidityDays, 1)
		v.close()
	}
	f.str("node_data_json_file", &c.NodeDataFile, nullable)
	f.str("service_data_json_file", &c.ServiceDataFile, nullable)
	if v, ok := f.object("attestation", optional); ok {
		readAttestation(v, &c.Attestation)
	}
	readStorage(f, c)
	if v, ok := f.object("logging", optional); ok {
		v.enum("host_level", &c.Logging.HostLevel, optional, "Trace", "Debug", "Info", "Fail", "Fatal")
		v.enum("format", &c.Logging.Format, optional, LogText, LogJSON)
		v.close()
	}
	readTimers(f, c)
	if v, ok := f.object("output_files", optional); ok {
		o := &c.OutputFiles
		v.str("node_certificate_file", &o.NodeCertificateFile, optional)
		v.str("pid_file", &o.PIDFile, optional)
		v.str("node_to_node_address_file", &o.NodeToNodeAddressFile, optional)
		v.str("rpc_addresses_file", &o.RPCAddressesFile, optional)
		v.str("sealed_ledger_secret_location", &o.SealedLedgerSecretLocation, optional)
		v.close()
	}
	f.str("node_client_interface", &c.NodeClientInterface, nullable)
	f.integer("worker_threads", &c.WorkerThreads, 0)
	if v, ok := f.object("memory", optional); ok {
		v.size("circuit_size", &c.Memory.CircuitSize)
		v.size("max_msg_size", &c.Memory.MaxMsgSize)
		v.size("max_fragment_size", &c.Memory.MaxFragmentSize)
		v.close()
	}
	f.boolean("ignore_first_sigterm", &c.IgnoreFirstSIGTERM)
	f.integer("node_to_node_message_limit", &c.NodeToNodeMessageLimit, 0)
	f.size("historical_cache_soft_limit", &c.HistoricalCacheSoftLimit)
	f.close()
}

func readAttestation(f *fields, a *Attestation) {
	f.str("snp_security_policy_file", &a.SecurityPolicyFile, nullable)
	f.str("snp_uvm_endorsements_file", &a.UVMEndorsementsFile, nullable)
	f.str("snp_endorsements_file", &a.EndorsementsFile, nullable)
	f.objects("snp_endorsements_servers", optional, func(v *fields) {
		s := EndorsementsServer{Type: DefaultEndorsementsType, RetriesMax: DefaultEndorsementsRetries}
		v.enum("type", &s.Type, optional, "Azure", "AMD", "THIM")
		v.str("url", &s.URL, required)
		v.integer("max_retries_count", &s.RetriesMax, 0)
		v.close()
		a.EndorsementsServers = append(a.EndorsementsServers, s)
	})
	f.close()
}

func readStorage(f *fields, c *Config) {
	if v, ok := f.object("ledger", optional); ok {
		v.str("directory", &c.Ledger.Directory, optional)
		v.strs("read_only_directories", &c.Ledger.ReadOnlyDirectories, optional)
		v.size("chunk_size", &c.Ledger.ChunkSize)
		v.close()
	}
	if v, ok := f.object("snapshots", optional); ok {
		v.str("directory", &c.Snapshots.Directory, optional)
		v.integer("tx_count", &c.Snapshots.TxCount, 1)
		v.str("read_only_directory", &c.Snapshots.ReadOnlyDirectory, nullable)
		v.close()
	}
	if v, ok := f.object("files_cleanup", optional); ok {
		v.integer("max_snapshots", &c.FilesCleanup.SnapshotsMax, 1)
		v.duration("interval", &c.FilesCleanup.Interval, optional)
		v.close()
	}
}

func readTimers(f *fields, c *Config) {
	if v, ok := f.object("consensus", optional); ok {
		v.duration("message_timeout", &c.Consensus.MessageTimeout, optional)
		v.duration("election_timeout", &c.Consensus.ElectionTimeout, optional)
		v.integer("max_uncommitted_tx_count", &c.Consensus.UncommittedTxMax, 0)
		v.close()
	}
	if v, ok := f.object("ledger_signatures", optional); ok {
		v.integer("tx_count", &c.LedgerSignatures.TxCount, 1)
		v.duration("delay", &c.LedgerSignatures.Delay, optional)
		v.close()
	}
	if v, ok := f.object("jwt", optional); ok {
		v.duration("key_refresh_interval", &c.JWT.KeyRefreshInterval, optional)
		v.close()
	}
	f.duration("tick_interval", &c.TickInterval, optional)
	f.duration("slow_io_logging_threshold", &c.SlowIOThreshold, optional)
	f.duration("client_connection_timeout", &c.ClientConnectionTimeout, optional)
	f.duration("idle_connection_timeout", &c.IdleConnectionTimeout, nullable)
}
