package node

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"slices"

	"synod"
	"synod/app"
	"synod/internal/attest"
	"synod/internal/consensus"
	"synod/internal/identity"
	"synod/internal/tables"
)

// apiJoin lets a node into the service (CCF: src/node/rpc/node_frontend.h,
// /node/join). While the service opens, a node whose evidence passes is trusted
// at once; later it is Pending until members have voted. Unlike CCF, the
// service's secrets are handed out only once the node's being Trusted is
// committed: until then the node is told that it is Pending.
func (n *Node) apiJoin(c *app.Context) error {
	var in joinRequest
	if err := c.Decode(&in); err != nil {
		return err
	}
	if !slices.Contains(takesPart, *n.state.Load()) {
		return synod.Errorf(500, synod.CodeInternalError, "Target node should be part of network to accept new nodes.")
	}
	cert, err := x509.ParseCertificate(c.Caller.Cert)
	if err != nil {
		return synod.Errorf(400, synod.CodeInvalidInput, "The client's certificate cannot be read: %s", err)
	}
	old := in.StartupSeqno != nil && synod.SeqNo(*in.StartupSeqno) < n.begins()
	if old && !n.replica.Role().Leading {
		// The primary may have begun earlier; if not, it has a snapshot to offer.
		return n.redirectToPrimary(c, "/node/join")
	}
	if old {
		return synod.Errorf(400, synod.CodeStartupSeqnoIsOld,
			"Node requested to join from seqno %d which is older than this node startup seqno %d. A snapshot at least as recent as %d must be used instead.",
			*in.StartupSeqno, n.begins(), n.begins())
	}
	id := identity.NodeIDOf(cert.PublicKey)
	info, known, err := tables.GetJSON[tables.NodeInfo](c.Tx(), tables.Nodes, []byte(id))
	if err != nil {
		return err
	}
	if known {
		if err := n.noteStart(c, id, info, in.StartupSeqno); err != nil {
			return err
		}
		return n.answerKnown(c, id, info, in.Synod)
	}
	if !n.replica.Role().Leading {
		return n.redirectToPrimary(c, "/node/join")
	}
	return n.admit(c, id, cert, &in)
}

// noteStart notes that a node which was away goes on after a snapshot.
func (n *Node) noteStart(c *app.Context, id synod.NodeID, info tables.NodeInfo, start *uint64) error {
	if start == nil || *start == 0 || info.Status != tables.NodeTrusted || !n.replica.Role().Leading {
		return nil
	}
	was, _, err := tables.GetJSON[uint64](c.Tx(), tables.NodeStarts, []byte(id))
	if err != nil || *start <= was {
		return err
	}
	return tables.PutJSON(c.Tx(), tables.NodeStarts, []byte(id), *start)
}

// answerKnown tells a node that asked before how it stands.
func (n *Node) answerKnown(c *app.Context, id synod.NodeID, info tables.NodeInfo, spoken *joinVersions) error {
	version, err := joinVersion(spoken)
	if err != nil {
		return err
	}
	out := joinResponse{NodeStatus: info.Status, NodeID: id}
	switch info.Status {
	case tables.NodeRetired:
		return synod.Errorf(400, synod.CodeInvalidNodeState, "Joining node is not in expected state (%s).", info.Status)
	case tables.NodeTrusted:
		network, err := n.handOver(id)
		if err != nil {
			return err
		}
		if network == nil {
			out.NodeStatus = tables.NodePending
			break
		}
		row, _, err := tables.GetJSON[tables.RaftConfig](c.Tx(), tables.Raft, tables.UnitKey())
		if err != nil {
			return err
		}
		founder, err := consensus.RaftID(row.Founder)
		if err != nil {
			return err
		}
		out.NetworkInfo = network
		out.Synod = &joinStart{
			Version: version, Configuration: consensus.Founding(founder), Peers: n.roster.addresses(),
			Origin: synod.SeqNo(n.origin.Load()),
		}
	}
	return c.JSON(out)
}

// joinVersion is the version in which a node is answered.
func joinVersion(spoken *joinVersions) (int, error) {
	if spoken == nil {
		return 0, synod.Errorf(400, synod.CodeInvalidInput, "The request has no member synod: only nodes of Synod can join this service.")
	}
	version, ok := spokenJoins.agree(*spoken)
	if !ok {
		return 0, synod.Errorf(400, synod.CodeInvalidInput,
			"The node speaks versions %d to %d of the join protocol, this service %d to %d: upgrade one release at a time.",
			spoken.Oldest, spoken.Newest, spokenJoins.Oldest, spokenJoins.Newest)
	}
	return version, nil
}

