package snp

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
)

// ReportSize is the length of an attestation report, in bytes.
const ReportSize = 0x4a0

// versionMin is the first version of the report that names its processor.
const versionMin = 3

// Span is where a member of octets lies within a report.
type Span struct{ From, Size int }

// The members of octets (document 56860, table 23).
var (
	FamilyID        = Span{0x10, 16}
	ImageID         = Span{0x20, 16}
	ReportData      = Span{0x50, 64}
	Measurement     = Span{0x90, 48}
	HostData        = Span{0xc0, 32}
	IDKeyDigest     = Span{0xe0, 48}
	AuthorKeyDigest = Span{0x110, 48}
	ReportID        = Span{0x140, 32}
	ReportIDMA      = Span{0x160, 32}
	ChipID          = Span{0x1a0, 64}
	SignatureR      = Span{0x2a0, 72} // little endian, as S
	SignatureS      = Span{0x2e8, 72}
)

// signedSize is how much of a report is signed.
const signedSize = 0x2a0

// TCB is a version of the firmware that is trusted, as it lies in a report.
type TCB [8]byte

// String is its hexadecimal form, highest byte first.
func (t TCB) String() string {
	slices.Reverse(t[:])
	return hex.EncodeToString(t[:])
}

// parseTCB reads what String writes.
func parseTCB(s string) (t TCB, err error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return t, fmt.Errorf("Invalid TCB version %.32q: not hexadecimal", s)
	}
	if len(b) != len(t) {
		return t, fmt.Errorf("Invalid TCB version data size: %d", len(b))
	}
	slices.Reverse(b)
	return TCB(b), nil
}

// Report is an attestation report; octets are read with Bytes.
type Report struct {
	raw [ReportSize]byte

	Version, GuestSVN, VMPL, SignatureAlgo         uint32
	ABIMinor, ABIMajor                             uint8
	SMT, MigrateMA, Debug, SingleSocket            uint8 // of the guest's policy
	SMTEnabled, TSMEEnabled                        uint8 // of the platform
	AuthorKeyEnabled, MaskChipKey, SigningKey      uint8
	Platform, Reported, Committed, Launch          TCB
	CPUFamily, CPUModel, CPUStepping               uint8
	CurrentMajor, CurrentMinor, CurrentBuild       uint8
	CommittedMajor, CommittedMinor, CommittedBuild uint8
}

// Bytes are the octets of a member.
func (r *Report) Bytes(s Span) []byte { return r.raw[s.From : s.From+s.Size] }

// parseReport takes a report apart and believes nothing of it.
func parseReport(b []byte) (*Report, error) {
	if len(b) != ReportSize {
		return nil, fmt.Errorf("Input SEV-SNP attestation report is not of expected size %d: %d", ReportSize, len(b))
	}
	number := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	bit := func(at, n int) uint8 { return b[at] >> n & 1 }
	tcb := func(at int) TCB { return TCB(b[at : at+8]) }
	const policy, platform, flags = 0x0a, 0x40, 0x48
	return &Report{
		raw:     [ReportSize]byte(b),
		Version: number(0), GuestSVN: number(4), VMPL: number(0x30), SignatureAlgo: number(0x34),
		ABIMinor: b[8], ABIMajor: b[9],
		SMT: bit(policy, 0), MigrateMA: bit(policy, 2), Debug: bit(policy, 3), SingleSocket: bit(policy, 4),
		SMTEnabled: bit(platform, 0), TSMEEnabled: bit(platform, 1),
		AuthorKeyEnabled: bit(flags, 0), MaskChipKey: bit(flags, 1), SigningKey: b[flags] >> 2 & 7,
		Platform: tcb(0x38), Reported: tcb(0x180), Committed: tcb(0x1e0), Launch: tcb(0x1f0),
		CPUFamily: b[0x188], CPUModel: b[0x189], CPUStepping: b[0x18a],
		CurrentMinor: b[0x1e8], CurrentBuild: b[0x1e9], CurrentMajor: b[0x1ea],
		CommittedBuild: b[0x1ec], CommittedMinor: b[0x1ed], CommittedMajor: b[0x1ee],
	}, nil
}

// product is a line of processors.
type product string

const (
	milan product = "Milan"
	genoa product = "Genoa"
	turin product = "Turin"
)

func (r *Report) product() (product, error) {
	switch [2]uint8{r.CPUFamily, r.CPUModel} {
	case [2]uint8{0x19, 0x01}:
		return milan, nil
	case [2]uint8{0x19, 0x11}:
		return genoa, nil
	case [2]uint8{0x1a, 0x01}:
		return turin, nil
	default:
		return "", fmt.Errorf("SEV-SNP: Unsupported CPUID family %d model %d", r.CPUFamily, r.CPUModel)
	}
}
