package sealing

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"synod"
	"synod/internal/attest"
	"synod/internal/identity"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// format names the layout of a sealed service.
const format = "synod-sealed-service-v1"

// Service is what a service comes back from.
type Service struct {
	Key         *ecdsa.PrivateKey
	Certificate string          // PEM
	Secrets     []secrets.Entry // ascending
	// Committed is the newest transaction that was committed when this was sealed:
	// a ledger that ends before is an older one.
	Committed synod.TxID
	// PolicyAt is where members allowed it.
	PolicyAt synod.SeqNo
}

// latest is the first entry that the newest ledger secret seals.
func (s *Service) latest() synod.SeqNo { return s.Secrets[len(s.Secrets)-1].From }

// header is what of a sealed service anybody may read.
type header struct {
	Format      string      `json:"format"`
	Source      string      `json:"sealing_key"` // what the platform's key is
	TCB         string      `json:"tcb_version,omitempty"`
	Measurement string      `json:"measurement"`
	HostData    string      `json:"host_data"`
	Certificate string      `json:"service_certificate"`
	Committed   synod.TxID  `json:"committed"`
	Latest      synod.SeqNo `json:"ledger_secret_seqno"`
	PolicyAt    synod.SeqNo `json:"policy_seqno"`
}

// body is its secret part.
type body struct {
	Key     string       `json:"service_key"` // PEM
	Secrets []sealedPast `json:"ledger_secrets"`
}

type sealedPast struct {
	From   synod.SeqNo `json:"version"`
	Secret secretBody  `json:"secret"`
}

// secretBody is a ledger secret (CCF: src/node/ledger_secret.h).
type secretBody struct {
	RawKey   tables.Bytes `json:"raw_key"`
	StoredAt *uint64      `json:"previous_secret_stored_version,omitempty"`
}

func bodyOf(e secrets.Entry) secretBody {
	raw := e.Secret.Bytes()
	b := secretBody{RawKey: raw[:]}
	if e.StoredAt != 0 {
		b.StoredAt = new(uint64(e.StoredAt))
	}
	return b
}

func (b secretBody) entry(from synod.SeqNo) (secrets.Entry, error) {
	if len(b.RawKey) != secrets.Size {
		return secrets.Entry{}, fmt.Errorf("a ledger secret has %d bytes", len(b.RawKey))
	}
	e := secrets.Entry{From: from, Secret: secrets.SecretFrom([secrets.Size]byte(b.RawKey))}
	if b.StoredAt != nil {
		e.StoredAt = synod.SeqNo(*b.StoredAt)
	}
	return e, nil
}

// keyOf is the key of a sealed service: the platform's, bound to what the node's
// evidence says and to this use.
func keyOf(k attest.SealingKey, h *header) ([32]byte, error) {
	raw := k.Bytes()
	derived, err := hkdf.Key(sha256.New, raw[:], nil, format+"\x00"+h.Measurement+"\x00"+h.HostData, 32)
	if err != nil {
		return [32]byte{}, fmt.Errorf("derive the key: %w", err)
	}
	return [32]byte(derived), nil
}

// Write seals a service, and each of its ledger secrets for recoveries of CCF's
// kind. It says what the platform's key is.
func (d *Dir) Write(s *Service) (source string, err error) {
	key, err := d.platform("")
	if err != nil {
		return "", fmt.Errorf("the platform's sealing key: %w", err)
	}
	h := header{
		Format: format, Source: key.Source, TCB: key.TCB, Measurement: key.Measurement, HostData: key.HostData,
		Certificate: s.Certificate, Committed: s.Committed, Latest: s.latest(), PolicyAt: s.PolicyAt,
	}
	b := body{}
	if b.Key, err = identity.KeyPEM(s.Key); err != nil {
		return "", err
	}
	for _, e := range s.Secrets {
		b.Secrets = append(b.Secrets, sealedPast{e.From, bodyOf(e)})
	}
	sealed, err := sealService(key, &h, &b)
	if err != nil {
		return "", err
	}
	if err := d.fs.MkdirAll(d.path); err != nil {
		return "", err
	}
	for _, e := range s.Secrets {
		if d.written[e.From] == e.Secret {
			continue
		}
		if err := d.writeSecret(key, e); err != nil {
			return "", fmt.Errorf("seal a ledger secret: %w", err)
		}
		d.written[e.From] = e.Secret
	}
	if err := d.replace(serviceFile, sealed); err != nil {
		return "", fmt.Errorf("seal the service: %w", err)
	}
	return key.Source, nil
}

