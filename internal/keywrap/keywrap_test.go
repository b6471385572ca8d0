package keywrap

import (
	"bytes"
	"crypto/aes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"testing"
)

type octets []byte

func (o *octets) UnmarshalText(b []byte) (err error) {
	*o, err = hex.DecodeString(string(b))
	return err
}

// vector is a wrapped key; which members it has depends on the algorithm.
type vector struct {
	Key     octets `json:"key"`
	Label   octets `json:"label"`
	Target  octets `json:"target"`
	Wrapped octets `json:"wrapped"`
	Bits    int    `json:"bits"`
}

// vectors are what OpenSSL wrapped; see testdata/README.md.
type vectors struct {
	AES     []vector `json:"aes"`
	Private string   `json:"private"`
	OAEP    []vector `json:"oaep"`
	OAEPAES []vector `json:"oaep_aes"`
}

func golden(t testing.TB) (v vectors, key *rsa.PrivateKey) {
	t.Helper()
	b, err := os.ReadFile("testdata/wrapped.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(v.Private))
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return v, k.(*rsa.PrivateKey)
}

func TestAES(t *testing.T) {
	v, _ := golden(t)
	// The examples of RFC 5649, section 6.
	key := "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8"
	for target, wrapped := range map[string]string{
		"c37b7e6492584340bed12207808941155068f738": "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
		"466f7250617369": "afbeb0f07dfbf5419200f2ccb50bb24f",
	} {
		var e vector
		for from, to := range map[string]*octets{key: &e.Key, target: &e.Target, wrapped: &e.Wrapped} {
			if err := to.UnmarshalText([]byte(from)); err != nil {
				t.Fatal(err)
			}
		}
		v.AES = append(v.AES, e)
	}
	for _, e := range v.AES {
		got, err := WrapAES(e.Key, e.Target)
		if err != nil || !bytes.Equal(got, e.Wrapped) {
			t.Errorf("wrap %d bytes: %v %x, want %x", len(e.Target), err, got, e.Wrapped)
		}
		got, err = UnwrapAES(e.Key, e.Wrapped)
		if err != nil || !bytes.Equal(got, e.Target) {
			t.Errorf("unwrap %d bytes: %v %x, want %x", len(e.Target), err, got, e.Target)
		}
		if len(e.Wrapped) > 64 {
			continue
		}
		for bit := range 8 * len(e.Wrapped) {
			bad := bytes.Clone(e.Wrapped)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := UnwrapAES(e.Key, bad); err != errIntegrity {
				t.Fatalf("%d bytes, bit %d flipped: %v", len(e.Target), bit, err)
			}
		}
	}
}

// TestAESInitialValue: what only a faulty wrapper makes, which is other initial
// values, lengths outside the last eight bytes, padding that is not zero.
func TestAESInitialValue(t *testing.T) {
	key := make([]byte, 16)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		prefix, length uint32
		padding        byte
		ok             bool
	}{
		{prefix, 8, 0, true},
		{prefix, 7, 0, true},
		{prefix, 1, 0, true},
		{prefix, 8, 1, true},
		{prefix, 0, 0, false},
		{prefix, 9, 0, false},
		{prefix, 1 << 31, 0, false},
		{prefix, 0xffffffff, 0, false},
		{prefix, 7, 1, false},
		{prefix, 1, 0x80, false},
		{prefix ^ 1, 8, 0, false},
		{prefix ^ 1<<31, 8, 0, false},
		{0xa6a6a6a6, 0xa6a6a6a6, 0, false},
	} {
		b := make([]byte, 16)
		binary.BigEndian.PutUint32(b, tc.prefix)
		binary.BigEndian.PutUint32(b[4:], tc.length)
		b[15] = tc.padding
		block.Encrypt(b, b)
		got, err := UnwrapAES(key, b)
		if tc.ok != (err == nil) || tc.ok && len(got) != int(tc.length) {
			t.Errorf("%+v: %x %v", tc, got, err)
		}
	}
}

