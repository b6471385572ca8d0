package attest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// VirtualMeasurement is the measurement of every virtual node.
const VirtualMeasurement = "Insecure hard-coded virtual measurement v1"

// virtualSizeMax bounds virtual evidence, in bytes; ours has about 230.
const virtualSizeMax = 4096

// Virtual makes evidence that anybody could make.
type Virtual struct {
	dir      string
	pid      int
	hostData string
}

// virtualEvidence is in the order in which its keys are written.
type virtualEvidence struct {
	HostData    string `json:"host_data"` // 64 hex digits
	Measurement string `json:"measurement"`
	ReportData  string `json:"report_data,omitempty"` // base64 of 32 bytes
}

// NewVirtual hashes the executable and writes
// ccf_virtual_attestation.<pid>.measurement into dir. A node passes its own
// executable, working directory and process identifier.
func NewVirtual(executable, dir string, pid int) (*Virtual, error) {
	f, err := os.Open(executable) //nolint:gosec // the node's own file
	if err != nil {
		return nil, fmt.Errorf("hash executable: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("hash executable: %w", err)
	}
	v := &Virtual{dir: dir, pid: pid, hostData: hex.EncodeToString(h.Sum(nil))}
	return v, v.write("measurement", virtualEvidence{HostData: v.hostData, Measurement: VirtualMeasurement})
}

// Platform is PlatformVirtual.
func (v *Virtual) Platform() Platform { return PlatformVirtual }

// Attest makes evidence over data and writes it to
// ccf_virtual_attestation.<pid>.attestation.
func (v *Virtual) Attest(_ context.Context, data ReportData) (Quote, error) {
	e := virtualEvidence{
		HostData:    v.hostData,
		Measurement: VirtualMeasurement,
		ReportData:  base64.StdEncoding.EncodeToString(data[:]),
	}
	if err := v.write("attestation", e); err != nil {
		return Quote{}, err
	}
	text, err := json.Marshal(e)
	if err != nil {
		return Quote{}, fmt.Errorf("encode virtual evidence: %w", err)
	}
	return Quote{Format: FormatVirtual, Evidence: text}, nil
}

func (v *Virtual) write(suffix string, e virtualEvidence) error {
	text, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("encode virtual evidence: %w", err)
	}
	name := filepath.Join(v.dir, fmt.Sprintf("ccf_virtual_attestation.%d.%s", v.pid, suffix))
	if err := os.WriteFile(name, text, 0o644); err != nil { //nolint:gosec // public by nature
		return fmt.Errorf("write virtual evidence: %w", err)
	}
	return nil
}

// parseVirtual reads what Attest makes, and what CCF makes: one JSON object
// with exactly these keys.
func parseVirtual(text []byte) (Claims, ReportData, error) {
	invalid := func(what string, err error) (Claims, ReportData, error) {
		if err != nil {
			what += ": " + err.Error()
		}
		return Claims{}, ReportData{}, fmt.Errorf("%w: %s", ErrInvalid, what)
	}
	if len(text) > virtualSizeMax {
		return invalid("too long", nil)
	}
	var e virtualEvidence
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return invalid("json", err)
	}
	if _, err := dec.Token(); err != io.EOF { //nolint:errorlint // Token returns it bare
		return invalid("trailing data", nil)
	}
	if e.Measurement == "" {
		return invalid("no measurement", nil)
	}
	claims := Claims{Platform: PlatformVirtual, Measurement: []byte(e.Measurement)}
	host, err := hex.DecodeString(e.HostData)
	if err != nil || len(host) != len(claims.HostData) {
		return invalid("host_data is not 64 hex digits", nil)
	}
	copy(claims.HostData[:], host)
	var data ReportData
	raw, err := base64.StdEncoding.Strict().DecodeString(e.ReportData)
	if err != nil || len(raw) != len(data) || len(e.ReportData) != base64.StdEncoding.EncodedLen(len(data)) {
		return invalid("report_data is not base64 of 32 bytes", nil)
	}
	copy(data[:], raw)
	return claims, data, nil
}
