package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Identity is what a node showed of itself and of its service.
type Identity struct {
	ServiceCertificate []byte // PEM
	NodeCertificate    *x509.Certificate
	ServiceStatus      string // Opening, Open, …
	RecoveryCount      int
}

// ErrNotOfService says that a node's certificate was not signed by the service
// that the node names.
var ErrNotOfService = errors.New("the node's certificate is not of the service that it names")

// identityMax bounds the answer that names a service, in bytes.
const identityMax = 1 << 20

// FetchIdentity asks the node at an https URL which service it is of, trusting
// nobody: it checks only that the node's certificate is that service's. Whoever
// goes on to trust the service must compare its fingerprint by another way.
func FetchIdentity(ctx context.Context, rawURL string, timeout time.Duration) (*Identity, error) {
	base, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("service URL: %w", err)
	}
	if base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("service URL %q: %w", rawURL, ErrNotSecure)
	}
	transport := &http.Transport{
		// The point is to learn whom to trust; the check follows the answer.
		TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+base.Host+"/node/network", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("service URL: %w", err)
	}
	resp, err := (&http.Client{Transport: transport, Timeout: timeout}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, identityMax))
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	var network Network
	if err := json.Unmarshal(body, &network); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("network: %s did not answer as a node of a service does (status %d)", rawURL, resp.StatusCode)
	}
	return identityOf(&network, resp.TLS.PeerCertificates[0])
}

// identityOf checks that the node's certificate is the named service's.
func identityOf(network *Network, node *x509.Certificate) (*Identity, error) {
	block, _ := pem.Decode([]byte(network.ServiceCertificate))
	if block == nil {
		return nil, errors.New("network: the node names no service certificate")
	}
	service, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("network: service certificate: %w", err)
	}
	if err := service.CheckSignature(node.SignatureAlgorithm, node.RawTBSCertificate, node.Signature); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotOfService, err)
	}
	return &Identity{
		ServiceCertificate: pem.EncodeToMemory(block), NodeCertificate: node,
		ServiceStatus: network.ServiceStatus, RecoveryCount: network.RecoveryCount,
	}, nil
}
