package sealing_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/internal/attest"
	"synod/internal/identity"
	"synod/internal/ledger/faultfs"
	"synod/internal/sealing"
	"synod/internal/secrets"
)

const dir = "sealed"

// platform is that of a program on the virtual platform.
func platform(t testing.TB, program string) sealing.Platform {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "exe")
	if err := os.WriteFile(exe, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := attest.NewVirtual(exe, t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return func(tcb string) (attest.SealingKey, error) { return attest.Seal(v, tcb) }
}

func newServiceOf(t testing.TB) *sealing.Service {
	t.Helper()
	key, err := identity.NewKey(identity.Secp384r1)
	if err != nil {
		t.Fatal(err)
	}
	der, err := identity.SelfSigned(key, identity.SelfSignedRequest{Subject: "CN=service", NotBefore: time.Now(), Days: 1})
	if err != nil {
		t.Fatal(err)
	}
	s := &sealing.Service{Key: key, Certificate: identity.CertPEM(der), Committed: synod.TxID{View: 2, SeqNo: 90}, PolicyAt: 20}
	for i, from := range []synod.SeqNo{1, 40} {
		secret, err := secrets.NewSecret()
		if err != nil {
			t.Fatal(err)
		}
		s.Secrets = append(s.Secrets, secrets.Entry{From: from, Secret: secret, StoredAt: synod.SeqNo(39 * i)})
	}
	return s
}

func same(a, b *sealing.Service) bool {
	if !a.Key.Equal(b.Key) || a.Certificate != b.Certificate || a.Committed != b.Committed || a.PolicyAt != b.PolicyAt || len(a.Secrets) != len(b.Secrets) {
		return false
	}
	for i := range a.Secrets {
		if a.Secrets[i].From != b.Secrets[i].From || a.Secrets[i].StoredAt != b.Secrets[i].StoredAt || !a.Secrets[i].Secret.Equal(b.Secrets[i].Secret) {
			return false
		}
	}
	return true
}

func TestWriteAndRead(t *testing.T) {
	disk := faultfs.New()
	mine := platform(t, "program")
	want := newServiceOf(t)
	source, err := sealing.NewDir(dir, disk, mine).Write(want)
	if err != nil || source != attest.SourceDevelopment {
		t.Fatalf("%s, %v", source, err)
	}
	got, err := sealing.NewDir(dir, disk, mine).Read()
	if err != nil || !same(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	secret, err := sealing.NewDir(dir, disk, mine).ReadSecret(1000)
	if err != nil || secret.From != 40 || secret.StoredAt != 39 || !secret.Secret.Equal(want.Secrets[1].Secret) {
		t.Errorf("%d, %v", secret.From, err)
	}
	if secret, err := sealing.NewDir(dir, disk, mine).ReadSecret(39); err != nil || secret.From != 1 {
		t.Errorf("before the rekey: %d, %v", secret.From, err)
	}
	if _, err := sealing.NewDir(dir, disk, platform(t, "another")).Read(); err == nil || !strings.Contains(err.Error(), "sealed by other code") {
		t.Errorf("another program reads it: %v", err)
	}
	if _, err := sealing.NewDir(dir, disk, platform(t, "another")).ReadSecret(1000); !errors.Is(err, sealing.ErrNoSecret) {
		t.Errorf("another program reads a secret: %v", err)
	}
	for name, b := range disk.Files() {
		for _, e := range want.Secrets {
			raw := e.Secret.Bytes()
			if strings.Contains(string(b), string(raw[:])) {
				t.Errorf("%s holds a ledger secret in plain", name)
			}
		}
		if strings.Contains(string(b), "PRIVATE") {
			t.Errorf("%s holds the service's key in plain", name)
		}
		if name == dir+"/service.sealed.json" && !strings.Contains(string(b), attest.SourceDevelopment) {
			t.Errorf("%s does not say what its key is", name)
		}
	}
	d := sealing.NewDir(dir, disk, mine)
	if err := d.Remove(); err != nil || len(disk.Files()) != 0 {
		t.Errorf("%v, left: %v", err, disk.Files())
	}
	if _, err := d.Read(); err == nil || !strings.Contains(err.Error(), "there is no sealed service") {
		t.Errorf("after it was removed: %v", err)
	}
	if err := sealing.NewDir("nowhere", disk, mine).Remove(); err != nil {
		t.Errorf("nothing to remove: %v", err)
	}
}

// TestLayoutOfSecrets: a sealed ledger secret is laid out as CCF does.
func TestLayoutOfSecrets(t *testing.T) {
	disk := faultfs.New()
	if _, err := sealing.NewDir(dir, disk, platform(t, "program")).Write(newServiceOf(t)); err != nil {
		t.Fatal(err)
	}
	var file struct {
		AADText    string `json:"aad_text"`
		Ciphertext []byte `json:"ciphertext"`
	}
	if err := json.Unmarshal(disk.Files()[dir+"/40.sealed.json"], &file); err != nil {
		t.Fatal(err)
	}
	const plain = `{"raw_key":"` + "12345678901234567890123456789012345678901234" + `","previous_secret_stored_version":39}`
	if file.AADText != `{"version":40}` || len(file.Ciphertext) != 28+len(plain) {
		t.Errorf("%s, %d bytes, want %d", file.AADText, len(file.Ciphertext), 28+len(plain))
	}
}

// Killed at every step of sealing anew and of removing, what is there is what was
// sealed before or what is sealed now, or nothing once it is being removed.
func TestCrash(t *testing.T) {
	mine := platform(t, "program")
	before, after := newServiceOf(t), newServiceOf(t)
	life := func(disk *faultfs.Disk, step int) (removing bool) {
		d := sealing.NewDir(dir, disk, mine)
		if _, err := d.Write(before); err != nil {
			t.Fatal(err)
		}
		if step > 0 {
			disk.CrashAt(disk.Steps() + step)
		}
		if _, err := d.Write(after); err != nil {
			return false
		}
		_ = d.Remove()
		return true
	}
	whole := faultfs.New()
	first := faultfs.New()
	if _, err := sealing.NewDir(dir, first, mine).Write(before); err != nil {
		t.Fatal(err)
	}
	life(whole, 0)
	steps := whole.Steps() - first.Steps()
	if steps < 15 {
		t.Fatalf("%d steps", steps)
	}
	seen := map[string]int{}
	for model := faultfs.Ordered; model <= faultfs.Kept; model++ {
		for step := 1; step <= steps; step++ {
			for seed := range uint64(8) {
				disk := faultfs.New()
				removing := life(disk, step)
				disk = disk.Reboot(model, rand.New(rand.NewPCG(seed, uint64(step))))
				d := sealing.NewDir(dir, disk, mine)
				got, err := d.Read()
				switch {
				case err == nil && same(got, before) && !removing:
					seen["before"]++
				case err == nil && same(got, after):
					seen["after"]++
				case err != nil && strings.Contains(err.Error(), "there is no sealed service") && removing:
					seen["none"]++
				default:
					t.Fatalf("model %d step %d seed %d, removing %v: %v", model, step, seed, removing, err)
				}
				if _, err := d.Write(after); err != nil {
					t.Fatalf("model %d step %d seed %d: sealed again: %v", model, step, seed, err)
				}
				if got, err := d.Read(); err != nil || !same(got, after) {
					t.Fatalf("model %d step %d seed %d: sealed again: %v", model, step, seed, err)
				}
				if err := d.Remove(); err != nil || len(disk.Files()) != 0 {
					t.Fatalf("model %d step %d seed %d: %v is left, %v", model, step, seed, disk.Files(), err)
				}
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("only %v", seen)
	}
}

// Every changed byte and every truncation of a sealed service is noticed, or what
// is read is the same.
func TestChanged(t *testing.T) {
	disk := faultfs.New()
	mine := platform(t, "program")
	want := newServiceOf(t)
	if _, err := sealing.NewDir(dir, disk, mine).Write(want); err != nil {
		t.Fatal(err)
	}
	const name = dir + "/service.sealed.json"
	whole := disk.Files()[name]
	try := func(what string, b []byte) {
		t.Helper()
		other := faultfs.New()
		other.WriteFile(name, b)
		got, err := sealing.NewDir(dir, other, mine).Read()
		if err == nil && !same(got, want) {
			t.Errorf("%s: it is read as another", what)
		}
		if err != nil && (errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "PRIVATE")) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range whole {
		b := append([]byte{}, whole...)
		b[i] ^= 1 << (i % 8)
		try(fmt.Sprintf("byte %d", i), b)
		try(fmt.Sprintf("%d bytes", i), whole[:i])
	}
}

func FuzzRead(f *testing.F) {
	disk := faultfs.New()
	mine := platform(f, "program")
	if _, err := sealing.NewDir(dir, disk, mine).Write(newServiceOf(f)); err != nil {
		f.Fatal(err)
	}
	f.Add(disk.Files()[dir+"/service.sealed.json"])
	f.Add(disk.Files()[dir+"/40.sealed.json"])
	f.Add([]byte(`{"aad_text":"{\"version\":40}","ciphertext":""}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		disk := faultfs.New()
		disk.WriteFile(dir+"/service.sealed.json", b)
		disk.WriteFile(dir+"/40.sealed.json", b)
		d := sealing.NewDir(dir, disk, mine)
		_, _ = d.Read()
		_, _ = d.ReadSecret(100)
	})
}