// handOver is what a trusted node is told, nil while its being trusted is not
// committed.
func (n *Node) handOver(id synod.NodeID) (*networkInfo, error) {
	committed := n.store.Compacted().SeqNo
	tx, err := n.store.BeginAt(committed)
	if err != nil {
		return nil, err
	}
	defer tx.Release()
	info, ok, err := tables.GetJSON[tables.NodeInfo](tx, tables.Nodes, []byte(id))
	if err != nil || !ok || info.Status != tables.NodeTrusted {
		return nil, err
	}
	service, _, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
	if err != nil {
		return nil, err
	}
	key, err := identity.KeyPEM(n.service.key)
	if err != nil {
		return nil, err
	}
	endorsed, _ := tx.Get(tables.NodeEndorsedCertificates, []byte(id))
	public := *n.state.Load() == statePartOfPublicNetwork
	if at, ok := tx.VersionOfPreviousWrite(tables.EncryptedLedgerSecrets, tables.UnitKey()); public && ok && uint64(at) >= n.origin.Load() {
		return nil, nil // this node is about to know the secrets of the past
	}
	out := &networkInfo{
		PublicOnly: public, LastRecoveredSignedIdx: n.origin.Load() - 1,
		Identity: joinIdentity{Cert: service.Cert, PrivKey: key}, ServiceStatus: string(service.Status),
		EndorsedCertificate:  string(endorsed),
		COSESignaturesConfig: joinSignatures{Issuer: n.host.Issuer, Subject: n.host.Subject},
	}
	for _, e := range n.secrets.All() {
		if e.From > committed+1 {
			break // its rekey may still be undone; it comes with the log
		}
		raw := e.Secret.Bytes()
		s := joinSecret{From: e.From, RawKey: raw[:]}
		if e.StoredAt != 0 {
			s.PreviousSecretStoredVersion = new(uint64(e.StoredAt))
		}
		out.LedgerSecrets = append(out.LedgerSecrets, s)
	}
	return out, nil
}

// admit adds a new node: Trusted while the service opens, else Pending.
func (n *Node) admit(c *app.Context, id synod.NodeID, cert *x509.Certificate, in *joinRequest) error {
	if err := n.checkAddress(c.Tx(), in.NodeInfoNetwork.NodeToNodeInterface.PublishedAddress); err != nil {
		return err
	}
	if err := checkRaftID(c.Tx(), id); err != nil {
		return err
	}
	measurement, err := n.checkEvidence(c.Tx(), cert, in.QuoteInfo)
	if err != nil {
		return err
	}
	if err := checkCSR(cert, in.CertificateSigningRequest); err != nil {
		return err
	}
	if in.NodeInfoNetwork.NodeToNodeInterface.PublishedAddress == "" { // evidence first, as in CCF
		return synod.Errorf(400, synod.CodeInvalidInput, "node_info_network.node_to_node_interface.published_address is missing.")
	}
	if _, err := joinVersion(in.Synod); err != nil {
		return err
	}
	if _, err := identity.ParsePublicKeyPEM([]byte(in.PublicEncryptionKey)); err != nil {
		return synod.Errorf(400, synod.CodeInvalidInput, "public_encryption_key cannot be read: %s", err)
	}
	public, err := identity.PublicKeyPEM(cert.PublicKey)
	if err != nil {
		return err
	}
	service, _, err := tables.GetJSON[tables.ServiceInfo](c.Tx(), tables.Service, tables.UnitKey())
	if err != nil {
		return err
	}
	info := tables.NodeInfo{
		CertificateSigningRequest: in.CertificateSigningRequest, CodeDigest: hex.EncodeToString(measurement),
		EncryptionPubKey: in.PublicEncryptionKey, NodeData: in.NodeData, PublicKey: public, QuoteInfo: in.QuoteInfo,
		NodeToNodeInterface: in.NodeInfoNetwork.NodeToNodeInterface, RPCInterfaces: in.NodeInfoNetwork.RPCInterfaces,
		Status: tables.NodePending, WillLocallySealLedgerSecrets: in.NodeInfoNetwork.WillLocallySealLedgerSecrets,
	}
	if service.Status == tables.ServiceOpening || service.Status == tables.ServiceRecovering {
		info.Status = tables.NodeTrusted
		from, _ := n.secrets.Latest()
		info.LedgerSecretSeqno = new(uint64(from))
		days := int(cert.NotAfter.Sub(cert.NotBefore).Hours()+23) / 24
		endorsed, err := identity.Endorse(in.CertificateSigningRequest, n.service.key, n.service.current.Load().cert, cert.NotBefore, days)
		if err != nil {
			return synod.Errorf(400, synod.CodeInvalidInput, "certificate_signing_request cannot be endorsed: %s", err)
		}
		c.Tx().Put(tables.NodeEndorsedCertificates, []byte(id), []byte(endorsed))
	}
	if err := tables.PutJSON(c.Tx(), tables.Nodes, []byte(id), info); err != nil {
		return err
	}
	if err := forgetStarts(c.Tx()); err != nil {
		return err
	}
	if in.StartupSeqno != nil && *in.StartupSeqno > 0 {
		if err := tables.PutJSON(c.Tx(), tables.NodeStarts, []byte(id), *in.StartupSeqno); err != nil {
			return err
		}
	}
	return c.JSON(joinResponse{NodeStatus: tables.NodePending, NodeID: id})
}

