package arm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Lives of the certificates that a server makes for itself.
const (
	// authorityLife is the life of the server's own authority.
	authorityLife = 10 * 365 * 24 * time.Hour
	// certificateLife is the life of the server's certificate; a new one is made
	// when two thirds of it are over.
	certificateLife = 90 * 24 * time.Hour
	// clockSkew is how far in the past a new certificate begins.
	clockSkew = 5 * time.Minute
	// reloadInterval is how often a given certificate's file is looked at.
	reloadInterval = 10 * time.Second
)

// Authority is the server's own certificate authority: what its clients need to
// trust. Its certificate is ca.pem in the data directory, its key ca.key (0600).
type Authority struct {
	Certificate *x509.Certificate
	PEM         []byte
	key         crypto.Signer
	now         func() time.Time
}

// OpenAuthority reads the authority in a directory, or makes one. One whose
// time is two thirds over gets a new certificate for the same key, which those
// who trust the old one have to be given in time.
func OpenAuthority(dir string, now func() time.Time) (*Authority, error) {
	keyPath := filepath.Join(dir, "ca.key")
	if _, err := os.Stat(keyPath); errors.Is(err, fs.ErrNotExist) {
		if err := newKeyFile(keyPath); err != nil {
			return nil, fmt.Errorf("server's authority: %w", err)
		}
	}
	a, err := ReadAuthority(dir, now)
	if err != nil || a.Certificate != nil && !due(a.Certificate, now()) {
		return a, err
	}
	if err := a.renew(); err != nil {
		return nil, fmt.Errorf("server's authority: %w", err)
	}
	return a, writeShared(filepath.Join(dir, "ca.pem"), a.PEM)
}

// ReadAuthority reads the authority in a directory as it is. One whose
// certificate has not been made has none.
func ReadAuthority(dir string, now func() time.Time) (*Authority, error) {
	certPath, keyPath := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	a := &Authority{now: now}
	text, err := os.ReadFile(keyPath)
	if err != nil {
		return nil, fmt.Errorf("server's authority: %w", err)
	}
	if a.key, err = parseKey(text); err != nil {
		return nil, fmt.Errorf("server's authority: %s: %w", keyPath, err)
	}
	a.PEM, err = os.ReadFile(certPath)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err == nil {
		a.Certificate, err = parseAuthority(a.PEM, a.key)
	}
	if err != nil {
		return nil, fmt.Errorf("server's authority: %s: %w", certPath, err)
	}
	return a, nil
}

func newKeyFile(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePrivate(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// writeShared writes a file that everybody may read, whole or not at all.
func writeShared(path string, data []byte) error {
	if err := writePrivate(path, data); err != nil {
		return err
	}
	return os.Chmod(path, 0o644) //nolint:gosec // a certificate
}

func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("no PKCS #8 key")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key cannot sign")
	}
	return signer, nil
}

func parseAuthority(text []byte, key crypto.Signer) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if pub, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(key.Public()) {
		return nil, errors.New("the certificate is for another key than the one beside it")
	}
	return cert, nil
}

// due reports whether two thirds of a certificate's life are over.
func due(cert *x509.Certificate, now time.Time) bool {
	life := cert.NotAfter.Sub(cert.NotBefore)
	return now.After(cert.NotBefore.Add(life / 3 * 2))
}

func (a *Authority) renew() error {
	name := "Synod server"
	if host, err := os.Hostname(); err == nil {
		name += " on " + host
	}
	template := a.template(pkix.Name{CommonName: name}, authorityLife)
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		return err
	}
	a.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	a.Certificate, err = x509.ParseCertificate(der)
	return err
}

func (a *Authority) template(subject pkix.Name, life time.Duration) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	now := a.now().UTC()
	return &x509.Certificate{SerialNumber: serial, Subject: subject, NotBefore: now.Add(-clockSkew), NotAfter: now.Add(life)}
}

