package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Validate checks what the shape of the file does not: addresses, regular
// expressions and the relations between fields. It returns an *Error with all
// faults, or nil. Load and Parse have done this already.
func (c *Config) Validate() error {
	if faults := c.check(nil); len(faults) > 0 {
		return &Error{Faults: faults}
	}
	return nil
}

type checker struct {
	faults []Fault
	skip   map[string]bool // paths that have a fault already
}

// fault reports a fault unless the value, or something in it or around it, has
// one already.
func (k *checker) fault(path, format string, args ...any) {
	for at := path; at != ""; at = at[:max(0, strings.LastIndexAny(at, ".["))] {
		if k.skip[at] {
			return
		}
	}
	for at := range k.skip {
		if strings.HasPrefix(at, path+".") || strings.HasPrefix(at, path+"[") {
			return
		}
	}
	k.faults = append(k.faults, Fault{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (k *checker) address(path, address string) {
	if address == "" {
		k.fault(path, "is required")
		return
	}
	if _, _, err := SplitAddress(address); err != nil {
		k.fault(path, "%v", err)
	}
}

func (k *checker) most(path string, n, most int64) {
	if n > most {
		k.fault(path, "is %d, want at most %d", n, most)
	}
}

func (c *Config) check(skip map[string]bool) []Fault {
	k := &checker{skip: skip}
	k.address("$.network.node_to_node_interface.bind_address", c.Network.NodeToNode.BindAddress)
	if a := c.Network.NodeToNode.PublishedAddress; a != "" {
		k.address("$.network.node_to_node_interface.published_address", a)
	}
	if len(c.Network.RPCInterfaces) == 0 {
		k.fault("$.network.rpc_interfaces", "is empty: a node needs an interface for clients")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Network.RPCInterfaces)) {
		k.checkInterface("$.network.rpc_interfaces."+name, c.Network.RPCInterfaces[name])
	}
	k.checkCommand(&c.Command)
	if c.Ledger.ChunkSize < 1 || c.Ledger.ChunkSize > ChunkSizeMax {
		k.fault("$.ledger.chunk_size", "is %d bytes, want 1 to %d", c.Ledger.ChunkSize, int64(ChunkSizeMax))
	}
	if c.Consensus.MessageTimeout <= 0 {
		k.fault("$.consensus.message_timeout", "is zero")
	}
	if c.Consensus.ElectionTimeout <= c.Consensus.MessageTimeout {
		k.fault("$.consensus.election_timeout", "is %v, want more than message_timeout (%v)", c.Consensus.ElectionTimeout, c.Consensus.MessageTimeout)
	}
	if c.FilesCleanup.Interval <= 0 {
		k.fault("$.files_cleanup.interval", "is zero")
	}
	k.most("$.worker_threads", c.WorkerThreads, WorkerThreadsMax)
	for i, san := range c.NodeCertificate.SubjectAltNames {
		if err := checkSAN(san); err != nil {
			k.fault(fmt.Sprintf("$.node_certificate.subject_alt_names[%d]", i), "%v", err)
		}
	}
	if c.NodeClientInterface != "" {
		k.address("$.node_client_interface", c.NodeClientInterface)
	}
	return k.faults
}

func (k *checker) checkInterface(path string, i Interface) {
	k.address(path+".bind_address", i.BindAddress)
	if i.PublishedAddress != "" {
		k.address(path+".published_address", i.PublishedAddress)
	}
	if i.Protocol != "tcp" && i.Protocol != "udp" {
		k.fault(path+".protocol", "is %q, want tcp or udp", i.Protocol)
	}
	if (i.Protocol == "udp") != (i.AppProtocol == AppQUIC) {
		k.fault(path+".app_protocol", "is %q on %s: %s is what udp carries, and only udp", i.AppProtocol, i.Protocol, AppQUIC)
	}
	if i.SessionsHard < i.SessionsSoft {
		k.fault(path+".max_open_sessions_hard", "is %d, want at least max_open_sessions_soft (%d)", i.SessionsHard, i.SessionsSoft)
	}
	if s := i.HTTP.FrameSizeMax; s < FrameSizeMin || s > FrameSizeMax {
		k.fault(path+".http_configuration.max_frame_size", "is %d bytes, want %d to %d", s, FrameSizeMin, FrameSizeMax)
	}
	k.most(path+".http_configuration.initial_window_size", i.HTTP.InitialWindowSize, 1<<31-1)
	for n, expr := range i.AcceptedEndpoints {
		if _, err := CompileEndpoint(expr); err != nil {
			k.fault(fmt.Sprintf("%s.accepted_endpoints[%d]", path, n), "is not a regular expression: %v", err)
		}
	}
}

func (k *checker) checkCommand(c *Command) {
	switch c.Type {
	case CommandStart:
		if len(c.Start.ConstitutionFiles) == 0 {
			k.fault("$.command.start.constitution_files", "is empty: a service needs a constitution")
		}
		if len(c.Start.Members) == 0 {
			k.fault("$.command.start.members", "is empty: a service needs a member")
		}
	case CommandJoin:
		k.address("$.command.join.target_rpc_address", c.Join.TargetRPCAddress)
	case CommandRecover:
		if c.Recover.PreviousServiceIdentityFile == "" {
			k.fault("$.command.recover.previous_service_identity_file", "is required")
		}
		if c.Recover.SealedResume && c.Recover.PreviousSealedSecretLocation == "" {
			k.fault("$.command.recover.previous_sealed_ledger_secret_location", "is required with sealed_resume")
		}
	default:
		k.fault("$.command.type", "is %q, want Start, Join or Recover", c.Type)
	}
}

// SplitAddress cuts "host:port" at its last colon. The host may be a name, an
// IPv4 address or an IPv6 address, in brackets or not; the port is 0 to 65535.
// A missing port is 0 (CCF: src/host/cli_helper.h).
func SplitAddress(address string) (host, port string, err error) {
	i := strings.LastIndexByte(address, ':')
	host, port = address, "0"
	if i >= 0 && !strings.HasSuffix(address, "]") {
		host, port = address[:i], address[i+1:]
	}
	if strings.HasPrefix(host, "[") {
		if !strings.HasSuffix(host, "]") {
			return "", "", fmt.Errorf("is %q: bracket without its pair", address)
		}
		host = host[1 : len(host)-1]
	}
	if host == "" || strings.ContainsAny(host, " \t\r\n/@[]") {
		return "", "", fmt.Errorf("is %q, want host:port", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("is %q: port %q is not a number from 0 to 65535", address, port)
	}
	return host, port, nil
}

// CompileEndpoint compiles an element of accepted_endpoints: a regular
// expression that a path has to match from its first byte to its last.
func CompileEndpoint(expr string) (*regexp.Regexp, error) {
	return regexp.Compile(`\A(?:` + expr + `)\z`)
}

func checkSAN(san string) error {
	if ip, ok := strings.CutPrefix(san, "iPAddress:"); ok {
		if net.ParseIP(ip) == nil {
			return fmt.Errorf("is %q: not an IP address", san)
		}
		return nil
	}
	if name, ok := strings.CutPrefix(san, "dNSName:"); ok && name != "" {
		return nil
	}
	return errors.New("is " + strconv.Quote(san) + ", want iPAddress:… or dNSName:…")
}
