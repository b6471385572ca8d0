package config

import (
	"encoding/json"
	"time"
)

// Application protocols of an interface. Others are names that an application
// registers.
const (
	AppHTTP1 = "HTTP1"
	AppHTTP2 = "HTTP2"
	AppQUIC  = "QUIC" // on UDP, and an echo service, as in CCF
)

// Authority says who endorses the certificate that an interface shows.
type Authority string

// The authorities (CCF: include/ccf/service/node_info_network.h).
const (
	AuthorityNode      Authority = "Node"      // self-signed, there from the start
	AuthorityService   Authority = "Service"   // no session before the service has endorsed the node
	AuthorityACME      Authority = "ACME"      // accepted for old files; behaves as no certificate
	AuthorityUnsecured Authority = "Unsecured" // plain HTTP
)

// Interface is one listener for clients.
type Interface struct {
	BindAddress      string // host:port; port 0 lets the OS choose
	PublishedAddress string // what clients are told; "" means the bound address
	Protocol         string // tcp or udp
	AppProtocol      string
	// SessionsSoft is the number of open sessions above which new ones are
	// answered 503; above SessionsHard they are closed before the handshake.
	SessionsSoft, SessionsHard int64
	HTTP                       HTTP
	Authority                  Authority
	// AcceptedEndpoints are regular expressions that a path must match as a
	// whole. AcceptAll says that there is no list.
	AcceptedEndpoints []string
	AcceptAll         bool
	ForwardingTimeout time.Duration
	Redirections      *Redirections // nil: forward instead of redirecting
	// OperatorFeatures are what anybody who reaches the interface may do, which
	// is for operators: LedgerChunkRead. CCF's others are accepted and gate nothing.
	OperatorFeatures []string
	// Raw is the object as written, with unknown keys: what was set, for the
	// endpoints that echo it. nil for an Interface made in code.
	Raw json.RawMessage
}

// HTTP are the limits of one interface. Sizes are in bytes.
type HTTP struct {
	BodySizeMax, HeaderSizeMax, HeadersCountMax int64
	// HTTP/2 only.
	StreamsMax, InitialWindowSize, FrameSizeMax int64
}

// Redirections says where to send requests that another node must serve.
type Redirections struct {
	ToPrimary, ToBackup *Resolver // nil: not set
}

// Kinds of Resolver.
const (
	KindNodeByRole    = "NodeByRole"
	KindStaticAddress = "StaticAddress"
)

// Resolver makes a redirect's host.
type Resolver struct {
	Kind    string
	Role    string // KindNodeByRole: primary or backup
	Address string // KindStaticAddress
}

func readNetwork(f *fields, c *Config) {
	if n, ok := f.object("node_to_node_interface", required); ok {
		n.str("bind_address", &c.Network.NodeToNode.BindAddress, required)
		n.str("published_address", &c.Network.NodeToNode.PublishedAddress, optional)
		n.close()
	}
	if all, ok := f.object("rpc_interfaces", required); ok {
		for _, name := range all.names() {
			if i, ok := all.object(name, required); ok {
				c.Network.RPCInterfaces[name] = readInterface(i)
			}
		}
		all.close()
	}
	f.close()
}

func readInterface(f *fields) Interface {
	i := DefaultInterface()
	i.Raw = f.v.raw
	f.str("bind_address", &i.BindAddress, required)
	f.str("published_address", &i.PublishedAddress, optional)
	f.str("protocol", &i.Protocol, optional)
	f.str("app_protocol", &i.AppProtocol, optional)
	f.integer("max_open_sessions_soft", &i.SessionsSoft, 0)
	f.integer("max_open_sessions_hard", &i.SessionsHard, 0)
	if h, ok := f.object("http_configuration", optional); ok {
		h.size("max_body_size", &i.HTTP.BodySizeMax)
		h.size("max_header_size", &i.HTTP.HeaderSizeMax)
		h.integer("max_headers_count", &i.HTTP.HeadersCountMax, 0)
		h.integer("max_concurrent_streams_count", &i.HTTP.StreamsMax, 1)
		h.size("initial_window_size", &i.HTTP.InitialWindowSize)
		h.size("max_frame_size", &i.HTTP.FrameSizeMax)
		h.close()
	}
	if e, ok := f.object("endorsement", optional); ok {
		a := string(i.Authority)
		e.enum("authority", &a, required, "Node", "Service", "ACME", "Unsecured")
		i.Authority = Authority(a)
		e.close()
	}
	i.AcceptAll = !f.has("accepted_endpoints")
	f.strs("accepted_endpoints", &i.AcceptedEndpoints, optional)
	f.strs("enabled_operator_features", &i.OperatorFeatures, optional)
	ms := i.ForwardingTimeout.Milliseconds()
	f.integer("forwarding_timeout_ms", &ms, 0)
	i.ForwardingTimeout = time.Duration(min(ms, millisecondsMax)) * time.Millisecond
	if r, ok := f.object("redirections", optional); ok {
		i.Redirections = &Redirections{ToPrimary: readResolver(r, "to_primary"), ToBackup: readResolver(r, "to_backup")}
		r.close()
	}
	f.closeTolerant()
	return i
}

func readResolver(parent *fields, name string) *Resolver {
	f, ok := parent.object(name, optional)
	if !ok {
		return nil
	}
	r := &Resolver{}
	f.enum("kind", &r.Kind, required, KindNodeByRole, KindStaticAddress)
	switch r.Kind {
	case KindNodeByRole:
		r.Role = "primary"
		if t, ok := f.object("target", optional); ok {
			t.enum("role", &r.Role, optional, "primary", "backup")
			t.close()
		}
	case KindStaticAddress:
		if t, ok := f.object("target", required); ok {
			t.str("address", &r.Address, required)
			t.close()
		}
	default:
		return nil
	}
	f.close()
	return r
}
