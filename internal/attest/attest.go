package attest

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
)

// Format names a kind of evidence, as it stands in a node's row.
type Format string

// The formats. AMD_SEV_SNP_v1 is refused by Verify until its driver exists;
// OE_SGX_v1 appears only in old ledgers and is always refused.
const (
	FormatVirtual Format = "Insecure_Virtual"
	FormatSNP     Format = "AMD_SEV_SNP_v1"
	FormatSGX     Format = "OE_SGX_v1"
)

// Platform is a platform's name in logs and answers.
type Platform string

// PlatformVirtual is a node without hardware evidence.
const PlatformVirtual Platform = "Virtual"

// ReportData is what evidence binds.
type ReportData [sha256.Size]byte

// Quote is evidence with what is needed to verify it.
type Quote struct {
	Format          Format
	Evidence        []byte
	Endorsements    []byte
	UVMEndorsements []byte
	EndorsedTCB     string // hex, "" if there is none
}

// Claims is what verified evidence says.
type Claims struct {
	Platform Platform
	// Measurement identifies the code: for virtual evidence the bytes of its
	// text. Its lower-case hex is a node's code_digest.
	Measurement []byte
	// HostData is what the host bound at start: for virtual evidence the
	// SHA-256 of the executable.
	HostData [sha256.Size]byte
}

// Driver makes evidence on one platform.
type Driver interface {
	// Platform is the same at every call.
	Platform() Platform
	// Attest makes evidence over data. It may talk to devices and servers and
	// returns when ctx is done.
	Attest(ctx context.Context, data ReportData) (Quote, error)
	// SealingKey is the key of the platform for what later processes of the same
	// code may read; see Seal.
	SealingKey() (SealingKey, error)
}

// What a caller may branch on.
var (
	// ErrUnsupported says that no verifier for the format is linked.
	ErrUnsupported = errors.New("evidence format is not supported")
	// ErrInvalid says that the evidence does not have the form of its format.
	ErrInvalid = errors.New("evidence is invalid")
	// ErrReportData says that the evidence is about another key.
	ErrReportData = errors.New("evidence binds other report data")
	// ErrRefused is what Refusing answers.
	ErrRefused = errors.New("evidence refused")
)

// ReportDataOf returns the SHA-256 of a public key in DER
// (SubjectPublicKeyInfo); in hex it is the node's identifier.
func ReportDataOf(pub crypto.PublicKey) (ReportData, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return ReportData{}, fmt.Errorf("encode public key: %w", err)
	}
	return sha256.Sum256(der), nil
}

// Verify checks evidence and that it binds want. What it returns is true as
// far as the format can prove it; virtual evidence proves nothing.
func Verify(q Quote, want ReportData) (Claims, error) {
	if q.Format != FormatVirtual {
		return Claims{}, fmt.Errorf("%w: %q", ErrUnsupported, q.Format)
	}
	claims, got, err := parseVirtual(q.Evidence)
	if err != nil {
		return Claims{}, err
	}
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return Claims{}, ErrReportData
	}
	return claims, nil
}
