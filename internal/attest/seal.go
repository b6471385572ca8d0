package attest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"synod/internal/attest/snp"
)

// SealingKey is a key that a later process gets again, if it runs the same code
// on the same platform. It never prints itself.
type SealingKey struct {
	key [32]byte
	// TCB is the firmware's version that it binds, hex, "" where there is none: a
	// later process asks for the key of that version.
	TCB string
	// Measurement and HostData, hex, are what code it is for.
	Measurement, HostData string
	// Source says what the key is, for people.
	Source string
}

// Bytes are the key's.
func (k SealingKey) Bytes() [32]byte { return k.key }

// Format hides the key from every verb of package fmt.
func (k SealingKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.Source) }

// LogValue hides the key.
func (k SealingKey) LogValue() slog.Value { return slog.StringValue(k.Source) }

// What the kinds of sealing key are called.
const (
	SourceSNP         = "derived by the SEV-SNP firmware from its chip, the measurement, the host data and the TCB version"
	SourceDevelopment = "a development key, made of the executable's hash: it protects nothing from anybody"
)

// ErrOtherPlatform says that what was sealed on one kind of platform is opened on
// another.
var ErrOtherPlatform = errors.New("it was sealed on another kind of platform")

// Seal is the key of this machine: that of its SEV-SNP guest device where it has
// one, else the driver's. tcb is that of the key to get again, "" for a new one.
func Seal(d Driver, tcb string) (SealingKey, error) {
	device, err := snp.OpenDevice()
	if errors.Is(err, snp.ErrNoDevice) {
		if tcb != "" {
			return SealingKey{}, fmt.Errorf("%w: SEV-SNP, and here %w", ErrOtherPlatform, err)
		}
		return d.SealingKey()
	}
	if err != nil {
		return SealingKey{}, err
	}
	return hardwareKey(device, tcb)
}

func hardwareKey(device *snp.Device, tcb string) (SealingKey, error) {
	now, err := device.Report()
	if err != nil {
		return SealingKey{}, err
	}
	if tcb == "" {
		tcb = now.Reported.String()
	}
	key, err := device.DerivedKey(tcb)
	return SealingKey{
		key: key, TCB: tcb, Source: SourceSNP,
		Measurement: hex.EncodeToString(now.Bytes(snp.Measurement)), HostData: hex.EncodeToString(now.Bytes(snp.HostData)),
	}, err
}

// developmentLabel begins what the development key is the hash of.
const developmentLabel = "Synod's development sealing key: whoever has the executable can make it"

// SealingKey is one that anybody can make who has the same executable.
func (v *Virtual) SealingKey() (SealingKey, error) {
	key := sha256.Sum256([]byte(developmentLabel + "\x00" + VirtualMeasurement + "\x00" + v.hostData))
	return SealingKey{key: key, Source: SourceDevelopment, Measurement: hex.EncodeToString([]byte(VirtualMeasurement)), HostData: v.hostData}, nil
}

// SealingKey returns ErrRefused.
func (Refusing) SealingKey() (SealingKey, error) { return SealingKey{}, ErrRefused }
