package snp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"synod/internal/cose"
)

const (
	// uvmMax bounds the endorsements of a utility VM, in bytes; they have 11 KB.
	uvmMax = 64 << 10
	// chainMax bounds the certificates within.
	chainMax = 8
)

// UVM says who endorsed the utility VM that a guest was started from: DID is
// did:x509, feed the name of the image, SVN its security version.
type UVM struct{ DID, Feed, SVN string }

// uvmRoot is an endorser that is trusted, by the SHA-256 of a CA certificate
// (base64url) and the extended key usage of the signer's.
type uvmRoot struct {
	fingerprint string
	usage       asn1.ObjectIdentifier
	feed        string
	svnMin      uint64
}

func (r *uvmRoot) did() string {
	return fmt.Sprintf("did:x509:0:sha256:%s::eku:%s", r.fingerprint, r.usage)
}

const azureFingerprint = "I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s"

// uvmRoots are CCF's defaults: Azure's containers, and its Kubernetes.
var uvmRoots = []uvmRoot{
	{azureFingerprint, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 76, 59, 1, 2}, "ContainerPlat-AMD-UVM", 100},
	{azureFingerprint, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 76, 59, 1, 5}, "ConfAKS-AMD-UVM", 1},
}

// VerifyUVM checks the endorsements of the utility VM with this measurement: a
// COSE_Sign1 message by one of the endorsers that CCF trusts. The time is not
// looked at, as in CCF.
func VerifyUVM(message, measurement []byte) (UVM, error) {
	return verifyUVM(message, measurement, uvmRoots)
}

func verifyUVM(message, measurement []byte, roots []uvmRoot) (u UVM, err error) {
	if len(message) > uvmMax {
		return u, fmt.Errorf("the UVM endorsements have %d bytes, more than %d", len(message), uvmMax)
	}
	m, err := cose.Parse(message)
	if err != nil {
		return u, err
	}
	if u.DID, _, err = m.Text("iss"); err != nil {
		return u, err
	}
	if u.Feed, _, err = m.Text("feed"); err != nil {
		return u, err
	}
	if err := checkUVMSignature(m, u, roots); err != nil {
		return u, err
	}
	var svn uint64
	if u.SVN, svn, err = checkUVMPayload(m, measurement); err != nil {
		return u, err
	}
	for _, r := range roots {
		if r.did() == u.DID && r.feed == u.Feed && r.svnMin <= svn {
			return u, nil
		}
	}
	return u, errUVMUnknown(u)
}

func errUVMUnknown(u UVM) error {
	return fmt.Errorf("UVM endorsements did %.120s, feed %.40s, svn %.20s do not match any of the known UVM roots of trust", u.DID, u.Feed, u.SVN)
}

// checkUVMSignature checks that the message's certificates are what its DID
// says (did:x509 version 0) and that the first one's key signed it.
func checkUVMSignature(m *cose.Message, u UVM, roots []uvmRoot) error {
	for _, r := range roots {
		if r.did() != u.DID {
			continue
		}
		leaf, err := r.signer(m)
		if err != nil {
			return err
		}
		if !signedBy(m, leaf.PublicKey) {
			return errors.New("Signature verification failed")
		}
		return nil
	}
	return errUVMUnknown(u)
}

// labelChain is x5chain (RFC 9360).
const labelChain = int64(33)

// signer is the first certificate of the message, if it is one of the root's.
func (r *uvmRoot) signer(m *cose.Message) (*x509.Certificate, error) {
	list, ok := m.Header[labelChain].([]any)
	if !ok || len(list) < 2 || len(list) > chainMax {
		return nil, fmt.Errorf("x5chain in COSE header is not an array of 2 to %d certificates", chainMax)
	}
	certs := make([]*x509.Certificate, len(list))
	for i, item := range list {
		der, ok := item.([]byte)
		if !ok {
			return nil, errors.New("Next item in x5chain was not of type byte string")
		}
		var err error
		if certs[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("certificate %d of x5chain: %w", i+1, err)
		}
	}
	leaf, last := certs[0], len(certs)-1
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		// The time that all of them were valid at, if ever.
		CurrentTime: leaf.NotBefore.Add(time.Second),
	}
	options.Roots.AddCert(certs[last])
	for _, c := range certs[1:last] {
		options.Intermediates.AddCert(c)
	}
	paths, err := leaf.Verify(options)
	if err != nil {
		return nil, errors.New("no chain or signature invalid")
	}
	// Only certificates that the path goes by count.
	for _, path := range paths {
		for _, c := range path[1:] {
			sum := sha256.Sum256(c.Raw)
			if base64.RawURLEncoding.EncodeToString(sum[:]) == r.fingerprint {
				return leaf, r.checkUsage(leaf)
			}
		}
	}
	return nil, errors.New("invalid certificate fingerprint")
}

func (r *uvmRoot) checkUsage(leaf *x509.Certificate) error {
	for _, oid := range leaf.UnknownExtKeyUsage {
		if oid.Equal(r.usage) {
			return nil
		}
	}
	return fmt.Errorf("EKU not found: %s", r.usage)
}

// signedBy checks the signature: RSA-PSS (RFC 8230) or ECDSA.
func signedBy(m *cose.Message, key any) bool {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return m.Verify(k, nil) == nil
	case *rsa.PublicKey:
		hash, ok := map[int64]crypto.Hash{-37: crypto.SHA256, -38: crypto.SHA384, -39: crypto.SHA512}[m.Alg]
		if !ok || m.Detached {
			return false
		}
		h := hash.New()
		h.Write(m.ToBeSigned())
		return rsa.VerifyPSS(k, hash, h.Sum(nil), m.Signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	default:
		return false
	}
}

// checkUVMPayload compares the measurement and returns the security version,
// which is a number or the text of one.
func checkUVMPayload(m *cose.Message, measurement []byte) (text string, svn uint64, err error) {
	const labelContentType = int64(3)
	if m.Header[labelContentType] != "application/json" {
		return "", 0, fmt.Errorf("Unexpected payload content type %.40v, expected application/json", m.Header[labelContentType])
	}
	var payload map[string]json.RawMessage
	if json.Unmarshal(m.Payload, &payload) != nil {
		return "", 0, errors.New("the UVM endorsements' payload is not a JSON object")
	}
	var launch string
	if json.Unmarshal(payload["x-ms-sevsnpvm-launchmeasurement"], &launch) != nil {
		return "", 0, errors.New("no launch measurement in UVM endorsements payload")
	}
	if want := hex.EncodeToString(measurement); launch != want {
		return "", 0, fmt.Errorf("Launch measurement in UVM endorsements payload %.96s is not equal to UVM attestation measurement %s", launch, want)
	}
	text = string(bytes.TrimSpace(payload["x-ms-sevsnpvm-guestsvn"]))
	var quoted string
	if json.Unmarshal(payload["x-ms-sevsnpvm-guestsvn"], &quoted) == nil {
		text = quoted
	}
	if svn, err = strconv.ParseUint(text, 10, 64); err != nil {
		return "", 0, fmt.Errorf("Unable to parse sevsnpvm_guest_svn value %.20s to unsigned in UVM endorsements payload", text)
	}
	return text, svn, nil
}
