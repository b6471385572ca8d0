package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"synod"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/tables"
)

// installHooks ties effects on the process to what is committed. They run on
// the replica goroutine and must be quick.
func (n *Node) installHooks() {
	for _, h := range []struct {
		table string
		hook  kv.Hook
	}{
		{tables.NodeEndorsedCertificates, n.onEndorsedCertificate},
		{tables.Service, n.onService},
		{tables.Nodes, n.onNodes},
		{tables.NodeStarts, n.onNodeStarts},
		{tables.Raft, n.onConfiguration},
		{tables.EncryptedLedgerSecrets, n.onPastSecrets},
		{tables.JWTIssuers, n.onIssuers},
		{tables.SealedResume, n.onSealedResume},
	} {
		n.store.OnCommit(h.table, func(id synod.TxID, w kv.MapWrites) {
			// What a service before this one did is history.
			if uint64(id.SeqNo) >= n.origin.Load() {
				h.hook(id, w)
			}
		})
	}
}

// onEndorsedCertificate takes this node's certificate once its row is
// committed. The first one opens governance, once the node votes; a later one
// is a renewal, and the self-signed certificate follows it.
func (n *Node) onEndorsedCertificate(id synod.TxID, w kv.MapWrites) {
	for _, row := range w.Writes {
		if synod.NodeID(row.Key) != n.id.node {
			continue
		}
		cert, err := identity.ParseCertPEM(row.Value)
		if err != nil {
			n.fail("endorsed certificate", id, err)
			return
		}
		served := n.served(cert.Raw)
		n.peerCert.Store(served.tls)
		if !n.hidden.Load() {
			n.setState(statePartOfNetwork)
		}
		if n.granted.Swap(served) != nil {
			days := int(cert.NotAfter.Sub(cert.NotBefore).Hours()+23) / 24
			if err := n.renewSelfSigned(cert.NotBefore, days); err != nil {
				n.fail("renew the self-signed certificate", id, err)
			}
		}
		n.present()
	}
}

// present shows clients the certificate that the service has granted, once
// this node votes: before, it may lack much of what the service has committed.
func (n *Node) present() {
	granted := n.granted.Load()
	if granted == nil || !n.voting.Load() {
		return
	}
	n.id.endorsed.Store(granted)
	if !n.govOpen.Swap(true) {
		n.info(context.Background(), "Network TLS connections now accepted")
	}
	n.openApp()
}

// openApp opens the application's front end, once the service is open, the node has
// its private part, and a recovery cannot come to nothing any more: before, a crash
// would take what is written with it.
func (n *Node) openApp() {
	if !n.serviceOpen.Load() || n.hidden.Load() || n.unsettled.Load() {
		return
	}
	if !n.appOpen.Swap(true) {
		close(n.opened)
	}
}

// onService opens the application once the service is open, and follows the
// service's certificate.
func (n *Node) onService(id synod.TxID, w kv.MapWrites) {
	for _, row := range w.Writes {
		var info tables.ServiceInfo
		if err := json.Unmarshal(row.Value, &info); err != nil {
			n.fail("service information", id, err)
			return
		}
		if info.Cert != n.service.cert() {
			if err := n.service.set(info.Cert); err != nil {
				n.fail("service certificate", id, err)
			}
			n.reseal()
		}
		if info.Status == tables.ServiceOpen && !n.serviceOpen.Swap(true) {
			n.info(context.Background(), fmt.Sprintf("Service open at seqno %d", id.SeqNo))
			close(n.ended)
			n.reseal()
			if n.govOpen.Load() {
				n.openApp()
			}
		}
	}
}

// onNodeStarts notes where the logs of nodes begin.
func (n *Node) onNodeStarts(id synod.TxID, w kv.MapWrites) {
	if err := n.roster.start(w); err != nil {
		n.fail("where the logs of nodes begin", id, err)
	}
}

// loadedConfiguration is raft's configuration in a state that was loaded from a
// snapshot.
func loadedConfiguration(store *kv.Store, id synod.TxID) ([]byte, error) {
	tx := store.Begin()
	defer tx.Release()
	row, ok, err := tables.GetJSON[tables.RaftConfig](tx, tables.Raft, tables.UnitKey())
	if err == nil && !ok {
		err = fmt.Errorf("the snapshot at %s is not of a service of Synod: it has no %s", id, tables.Raft)
	}
	return row.ConfState, err
}

func (n *Node) fail(what string, id synod.TxID, err error) {
	n.log.LogAttrs(context.Background(), slog.LevelWarn, what, slog.String("tx", id.String()), slog.String("err", err.Error()))
}
