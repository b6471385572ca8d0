package historical

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"synod"
	"synod/internal/cose"
	"synod/internal/identity"
	"synod/internal/tables"
)

// services are the identities that the service had before its recoveries, read
// from the ledger when first needed.
type services struct {
	mu       sync.Mutex
	past     []pastService            // guarded by mu; newest first
	endorsed map[string]string        // guarded by mu; PEM by present and older certificate
	cose     []tables.COSEEndorsement // guarded by mu; newest first
	nodes    map[string]bool          // guarded by mu; PEM of nodes, and whether the present service endorsed them
	next     *synod.SeqNo             // guarded by mu; where the one after past is, nil if unknown
}

// pastService is one identity, with the first transaction that it made.
type pastService struct {
	since synod.SeqNo
	cert  *x509.Certificate
}

// endorsedSince is what leads from the certificate of a node that signed to the
// service's present one: nothing, or a certificate of the older service's key
// that the present service issues (CCF: src/node/historical_queries_utils.cpp,
// populate_service_endorsements).
func (h *History) endorsedSince(nodeCert string, seqno synod.SeqNo) ([]string, error) {
	key, present := h.cfg.Service()
	if nodeCert == "" || key == nil {
		return nil, nil
	}
	node, err := identity.ParseCertPEM([]byte(nodeCert))
	if err != nil {
		return nil, fmt.Errorf("the certificate of the node that signed: %w", err)
	}
	h.services.mu.Lock()
	defer h.services.mu.Unlock()
	if h.services.ours(nodeCert, node, key) {
		return nil, nil
	}
	old, err := h.serviceAt(seqno)
	if err != nil || old == nil {
		return nil, err
	}
	if public, ok := old.PublicKey.(*ecdsa.PublicKey); !ok || identity.EndorsedBy(node, public) != nil {
		return nil, errors.New("the node that signed was not of the service of that time")
	}
	name := string(present.Raw) + string(old.RawSubjectPublicKeyInfo)
	pem, ok := h.services.endorsed[name]
	if !ok {
		if pem, err = identity.EndorseService(old, key, present); err != nil {
			return nil, fmt.Errorf("endorse an older identity of the service: %w", err)
		}
		if h.services.endorsed == nil || len(h.services.endorsed) > len(h.services.past) {
			h.services.endorsed = map[string]string{} // the present certificate was renewed
		}
		h.services.endorsed[name] = pem
	}
	return []string{pem}, nil
}

// nodesMax bounds the certificates of nodes that are remembered.
const nodesMax = 1024

// ours says whether the present service endorsed a node's certificate, which
// costs a verification the first time. mu is held.
func (s *services) ours(text string, cert *x509.Certificate, key *ecdsa.PrivateKey) bool {
	ours, known := s.nodes[text]
	if known {
		return ours
	}
	ours = identity.EndorsedBy(cert, &key.PublicKey) == nil
	if s.nodes == nil || len(s.nodes) >= nodesMax {
		s.nodes = map[string]bool{}
	}
	s.nodes[text] = ours
	return ours
}

// serviceAt is the identity that an entry from before the present one was
// signed under, nil if the ledger does not say (services before 2.0).
// services.mu is held.
func (h *History) serviceAt(seqno synod.SeqNo) (*x509.Certificate, error) {
	s := &h.services
	if s.past == nil && s.next == nil {
		info, ok, err := h.serviceNow()
		if err != nil || !ok {
			return nil, err
		}
		s.next = place(info.PreviousServiceIdentityVersion)
	}
	for len(s.past) == 0 || s.past[len(s.past)-1].since > seqno {
		if s.next == nil {
			return nil, nil
		}
		info, err := rowOf[tables.ServiceInfo](h, *s.next, tables.Service)
		if err != nil {
			return nil, err
		}
		cert, err := identity.ParseCertPEM([]byte(info.Cert))
		if err != nil {
			return nil, notBelieved(*s.next, fmt.Errorf("service certificate: %w", err))
		}
		s.past = append(s.past, pastService{*s.next, cert})
		if s.next = place(info.PreviousServiceIdentityVersion); s.next != nil && *s.next >= s.past[len(s.past)-1].since {
			return nil, notBelieved(s.past[len(s.past)-1].since, errors.New("its previous service identity is not an earlier one"))
		}
	}
	i := slices.IndexFunc(s.past, func(p pastService) bool { return p.since <= seqno })
	return s.past[i].cert, nil
}

