package govaudit

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"

	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/tables"
)

// nodes says what nodes did to their own records, "" if it is none of what
// they may do: join, note that a retirement is committed, and be deleted after
// that.
func (t *transaction) nodes() string {
	m, certs := t.writes(tables.Nodes), t.writes(tables.NodeEndorsedCertificates)
	switch {
	case m == nil:
		return ""
	case len(m.Removes) > 0 && len(m.Writes) == 0:
		return t.deleted(m, certs)
	case len(m.Writes) == 1 && len(m.Removes) == 0 && !t.before.Has(tables.Nodes, m.Writes[0].Key):
		return t.joined(m.Writes[0], certs)
	case certs == nil && len(m.Removes) == 0:
		return t.retirementCommitted(m)
	}
	return ""
}

func (t *transaction) joined(w kv.Write, certs *kv.MapWrites) string {
	var info tables.NodeInfo
	if json.Unmarshal(w.Value, &info) != nil {
		return ""
	}
	status := t.service().Status
	open := status == tables.ServiceOpen || status == tables.ServiceWaitingForRecoveryShares
	switch {
	case info.Status == tables.NodePending && certs == nil:
		return "joined as a pending node"
	case info.Status != tables.NodeTrusted || open:
		return ""
	case certs == nil:
		return "joined as a trusted node"
	case len(certs.Writes) != 1 || len(certs.Removes) != 0 || !bytes.Equal(certs.Writes[0].Key, w.Key):
		return ""
	}
	cert, err := identity.ParseCertPEM(bytes.TrimRight(certs.Writes[0].Value, "\x00"))
	if err != nil {
		return ""
	}
	if err := t.byService(cert); err != nil {
		t.found(Violation, tables.NodeEndorsedCertificates, string(w.Key), "the service did not sign the node's certificate: %s", err)
	}
	return "joined as a trusted node"
}

func (t *transaction) deleted(m, certs *kv.MapWrites) string {
	for _, key := range m.Removes {
		info, ok, err := tables.GetJSON[tables.NodeInfo](t.before, tables.Nodes, key)
		if err != nil || !ok || info.Status != tables.NodeRetired || !info.RetiredCommitted {
			return ""
		}
	}
	if certs != nil {
		if len(certs.Writes) > 0 {
			return ""
		}
		for _, key := range certs.Removes {
			if !slices.ContainsFunc(m.Removes, func(k []byte) bool { return bytes.Equal(k, key) }) {
				return ""
			}
		}
	}
	return "deleted a retired node"
}

func (t *transaction) retirementCommitted(m *kv.MapWrites) string {
	for _, w := range m.Writes {
		var info tables.NodeInfo
		if json.Unmarshal(w.Value, &info) != nil || info.Status != tables.NodeRetired || !info.RetiredCommitted ||
			!t.onlyField(w, "retired_committed") {
			return ""
		}
	}
	return "noted that a node's retirement is committed"
}

// byService says whether the service's key signed a certificate.
func (t *transaction) byService(cert *x509.Certificate) error {
	service, err := identity.ParseCertPEM([]byte(t.service().Cert))
	if err != nil {
		return err
	}
	return service.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature)
}

func (t *transaction) serviceKey() (*ecdsa.PublicKey, error) {
	service, err := identity.ParseCertPEM([]byte(t.service().Cert))
	if err != nil {
		return nil, err
	}
	key, ok := service.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("the service's key is not an ECDSA key")
	}
	return key, nil
}

// newServiceKey says whether two certificates of a service are for different
// keys; a certificate that does not parse is for none.
func (t *transaction) newServiceKey(before, after string) bool {
	a, errA := identity.ParseCertPEM([]byte(before))
	b, errB := identity.ParseCertPEM([]byte(after))
	return errA != nil || errB != nil || !bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

func csrKey(csrPEM string) ([]byte, error) {
	block, _ := pem.Decode([]byte(csrPEM))
	if block == nil {
		return nil, errors.New("the node's certificate request is not PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	return csr.RawSubjectPublicKeyInfo, nil
}