// Fingerprint is the SHA-256 of the authority's certificate, in hex: what a
// client compares before it trusts.
func (a *Authority) Fingerprint() string {
	sum := sha256.Sum256(a.Certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// issue makes a server certificate for hosts, names and addresses.
func (a *Authority) issue(hosts []string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := a.template(pkix.Name{CommonName: hosts[0]}, certificateLife)
	if template.NotAfter.After(a.Certificate.NotAfter) {
		template.NotAfter = a.Certificate.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Certificate, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// ServerTLS says how a server shows itself, and which client certificates it
// takes.
type ServerTLS struct {
	Authority *Authority
	// Hosts are the names and addresses in the certificate that Authority makes.
	Hosts []string
	// CertFile and KeyFile, if set, are used instead, and read again when they
	// change.
	CertFile, KeyFile string
	// ClientCA are the authorities of client certificates, PEM; none asks for none.
	ClientCA []byte
	Now      func() time.Time
}

// Config returns the configuration of a listener. Certificates are renewed and
// reloaded while it serves.
func (s ServerTLS) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Time: s.Now}
	if len(s.ClientCA) > 0 {
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(s.ClientCA) {
			return nil, errors.New("the client authority's file has no PEM certificate")
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	served := &servedCertificate{from: s}
	if _, err := served.get(nil); err != nil {
		return nil, err
	}
	config.GetCertificate = served.get
	return config, nil
}

// servedCertificate is the certificate that new connections are shown.
type servedCertificate struct {
	from ServerTLS

	mu      sync.Mutex
	current *tls.Certificate // guarded by mu
	looked  time.Time        // guarded by mu: when the files were last looked at
	stamp   string           // guarded by mu: of the files that current is from
}

func (c *servedCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.from.Now()
	if c.from.CertFile == "" {
		if c.current == nil || due(c.current.Leaf, now) {
			made, err := c.from.Authority.issue(c.from.Hosts)
			if err != nil {
				return nil, err
			}
			c.current = made
		}
		return c.current, nil
	}
	if c.current != nil && now.Sub(c.looked).Abs() < reloadInterval {
		return c.current, nil
	}
	c.looked = now
	stamp, err := fileStamp(c.from.CertFile, c.from.KeyFile)
	if c.current != nil && (err != nil || stamp == c.stamp) {
		return c.current, nil
	}
	loaded, err := tls.LoadX509KeyPair(c.from.CertFile, c.from.KeyFile)
	if err != nil {
		if c.current != nil { // half of a pair is new: the other half will come
			return c.current, nil
		}
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	c.current, c.stamp = &loaded, stamp
	return c.current, nil
}

func fileStamp(names ...string) (string, error) {
	stamp := ""
	for _, n := range names {
		info, err := os.Stat(n)
		if err != nil {
			return "", err
		}
		stamp += fmt.Sprintf("%d %d;", info.ModTime().UnixNano(), info.Size())
	}
	return stamp, nil
}

// LocalHosts are the names and addresses of this machine that a server's
// certificate always has.
func LocalHosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && name != "localhost" {
		hosts = append(hosts, name)
	}
	return hosts
}

// OpenToken reads the static token in a file, or makes one: 32 random bytes in
// hex, mode 0600.
func OpenToken(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		var b [32]byte
		rand.Read(b[:]) //nolint:errcheck // never fails
		text = []byte(hex.EncodeToString(b[:]) + "\n")
		err = writePrivate(path, text)
	}
	if err != nil {
		return "", fmt.Errorf("static token: %w", err)
	}
	token := string(text)
	for len(token) > 0 && (token[len(token)-1] == '\n' || token[len(token)-1] == '\r') {
		token = token[:len(token)-1]
	}
	if len(token) < tokenMin {
		return "", fmt.Errorf("static token: %s has fewer than %d characters", path, tokenMin)
	}
	return token, nil
}

// tokenMin is the shortest static token that is taken, in characters.
const tokenMin = 16