func place(v *uint64) *synod.SeqNo {
	if v == nil {
		return nil
	}
	return new(synod.SeqNo(*v))
}

// rowOf reads a table's single value as a transaction wrote it.
func rowOf[T any](h *History, seqno synod.SeqNo, table string) (T, error) {
	var row T
	s, err := h.one(seqno)
	if err != nil {
		return row, err
	}
	b, ok := s.Get(table, tables.UnitKey())
	if !ok {
		return row, notBelieved(seqno, errors.New("it does not write "+table))
	}
	if err := json.Unmarshal(b, &row); err != nil {
		return row, notBelieved(seqno, fmt.Errorf("table %s: %w", table, err))
	}
	return row, nil
}

// coseEndorsedSince lists the COSE endorsements that lead from the present
// identity back to the one that an entry was signed under, newest first: none
// if that is the present one, or if the entry is older than what was ever
// endorsed (CCF: src/node/historical_queries_utils.cpp, fetch_endorsements_for).
func (h *History) coseEndorsedSince(seqno synod.SeqNo) ([][]byte, error) {
	info, ok, err := h.serviceNow()
	if err != nil || !ok || info.CurrentServiceCreateTxID == nil || info.CurrentServiceCreateTxID.SeqNo <= seqno {
		return nil, err
	}
	h.services.mu.Lock()
	defer h.services.mu.Unlock()
	chain := &h.services.cose
	if len(*chain) == 0 {
		newest, ok, err := h.newestEndorsement()
		if err != nil || !ok {
			return nil, err
		}
		*chain = append(*chain, newest)
	}
	for {
		last := (*chain)[len(*chain)-1]
		if last.PreviousVersion == nil || last.EndorsementEpochBegin.SeqNo <= seqno {
			break
		}
		older, err := rowOf[tables.COSEEndorsement](h, synod.SeqNo(*last.PreviousVersion), tables.ServiceEndorsement)
		if err != nil {
			return nil, err
		}
		if err := follows(last, older); err != nil {
			return nil, notBelieved(synod.SeqNo(*last.PreviousVersion), err)
		}
		*chain = append(*chain, older)
	}
	var found [][]byte
	for _, e := range *chain {
		if e.PreviousVersion == nil {
			break // a service's endorsement of itself
		}
		found = append(found, e.Endorsement)
		if e.EndorsementEpochBegin.SeqNo <= seqno {
			return found, nil
		}
	}
	return nil, nil
}

// newestEndorsement is the one that the present service made.
func (h *History) newestEndorsement() (tables.COSEEndorsement, bool, error) {
	tx := h.cfg.Store.Begin()
	defer tx.Release()
	e, ok, err := tables.GetJSON[tables.COSEEndorsement](tx, tables.ServiceEndorsement, tables.UnitKey())
	if err == nil && ok {
		err = sound(e)
	}
	return e, ok && err == nil, err
}

// sound checks that the row and the endorsement in it say the same.
func sound(e tables.COSEEndorsement) error {
	if e.PreviousVersion == nil {
		return nil
	}
	said, _, err := cose.ParseEndorsement(e.Endorsement)
	if err != nil {
		return fmt.Errorf("endorsement of a service identity: %w", err)
	}
	if e.EndorsementEpochEnd == nil || said.EpochStart != e.EndorsementEpochBegin || said.EpochEnd != *e.EndorsementEpochEnd {
		return errors.New("the endorsement of a service identity is for another epoch than its row says")
	}
	return nil
}

// viewsOfRecovery is by how much a recovery raises the view.
const viewsOfRecovery = 2

// follows checks that the epochs of two endorsements are next to each other.
func follows(newer, older tables.COSEEndorsement) error {
	if err := sound(older); err != nil || older.EndorsementEpochEnd == nil {
		return err
	}
	end := *older.EndorsementEpochEnd
	if begin := newer.EndorsementEpochBegin; begin.View != end.View+viewsOfRecovery || begin.SeqNo != end.SeqNo+1 {
		return fmt.Errorf("its epoch ends at %s, and the next begins at %s", end, begin)
	}
	return nil
}
