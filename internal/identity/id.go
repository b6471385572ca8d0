package identity

import (
	"crypto"
	"crypto/sha256"
	"encoding/hex"

	"synod"
)

// NodeIDOf returns the ID of the node that has a signing key: hex SHA-256 of
// its DER public key. It is "" for a kind of key that has no DER form, which
// names no node.
func NodeIDOf(pub crypto.PublicKey) synod.NodeID { return synod.NodeID(ServiceKID(pub)) }

// ServiceKID returns the key identifier in what a service's key signs: hex
// SHA-256 of the DER public key, or "" for a key without that form.
func ServiceKID(pub crypto.PublicKey) string {
	der, err := PublicKeyDER(pub)
	if err != nil {
		return ""
	}
	return fingerprint(der)
}

// MemberIDOf returns the ID of the member with a DER certificate: its hex
// SHA-256.
func MemberIDOf(der []byte) synod.MemberID { return synod.MemberID(fingerprint(der)) }

// UserIDOf returns the ID of the user with a DER certificate: its hex SHA-256.
func UserIDOf(der []byte) synod.UserID { return synod.UserID(fingerprint(der)) }

func fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
