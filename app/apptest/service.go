package apptest

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"synod"
	"synod/app"
	"synod/internal/consensus"
	"synod/internal/evidence"
	"synod/internal/frontend"
	"synod/internal/historical"
	"synod/internal/host"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/secrets"
)

// commitMax is how long a test waits for a commit before it fails.
const commitMax = 10 * time.Second

// Service is a service of one node around an application.
type Service struct {
	t       testing.TB
	store   *kv.Store
	replica *consensus.Replica
	nodeID  synod.NodeID
	host    *host.Host
	front   *frontend.Server
	cert    string // PEM of the service's certificate
	service *x509.Certificate

	people  map[string]*identityOf
	issuers map[string]*ecdsa.PrivateKey

	mu     sync.Mutex
	now    time.Time    // guarded by mu
	before func(app.Tx) // guarded by mu: the next interruption, see Interrupt
	times  int          // guarded by mu: how often it is still due
}

// New starts a service and waits until it is open. The test's cleanup ends it.
func New(t testing.TB, a *app.App, options ...Option) *Service {
	t.Helper()
	o := &setup{now: time.Now()}
	for _, option := range options {
		option(o)
	}
	s := &Service{t: t, now: o.now, store: kv.New(), people: map[string]*identityOf{}, issuers: map[string]*ecdsa.PrivateKey{}}
	if err := s.start(a, o); err != nil {
		t.Fatalf("apptest: %s", err)
	}
	s.wait(synod.TxID{View: 2, SeqNo: 1})
	return s
}

func (s *Service) start(a *app.App, o *setup) error {
	log := slog.New(slog.DiscardHandler)
	disk, err := ledger.Open(ledger.Config{Dir: s.t.TempDir(), Log: log})
	if err != nil {
		return err
	}
	signer, err := s.signer(o)
	if err != nil {
		return err
	}
	s.nodeID = signer.NodeID
	secret, err := secrets.NewSecret()
	if err != nil {
		return err
	}
	chain := secrets.NewChain()
	chain.Set(1, secret)
	s.replica, err = consensus.New(consensus.Config{
		ID: 1, Log: disk, Machine: machine.New(s.store, evidence.NewTree(), chain, 5<<20), Signer: signer,
		Create: func() (*machine.Prepared, error) { return s.genesis(a, o) },
		Logger: log,
	})
	if err != nil {
		return err
	}
	past := historical.New(historical.Config{
		Entries: s.replica.Entries, SignatureAfter: s.replica.SignatureAfter, ViewOf: s.replica.ViewOf,
		Status: s.replica.Status, Committed: s.replica.Committed, Moved: s.replica.CommitMoved, Store: s.store, Secrets: chain,
		Service: func() (*ecdsa.PrivateKey, *x509.Certificate) { return signer.ServiceKey, s.service }, Now: s.Now,
	})
	s.host = &host.Host{
		Replica: s.replica, Store: s.store, Secrets: chain, Past: past,
		Issuer: o.issuer, Subject: o.subject, NodeID: signer.NodeID,
	}
	s.front, err = frontend.New(frontend.Config{
		Replica: s.replica, Store: s.store, Receipt: s.host.Receipt, Node: s.host, Logger: log, Now: s.Now,
		Mounts: []frontend.Mount{{Prefix: "/app", App: s.interruptible(a), Open: func() bool { return true }}},
	})
	if err != nil {
		return err
	}
	if err := s.host.InstallIndexes(a); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.replica.Run(ctx) }()
	read := make(chan error, 1)
	go func() { read <- past.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, <-read); err != nil {
			s.t.Errorf("apptest: %s", err)
		}
		if err := disk.Close(); err != nil {
			s.t.Errorf("apptest: ledger: %s", err)
		}
	})
	return nil
}

// signer makes the service's identity and a node that it endorses.
func (s *Service) signer(o *setup) (*evidence.Signer, error) {
	serviceKey, err := identity.NewKey(identity.Secp384r1)
	if err != nil {
		return nil, err
	}
	nodeKey, err := identity.NewKey(identity.Secp384r1)
	if err != nil {
		return nil, err
	}
	der, err := identity.SelfSigned(serviceKey, identity.SelfSignedRequest{Subject: "CN=CCF Service", NotBefore: o.now, Days: 365})
	if err != nil {
		return nil, err
	}
	s.cert = identity.CertPEM(der)
	cert, err := identity.ParseCertPEM([]byte(s.cert))
	s.service = cert
	if err != nil {
		return nil, err
	}
	csr, err := identity.NewCSR(nodeKey, "CN=CCF Node", []string{identity.SANOf("127.0.0.1")})
	if err != nil {
		return nil, err
	}
	endorsed, err := identity.Endorse(csr, serviceKey, cert, o.now, 365)
	if err != nil {
		return nil, err
	}
	return &evidence.Signer{
		NodeID: identity.NodeIDOf(&nodeKey.PublicKey), NodeKey: nodeKey, NodeCert: func() string { return endorsed },
		ServiceKey: serviceKey, ServiceKID: identity.ServiceKID(&serviceKey.PublicKey),
		Issuer: o.issuer, Subject: o.subject, Now: s.Now,
	}, nil
}

func (s *Service) genesis(a *app.App, o *setup) (*machine.Prepared, error) {
	tx := s.store.Begin()
	if err := s.create(tx, o); err != nil {
		tx.Release()
		return nil, err
	}
	claims, err := a.GenesisClaim(tx)
	if err != nil {
		tx.Release()
		return nil, err
	}
	return machine.Prepare(tx, claims), nil
}

// Now is the service's time.
func (s *Service) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Advance moves the service's clock.
func (s *Service) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// Certificate is the PEM of the service's certificate, which receipts are
// verified with.
func (s *Service) Certificate() string { return s.cert }

// ID is the hex ID of a user or member.
func (s *Service) ID(name string) string { s.t.Helper(); return s.person(name).id }

func (s *Service) person(name string) *identityOf {
	s.t.Helper()
	p := s.people[name]
	if p == nil {
		s.t.Fatalf("apptest: nobody is called %s: add apptest.WithUser or apptest.WithMember", name)
	}
	return p
}
