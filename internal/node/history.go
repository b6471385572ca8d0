package node

import (
	"crypto/ecdsa"
	"crypto/x509"
	"strings"

	"synod"
	"synod/app"
	"synod/internal/historical"
	"synod/internal/tables"
)

// newHistory reads the past from this node's ledger directories.
func (n *Node) newHistory() *historical.History {
	return historical.New(historical.Config{
		Entries: n.replica.Entries, SignatureAfter: n.replica.SignatureAfter, ViewOf: n.replica.ViewOf,
		Status: n.replica.Status, Committed: n.replica.Committed, Moved: n.replica.CommitMoved,
		Store: n.store, Hidden: n.hidden.Load, Secrets: n.secrets,
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

// changedMapsMax bounds the maps of one feed.
const changedMapsMax = 32

// apiChanges is a feed of the committed writes of public maps. Those of
// governance and of the node itself anybody can read anyway; an application's
// are for the application to give away, and for members, who may audit the
// ledger that holds them in the clear.
func (n *Node) apiChanges(c *app.Context) error {
	text, _ := c.Query("maps")
	maps := strings.Split(text, ",")
	if text == "" || len(maps) > changedMapsMax {
		return synod.Errorf(400, synod.CodeInvalidQueryParameterValue,
			"Name the maps in the query parameter 'maps', separated by commas, at most %d: maps=public:records", changedMapsMax)
	}
	for _, name := range maps {
		kind := tables.Access(name)
		switch {
		case !kind.Public:
			return synod.Errorf(403, synod.CodeAuthorizationFailed, "The map %s is not public: its application may tell of it, the node does not.", name)
		case kind.Category == tables.Application && c.Caller.Policy != app.MemberCert.Name():
			return synod.Errorf(403, synod.CodeAuthorizationFailed,
				"The map %s is an application's: show a member's certificate, or ask the application.", name)
		}
	}
	return app.ServeChanges(c, app.Feed{Maps: maps})
}
