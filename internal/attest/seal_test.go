package attest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"synod/internal/attest/snp"
)

func virtualOf(t *testing.T, content string) *Virtual {
	t.Helper()
	dir := t.TempDir()
	exe := filepath.Join(dir, "exe")
	if err := os.WriteFile(exe, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := NewVirtual(exe, dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSealingKey(t *testing.T) {
	if _, err := snp.OpenDevice(); err == nil {
		t.Skip("this is a guest of SEV-SNP")
	}
	key, err := Seal(virtualOf(t, "program"), "")
	if err != nil || key.Source != SourceDevelopment || key.TCB != "" {
		t.Fatalf("%v, %v", key, err)
	}
	again, err := Seal(virtualOf(t, "program"), "")
	if err != nil || again.Bytes() != key.Bytes() {
		t.Errorf("the next process gets another key: %v", err)
	}
	if other, err := Seal(virtualOf(t, "another program"), ""); err != nil || other.Bytes() == key.Bytes() {
		t.Errorf("another program gets the key: %v", err)
	}
	if s := fmt.Sprintf("%v %+v %x", key, key, key); strings.Count(s, "development") != 3 || strings.Contains(s, fmt.Sprintf("%x", key.Bytes())) {
		t.Errorf("it prints %s", s)
	}
	if _, err := Seal(virtualOf(t, "program"), "db18000000000004"); !errors.Is(err, ErrOtherPlatform) || !errors.Is(err, snp.ErrNoDevice) {
		t.Errorf("what hardware has sealed: %v", err)
	}
	if _, err := Seal(Refusing{}, ""); !errors.Is(err, ErrRefused) {
		t.Errorf("the refusing driver: %v", err)
	}
}
