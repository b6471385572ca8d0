package node

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"synod"
	"synod/internal/config"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/machine"
	"synod/internal/secrets"
	"synod/internal/tables"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// create makes the first transaction of a new service: its identity, its
// members, its constitution, and this node as a trusted one
// (CCF: src/node/rpc/node_frontend.h, /node/create).
func (n *Node) create() (*machine.Prepared, error) {
	tx := n.store.Begin()
	for _, write := range []func(*kv.Tx) error{n.createService, n.createMembers, n.createNode} {
		if err := write(tx); err != nil {
			tx.Release()
			return nil, err
		}
	}
	claims, err := n.genesisClaims(tx)
	if err != nil {
		tx.Release()
		return nil, err
	}
	n.genesis = nil
	return machine.Prepare(tx, claims), nil
}

// genesisClaims is what the application claims of the first transaction.
func (n *Node) genesisClaims(tx *kv.Tx) ([32]byte, error) {
	if n.opts.App == nil {
		return [32]byte{}, nil
	}
	claims, err := n.opts.App.GenesisClaim(tx)
	if err != nil {
		return claims, fmt.Errorf("claims of the first transaction: %w", err)
	}
	return claims, nil
}

// genesis is what the files that a Start configuration names say, read and
// checked before anything is written: a service must not fail half-made.
type genesis struct {
	serviceData  json.RawMessage
	constitution string
	threshold    int
	members      []genesisMember
}

type genesisMember struct {
	config.Member
	id synod.MemberID
}

func readGenesis(cfg *config.Config) (*genesis, error) {
	start := &cfg.Command.Start
	g := &genesis{}
	var err error
	if g.serviceData, err = cfg.ReadServiceData(); err != nil {
		return nil, err
	}
	if _, err := cfg.ReadNodeData(); err != nil {
		return nil, err
	}
	if g.constitution, err = start.ReadConstitution(); err != nil {
		return nil, err
	}
	if g.threshold, err = start.RecoveryThreshold(); err != nil {
		return nil, err
	}
	members, err := start.ReadMembers()
	if err != nil {
		return nil, err
	}
	seen := map[synod.MemberID]bool{}
	for i, m := range members {
		cert, err := identity.ParseCertPEM(m.Certificate)
		if err != nil {
			return nil, fmt.Errorf("command.start.members[%d]: %w", i, err)
		}
		id := identity.MemberIDOf(cert.Raw)
		if seen[id] {
			return nil, fmt.Errorf("command.start.members[%d]: the certificate is listed twice", i)
		}
		seen[id] = true
		if m.EncryptionKey != nil {
			if _, err := secrets.EncryptToMember(m.EncryptionKey, nil); err != nil {
				return nil, fmt.Errorf("command.start.members[%d]: %w", i, err)
			}
		}
		g.members = append(g.members, genesisMember{m, id})
	}
	return g, nil
}