// forgetStarts removes where the logs begin of nodes that members removed: they
// may not write this table.
func forgetStarts(tx app.Tx) error {
	var gone []string
	err := tables.EachJSON(tx, tables.NodeStarts, func(id string, _ synod.SeqNo) bool {
		if !tx.Has(tables.Nodes, []byte(id)) {
			gone = append(gone, id)
		}
		return true
	})
	for _, id := range gone {
		tx.Delete(tables.NodeStarts, []byte(id))
	}
	return err
}

// checkAddress refuses a node that would be mistaken for another.
func (n *Node) checkAddress(tx app.Tx, address string) error {
	var clash synod.NodeID
	err := tables.EachJSON(tx, tables.Nodes, func(id string, info tables.NodeInfo) bool {
		if info.Status != tables.NodeRetired && info.NodeToNodeInterface.PublishedAddress == address {
			clash = synod.NodeID(id)
		}
		return clash == ""
	})
	if err == nil && clash != "" {
		err = synod.Errorf(400, synod.CodeNodeAlreadyExists,
			"A node with the same published node address %s already exists (node id: %s).", address, string(clash))
	}
	return err
}

// checkRaftID refuses a node whose name in consensus is or was another's: names
// are the first bytes of a hash, so this is no accident.
func checkRaftID(tx app.Tx, id synod.NodeID) error {
	name, err := consensus.RaftID(id)
	if err != nil {
		return synod.Errorf(400, synod.CodeInvalidInput, "%s: make a new node key.", err)
	}
	row, _, err := tables.GetJSON[tables.RaftConfig](tx, tables.Raft, tables.UnitKey())
	if err != nil {
		return err
	}
	for other, taken := range row.Nodes {
		if taken == name && other != id {
			return synod.Errorf(400, synod.CodeNodeAlreadyExists, "Node %s has the same first bytes in its ID: make a new node key.", string(other))
		}
	}
	return nil
}

// checkEvidence verifies a node's evidence and what it says against the join
// policy, and returns the measurement.
func (n *Node) checkEvidence(tx app.Tx, cert *x509.Certificate, q tables.QuoteInfo) ([]byte, error) {
	refuse := func(text string) error { return synod.Errorf(401, synod.CodeInvalidQuote, "%s", text) }
	data, err := attest.ReportDataOf(cert.PublicKey)
	if err != nil || q.Format != n.attested.quote.Format {
		return nil, refuse("Quote could not be verified")
	}
	claims, err := attest.Verify(attest.Quote{
		Format: attest.Format(q.Format), Evidence: q.Quote, Endorsements: q.Endorsements,
		UVMEndorsements: q.UVMEndorsements, EndorsedTCB: q.EndorsedTCB,
	}, data)
	switch {
	case errors.Is(err, attest.ErrReportData):
		return nil, refuse("Quote report data does not contain node's public key hash")
	case err != nil:
		return nil, refuse("Quote could not be verified")
	// In CCF's order, which tells a node of other code from one of other data.
	case !tx.Has(tables.VirtualHostData, []byte(hex.EncodeToString(claims.HostData[:]))):
		return nil, refuse("Quote host data is not authorised")
	case !tx.Has(tables.VirtualMeasurements, claims.Measurement):
		return nil, refuse("Quote does not contain known enclave measurement")
	}
	return claims.Measurement, nil
}

// checkCSR makes sure that the certificate request is for the key that the
// node proved to have.
func checkCSR(cert *x509.Certificate, text string) error {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return synod.Errorf(400, synod.CodeInvalidInput, "certificate_signing_request is not PEM.")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return synod.Errorf(400, synod.CodeInvalidInput, "certificate_signing_request cannot be read: %s", err)
	}
	if !bytes.Equal(csr.RawSubjectPublicKeyInfo, cert.RawSubjectPublicKeyInfo) {
		return synod.Errorf(400, synod.CodeCSRPublicKeyInvalid, "Public key in CSR does not match TLS client identity.")
	}
	return nil
}

// redirectToPrimary sends a client to the same interface of the primary.
func (n *Node) redirectToPrimary(c *app.Context, path string) error {
	primary, ok := n.primary()
	if !ok {
		return synod.Errorf(500, synod.CodeInternalError, "Primary unknown")
	}
	return n.redirectToNode(c, primary, path, "Node is not primary; cannot handle write")
}

// redirectToNode sends a client to the same interface of another node, which may
// be another one next time.
func (n *Node) redirectToNode(c *app.Context, id synod.NodeID, path, reason string) error {
	info, ok := n.roster.get(id)
	if !ok {
		return synod.Errorf(500, synod.CodeInternalError, "Cannot find node info to produce redirect response for node %s", string(id))
	}
	itf, ok := info.RPCInterfaces[c.Request.Interface]
	if !ok {
		return synod.Errorf(500, synod.CodeInternalError,
			"Cannot redirect request. Received on RPC interface %s, which is not present on target node %s", c.Request.Interface, string(id))
	}
	c.SetHeader("location", "https://"+itf.PublishedAddress+path)
	return synod.Errorf(308, synod.CodeNodeCannotHandleRequest, "%s", reason)
}
