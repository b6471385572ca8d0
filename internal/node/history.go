package node

import (
	"crypto/ecdsa"
	"crypto/x509"

	"synod/internal/historical"
)

// newHistory reads the past from this node's ledger directories.
func (n *Node) newHistory() *historical.History {
	return historical.New(historical.Config{
		Entries: n.replica.Entries, SignatureAfter: n.replica.SignatureAfter, ViewOf: n.replica.ViewOf,
		Status: n.replica.Status, Committed: n.replica.Committed, Store: n.store, Hidden: n.hidden.Load, Secrets: n.secrets,
		Service: n.serviceIdentity, SoftLimit: n.cfg.HistoricalCacheSoftLimit, Logger: n.log,
	})
}

// serviceIdentity is the service's key and present certificate, nil while this
// node has not been given them.
func (n *Node) serviceIdentity() (*ecdsa.PrivateKey, *x509.Certificate) {
	if n.service == nil {
		return nil, nil
	}
	return n.service.key, n.service.current.Load().cert
}