func TestAESRefused(t *testing.T) {
	key := make([]byte, 16)
	size := func(n int) string {
		return fmt.Sprintf("the wrapped key has %d bytes, not a multiple of 8 from 16 to 16777224", n)
	}
	for n, want := range map[int]string{0: size(0), 8: size(8), 15: size(15), 17: size(17), TargetMax + 16: size(TargetMax + 16)} {
		if _, err := UnwrapAES(key, make([]byte, n)); err == nil || err.Error() != want {
			t.Errorf("unwrap %d bytes: %v, want %s", n, err, want)
		}
	}
	for _, n := range []int{0, TargetMax + 1} {
		want := fmt.Sprintf("the key to be wrapped has %d bytes, not 1 to 16777216", n)
		if _, err := WrapAES(key, make([]byte, n)); err == nil || err.Error() != want {
			t.Errorf("wrap %d bytes: %v, want %s", n, err, want)
		}
	}
	for _, n := range []int{0, 15} {
		want := fmt.Sprintf("Need at least 128 bits, only have %d", 8*n)
		if _, err := WrapAES(key[:n], key); err == nil || err.Error() != want {
			t.Errorf("wrap by %d bytes: %v, want %s", n, err, want)
		}
		if _, err := UnwrapAES(key[:n], make([]byte, 16)); err == nil || err.Error() != want {
			t.Errorf("unwrap by %d bytes: %v, want %s", n, err, want)
		}
	}
	// A longer key is cut to the next size of AES, as in CCF.
	long := bytes.Repeat([]byte{7}, 40)
	a, err := WrapAES(long, key)
	b, err2 := WrapAES(long[:32], key)
	if err != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Error(err, err2, "the key was not cut")
	}
}

func TestOAEP(t *testing.T) {
	v, key := golden(t)
	for _, e := range v.OAEP {
		got, err := UnwrapOAEP(key, e.Wrapped, e.Label)
		if err != nil || !bytes.Equal(got, e.Target) {
			t.Errorf("%d bytes, label %q: %v %x", len(e.Target), e.Label, err, got)
		}
		wrapped, err := WrapOAEP(&key.PublicKey, e.Target, e.Label)
		if err != nil {
			t.Fatal(err)
		}
		if got, err = UnwrapOAEP(key, wrapped, e.Label); err != nil || !bytes.Equal(got, e.Target) {
			t.Errorf("%d bytes, label %q: %v %x", len(e.Target), e.Label, err, got)
		}
		if _, err := UnwrapOAEP(key, wrapped, append([]byte("x"), e.Label...)); err == nil {
			t.Error("unwrapped with another label")
		}
		wrapped[9] ^= 1
		if _, err := UnwrapOAEP(key, wrapped, e.Label); err == nil {
			t.Error("unwrapped what was changed")
		}
	}
	if _, err := WrapOAEP(&key.PublicKey, make([]byte, 191), nil); err == nil {
		t.Error("wrapped more than fits")
	}
}

func TestOAEPAES(t *testing.T) {
	v, key := golden(t)
	for _, e := range v.OAEPAES {
		got, err := UnwrapOAEPAES(key, e.Wrapped, e.Label)
		if err != nil || !bytes.Equal(got, e.Target) {
			t.Errorf("%d bits, label %q: %v %x", e.Bits, e.Label, err, got)
		}
		wrapped, err := WrapOAEPAES(&key.PublicKey, e.Bits, e.Target, e.Label)
		if err != nil || len(wrapped) != len(e.Wrapped) {
			t.Fatalf("%d bytes, want %d: %v", len(wrapped), len(e.Wrapped), err)
		}
		if once, err := UnwrapOAEP(key, wrapped[:256], e.Label); err != nil || len(once) != e.Bits/8 {
			t.Errorf("an AES key of %d bytes for %d bits: %v", len(once), e.Bits, err)
		}
		if got, err = UnwrapOAEPAES(key, wrapped, e.Label); err != nil || !bytes.Equal(got, e.Target) {
			t.Errorf("%d bits, label %q: %v %x", e.Bits, e.Label, err, got)
		}
	}
	for _, bits := range []int{0, 127, 512, -128} {
		if _, err := WrapOAEPAES(&key.PublicKey, bits, []byte("x"), nil); err != errKeySize {
			t.Error(bits, err)
		}
	}
	if _, err := WrapOAEPAES(&key.PublicKey, 128, nil, nil); err == nil {
		t.Error("wrapped nothing")
	}
	if _, err := UnwrapOAEPAES(key, make([]byte, 256), nil); err == nil || err.Error() != "not enough ciphertext" {
		t.Error(err)
	}
	short, err := WrapOAEP(&key.PublicKey, make([]byte, 20), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := UnwrapOAEPAES(key, append(short, make([]byte, 16)...), nil); err != errKeySize {
		t.Error(err)
	}
}

func FuzzAES(f *testing.F) {
	v, _ := golden(f)
	for _, e := range v.AES[:40] {
		f.Add([]byte(e.Key), []byte(e.Wrapped))
	}
	f.Fuzz(func(t *testing.T, key, b []byte) {
		if target, err := UnwrapAES(key, b); err == nil {
			if again, err := WrapAES(key, target); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%x wraps as %x, not %x: %v", target, again, b, err)
			}
		}
		if len(key) < 16 || len(b) == 0 {
			return
		}
		wrapped, err := WrapAES(key, b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := UnwrapAES(key, wrapped); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%x unwraps as %x: %v", b, got, err)
		}
	})
}
