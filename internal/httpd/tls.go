package httpd

import (
	"crypto/tls"
	"errors"
	"slices"
)

// serverTLS is how sessions of an interface are secured
// (CCF: src/tls/context.h, src/tls/server.h): TLS 1.2 or later, the same
// cipher suites for 1.2, the same curves. Go chooses the suites of TLS 1.3
// itself, and among the curves by its own preference. A client certificate is
// asked for, never demanded and never verified: authentication policies decide.
// There is no resumption, so that a session's certificate is always the one
// whose key the client has just used, and no renegotiation, which Go's servers
// never do.
func serverTLS(cfg *Interface) *tls.Config {
	certificate := cfg.GetCertificate
	protocol := "http/1.1"
	if cfg.AppProtocol == HTTP2Protocol {
		protocol = "h2"
	}
	plain := &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		},
		CurvePreferences:       []tls.CurveID{tls.CurveP521, tls.CurveP384, tls.CurveP256},
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		// Small first records help browsers on slow links, and cost a system
		// call each.
		DynamicRecordSizingDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := certificate(); c != nil {
				return c, nil
			}
			return nil, errors.New("no TLS certificate")
		},
	}
	negotiating := plain.Clone()
	negotiating.NextProtos = []string{protocol}
	negotiating.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, protocol) {
			return nil, nil // as configured
		}
		// Go would refuse a client that offers only other protocols; CCF goes on
		// without ALPN.
		return plain, nil
	}
	return negotiating
}
