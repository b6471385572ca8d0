package snp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"
	"testing"

	"synod/internal/cose"
)

func TestUVM(t *testing.T) {
	message, report := sample(t, "milan_uvm.cose"), sample(t, "milan.report")
	measurement := report[Measurement.From : Measurement.From+Measurement.Size]
	want := UVM{"did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2", "ContainerPlat-AMD-UVM", "101"}
	got, err := VerifyUVM(message, measurement)
	if err != nil || got != want {
		t.Fatal(got, err)
	}
	m, err := cose.Parse(message)
	if err != nil {
		t.Fatal(err)
	}
	// The unprotected header, with a time-stamp of the signature, is not signed.
	for name, part := range map[string][]byte{"header": m.Protected, "payload": m.Payload, "signature": m.Signature} {
		start := bytes.Index(message, part)
		for at := start; at < start+len(part); at += 7 {
			bad := bytes.Clone(message)
			bad[at] ^= 1
			if got, err := VerifyUVM(bad, measurement); err == nil {
				t.Errorf("%s, byte %d changed and not noticed: %v", name, at, got)
			}
		}
	}
	for name, change := range map[string]func(r *uvmRoot){
		"another CA":    func(r *uvmRoot) { r.fingerprint = "A" + r.fingerprint[1:] },
		"another usage": func(r *uvmRoot) { r.usage = append(slices.Clone(r.usage), 1) },
		"another feed":  func(r *uvmRoot) { r.feed = "x" },
		"too old":       func(r *uvmRoot) { r.svnMin = 1000 },
	} {
		roots := slices.Clone(uvmRoots)
		for i := range roots {
			change(&roots[i])
		}
		if _, err := verifyUVM(message, measurement, roots); err == nil || !strings.HasPrefix(err.Error(), "UVM endorsements did ") {
			t.Error(name, err)
		}
	}
	if _, err := VerifyUVM(message, make([]byte, 48)); err == nil {
		t.Error("another measurement was endorsed")
	}
	for _, bad := range [][]byte{nil, message[1:], message[:len(message)-1], append(bytes.Clone(message), 0), make([]byte, uvmMax+1)} {
		if _, err := VerifyUVM(bad, measurement); err == nil {
			t.Errorf("%d bytes were taken", len(bad))
		}
	}
}

// uvmSigner is an endorser of our own.
type uvmSigner struct {
	key   *ecdsa.PrivateKey
	chain [][]byte // leaf, CA
	root  uvmRoot
}

func newUVMSigner(t *testing.T) uvmSigner {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: then, NotAfter: then.AddDate(1, 0, 0),
		BasicConstraintsValid: true, IsCA: true,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: then, NotAfter: then.AddDate(1, 0, 0),
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 2, 3, 4}},
	}
	s := uvmSigner{key: key, root: uvmRoot{usage: leaf.UnknownExtKeyUsage[0], feed: "image", svnMin: 7}}
	for _, c := range []*x509.Certificate{leaf, ca} {
		der, err := x509.CreateCertificate(rand.Reader, c, ca, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		s.chain = append(s.chain, der)
	}
	sum := sha256.Sum256(s.chain[1])
	s.root.fingerprint = base64.RawURLEncoding.EncodeToString(sum[:])
	return s
}

// cborHead writes the first bytes of an item.
func cborHead(major byte, n int) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 256:
		return []byte{major<<5 | 24, byte(n)}
	default:
		return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
	}
}

func cborText(s string) []byte { return append(cborHead(3, len(s)), s...) }

func cborBytes(b []byte) []byte { return append(cborHead(2, len(b)), b...) }

