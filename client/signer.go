package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"synod"
	"synod/internal/cose"
)

// Signer signs governance messages for one member. KeySigner does it with a
// key in memory; an implementation may as well ask an HSM.
type Signer interface {
	// ID is the hex SHA-256 of the member's DER certificate.
	ID() synod.MemberID
	// Curve is the key's curve: P-256, P-384 or P-521.
	Curve() elliptic.Curve
	// SignDigest signs a digest of the size that Algorithm(Curve()) makes.
	// The signature is r‖s, each padded to the curve's size, or ASN.1 DER.
	SignDigest(digest []byte) ([]byte, error)
}

// KeySigner signs with an ECDSA key in memory. It may be used from several
// goroutines.
type KeySigner struct {
	id  synod.MemberID
	key *ecdsa.PrivateKey
}

// NewKeySigner makes a signer from a member's PEM certificate and the PEM key
// (PKCS#8 or SEC 1) that belongs to it.
func NewKeySigner(certPEM, keyPEM []byte) (*KeySigner, error) {
	id, pub, err := MemberOf(certPEM)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("member key: %w", err)
	}
	if !key.PublicKey.Equal(pub) {
		return nil, errors.New("member key: does not belong to the member's certificate")
	}
	return &KeySigner{id: id, key: key}, nil
}

// MemberOf returns the identifier and the public key in a member's (or
// user's) PEM certificate.
func MemberOf(certPEM []byte) (synod.MemberID, *ecdsa.PublicKey, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil || block.Type != "CERTIFICATE" {
		return "", nil, errors.New("member certificate: not a PEM certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", nil, fmt.Errorf("member certificate: %w", err)
	}
	pub, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return "", nil, fmt.Errorf("member certificate: a %s key, want ECDSA", cert.PublicKeyAlgorithm)
	}
	digest := sha256.Sum256(block.Bytes)
	return synod.MemberID(hex.EncodeToString(digest[:])), pub, nil
}

func parseKey(keyPEM []byte) (*ecdsa.PrivateKey, error) {
	for rest := keyPEM; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("not a PEM private key")
		}
		switch block.Type {
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			ec, ok := key.(*ecdsa.PrivateKey)
			if !ok {
				return nil, errors.New("not an ECDSA key")
			}
			return ec, nil
		}
	}
}

// ID implements Signer.
func (s *KeySigner) ID() synod.MemberID { return s.id }

// Curve implements Signer.
func (s *KeySigner) Curve() elliptic.Curve { return s.key.Curve }

// SignDigest implements Signer.
func (s *KeySigner) SignDigest(digest []byte) ([]byte, error) {
	return s.key.Sign(rand.Reader, digest, nil)
}

// Kind is a governance message's ccf.gov.msg.type.
type Kind string

// The kinds of governance messages that this package sends.
const (
	KindProposal    Kind = "proposal"
	KindBallot      Kind = "ballot"
	KindWithdrawal  Kind = "withdrawal"
	KindAck         Kind = "ack"
	KindStateDigest Kind = "state_digest"
	// KindRecoveryShare sends a recovery share.
	KindRecoveryShare Kind = "recovery_share"
)

// Message is a governance message before it is signed.
type Message struct {
	Kind       Kind
	ProposalID string // of ballots and withdrawals
	CreatedAt  int64  // seconds since the epoch
	Payload    []byte
}

// Unsigned is a governance message that waits for its signature, which may be
// made elsewhere: hand out Digest, take the signature in.
type Unsigned struct {
	curve    elliptic.Curve
	digest   []byte
	assemble func([]byte) ([]byte, error)
}

// Prepare encodes a message for the member id, whose key is on the curve.
func Prepare(id synod.MemberID, curve elliptic.Curve, m Message) (*Unsigned, error) {
	alg, err := cose.AlgorithmOf(&ecdsa.PublicKey{Curve: curve})
	if err != nil {
		return nil, fmt.Errorf("member key: %w", err)
	}
	if m.CreatedAt < 0 {
		return nil, fmt.Errorf("created at %d: want seconds since the epoch", m.CreatedAt)
	}
	h := cose.GovHeader{
		MsgType: string(m.Kind), HasMsgType: true,
		CreatedAt: uint64(m.CreatedAt), HasCreatedAt: true,
		ProposalID: m.ProposalID, HasProposalID: m.ProposalID != "",
	}
	tbs, assemble, err := cose.PrepareGov(alg, string(id), h, m.Payload)
	if err != nil {
		return nil, fmt.Errorf("encode governance message: %w", err)
	}
	digest, err := cose.Digest(alg, tbs)
	if err != nil {
		return nil, fmt.Errorf("encode governance message: %w", err)
	}
	return &Unsigned{curve: curve, digest: digest, assemble: assemble}, nil
}

// Digest is what is to be signed: SHA-256, SHA-384 or SHA-512 by the curve
// (RFC 9053, section 2.1).
func (u *Unsigned) Digest() []byte { return u.digest }

// Finish adds a signature over Digest, r‖s or ASN.1 DER, and returns the
// COSE_Sign1 body to send.
func (u *Unsigned) Finish(signature []byte) ([]byte, error) {
	raw, err := rawSignature(u.curve, signature)
	if err != nil {
		return nil, err
	}
	return u.assemble(raw)
}

// Sign prepares, signs and finishes a message.
func Sign(s Signer, m Message) ([]byte, error) {
	u, err := Prepare(s.ID(), s.Curve(), m)
	if err != nil {
		return nil, err
	}
	signature, err := s.SignDigest(u.Digest())
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return u.Finish(signature)
}

// rawSignature is the signature as r‖s, whichever form it came in.
func rawSignature(curve elliptic.Curve, signature []byte) ([]byte, error) {
	size := (curve.Params().BitSize + 7) / 8
	if len(signature) == 2*size {
		return signature, nil
	}
	r, s, err := parseDER(signature)
	if err != nil || len(r) > size || len(s) > size {
		return nil, fmt.Errorf("signature of %d bytes: neither r‖s (%d bytes) nor ASN.1 DER", len(signature), 2*size)
	}
	raw := make([]byte, 2*size)
	copy(raw[size-len(r):size], r)
	copy(raw[2*size-len(s):], s)
	return raw, nil
}

func parseDER(signature []byte) (r, s []byte, err error) {
	var pair struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(signature, &pair)
	if err != nil || len(rest) != 0 || pair.R.Sign() <= 0 || pair.S.Sign() <= 0 {
		return nil, nil, errors.New("not an ECDSA signature")
	}
	return pair.R.Bytes(), pair.S.Bytes(), nil
}
