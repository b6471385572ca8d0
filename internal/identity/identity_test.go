package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func certificate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	c, err := ParseCertPEM(read(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shape is what two certificates of one kind share.
type shape struct {
	Version            int
	Subject, Issuer    string
	Signature          string
	Extensions         []string // id, criticality, value without key identifiers
	From, To           string
	PublicKeyAlgorithm string
}

func shapeOf(c *x509.Certificate) shape {
	s := shape{
		Version: c.Version, Subject: hex.EncodeToString(c.RawSubject), Issuer: hex.EncodeToString(c.RawIssuer),
		Signature: c.SignatureAlgorithm.String(), PublicKeyAlgorithm: c.PublicKeyAlgorithm.String(),
		From: FormatTime(c.NotBefore), To: FormatTime(c.NotAfter),
	}
	for _, e := range c.Extensions {
		value := hex.EncodeToString(e.Value)
		for _, id := range [][]byte{c.SubjectKeyId, c.AuthorityKeyId} {
			value = strings.ReplaceAll(value, hex.EncodeToString(id), "<key>")
		}
		s.Extensions = append(s.Extensions, e.Id.String()+map[bool]string{true: " critical "}[e.Critical]+" "+value)
	}
	return s
}

func sameShape(t *testing.T, got, want *x509.Certificate) {
	t.Helper()
	if diff := cmp.Diff(shapeOf(want), shapeOf(got)); diff != "" {
		t.Errorf("differs from CCF's (-want +got):\n%s", diff)
	}
	if bytes.Equal(got.SubjectKeyId, got.AuthorityKeyId) != bytes.Equal(want.SubjectKeyId, want.AuthorityKeyId) {
		t.Error("key identifiers relate differently")
	}
}

func days(c *x509.Certificate) int {
	return int((c.NotAfter.Unix() - c.NotBefore.Unix() + 1) / 86400)
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := NewKey(Secp384r1)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func parsed(t *testing.T, der []byte, err error) *x509.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func parsedPEM(t *testing.T, text string, err error) *x509.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCertPEM([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if CertPEM(c.Raw) != text {
		t.Error("not in openssl's PEM form")
	}
	return c
}

func TestServiceCertificate(t *testing.T) {
	want := certificate(t, "service-1_cert.pem")
	der, err := SelfSigned(newKey(t), SelfSignedRequest{Subject: "CN=CCF Service", NotBefore: want.NotBefore, Days: days(want)})
	got := parsed(t, der, err)
	sameShape(t, got, want)
	if err := got.CheckSignatureFrom(got); err != nil {
		t.Error(err)
	}
	if n := len(got.SerialNumber.Bytes()); n > 16 {
		t.Errorf("serial number of %d bytes", n)
	}
}

func TestNodeCertificates(t *testing.T) {
	want := certificate(t, "node-1.pem")
	der, err := SelfSigned(newKey(t), SelfSignedRequest{
		Subject: "CN=CCF Node", SANs: []string{"iPAddress:127.0.0.1"}, NotBefore: want.NotBefore, Days: days(want),
	})
	sameShape(t, parsed(t, der, err), want)

	serviceKey := newKey(t)
	der, err = SelfSigned(serviceKey, SelfSignedRequest{Subject: "CN=CCF Service", NotBefore: want.NotBefore, Days: 90})
	service := parsed(t, der, err)

	// From CCF's own request, and from one of ours, which says the same.
	want = certificate(t, "node-1_endorsed.pem")
	text, err := Endorse(string(read(t, "node-1_csr.pem")), serviceKey, service, want.NotBefore, days(want))
	got := parsedPEM(t, text, err)
	sameShape(t, got, want)
	if !bytes.Equal(got.RawSubjectPublicKeyInfo, want.RawSubjectPublicKeyInfo) || !bytes.Equal(got.SubjectKeyId, want.SubjectKeyId) {
		t.Error("of another key")
	}
	if err := got.CheckSignatureFrom(service); err != nil {
		t.Error(err)
	}
	csr, err := NewCSR(newKey(t), "CN=CCF Node", []string{"iPAddress:127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	text, err = Endorse(csr, serviceKey, service, want.NotBefore, days(want))
	sameShape(t, parsedPEM(t, text, err), want)
}

func TestCSR(t *testing.T) {
	parse := func(text []byte) *x509.CertificateRequest {
		block, _ := pem.Decode(text)
		r, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	text, err := NewCSR(newKey(t), "CN=CCF Node", []string{"iPAddress:127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	want, got := parse(read(t, "node-1_csr.pem")), parse([]byte(text))
	if got.SignatureAlgorithm != want.SignatureAlgorithm || !bytes.Equal(got.RawSubject, want.RawSubject) ||
		got.Version != want.Version || !cmp.Equal(got.Extensions, want.Extensions) {
		t.Errorf("request %+v, want %+v", got, want)
	}
}

func TestEndorseService(t *testing.T) {
	want := certificate(t, "service-1_endorsed.pem")
	key := newKey(t)
	der, err := SelfSigned(key, SelfSignedRequest{Subject: "CN=CCF Service", NotBefore: want.NotBefore, Days: days(want)})
	issuer := parsed(t, der, err)
	text, err := EndorseService(certificate(t, "service-1_cert.pem"), key, issuer)
	got := parsedPEM(t, text, err)
	sameShape(t, got, want)
	if err := got.CheckSignatureFrom(issuer); err != nil {
		t.Error(err)
	}
	if err := certificate(t, "node-1_endorsed.pem").CheckSignatureFrom(got); err != nil {
		t.Errorf("does not lead on to the node: %v", err)
	}
}

func TestParticipants(t *testing.T) {
	for name, tc := range map[string]struct {
		who, cert string
		curve     Curve
	}{
		"P-384": {"member0", "member0_cert.pem", ""},
		"P-256": {"user1", "user1_cert.pem", Secp256r1},
	} {
		want := certificate(t, tc.cert)
		p, err := NewMember(tc.who, tc.curve, want.NotBefore)
		if err != nil {
			t.Fatal(err)
		}
		got := parsedPEM(t, p.CertPEM, nil)
		sameShape(t, got, want)
		key, err := ParseKeyPEM([]byte(p.KeyPEM))
		if err != nil || !key.Equal(p.Key) {
			t.Errorf("%s: key read back differs, %v", name, err)
		}
		if err := got.CheckSignatureFrom(got); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "a,b", "a=b", "a/b", strings.Repeat("x", 65), "a\xff"} {
		if _, err := NewUser(bad, "", time.Now()); err == nil {
			t.Errorf("made user %q", bad)
		}
	}
}

func TestKeysOfCCF(t *testing.T) {
	for name, curve := range map[string]elliptic.Curve{"member0": elliptic.P384(), "user1": elliptic.P256()} {
		key, err := ParseKeyPEM(read(t, name+"_privk.pem"))
		if err != nil {
			t.Fatal(err)
		}
		if key.Curve != curve || !key.PublicKey.Equal(certificate(t, name+"_cert.pem").PublicKey) {
			t.Errorf("%s: key and certificate differ", name)
		}
	}
	enc, err := ParseEncryptionKeyPEM(read(t, "member0_enc_privk.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ParsePublicKeyPEM(read(t, "member0_enc_pubk.pem"))
	if err != nil || !enc.PublicKey.Equal(pub) {
		t.Errorf("encryption keys differ, %v", err)
	}
	if text, err := PublicKeyPEM(pub); err != nil || text != string(read(t, "member0_enc_pubk.pem")) {
		t.Errorf("public key written as %s, %v", text, err)
	}
}

func TestIdentifiers(t *testing.T) {
	node := certificate(t, "node-1.pem")
	if id := NodeIDOf(node.PublicKey); id != "0ae2a0cc1a167e1633198b2a634e43ecb0b74e160da9e62c7b0124489ecfe616" {
		t.Errorf("node ID %s", string(id))
	}
	member := certificate(t, "member0_cert.pem")
	if id := MemberIDOf(member.Raw); id != "35d0afe285ba831ac9a42b4236b1ca58c36c6e53d6bdcd4979e27c23a81e15c3" {
		t.Errorf("member ID %s", string(id))
	}
	if UserIDOf(member.Raw) == "" || ServiceKID(node.PublicKey) != string(NodeIDOf(node.PublicKey)) || NodeIDOf("no key") != "" {
		t.Error("identifiers differ")
	}
}

func TestPEMRefused(t *testing.T) {
	cert, key, csr := read(t, "node-1.pem"), read(t, "member0_privk.pem"), read(t, "node-1_csr.pem")
	rsaKey, rsaPub := read(t, "member0_enc_privk.pem"), read(t, "member0_enc_pubk.pem")
	garbage := []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	for _, b := range [][]byte{nil, []byte("x"), key, csr, garbage, append([]byte("-----BEGIN X-----\n-----END X-----\n"), cert...)} {
		if _, err := ParseCertPEM(b); err == nil {
			t.Errorf("certificate: %q", b)
		}
	}
	for _, b := range [][]byte{nil, []byte("x"), cert, csr, rsaKey, rsaPub, bytes.ReplaceAll(garbage, []byte("CERTIFICATE"), []byte("EC PRIVATE KEY")), bytes.ReplaceAll(garbage, []byte("CERTIFICATE"), []byte("PRIVATE KEY"))} {
		if _, err := ParseKeyPEM(b); err == nil {
			t.Errorf("key: %q", b)
		}
	}
	for _, b := range [][]byte{nil, cert, key, bytes.ReplaceAll(garbage, []byte("CERTIFICATE"), []byte("PUBLIC KEY"))} {
		if _, err := ParsePublicKeyPEM(b); err == nil {
			t.Errorf("public key: %q", b)
		}
		if _, err := ParseEncryptionKeyPEM(b); err == nil {
			t.Errorf("encryption key: %q", b)
		}
	}
	p, err := NewUser("u", "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseEncryptionKeyPEM([]byte(p.KeyPEM)); !errors.Is(err, ErrKeyKind) {
		t.Errorf("an ECDSA key for encryption: %v", err)
	}
	if _, err := NewKey("Secp521R1"); !errors.Is(err, ErrKeyKind) {
		t.Errorf("unknown curve: %v", err)
	}
	if _, err := KeyPEM("no key"); err == nil {
		t.Error("wrote a text as key")
	}
	if _, err := PublicKeyPEM("no key"); err == nil {
		t.Error("wrote a text as public key")
	}
}

func TestPeriods(t *testing.T) {
	key := newKey(t)
	now := time.Date(2026, 11, 23, 16, 24, 13, 999, time.FixedZone("", 3600))
	for name, tc := range map[string]struct {
		from time.Time
		days int
		ok   bool
	}{
		"a day":        {now, 1, true},
		"none":         {now, 0, false},
		"negative":     {now, -1, false},
		"overlong":     {now, 1 << 40, false},
		"year 10000":   {now, 365 * 8000, false},
		"year 9999":    {now, 365 * 7970, true},
		"before 1950":  {time.Date(1949, 12, 31, 0, 0, 0, 0, time.UTC), 365, false},
		"zero time":    {time.Time{}, 1, false},
		"largest int":  {now, int(^uint(0) >> 1), false},
		"smallest int": {now, -int(^uint(0)>>1) - 1, false},
	} {
		der, err := SelfSigned(key, SelfSignedRequest{Subject: "CN=x", NotBefore: tc.from, Days: tc.days})
		if tc.ok != (err == nil) || err != nil && !errors.Is(err, ErrValidity) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err == nil {
			c := parsed(t, der, nil)
			if days(c) != tc.days || !c.NotBefore.Equal(tc.from.Truncate(time.Second)) {
				t.Errorf("%s: %s to %s", name, c.NotBefore, c.NotAfter)
			}
		}
	}
}

func TestEndorseRefuses(t *testing.T) {
	key := newKey(t)
	der, err := SelfSigned(key, SelfSignedRequest{Subject: "CN=x", NotBefore: time.Now(), Days: 1})
	issuer := parsed(t, der, err)
	csr := string(read(t, "node-1_csr.pem"))
	block, _ := pem.Decode([]byte(csr))
	block.Bytes[len(block.Bytes)-1] ^= 1
	for name, f := range map[string]func() error{
		"no PEM":      func() error { _, err := Endorse("", key, issuer, time.Now(), 1); return err },
		"certificate": func() error { _, err := Endorse(string(read(t, "node-1.pem")), key, issuer, time.Now(), 1); return err },
		"signature": func() error {
			_, err := Endorse(string(pem.EncodeToMemory(block)), key, issuer, time.Now(), 1)
			return err
		},
		"days":         func() error { _, err := Endorse(csr, key, issuer, time.Now(), 0); return err },
		"wrong issuer": func() error { _, err := Endorse(csr, newKey(t), issuer, time.Now(), 1); return err },
	} {
		if f() == nil {
			t.Errorf("%s: endorsed", name)
		}
	}
}

func TestNames(t *testing.T) {
	key := newKey(t)
	for subject, ok := range map[string]bool{
		"CN=CCF Service": true, "CN=a,O=b": true, "O=b, CN=a": true, "C=GB,CN=a,ST=c,L=d,OU=e,DC=f,emailAddress=g@h": true, "CN=ü": true,
		"": false, "a": false, "CN=": false, "CN=a,CN=b": false, "X=a": false, "C=GBR": false, "C=é1": false, "CN=a,": false,
		"CN=" + strings.Repeat("x", 65): false, "CN=\xff": false,
	} {
		_, err := SelfSigned(key, SelfSignedRequest{Subject: subject, NotBefore: time.Now(), Days: 1})
		if ok != (err == nil) {
			t.Errorf("subject %q: %v", subject, err)
		}
	}
	for san, ok := range map[string]bool{
		"iPAddress:127.0.0.1": true, "iPAddress:::1": true, "dNSName:localhost": true, "dNSName:*.example.com": true,
		"": false, "localhost": false, "DNS:x": false, "iPAddress:x": false, "iPAddress:fe80::1%eth0": false, "dNSName:": false,
		"dNSName:a b": false, "dNSName:a,b": false, "dNSName:ü": false, "dNSName:" + strings.Repeat("x", 254): false,
	} {
		_, err := NewCSR(key, "CN=x", []string{san})
		if ok != (err == nil) {
			t.Errorf("alternative name %q: %v", san, err)
		}
	}
	der, err := SelfSigned(key, SelfSignedRequest{Subject: "CN=x", NotBefore: time.Now(), Days: 1, SANs: []string{"iPAddress:::1", "dNSName:a.b", "iPAddress:1.2.3.4"}})
	c := parsed(t, der, err)
	if !cmp.Equal(c.DNSNames, []string{"a.b"}) || len(c.IPAddresses) != 2 || c.IPAddresses[1].String() != "1.2.3.4" {
		t.Errorf("names %v %v", c.DNSNames, c.IPAddresses)
	}
	for host, want := range map[string]string{
		"127.0.0.1": "iPAddress:127.0.0.1", "localhost": "dNSName:localhost", "a.b.example": "dNSName:a.b.example",
		"[::1]": "iPAddress:::1", "::1": "iPAddress:::1", "node.1": "iPAddress:node.1", "": "dNSName:",
	} {
		if got := SANOf(host); got != want {
			t.Errorf("%q is %s, want %s", host, got, want)
		}
	}
}

func TestEncryptionKeys(t *testing.T) {
	private, public, err := NewEncryptionKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseEncryptionKeyPEM([]byte(private))
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ParsePublicKeyPEM([]byte(public))
	if err != nil || !key.PublicKey.Equal(pub) || key.E != 65537 || key.N.BitLen() != 2048 {
		t.Errorf("keys differ, %v", err)
	}
	var _ *rsa.PublicKey = pub.(*rsa.PublicKey)
}

func TestDigest(t *testing.T) {
	for _, c := range []Curve{Secp256r1, Secp384r1} {
		key, err := NewKey(c)
		if err != nil {
			t.Fatal(err)
		}
		root := [32]byte{1, 2, 3}
		sig, err := SignDigest(key, root)
		if err != nil || !VerifyDigest(&key.PublicKey, root, sig) {
			t.Fatalf("%s: %v", c, err)
		}
		if root[0]++; VerifyDigest(&key.PublicKey, root, sig) || VerifyDigest("no key", root, sig) {
			t.Errorf("%s: verifies another root", c)
		}
	}
}

// TestOpenSSL asks openssl, where there is one, whether the chain holds.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, now := newKey(t), time.Now()
	der, err := SelfSigned(key, SelfSignedRequest{Subject: "CN=CCF Service", NotBefore: now, Days: 2})
	service := parsed(t, der, err)
	csr, err := NewCSR(newKey(t), "CN=CCF Node", []string{"dNSName:localhost", "iPAddress:127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	node, err := Endorse(csr, key, service, now, 1)
	if err != nil {
		t.Fatal(err)
	}
	member, err := NewMember("member0", "", now)
	if err != nil {
		t.Fatal(err)
	}
	ca := write("service.pem", CertPEM(der))
	for _, args := range [][]string{
		{"verify", "-x509_strict", "-CAfile", ca, ca},
		{"verify", "-x509_strict", "-CAfile", ca, write("node.pem", node)},
		{"verify", "-CAfile", write("member.pem", member.CertPEM), filepath.Join(dir, "member.pem")},
		{"req", "-verify", "-noout", "-in", write("csr.pem", csr)},
		{"pkey", "-check", "-noout", "-in", write("key.pem", member.KeyPEM)},
	} {
		if out, err := exec.Command(openssl, args...).CombinedOutput(); err != nil {
			t.Errorf("openssl %s: %s", strings.Join(args, " "), out)
		}
	}
}

func BenchmarkSignDigest(b *testing.B) {
	for _, c := range []Curve{Secp384r1, Secp256r1} {
		b.Run(string(c), func(b *testing.B) {
			key, err := NewKey(c)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := SignDigest(key, [32]byte{1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerifyDigest(b *testing.B) {
	key := newKey(b)
	sig, err := SignDigest(key, [32]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !VerifyDigest(&key.PublicKey, [32]byte{1}, sig) {
			b.Fatal("does not verify")
		}
	}
}
