package identity

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"time"
)

// participantDays is the validity of members' and users' certificates.
const participantDays = 365

// Participant is a member's or a user's identity.
type Participant struct {
	Key     *ecdsa.PrivateKey
	KeyPEM  string // PKCS #8
	CertPEM string
	CertDER []byte
}

// NewMember makes a member's key and self-signed certificate as CCF's
// keygenerator.sh does: CN=name, 365 days from now. "" is Secp384r1. The
// member's ID is MemberIDOf(CertDER).
func NewMember(name string, c Curve, now time.Time) (*Participant, error) {
	return newParticipant(name, c, now)
}

// NewUser is NewMember for a user, whose ID is UserIDOf(CertDER).
func NewUser(name string, c Curve, now time.Time) (*Participant, error) {
	return newParticipant(name, c, now)
}

func newParticipant(name string, c Curve, now time.Time) (*Participant, error) {
	if strings.ContainsAny(name, ",=/") {
		return nil, fmt.Errorf("participant name %q: must not contain any of , = /", name)
	}
	subject, err := rawName("CN=" + name)
	if err != nil {
		return nil, err
	}
	key, err := NewKey(c)
	if err != nil {
		return nil, err
	}
	keyID, err := subjectKeyID(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	from, to, err := period(now, participantDays)
	if err != nil {
		return nil, err
	}
	// The extensions that openssl's own configuration adds, in its order.
	exts := []pkix.Extension{
		skiExtension(keyID), akiExtension(keyID),
		{Id: oidBasicConstraints, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}},
	}
	der, err := issue(&key.PublicKey, subject, subject, key, nil, from, to.Add(time.Second), exts)
	if err != nil {
		return nil, err
	}
	keyPEM, err := KeyPEM(key)
	if err != nil {
		return nil, err
	}
	return &Participant{Key: key, KeyPEM: keyPEM, CertPEM: CertPEM(der), CertDER: der}, nil
}

// NewEncryptionKey makes a member's key for recovery shares, RSA-2048, as PEM
// texts: PKCS #8 and public.
func NewEncryptionKey() (keyPEM, publicPEM string, err error) {
	key, publicPEM, err := NewNodeEncryptionKey()
	if err != nil {
		return "", "", err
	}
	keyPEM, err = KeyPEM(key)
	return keyPEM, publicPEM, err
}

// NewNodeEncryptionKey makes a node's key for ledger secrets, RSA-2048 with
// exponent 65537, and its public half as PEM.
func NewNodeEncryptionKey() (*rsa.PrivateKey, string, error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, "", fmt.Errorf("make encryption key: %w", err)
	}
	publicPEM, err := PublicKeyPEM(&key.PublicKey)
	return key, publicPEM, err
}
