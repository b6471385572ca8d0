package attest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func ccfVector(t testing.TB) (Quote, ReportData) {
	t.Helper()
	text, err := os.ReadFile("testdata/ccf_virtual_quote.json")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile("testdata/ccf_node_pubkey.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(key)
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	data, err := ReportDataOf(pub)
	if err != nil {
		t.Fatal(err)
	}
	return Quote{Format: FormatVirtual, Evidence: text}, data
}

func TestVerifyCCF(t *testing.T) {
	q, data := ccfVector(t)
	claims, err := Verify(q, data)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(claims.Measurement); got != "496e73656375726520686172642d636f646564207669727475616c206d6561737572656d656e74207631" {
		t.Errorf("code digest %s", got)
	}
	if got := hex.EncodeToString(claims.HostData[:]); got != "885f155aa172b41cd9c4c2c81df3e68b211dacfeb8cdd233ab079d412d342875" {
		t.Errorf("host data %s", got)
	}
	data[31] ^= 1
	if _, err := Verify(q, data); !errors.Is(err, ErrReportData) {
		t.Errorf("other key: %v", err)
	}
}

func TestVirtual(t *testing.T) {
	dir := t.TempDir()
	exe := filepath.Join(dir, "exe")
	if err := os.WriteFile(exe, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := NewVirtual(exe, dir, 42)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte("program"))
	want := "{\n  \"host_data\": \"" + hex.EncodeToString(hash[:]) + "\",\n  \"measurement\": \"Insecure hard-coded virtual measurement v1\"\n}"
	got, err := os.ReadFile(filepath.Join(dir, "ccf_virtual_attestation.42.measurement"))
	if err != nil || string(got) != want {
		t.Errorf("measurement file %s, %v; want %s", got, err, want)
	}
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	data, err := ReportDataOf(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	q, err := v.Attest(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ccf_virtual_attestation.42.attestation")); err != nil {
		t.Error(err)
	}
	claims, err := Verify(q, data)
	if err != nil {
		t.Fatal(err)
	}
	if claims.HostData != hash || claims.Platform != v.Platform() || string(claims.Measurement) != VirtualMeasurement {
		t.Errorf("%+v", claims)
	}
	if _, err := NewVirtual(filepath.Join(dir, "none"), dir, 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing executable: %v", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	q, data := ccfVector(t)
	good := string(q.Evidence)
	for name, tc := range map[string]struct {
		format   Format
		evidence string
		want     error
	}{
		"sgx":            {FormatSGX, good, ErrUnsupported},
		"no format":      {"", good, ErrUnsupported},
		"empty":          {FormatVirtual, "", ErrInvalid},
		"not json":       {FormatVirtual, "{", ErrInvalid},
		"trailing":       {FormatVirtual, good + "{}", ErrInvalid},
		"unknown key":    {FormatVirtual, strings.Replace(good, "{", `{"x":1,`, 1), ErrInvalid},
		"no measurement": {FormatVirtual, strings.Replace(good, VirtualMeasurement, "", 1), ErrInvalid},
		"short host":     {FormatVirtual, strings.Replace(good, "885f", "88", 1), ErrInvalid},
		"bad base64":     {FormatVirtual, strings.Replace(good, "CuKg", "CuK", 1), ErrInvalid},
		"loose base64":   {FormatVirtual, strings.Replace(good, "CuKg", `CuKg\n`, 1), ErrInvalid},
		"long":           {FormatVirtual, good + strings.Repeat(" ", virtualSizeMax), ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Verify(Quote{Format: tc.format, Evidence: []byte(tc.evidence)}, data); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestRefusing(t *testing.T) {
	var d Driver = Refusing{}
	if _, err := d.Attest(t.Context(), ReportData{}); !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
}

func FuzzVerify(f *testing.F) {
	q, data := ccfVector(f)
	f.Add(q.Evidence)
	f.Fuzz(func(t *testing.T, evidence []byte) {
		_, err := Verify(Quote{Format: FormatVirtual, Evidence: evidence}, data)
		if err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrReportData) {
			t.Fatal(err)
		}
	})
}
