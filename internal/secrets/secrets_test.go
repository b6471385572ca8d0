package secrets

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"synod"
)

func exampleSecret() *Secret {
	var raw [Size]byte
	for i := range raw {
		raw[i] = byte(i)
	}
	return SecretFrom(raw)
}

// The worked examples were computed by an independent implementation.

func TestCommitEvidence(t *testing.T) {
	got := string(exampleSecret().CommitEvidence(nil, synod.TxID{View: 2, SeqNo: 3}))
	const want = "ce:2.3:7adf6a973ab5e7e2dd3ebbaf42aed7258ea53a54c12c5829a4236b416b7bb517"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSharesAndWrapping(t *testing.T) {
	var full, one, two Share
	one.x, two.x = 1, 2
	for i := range limbs {
		full.y[i] = uint32(1000 + i)
		one.y[i] = full.y[i] + uint32(7+i)
		two.y[i] = full.y[i] + 2*uint32(7+i)
	}
	for share, want := range map[Share]string{
		one:  "01000000ef030000f1030000f3030000f5030000f7030000f9030000fb030000fd030000ff03000001040000",
		two:  "02000000f6030000f9030000fc030000ff0300000204000005040000080400000b0400000e04000011040000",
		full: "00000000e8030000e9030000ea030000eb030000ec030000ed030000ee030000ef030000f0030000f1030000",
	} {
		if got := hex.EncodeToString(share.Bytes()); got != want {
			t.Errorf("share\n got %s\nwant %s", got, want)
		}
	}
	combined, err := Combine([]Share{two, one}, 2)
	if err != nil || combined != full {
		t.Fatalf("combined to another key (%v)", err)
	}
	key, err := wrappingSecret(full)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(key.raw[:]), "816c4a87d864463c57b3836db8cd4c1e0e93fe10a7c7b25b3f5cac203ae70964"; got != want {
		t.Errorf("wrapping key %s, want %s", got, want)
	}
	w := &WrappingKey{secret: key}
	wrapped := w.Wrap(exampleSecret())
	const want = "c514b807511b992aed23b9df3088295d000000000000000000000000a51f3a93b0ae29bbddf6cf7b7b9eeca0e3e38c8a6f42f8c99ff27092cf6b76ba"
	if got := hex.EncodeToString(wrapped); got != want {
		t.Errorf("wrapped\n got %s\nwant %s", got, want)
	}
	back, err := UnwrapWith(full, wrapped)
	if err != nil || back.raw != exampleSecret().raw {
		t.Errorf("unwrapped another secret (%v)", err)
	}
	wrapped[3] ^= 1
	if _, err := UnwrapWith(full, wrapped); !errors.Is(err, ErrAuthentication) {
		t.Errorf("a changed tag: got %v", err)
	}
}

func TestAnyThresholdOfSharesRebuilds(t *testing.T) {
	w, err := NewWrappingKey(3, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, pick := range [][]int{{0, 1, 2}, {4, 2, 0}, {1, 3, 4}} {
		var shares []Share
		for _, i := range pick {
			shares = append(shares, w.Shares[i])
		}
		if got, err := Combine(shares, 3); err != nil || got != w.Full {
			t.Errorf("shares %v rebuilt another key (%v)", pick, err)
		}
	}
	if _, err := Combine(w.Shares[:2], 3); !errors.Is(err, ErrShares) {
		t.Errorf("too few shares: got %v", err)
	}
	if _, err := Combine([]Share{w.Shares[0], w.Shares[0], w.Shares[1]}, 3); !errors.Is(err, ErrShares) {
		t.Errorf("a share twice: got %v", err)
	}
	if got, err := Combine([]Share{w.Full}, 3); err != nil || got != w.Full {
		t.Errorf("the full share alone: %v", err)
	}
}

func TestSealOpen(t *testing.T) {
	s := exampleSecret()
	iv := IV(synod.TxID{View: 2, SeqNo: 3}, false)
	text := append(make([]byte, 0, 64), "private"...)
	tag := s.SealInPlace(iv, text, []byte("public"))
	if bytes.Equal(text, []byte("private")) {
		t.Fatal("nothing was encrypted")
	}
	got, err := s.Open(iv, tag, text, []byte("public"))
	if err != nil || string(got) != "private" {
		t.Fatalf("opened %q, %v", got, err)
	}
	if _, err := s.Open(iv, tag, text, []byte("other")); !errors.Is(err, ErrAuthentication) {
		t.Errorf("other public data: got %v", err)
	}
}

func TestChain(t *testing.T) {
	c := NewChain()
	a, b := exampleSecret(), SecretFrom([Size]byte{1})
	c.Set(1, a)
	c.Set(10, b)
	for seqno, want := range map[synod.SeqNo]*Secret{1: a, 9: a, 10: b, 99: b} {
		if got, err := c.At(seqno); err != nil || got != want {
			t.Errorf("secret at %d is the wrong one (%v)", seqno, err)
		}
	}
	c.Truncate(9) // the rekey at 9 stays
	if _, s := c.Latest(); s != b {
		t.Error("truncation dropped a secret whose entry stays")
	}
	c.Truncate(8)
	if from, s := c.Latest(); from != 1 || s != a {
		t.Error("truncation kept a secret whose entry is undone")
	}
	if _, err := NewChain().At(1); err == nil {
		t.Error("an empty chain has a secret")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	s := exampleSecret()
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, s), fmt.Sprint(Share{x: 77}), s.LogValue().String()} {
		if bytes.Contains([]byte(text), []byte("77")) || bytes.Contains([]byte(text), []byte("010203")) || bytes.Contains([]byte(text), []byte("1 2 3")) {
			t.Errorf("printed as %q", text)
		}
	}
}

func FuzzParseShare(f *testing.F) {
	f.Add(make([]byte, ShareSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseShare(b)
		if err == nil && !bytes.Equal(s.Bytes(), b) {
			t.Errorf("%x parsed and printed as %x", b, s.Bytes())
		}
	})
}

func BenchmarkCommitEvidence(b *testing.B) {
	s := exampleSecret()
	buf := make([]byte, 0, 128)
	b.ReportAllocs()
	for b.Loop() {
		buf = s.CommitEvidence(buf[:0], synod.TxID{View: 2, SeqNo: 123456})
	}
}
