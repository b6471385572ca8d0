package snp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// then is when the sample certificates were valid.
var then = time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSamples(t *testing.T) {
	for name, want := range map[string]struct{ tcb, reportData, measurement string }{
		"milan": {
			"db18000000000004", "7a6a68c0a2b85b8aae00ca04f644831680222f44167e5558a9e072b70c60e958" + strings.Repeat("0", 64),
			"5feee30d6d7e1a29f403d70a4198237ddfb13051a2d6976439487c609388ed7f98189887920ab2fa0096903a0c23fca1",
		},
		"genoa": {"541700000000000a", "", ""},
	} {
		report, endorsements := sample(t, name+".report"), sample(t, name+".pem")
		r, err := Verify(report, endorsements, nil, then)
		if err != nil {
			t.Error(name, err)
			continue
		}
		if r.Reported.String() != want.tcb {
			t.Errorf("%s: TCB %s, want %s", name, r.Reported, want.tcb)
		}
		for s, want := range map[Span]string{ReportData: want.reportData, Measurement: want.measurement} {
			if got := hex.EncodeToString(r.Bytes(s)); want != "" && got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		if _, err := Verify(report, endorsements, &want.tcb, then); err != nil {
			t.Error(name, err)
		}
		for bit := 0; bit < 8*signedSize; bit += 61 {
			bad := bytes.Clone(report)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := Verify(bad, endorsements, nil, then); err == nil {
				t.Errorf("%s: bit %d flipped and not noticed", name, bit)
			}
		}
	}
}

func TestRefusedSamples(t *testing.T) {
	report, certs := sample(t, "milan.report"), string(sample(t, "milan.pem"))
	of := strings.SplitAfter(certs, "-----END CERTIFICATE-----\n")
	genoa := string(sample(t, "genoa.pem"))
	old := bytes.Clone(report)
	old[0] = 2
	unknown, turinReport := bytes.Clone(report), bytes.Clone(report)
	unknown[0x188] = 0x18
	turinReport[0x188] = 0x1a
	tcb := func(s string) *string { return &s }
	for _, tc := range []struct {
		name   string
		report []byte
		certs  string
		tcb    *string
		now    time.Time
		want   string
	}{
		{"short", report[1:], certs, nil, then, "Input SEV-SNP attestation report is not of expected size 1184: 1183"},
		{"empty", nil, certs, nil, then, "Input SEV-SNP attestation report is not of expected size 1184: 0"},
		{"version", old, certs, nil, then, "SEV-SNP: Attestation version is 2 not >= expected minimum 3"},
		{"processor", unknown, certs, nil, then, "SEV-SNP: Unsupported CPUID family 24 model 1"},
		{"Turin", turinReport, certs, nil, then, "SEV-SNP: No known root certificate for Turin"},
		{"two", report, of[0] + of[1], nil, then, "Expected 3 endorsement certificates but got 2"},
		{"four", report, certs + of[0], nil, then, "Expected 3 endorsement certificates but got 4"},
		{"empty fourth", report, certs + "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", nil, then, "Expected 3 endorsement certificates but got 4"},
		{"no PEM", report, strings.ReplaceAll(certs, "BEGIN", "BEGUN"), nil, then, "endorsement certificate 1 is not PEM"},
		{"too large", report, certs + strings.Repeat(" ", endorsementsMax), nil, then, "the endorsements have 72026 bytes, more than 65536"},
		{"another root", report, genoa, nil, then, "SEV-SNP: The root of trust public key for this attestation was not the expected one for v3 25 1"},
		{"order", report, of[1] + of[0] + of[2], nil, then, "SEV-SNP: Chip certificate (VCEK) has no key on P-384"},
		{"without ASK", report, of[0] + of[2] + of[2], nil, then, "SEV-SNP: The chain of signatures from the root of trust to this attestation is broken"},
		{"another chip", report, strings.SplitAfter(genoa, "-----END CERTIFICATE-----\n")[0] + of[1] + of[2], nil, then, "SEV-SNP: The chain of signatures from the root of trust to this attestation is broken"},
		{"expired", report, certs, nil, then.AddDate(20, 0, 0), "SEV-SNP: The chain of signatures from the root of trust to this attestation is broken"},
		{"TCB", report, certs, tcb("0000000000000000"), then, "SEV-SNP: endorsed TCB 0000000000000000 does not match reported TCB db18000000000004"},
		{"TCB size", report, certs, tcb("00"), then, "Invalid TCB version data size: 1"},
		{"TCB text", report, certs, tcb("x"), then, `Invalid TCB version "x": not hexadecimal`},
	} {
		if _, err := Verify(tc.report, []byte(tc.certs), tc.tcb, tc.now); err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
}

// chip is a chip of our own with a chain of certificates as AMD's.
type chip struct {
	key   *ecdsa.PrivateKey
	certs string
	roots map[product]string
}

func newChip(t *testing.T, lowest [4]int, id []byte) chip {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := func(name string, ca bool) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: then.AddDate(-1, 0, 0), NotAfter: then.AddDate(1, 0, 0),
			BasicConstraintsValid: ca, IsCA: ca, SignatureAlgorithm: x509.SHA384WithRSAPSS,
		}
	}
	root, middle, leaf := template("ARK", true), template("ASK", true), template("VCEK", false)
	for i, oid := range []int{1, 2, 3, 8} {
		der, err := asn1.Marshal(lowest[i])
		if err != nil {
			t.Fatal(err)
		}
		leaf.ExtraExtensions = append(leaf.ExtraExtensions, pkix.Extension{Id: append(slices.Clone(amdOID), 3, oid), Value: der})
	}
	if id != nil {
		leaf.ExtraExtensions = append(leaf.ExtraExtensions, pkix.Extension{Id: append(slices.Clone(amdOID), 4), Value: id})
	}
	c := chip{key: key, roots: map[product]string{}}
	for _, x := range []struct {
		cert, issuer *x509.Certificate
		key          crypto.PublicKey
	}{{leaf, middle, key.Public()}, {middle, root, rsaKey.Public()}, {root, root, rsaKey.Public()}} {
		der, err := x509.CreateCertificate(rand.Reader, x.cert, x.issuer, x.key, rsaKey)
		if err != nil {
			t.Fatal(err)
		}
		c.certs += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	spki, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	c.roots[milan] = hex.EncodeToString(sum[:])
	return c
}

// sign signs a report as the chip does.
func (c *chip) sign(t *testing.T, report []byte) []byte {
	t.Helper()
	digest := sha512.Sum384(report[:signedSize])
	r, s, err := ecdsa.Sign(rand.Reader, c.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	for part, n := range map[Span]*big.Int{SignatureR: r, SignatureS: s} {
		b := n.FillBytes(make([]byte, part.Size))
		slices.Reverse(b)
		copy(report[part.From:], b)
	}
	return report
}

// TestRefusedGuests: what no chip signs for Azure, signed by a chip of our own.
func TestRefusedGuests(t *testing.T) {
	report := sample(t, "milan.report")
	id := report[ChipID.From : ChipID.From+ChipID.Size]
	good := newChip(t, [4]int{4, 0, 0x18, 0xdb}, id)
	for _, tc := range []struct {
		name     string
		at       int
		value    byte
		unsigned bool
		want     string
	}{
		{"as it was", 0, 3, false, ""},
		{"newer version", 0, 5, false, ""},
		{"signed by another", 0, 3, true, "SEV-SNP: Chip certificate (VCEK) did not sign this attestation"},
		{"algorithm", 0x34, 2, false, "SEV-SNP: Unsupported signature algorithm: 2 (supported: 1)"},
		{"signing key", 0x48, 1 << 2, false, "SEV-SNP: Attestation report must be signed by VCEK: 1"},
		{"no signing key", 0x48, 7 << 2, false, "SEV-SNP: Attestation report must be signed by VCEK: 7"},
		{"masked key", 0x48, 1 << 1, false, "SEV-SNP: Mask chip key must not be set"},
		{"author key", 0x48, 1, false, ""},
		{"host", 0x30, 4, false, "SEV-SNP: This report seems to be host generated (VMPL 4 > 3)"},
		{"debugging", 0x0a, 1 << 3, false, "SEV-SNP: SNP attestation report guest policy debugging must not be enabled"},
		{"migration", 0x0a, 1 << 2, false, "SEV-SNP: SNP attestation report guest policy migration must not be enabled"},
		{"boot loader", 0x180, 3, false, "SEV-SNP: Reported TCB db18000000000003 does not meet or exceed the endorsed TCB of the Milan certificate"},
		{"newer boot loader", 0x180, 5, false, ""},
		{"firmware", 0x186, 0x17, false, "SEV-SNP: Reported TCB db17000000000004 does not meet or exceed the endorsed TCB of the Milan certificate"},
		{"microcode", 0x187, 0xda, false, "SEV-SNP: Reported TCB da18000000000004 does not meet or exceed the endorsed TCB of the Milan certificate"},
	} {
		b := bytes.Clone(report)
		b[tc.at] = tc.value
		if !tc.unsigned {
			b = good.sign(t, b)
		}
		_, err := verify(b, []byte(good.certs), nil, then, good.roots)
		if (err == nil) != (tc.want == "") || err != nil && err.Error() != tc.want {
			t.Errorf("%s: %v, want %s", tc.name, err, tc.want)
		}
	}
	for name, tc := range map[string]struct {
		id   []byte
		want string
	}{
		"no chip":       {nil, "Expected OID 1.3.6.1.4.1.3704.1.4 in VCEK certificate"},
		"another chip":  {make([]byte, 64), "SEV-SNP: Chip ID in attestation does not match endorsed chip ID: "},
		"a part of one": {id[:8], "SEV-SNP: Chip ID in attestation does not match endorsed chip ID: "},
	} {
		c := newChip(t, [4]int{4, 0, 0x18, 0xdb}, tc.id)
		if _, err := verify(c.sign(t, bytes.Clone(report)), []byte(c.certs), nil, then, c.roots); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	wide := newChip(t, [4]int{4, 0, 0x18, 256}, id)
	if _, err := verify(wide.sign(t, bytes.Clone(report)), []byte(wide.certs), nil, then, wide.roots); err == nil || err.Error() != "Invalid value in TCB version of the VCEK certificate" {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	report, certs := sample(f, "milan.report"), sample(f, "milan.pem")
	f.Add(report, certs, "db18000000000004")
	f.Fuzz(func(t *testing.T, report, certs []byte, tcb string) {
		r, err := Verify(report, certs, &tcb, then)
		if (r == nil) != (err != nil) {
			t.Error(r, err)
		}
	})
}