func sealService(k attest.SealingKey, h *header, b *body) (envelope, error) {
	aad, err := json.Marshal(h)
	if err != nil {
		return envelope{}, fmt.Errorf("encode: %w", err)
	}
	text, err := json.Marshal(b)
	if err != nil {
		return envelope{}, fmt.Errorf("encode: %w", err)
	}
	key, err := keyOf(k, h)
	if err != nil {
		return envelope{}, err
	}
	return seal(key, text, string(aad))
}

// hintShares is what to do when nothing else helps.
const hintShares = "or recover with members' shares: remove command.recover.sealed_resume from the configuration"

// Read opens a sealed service. Its errors say what to do.
func (d *Dir) Read() (*Service, error) {
	path := filepath.Join(d.path, serviceFile)
	e, err := d.read(serviceFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no sealed service: %s does not exist: name the directory of a node on which members allowed it, %s", path, hintShares)
	}
	if err != nil {
		return nil, fmt.Errorf("the sealed service %s cannot be read: %w: take the file of another node, %s", path, err, hintShares)
	}
	s, err := d.open(e)
	if err != nil {
		return nil, fmt.Errorf("the sealed service %s cannot be opened: %w", path, err)
	}
	return s, nil
}

func (d *Dir) open(e *envelope) (*Service, error) {
	h := header{}
	if err := json.Unmarshal([]byte(e.AADText), &h); err != nil || h.Format != format {
		return nil, fmt.Errorf("it is not of the format %s: take the file of another node, %s", format, hintShares)
	}
	k, err := d.platform(h.TCB)
	if err != nil {
		return nil, fmt.Errorf("the platform's sealing key: %w: start on the machine that sealed it, %s", err, hintShares)
	}
	if h.Measurement != k.Measurement || h.HostData != k.HostData {
		return nil, fmt.Errorf("it was sealed by other code (measurement %.96s, host data %.64s) than runs here (%s, %s): start the code that sealed it, %s",
			h.Measurement, h.HostData, k.Measurement, k.HostData, hintShares)
	}
	key, err := keyOf(k, &h)
	if err != nil {
		return nil, err
	}
	text, err := e.open(key)
	if err != nil {
		return nil, fmt.Errorf("%w: start on the machine that sealed it, take the file of another node, %s", err, hintShares)
	}
	return parseService(text, &h)
}

func parseService(text []byte, h *header) (*Service, error) {
	var b body
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&b); err != nil {
		return nil, errors.New("what it holds cannot be read")
	}
	s := &Service{Certificate: h.Certificate, Committed: h.Committed, PolicyAt: h.PolicyAt}
	var err error
	if s.Key, err = identity.ParseKeyPEM([]byte(b.Key)); err != nil {
		return nil, errors.New("the service's key in it cannot be read")
	}
	for _, past := range b.Secrets {
		entry, err := past.Secret.entry(past.From)
		if err != nil {
			return nil, err
		}
		s.Secrets = append(s.Secrets, entry)
	}
	cert, err := identity.ParseCertPEM([]byte(h.Certificate))
	if err != nil || !s.Key.PublicKey.Equal(cert.PublicKey) || len(s.Secrets) == 0 {
		return nil, errors.New("what it holds does not belong together")
	}
	return s, nil
}
