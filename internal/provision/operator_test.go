package provision

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synod/client"
)

func readKey(t *testing.T, name string) *ecdsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("a %T", key)
	}
	return ec
}

// message has a signer sign a governance message; that fails unless the signature
// fits.
func message(s client.Signer) error {
	_, err := client.Sign(s, client.Message{Kind: client.KindProposal, CreatedAt: 1, Payload: []byte("{}")})
	return err
}

// TestOperator loads an operator that was made, and refuses a key that others can
// read.
func TestOperator(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "operator")
	first, err := LoadOperator(OperatorOptions{Dir: dir}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOperator(OperatorOptions{Dir: dir}, time.Now)
	if err != nil || again.ID() != first.ID() {
		t.Fatalf("%v, %v", again, err)
	}
	if err := message(again.signer); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"key.pem", "enc_key.pem"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	for _, share := range []bool{false, true} {
		m, err := first.genesisMember(share)
		if err != nil || (m.EncryptionKey != "") != share || !strings.Contains(string(m.Data), `"is_operator":true`) {
			t.Errorf("%v: %+v, %v", share, m, err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "key.pem"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOperator(OperatorOptions{Dir: dir}, time.Now); err == nil || !strings.Contains(err.Error(), "0600") {
		t.Errorf("a key that others can read: %v", err)
	}
	if _, err := LoadOperator(OperatorOptions{Dir: t.TempDir(), HandOff: t.TempDir()}, time.Now); err == nil || !strings.Contains(err.Error(), "cert.pem") {
		t.Errorf("no certificate of a key that is elsewhere: %v", err)
	}
}

// TestCommandSigner has a program sign.
func TestCommandSigner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := LoadOperator(OperatorOptions{Dir: dir}, time.Now); err != nil {
		t.Fatal(err)
	}
	key := readKey(t, filepath.Join(dir, "key.pem"))
	digest := sha512.Sum384([]byte("message"))
	signature, err := key.Sign(rand.Reader, digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := filepath.Join(dir, "answer")
	if err := os.WriteFile(answer, signature, 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(script string) client.Signer {
		op, err := LoadOperator(OperatorOptions{Dir: dir, Command: []string{"/bin/sh", "-c", script}}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		return op.signer
	}
	s := load("cat > " + dir + "/asked; cat " + answer)
	got, err := s.SignDigest(digest[:])
	if err != nil || !bytes.Equal(got, signature) {
		t.Errorf("%x, %v", got, err)
	}
	if asked, err := os.ReadFile(filepath.Join(dir, "asked")); err != nil || !bytes.Equal(asked, digest[:]) {
		t.Errorf("it was asked for %x, %v", asked, err)
	}
	if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], got) {
		t.Error("the signature is not right")
	}
	for script, want := range map[string]string{
		"echo no such slot >&2; exit 3": "no such slot",
		"true":                          "0 bytes",
		"head -c 5000 /dev/zero":        "5000 bytes",
	} {
		if _, err := load(script).SignDigest(digest[:]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

// TestHandOff has somebody bring a signature, and then nobody.
func TestHandOff(t *testing.T) {
	t.Parallel()
	dir, desk := t.TempDir(), filepath.Join(t.TempDir(), "desk")
	op, err := LoadOperator(OperatorOptions{Dir: dir}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	key := readKey(t, filepath.Join(dir, "key.pem"))
	if op, err = LoadOperator(OperatorOptions{Dir: dir, HandOff: desk}, time.Now); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- message(op.signer) }()
	for {
		found, err := filepath.Glob(filepath.Join(desk, "*.digest"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 1 {
			digest, err := os.ReadFile(found[0])
			if err != nil {
				t.Fatal(err)
			}
			signature, err := key.Sign(rand.Reader, digest, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := writeFile(strings.TrimSuffix(found[0], ".digest")+".signature", signature, 0o600); err != nil {
				t.Fatal(err)
			}
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(desk); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	s, ok := op.signer.(*handOffSigner)
	if !ok {
		t.Fatalf("a %T", op.signer)
	}
	s.wait = 10 * time.Millisecond
	if err := message(s); err == nil || !strings.Contains(err.Error(), "nobody has signed") {
		t.Error(err)
	}
}

// TestReleases keeps binaries as they were.
func TestReleases(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary := filepath.Join(dir, "node")
	write := func(text string) {
		if err := os.WriteFile(binary, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	r, err := OpenReleases(filepath.Join(dir, "releases"))
	if err != nil {
		t.Fatal(err)
	}
	one, err := r.Add("", "v1", binary, "node")
	if err != nil {
		t.Fatal(err)
	}
	r.SetCurrent(one.Name)
	write("two") // an update of the server
	two, err := r.Add("", "v2", binary, "node")
	if err != nil || two.Name == one.Name || !strings.HasPrefix(two.Name, "v2-") {
		t.Fatalf("%+v, %v", two, err)
	}
	if text, err := os.ReadFile(one.Path); err != nil || string(text) != "one" {
		t.Errorf("%s, %v", text, err)
	}
	if _, err := r.Add(one.Name, "", binary, "node"); err == nil {
		t.Error("another binary takes a name")
	}
	for _, name := range []string{"a/b", "a b", strings.Repeat("x", 65)} {
		if _, err := r.Add(name, "", binary); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	again, err := OpenReleases(filepath.Join(dir, "releases"))
	if err != nil || len(again.List()) != 2 {
		t.Fatalf("%v, %v", again, err)
	}
	if got, ok := again.Get(one.Name); !ok || got.Path != one.Path || got.HostData != one.HostData || len(got.Args) != 1 {
		t.Errorf("%+v, want %+v", got, one)
	}
	if got, ok := r.Get(""); !ok || got.Name != one.Name {
		t.Errorf("%+v", got)
	}
	if _, err := r.Add("gone", "", filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there is a release")
	}
}
