package audit

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"slices"

	"synod"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/tables"
)

// state is the part of the public tables that signatures depend on.
type state struct {
	nodeStatus map[synod.NodeID]tables.NodeStatus
	nodeKey    map[synod.NodeID]*ecdsa.PublicKey
	status     tables.ServiceStatus // "" before the first write
	serviceKey *ecdsa.PublicKey
	services   []Service
}

// Service is one service identity in a ledger's life.
type Service struct {
	KeyID       string               `json:"key_id"` // hex SHA-256 of the DER public key
	Since       synod.TxID           `json:"since"`  // transaction that introduced it
	Status      tables.ServiceStatus `json:"status"` // the last that was recorded under it
	Certificate string               `json:"certificate"`
}

func newState() state {
	return state{nodeStatus: map[synod.NodeID]tables.NodeStatus{}, nodeKey: map[synod.NodeID]*ecdsa.PublicKey{}}
}

// load takes the state that the tables are in, at a transaction.
func (s *state) load(id synod.TxID, tx tables.Reader) error {
	for _, table := range []struct {
		name string
		take func(kv.MapWrites) error
	}{
		{tables.Nodes, s.nodes},
		{tables.NodeEndorsedCertificates, s.certificates},
		{tables.Service, func(m kv.MapWrites) error { return s.service(id, m) }},
	} {
		m := kv.MapWrites{Name: table.name}
		tx.ForEach(table.name, func(key, value []byte) bool {
			m.Writes = append(m.Writes, kv.Write{Key: key, Value: value})
			return true
		})
		if err := table.take(m); err != nil {
			return err
		}
	}
	return nil
}

// nodes takes writes of node records.
func (s *state) nodes(m kv.MapWrites) error {
	for _, w := range m.Writes {
		id := synod.NodeID(w.Key)
		var info struct {
			Status tables.NodeStatus `json:"status"`
			Cert   string            `json:"cert"` // of services before 2.0
		}
		if err := json.Unmarshal(w.Value, &info); err != nil {
			return fmt.Errorf("record of node %s: %w", id, err)
		}
		switch info.Status {
		case tables.NodePending, tables.NodeTrusted, tables.NodeRetired:
		default:
			return fmt.Errorf("record of node %s: status %q", id, info.Status)
		}
		s.nodeStatus[id] = info.Status
		if info.Cert != "" {
			if err := s.certificate(id, []byte(info.Cert)); err != nil {
				return err
			}
		}
	}
	for _, key := range m.Removes {
		id := synod.NodeID(key)
		if _, known := s.nodeStatus[id]; !known {
			return fmt.Errorf("node %s is removed, but was never added", id)
		}
		delete(s.nodeStatus, id)
	}
	return nil
}

// certificates takes writes of endorsed node certificates.
func (s *state) certificates(m kv.MapWrites) error {
	for _, w := range m.Writes {
		if err := s.certificate(synod.NodeID(w.Key), w.Value); err != nil {
			return err
		}
	}
	for _, key := range m.Removes {
		id := synod.NodeID(key)
		if _, known := s.nodeKey[id]; !known {
			return fmt.Errorf("the certificate of node %s is removed, but was never added", id)
		}
		delete(s.nodeKey, id)
	}
	return nil
}

func (s *state) certificate(id synod.NodeID, pem []byte) error {
	key, err := certificateKey(pem)
	if err != nil {
		return fmt.Errorf("certificate of node %s: %w", id, err)
	}
	if of := identity.NodeIDOf(key); of != id {
		return fmt.Errorf("certificate of node %s: its key is that of node %s", id, of)
	}
	s.nodeKey[id] = key
	return nil
}

func certificateKey(pem []byte) (*ecdsa.PublicKey, error) {
	// Values written by C++ services may end in a zero byte.
	cert, err := identity.ParseCertPEM(bytes.TrimRight(pem, "\x00"))
	if err != nil {
		return nil, err
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a %s key, want ECDSA", cert.PublicKeyAlgorithm)
	}
	return key, nil
}

// mayFollow lists the statuses that a service may go to from each
// (CCF: python/src/ccf/ledger.py). Opening may follow anything: it is a new
// service.
var mayFollow = map[tables.ServiceStatus][]tables.ServiceStatus{
	tables.ServiceOpening:                  {tables.ServiceOpen, tables.ServiceWaitingForRecoveryShares, tables.ServiceRecovering},
	tables.ServiceRecovering:               {tables.ServiceWaitingForRecoveryShares, tables.ServiceRecovering},
	tables.ServiceWaitingForRecoveryShares: {tables.ServiceOpen, tables.ServiceRecovering},
	tables.ServiceOpen:                     {tables.ServiceRecovering},
}

func statusMayChange(from, to tables.ServiceStatus) bool {
	return to == from || to == tables.ServiceOpening || slices.Contains(mayFollow[from], to)
}

// service takes the write of the service's record.
func (s *state) service(id synod.TxID, m kv.MapWrites) error {
	if len(m.Removes) != 0 || len(m.Writes) != 1 || !bytes.Equal(m.Writes[0].Key, tables.UnitKey()) {
		return fmt.Errorf("service record: not the write of one value")
	}
	var info tables.ServiceInfo
	if err := json.Unmarshal(m.Writes[0].Value, &info); err != nil {
		return fmt.Errorf("service record: %w", err)
	}
	if s.status != "" && !statusMayChange(s.status, info.Status) {
		return fmt.Errorf("the service's status goes from %s to %q", s.status, info.Status)
	}
	key, err := certificateKey([]byte(info.Cert))
	if err != nil {
		return fmt.Errorf("service certificate: %w", err)
	}
	renewed := s.serviceKey != nil && key.Equal(s.serviceKey)
	if s.serviceKey != nil && !renewed && info.Status != tables.ServiceRecovering && info.Status != tables.ServiceOpening {
		return fmt.Errorf("the service's key changes while its status is %s, without a recovery", info.Status)
	}
	s.status, s.serviceKey = info.Status, key
	if !renewed {
		s.services = append(s.services, Service{KeyID: identity.ServiceKID(key), Since: id})
	}
	current := &s.services[len(s.services)-1]
	current.Status, current.Certificate = info.Status, info.Cert
	return nil
}
