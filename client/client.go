package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"synod/internal/identity"
)

// Defaults of a Client.
const (
	// DefaultTimeout bounds one attempt of one request. The service holds an
	// answer back for at most 10 s when asked to wait for commit.
	DefaultTimeout = 15 * time.Second
	// DefaultRetriesMax is how often a request is sent again.
	DefaultRetriesMax = 5
	// DefaultRetryAfterMax caps the wait that a server may ask for.
	DefaultRetryAfterMax = 3 * time.Second
	// DefaultBodyMax bounds the response bodies that are read, in bytes.
	DefaultBodyMax = 64 << 20
	// redirectsMax is how many redirects one request follows.
	redirectsMax = 10
)

// Errors of Dial.
var (
	// ErrNotSecure says that a URL is not https.
	ErrNotSecure = errors.New("not an https URL")
	// ErrNoServiceCertificate says that no service certificate was given.
	ErrNoServiceCertificate = errors.New("no service certificate to trust")
)

// Client talks to one service, starting at one node. It may be used from
// several goroutines.
type Client struct {
	base          *url.URL
	http          *http.Client
	serviceCert   []byte
	retriesMax    int
	retryAfterMax time.Duration
}

// Option changes a Client made by Dial.
type Option func(*options) error

type options struct {
	tls           *tls.Config
	serviceCert   []byte
	timeout       time.Duration
	expired       bool // see WithExpiredCertificates
	retriesMax    int
	retryAfterMax time.Duration
}

// WithServiceCertificate trusts the service whose PEM certificate this is, and
// only it: a node must show a certificate that this one signed, for the host
// in the URL. It is required.
func WithServiceCertificate(certPEM []byte) Option {
	return func(o *options) error {
		block, _ := pem.Decode(certPEM)
		if block == nil || block.Type != "CERTIFICATE" {
			return errors.New("service certificate: not a PEM certificate")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("service certificate: %w", err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(cert)
		o.tls.RootCAs = pool
		o.serviceCert = pem.EncodeToMemory(block)
		return nil
	}
}

// WithClientCertificate presents a user's or member's certificate; both
// arguments are PEM.
func WithClientCertificate(certPEM, keyPEM []byte) Option {
	return func(o *options) error {
		pair, err := tls.X509KeyPair(certPEM, keyPEM)
		if err != nil {
			return fmt.Errorf("client certificate: %w", err)
		}
		o.tls.Certificates = []tls.Certificate{pair}
		return nil
	}
}

// WithExpiredCertificates takes certificates of the service's nodes whatever
// their dates, and that of the service too: keys and names are checked as ever.
// Members need it to renew certificates that have run out.
func WithExpiredCertificates() Option {
	return func(o *options) error {
		o.expired = true
		return nil
	}
}

// dialExpired dials a node whose certificate may have run out.
func (o *options) dialExpired(ctx context.Context, network, address string) (net.Conn, error) {
	service, err := identity.ParseCertPEM(o.serviceCert)
	if err != nil {
		return nil, err
	}
	key, ok := service.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("service certificate: its key is a %T", service.PublicKey)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config := o.tls.Clone()
	config.InsecureSkipVerify = true //nolint:gosec // VerifyConnection checks all but dates
	config.VerifyConnection = func(state tls.ConnectionState) error {
		node := state.PeerCertificates[0]
		return errors.Join(identity.EndorsedBy(node, key), node.VerifyHostname(host))
	}
	return (&tls.Dialer{NetDialer: &net.Dialer{Timeout: o.timeout}, Config: config}).DialContext(ctx, network, address)
}

// WithTimeout bounds one attempt of one request; the default is
// DefaultTimeout.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error {
		if d <= 0 {
			return fmt.Errorf("timeout %v: want more than 0", d)
		}
		o.timeout = d
		return nil
	}
}

// WithRetries sets how often a request is sent again, 0 for never; the default
// is DefaultRetriesMax.
func WithRetries(retriesMax int) Option {
	return func(o *options) error {
		if retriesMax < 0 {
			return fmt.Errorf("%d retries: want 0 or more", retriesMax)
		}
		o.retriesMax = retriesMax
		return nil
	}
}

// Dial makes a client for the service at an https URL such as
// https://127.0.0.1:8000. It opens no connection yet.
func Dial(rawURL string, opts ...Option) (*Client, error) {
	base, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("service URL: %w", err)
	}
	if base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("service URL %q: %w", rawURL, ErrNotSecure)
	}
	if strings.Trim(base.Path, "/") != "" || base.RawQuery != "" || base.User != nil {
		return nil, fmt.Errorf("service URL %q: want scheme, host and port only", rawURL)
	}
	o := options{
		tls:           &tls.Config{MinVersion: tls.VersionTLS12},
		timeout:       DefaultTimeout,
		retriesMax:    DefaultRetriesMax,
		retryAfterMax: DefaultRetryAfterMax,
	}
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	if o.tls.RootCAs == nil {
		return nil, ErrNoServiceCertificate
	}
	transport := &http.Transport{
		TLSClientConfig:     o.tls,
		TLSHandshakeTimeout: o.timeout,
		DisableCompression:  true,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     30 * time.Second,
	}
	if o.expired {
		transport.DialTLSContext = o.dialExpired
	}
	return &Client{
		base:        &url.URL{Scheme: base.Scheme, Host: base.Host},
		serviceCert: o.serviceCert,
		http: &http.Client{
			Transport: transport,
			Timeout:   o.timeout,
			// Redirects are followed by hand: a POST must keep its body.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		retriesMax:    o.retriesMax,
		retryAfterMax: o.retryAfterMax,
	}, nil
}

// URL is the address that Dial was given.
func (c *Client) URL() string { return c.base.String() }

// ServiceCertificate is the PEM certificate that the client trusts.
func (c *Client) ServiceCertificate() []byte { return append([]byte{}, c.serviceCert...) }

// Close drops idle connections. Requests under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }
