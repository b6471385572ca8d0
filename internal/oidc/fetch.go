package oidc

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
	"strings"
	"time"
)

const (
	// Timeout bounds the fetching of one issuer's keys.
	Timeout = 10 * time.Second
	// bodyMax bounds each of the two answers, in bytes.
	bodyMax = 1 << 20
	// headerMax bounds an answer's header, in bytes (CCF: the same as for
	// requests by default).
	headerMax = 16 << 10
)

// ErrAnswer says that the issuer answered, and not what it should have. Any
// other error means that there was no answer that could be read.
var ErrAnswer = errors.New("the issuer's answer is of no use")

// Keys are what an issuer publishes.
type Keys struct {
	Set json.RawMessage // JSON web key set (RFC 7517 §5), not looked into
	// Issuer is the iss claim of the issuer's tokens, by its own metadata; empty
	// if they do not say.
	Issuer string
}

// Fetch asks an issuer for its keys: its metadata first, which say where they
// are. bundle holds certificates in PEM. A server is believed if its certificate
// is one of them, or was issued by one of them for the name in the URL. CCF looks
// at no name: there, whoever holds any certificate of a public authority in the
// bundle can answer for the issuer (CCF: src/node/jwt_key_auto_refresh.h).
func Fetch(ctx context.Context, issuer string, bundle []byte) (*Keys, error) {
	trusted, err := parseBundle(bundle)
	if err != nil {
		return nil, err
	}
	target, err := parseURL(strings.TrimRight(issuer, "/") + "/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	body, err := get(ctx, target, trusted)
	if err != nil {
		return nil, err
	}
	next, name, err := parseMetadata(body)
	if err != nil {
		return nil, fmt.Errorf("%w: OpenID metadata: %s", ErrAnswer, err)
	}
	if body, err = get(ctx, next, trusted); err != nil {
		return nil, err
	}
	if !json.Valid(body) {
		return nil, fmt.Errorf("%w: JWKS: no JSON", ErrAnswer)
	}
	return &Keys{Set: body, Issuer: name}, nil
}

func parseBundle(bundle []byte) ([]*x509.Certificate, error) {
	var trusted []*x509.Certificate
	for {
		block, rest := pem.Decode(bundle)
		if block == nil {
			break
		}
		bundle = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("the CA certificate bundle: %w", err)
		}
		trusted = append(trusted, cert)
	}
	if len(trusted) == 0 {
		return nil, errors.New("the CA certificate bundle holds no certificate")
	}
	return trusted, nil
}

// parseURL takes only what leads to a server over TLS.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("not a URL") // the reason would quote it
	}
	if u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return nil, errors.New("not a URL of the form https://host/path")
	}
	return u, nil
}

// parseMetadata finds what is needed of a provider's metadata (OpenID Connect
// Discovery 1.0 §3).
func parseMetadata(body []byte) (keys *url.URL, issuer string, err error) {
	var metadata struct {
		JWKSURI string `json:"jwks_uri"`
		Issuer  string `json:"issuer"`
	}
	if err := json.Unmarshal(body, &metadata); err != nil {
		return nil, "", errors.New("not as specified")
	}
	if keys, err = parseURL(metadata.JWKSURI); err != nil {
		return nil, "", fmt.Errorf("jwks_uri: %w", err)
	}
	return keys, metadata.Issuer, nil
}

// get returns the body of a 200. Redirects are not followed: where keys come from
// is for members, and the issuer's metadata, to say.
func get(ctx context.Context, target *url.URL, trusted []*x509.Certificate) ([]byte, error) {
	client := &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:        clientTLS(target.Hostname(), trusted),
			MaxResponseHeaderBytes: headerMax,
			DisableKeepAlives:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d from %s", ErrAnswer, resp.StatusCode, target.Host)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyMax+1))
	if err != nil {
		return nil, err
	}
	if len(body) > bodyMax {
		return nil, fmt.Errorf("%w: more than %d bytes from %s", ErrAnswer, bodyMax, target.Host)
	}
	return body, nil
}

func clientTLS(host string, trusted []*x509.Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         host,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection does more: a certificate may be named itself
		VerifyConnection: func(state tls.ConnectionState) error {
			return believe(state.PeerCertificates, host, trusted, time.Now())
		},
	}
}

// believe says whether the trusted certificates vouch for a server's chain. The
// name of one that is itself among them does not matter.
func believe(chain []*x509.Certificate, host string, trusted []*x509.Certificate, now time.Time) error {
	leaf := chain[0]
	options := x509.VerifyOptions{DNSName: host, CurrentTime: now, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	for _, cert := range trusted {
		if cert.Equal(leaf) {
			if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
				return errors.New("the issuer's certificate has run out or is not valid yet")
			}
			return nil
		}
		options.Roots.AddCert(cert)
	}
	for _, cert := range chain[1:] {
		options.Intermediates.AddCert(cert)
	}
	_, err := leaf.Verify(options)
	return err
}
