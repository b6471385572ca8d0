package snp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// endorsementsMax bounds the certificates of a chip, in bytes; AMD's have 6.5 KB.
const endorsementsMax = 64 << 10

// rootKeys are the SHA-256 of AMD's root keys (ARK), as SubjectPublicKeyInfo.
// They are at https://kdsintf.amd.com/vcek/v1/{product}/cert_chain.
var rootKeys = map[product]string{
	milan: "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
	genoa: "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
}

// Verify checks a report against the PEM certificates of the chip that signed
// it (VCEK, ASK, ARK, in this order) and against AMD's root, and that the
// report is of a guest that nobody can look into. A non-nil endorsedTCB has to
// be the reported TCB, in hexadecimal. Errors have CCF's texts.
func Verify(report, endorsements []byte, endorsedTCB *string, now time.Time) (*Report, error) {
	return verify(report, endorsements, endorsedTCB, now, rootKeys)
}

func verify(report, endorsements []byte, endorsedTCB *string, now time.Time, roots map[product]string) (*Report, error) {
	r, err := parseReport(report)
	if err != nil {
		return nil, err
	}
	if r.Version < versionMin {
		return nil, fmt.Errorf("SEV-SNP: Attestation version is %d not >= expected minimum %d", r.Version, versionMin)
	}
	p, err := r.product()
	if err != nil {
		return nil, err
	}
	chip, err := r.chipCertificate(endorsements, now, p, roots)
	if err != nil {
		return nil, err
	}
	if err := r.checkSignature(chip); err != nil {
		return nil, err
	}
	if err := r.checkGuest(); err != nil {
		return nil, err
	}
	if err := r.checkChip(chip, p); err != nil {
		return nil, err
	}
	if endorsedTCB == nil {
		return r, nil
	}
	want, err := parseTCB(*endorsedTCB)
	if err != nil {
		return nil, err
	}
	if want != r.Reported {
		return nil, fmt.Errorf("SEV-SNP: endorsed TCB %s does not match reported TCB %s", want, r.Reported)
	}
	return r, nil
}

// chipCertificate is the chip's (VCEK), which AMD's root issued.
func (r *Report) chipCertificate(endorsements []byte, now time.Time, p product, roots map[product]string) (*x509.Certificate, error) {
	if len(endorsements) > endorsementsMax {
		return nil, fmt.Errorf("the endorsements have %d bytes, more than %d", len(endorsements), endorsementsMax)
	}
	certs, err := certificates(endorsements)
	if err != nil {
		return nil, err
	}
	chip, middle, root := certs[0], certs[1], certs[2]
	want, known := roots[p]
	if !known {
		return nil, fmt.Errorf("SEV-SNP: No known root certificate for %s", p)
	}
	if got := sha256.Sum256(root.RawSubjectPublicKeyInfo); hex.EncodeToString(got[:]) != want {
		return nil, fmt.Errorf("SEV-SNP: The root of trust public key for this attestation was not the expected one for v%d %d %d",
			r.Version, r.CPUFamily, r.CPUModel)
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	options.Roots.AddCert(root)
	if err := root.CheckSignatureFrom(root); err != nil {
		return nil, errors.New("SEV-SNP: The root of trust public key for this attestation was not self signed as expected")
	}
	options.Intermediates.AddCert(middle)
	if _, err := chip.Verify(options); err != nil {
		return nil, errors.New("SEV-SNP: The chain of signatures from the root of trust to this attestation is broken")
	}
	return chip, nil
}

// certificates reads exactly three.
func certificates(b []byte) (certs [3]*x509.Certificate, err error) {
	if n := bytes.Count(b, []byte("-----END CERTIFICATE-----")); n != len(certs) {
		return certs, fmt.Errorf("Expected %d endorsement certificates but got %d", len(certs), n)
	}
	for i := range certs {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return certs, fmt.Errorf("endorsement certificate %d is not PEM", i+1)
		}
		if certs[i], err = x509.ParseCertificate(block.Bytes); err != nil {
			return certs, fmt.Errorf("endorsement certificate %d: %w", i+1, err)
		}
	}
	return certs, nil
}

// ecdsaP384 is the one algorithm of signatures (document 56860, table 134).
const ecdsaP384 = 1

func (r *Report) checkSignature(chip *x509.Certificate) error {
	if r.SignatureAlgo != ecdsaP384 {
		return fmt.Errorf("SEV-SNP: Unsupported signature algorithm: %d (supported: %d)", r.SignatureAlgo, ecdsaP384)
	}
	key, ok := chip.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() {
		return errors.New("SEV-SNP: Chip certificate (VCEK) has no key on P-384")
	}
	digest := sha512.Sum384(r.raw[:signedSize])
	if !ecdsa.Verify(key, digest[:], r.integer(SignatureR), r.integer(SignatureS)) {
		return errors.New("SEV-SNP: Chip certificate (VCEK) did not sign this attestation")
	}
	return nil
}

// integer reads a member that is a little-endian number.
func (r *Report) integer(s Span) *big.Int {
	b := bytes.Clone(r.Bytes(s))
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

// checkGuest refuses reports of guests that others can look into or copy.
func (r *Report) checkGuest() error {
	switch {
	case r.SigningKey != 0:
		return fmt.Errorf("SEV-SNP: Attestation report must be signed by VCEK: %d", r.SigningKey)
	case r.MaskChipKey != 0:
		return errors.New("SEV-SNP: Mask chip key must not be set")
	case r.VMPL > 3:
		return fmt.Errorf("SEV-SNP: This report seems to be host generated (VMPL %d > 3)", r.VMPL)
	case r.Debug != 0:
		return errors.New("SEV-SNP: SNP attestation report guest policy debugging must not be enabled")
	case r.MigrateMA != 0:
		return errors.New("SEV-SNP: SNP attestation report guest policy migration must not be enabled")
	}
	return nil
}

// amdOID is the arc of a chip's certificate extensions.
var amdOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}

// extension is the value of an extension below amdOID.
func extension(c *x509.Certificate, below ...int) ([]byte, error) {
	oid := append(slices.Clone(amdOID), below...)
	for _, e := range c.Extensions {
		if e.Id.Equal(oid) {
			return e.Value, nil
		}
	}
	return nil, fmt.Errorf("Expected OID %s in VCEK certificate", oid)
}

// checkChip compares the report with what AMD says of the chip: its firmware
// is no older, and it is this chip.
func (r *Report) checkChip(c *x509.Certificate, p product) error {
	// Places in a TCB, and the extension that has the lowest value for each
	// (document 57230, table 10).
	for place, oid := range map[int]int{0: 1, 1: 2, 6: 3, 7: 8} {
		der, err := extension(c, 3, oid)
		if err != nil {
			return err
		}
		var lowest int
		if rest, err := asn1.Unmarshal(der, &lowest); err != nil || len(rest) > 0 || lowest < 0 || lowest > 255 {
			return errors.New("Invalid value in TCB version of the VCEK certificate")
		}
		if int(r.Reported[place]) < lowest {
			return fmt.Errorf("SEV-SNP: Reported TCB %s does not meet or exceed the endorsed TCB of the %s certificate", r.Reported, p)
		}
	}
	id, err := extension(c, 4)
	if err != nil {
		return err
	}
	if !bytes.Equal(id, r.Bytes(ChipID)) {
		return fmt.Errorf("SEV-SNP: Chip ID in attestation does not match endorsed chip ID: %x != %x", id, r.Bytes(ChipID))
	}
	return nil
}