func (n *Node) createService(tx *kv.Tx) error {
	created := synod.TxID{View: 2, SeqNo: 1}
	sc := n.cfg.Command.Start.ServiceConfiguration
	for _, row := range []struct {
		table string
		value any
	}{
		{tables.Service, tables.ServiceInfo{
			Cert: n.service.cert(), CurrentServiceCreateTxID: &created, RecoveryCount: new(uint64(0)),
			ServiceData: n.genesis.serviceData, Status: tables.ServiceOpening,
		}},
		{tables.ServiceConfiguration, tables.ServiceConfig{
			Consensus:                             "CFT",
			MaximumNodeCertificateValidityDays:    new(uint64(sc.MaximumNodeValidityDays)),
			MaximumServiceCertificateValidityDays: new(uint64(sc.MaximumServiceValidityDays)),
			RecentCOSEProposalsWindowSize:         new(uint64(sc.RecentProposalsWindow)),
			RecoveryThreshold:                     uint64(n.genesis.threshold),
		}},
		{tables.Constitution, n.genesis.constitution},
	} {
		if err := tables.PutJSON(tx, row.table, tables.UnitKey(), row.value); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) createMembers(tx *kv.Tx) error {
	for _, m := range n.genesis.members {
		key := []byte(m.id)
		tx.Put(tables.MemberCerts, key, m.Certificate)
		info := tables.MemberInfo{MemberData: m.Data, Status: tables.MemberAccepted}
		if m.EncryptionKey != nil {
			tx.Put(tables.MemberEncryptionKeys, key, m.EncryptionKey)
			info.RecoveryRole = tables.RecoveryRole(m.RecoveryRole)
		}
		if err := tables.PutJSON(tx, tables.Members, key, info); err != nil {
			return err
		}
		if err := tables.PutJSON(tx, tables.MemberAcks, key, tables.MemberAck{}); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) createNode(tx *kv.Tx) error {
	info, err := n.nodeInfo()
	if err != nil {
		return err
	}
	info.Status = tables.NodeTrusted
	key := []byte(n.id.node)
	if err := tables.PutJSON(tx, tables.Nodes, key, info); err != nil {
		return err
	}
	row, err := n.foundingRow()
	if err != nil {
		return err
	}
	if err := tables.PutJSON(tx, tables.Raft, tables.UnitKey(), row); err != nil {
		return err
	}
	self, err := identity.ParseCertPEM([]byte(n.id.selfSigned()))
	if err != nil {
		return err
	}
	endorsed, err := identity.Endorse(n.id.csr, n.service.key, n.service.current.Load().cert,
		self.NotBefore, int(n.cfg.NodeCertificate.InitialValidityDays))
	if err != nil {
		return fmt.Errorf("endorse the node's certificate: %w", err)
	}
	tx.Put(tables.NodeEndorsedCertificates, key, []byte(endorsed))
	if err := tables.PutJSON(tx, tables.VirtualMeasurements, []byte(n.attested.measurement), "AllowedToJoin"); err != nil {
		return err
	}
	tx.Put(tables.VirtualHostData, []byte(n.attested.hostData), tables.UnitKey())
	return nil
}

// nodeInfo is this node's row, without a status.
func (n *Node) nodeInfo() (tables.NodeInfo, error) {
	data, err := n.cfg.ReadNodeData()
	if err != nil {
		return tables.NodeInfo{}, err
	}
	n2n := n.cfg.Network.NodeToNode
	peer, err := netInterface(nil, n2n.BindAddress, n2n.PublishedAddress, n.n2nAddr)
	if err != nil {
		return tables.NodeInfo{}, err
	}
	interfaces, err := n.rpcInterfaces()
	if err != nil {
		return tables.NodeInfo{}, err
	}
	return tables.NodeInfo{
		CertificateSigningRequest: n.id.csr,
		CodeDigest:                hex.EncodeToString([]byte(n.attested.measurement)),
		EncryptionPubKey:          n.id.encryptionPub,
		NodeData:                  data,
		NodeToNodeInterface:       peer,
		PublicKey:                 n.id.publicKey,
		QuoteInfo:                 n.attested.quote,
		RPCInterfaces:             interfaces,

		WillLocallySealLedgerSecrets: n.cfg.OutputFiles.SealedLedgerSecretLocation != "",
	}, nil
}

func (n *Node) rpcInterfaces() (map[string]tables.NetInterface, error) {
	interfaces := map[string]tables.NetInterface{}
	for name, itf := range n.cfg.Network.RPCInterfaces {
		ni, err := netInterface(itf.Raw, itf.BindAddress, itf.PublishedAddress, n.rpc[name].Addr().String())
		if err != nil {
			return nil, err
		}
		interfaces[name] = ni
	}
	return interfaces, nil
}

// endorse issues a service-endorsed certificate for a request, from the text
// forms that governance uses.
func (n *Node) endorse(csr, validFrom string, days int) (string, error) {
	from, err := identity.ParseTime(validFrom)
	if err != nil {
		return "", err
	}
	return identity.Endorse(csr, n.service.key, n.service.current.Load().cert, from, days)
}

// renewService issues a new certificate for the service's key.
func (n *Node) renewService(validFrom string, days int) (string, error) {
	from, err := identity.ParseTime(validFrom)
	if err != nil {
		return "", err
	}
	return n.serviceCertificate(from, days)
}

func (n *Node) serviceCertificate(from time.Time, days int) (string, error) {
	der, err := identity.SelfSigned(n.service.key, identity.SelfSignedRequest{
		RawSubject: n.service.current.Load().cert.RawSubject, NotBefore: from, Days: days,
	})
	if err != nil {
		return "", err
	}
	return identity.CertPEM(der), nil
}