// message is signed by the endorser; its DID names one that may be another.
func (s *uvmSigner) message(t *testing.T, chain [][]byte, did, payload string) []byte {
	t.Helper()
	certs := cborHead(4, len(chain))
	for _, c := range chain {
		certs = append(certs, cborBytes(c)...)
	}
	const es256 = -7
	protected := slices.Concat(cborHead(5, 5), cborHead(0, 1), cborHead(1, -1-es256), cborHead(0, 3), cborText("application/json"),
		cborHead(0, int(labelChain)), certs, cborText("iss"), cborText(did), cborText("feed"), cborText(s.root.feed))
	body := slices.Concat([]byte{0xd2, 0x84}, cborBytes(protected), []byte{0xa0}, cborBytes([]byte(payload)))
	signature := make([]byte, 64)
	m, err := cose.Parse(slices.Concat(body, cborBytes(signature)))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(m.ToBeSigned())
	r, x, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	r.FillBytes(signature[:32])
	x.FillBytes(signature[32:])
	return append(body, cborBytes(signature)...)
}

// TestUVMSigner: what Microsoft does not sign, signed by an endorser of our own.
func TestUVMSigner(t *testing.T) {
	own, other := newUVMSigner(t), newUVMSigner(t)
	measurement := bytes.Repeat([]byte{0xab}, 48)
	payload := func(svn string) string {
		return `{"x-ms-sevsnpvm-guestsvn": ` + svn + `, "x-ms-sevsnpvm-launchmeasurement": "` + strings.Repeat("ab", 48) + `"}`
	}
	for _, tc := range []struct {
		name    string
		chain   [][]byte
		payload string
		want    string
	}{
		{"good", own.chain, payload(`"7"`), ""},
		{"a number", own.chain, payload(`8`), ""},
		{"old", own.chain, payload(`6`), "UVM endorsements did " + own.root.did() + ", feed image, svn 6 do not match any of the known UVM roots of trust"},
		{"no version", own.chain, payload(`null`), "Unable to parse sevsnpvm_guest_svn value  to unsigned in UVM endorsements payload"},
		{"no number", own.chain, payload(`"7a"`), "Unable to parse sevsnpvm_guest_svn value 7a to unsigned in UVM endorsements payload"},
		{"negative", own.chain, payload(`-7`), "Unable to parse sevsnpvm_guest_svn value -7 to unsigned in UVM endorsements payload"},
		{"no object", own.chain, `[]`, "the UVM endorsements' payload is not a JSON object"},
		{"no measurement", own.chain, `{}`, "no launch measurement in UVM endorsements payload"},
		{"CA beside the path", [][]byte{other.chain[0], own.chain[1], other.chain[1]}, payload(`7`), "invalid certificate fingerprint"},
		{"leaf of another", [][]byte{other.chain[0], own.chain[1]}, payload(`7`), "no chain or signature invalid"},
		{"leaf alone", own.chain[:1], payload(`7`), "x5chain in COSE header is not an array of 2 to 8 certificates"},
		{"CA first", [][]byte{own.chain[1], own.chain[1]}, payload(`7`), "invalid certificate fingerprint"},
		{"no certificate", [][]byte{own.chain[0], {1}}, payload(`7`), "certificate 2 of x5chain: x509: malformed certificate"},
	} {
		u, err := verifyUVM(own.message(t, tc.chain, own.root.did(), tc.payload), measurement, []uvmRoot{own.root})
		if (err == nil) != (tc.want == "") || err != nil && err.Error() != tc.want {
			t.Errorf("%s: %v %v, want %s", tc.name, u, err, tc.want)
		}
	}
	if _, err := verifyUVM(other.message(t, own.chain, own.root.did(), payload("7")), measurement, []uvmRoot{own.root}); err == nil || err.Error() != "Signature verification failed" {
		t.Error("signed by another key:", err)
	}
}

func FuzzUVM(f *testing.F) {
	message, report := sample(f, "milan_uvm.cose"), sample(f, "milan.report")
	measurement := report[Measurement.From : Measurement.From+Measurement.Size]
	f.Add(message)
	f.Add(message[:400])
	signed, err := cose.Parse(message)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := VerifyUVM(b, measurement); err != nil {
			return
		}
		if m, err := cose.Parse(b); err != nil || !bytes.Equal(m.ToBeSigned(), signed.ToBeSigned()) {
			t.Error("another message was taken")
		}
	})
}
