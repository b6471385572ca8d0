package secrets

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"synod"
)

// TestWorkedEntry is the worked example of an entry: tag, IV and ciphertext.
func TestWorkedEntry(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	public := unhex("04 0300000000000000" + strings.Repeat("00", 32) +
		"0fc2361aca552970e7ca6efee03c5b9c9de019b67f281898813fe709a11872bd" + "0000000000000000" +
		"0800000000000000 7075626c69633a74 0000000000000000 0000000000000000 0100000000000000" +
		"0100000000000000 6b 0300000000000000 227622 0000000000000000")
	private := unhex("0100000000000000 70 0000000000000000 0000000000000000 0100000000000000" +
		"0100000000000000 61 0100000000000000 31 0000000000000000")
	c := NewChain()
	c.Set(1, exampleSecret())
	text := append(make([]byte, 0, 128), private...)
	iv, tag, err := c.Seal(synod.TxID{View: 2, SeqNo: 3}, false, text, public)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string][2]string{
		"tag":        {hex.EncodeToString(tag[:]), "2036d8160a8850e65eab2cff867df778"},
		"iv":         {hex.EncodeToString(iv[:]), "030000000000000002000000"},
		"ciphertext": {hex.EncodeToString(text), "0cd89f10e22a306107e892509125a1c7ec23231d6954989a37fdedbba1d4e00e07dab12177ede5d8e98eb7bcccb0bd76000b3a7900393e5e7809bf"},
	} {
		if v[0] != v[1] {
			t.Errorf("%s\n got %s\nwant %s", name, v[0], v[1])
		}
	}
	got, err := c.Open(synod.TxID{View: 2, SeqNo: 3}, false, tag, text, public)
	if err != nil || !bytes.Equal(got, private) {
		t.Errorf("opened %x, %v", got, err)
	}
	for name, err := range map[string]error{
		"other view":     openErr(c, synod.TxID{View: 3, SeqNo: 3}, false, tag, text, public),
		"other seqno":    openErr(c, synod.TxID{View: 2, SeqNo: 4}, false, tag, text, public),
		"snapshot":       openErr(c, synod.TxID{View: 2, SeqNo: 3}, true, tag, text, public),
		"huge view":      openErr(c, synod.TxID{View: 1 << 31, SeqNo: 3}, false, tag, text, public),
		"other public":   openErr(c, synod.TxID{View: 2, SeqNo: 3}, false, tag, text, nil),
		"cut ciphertext": openErr(c, synod.TxID{View: 2, SeqNo: 3}, false, tag, text[1:], public),
	} {
		if !errors.Is(err, ErrAuthentication) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func openErr(c *Chain, id synod.TxID, snapshot bool, tag [TagSize]byte, text, aad []byte) error {
	_, err := c.Open(id, snapshot, tag, text, aad)
	return err
}

func TestSnapshotIV(t *testing.T) {
	iv := IV(synod.TxID{View: 7, SeqNo: 5}, true)
	if got := hex.EncodeToString(iv[:]); got != "050000000000000000000080" {
		t.Errorf("IV %s", got)
	}
}

func TestSealWithoutCapacity(t *testing.T) {
	s := exampleSecret()
	iv := IV(synod.TxID{View: 2, SeqNo: 3}, false)
	tight := []byte("private")[:7:7]
	roomy := append(make([]byte, 0, 64), tight...)
	if a, b := s.SealInPlace(iv, tight, nil), s.SealInPlace(iv, roomy, nil); a != b || !bytes.Equal(tight, roomy) {
		t.Error("sealed differently without spare capacity")
	}
}

func TestDecryptRefuses(t *testing.T) {
	s := exampleSecret()
	sealed, err := s.Encrypt([]byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := s.Decrypt(sealed); err != nil || string(text) != "text" {
		t.Errorf("decrypted %q, %v", text, err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 0x10
		if _, err := s.Decrypt(changed); !errors.Is(err, ErrAuthentication) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for _, n := range []int{0, 27} {
		if _, err := s.Decrypt(sealed[:n]); !errors.Is(err, ErrAuthentication) {
			t.Errorf("cut to %d: %v", n, err)
		}
	}
	if _, err := s.Unwrap(sealed); !errors.Is(err, ErrAuthentication) {
		t.Errorf("unwrapped 4 bytes: %v", err)
	}
}

func TestWrappingKeyIsForOneSecret(t *testing.T) {
	w, err := NewWrappingKey(2, 3)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(w.Wrap(exampleSecret()), w.Wrap(exampleSecret())) {
		t.Error("wrapped the same secret differently")
	}
	defer func() {
		if recover() == nil {
			t.Error("wrapped a second secret under the same key and IV")
		}
	}()
	w.Wrap(SecretFrom([Size]byte{1}))
}

func TestSplitRefuses(t *testing.T) {
	for _, kn := range [][2]int{{0, 1}, {2, 1}, {-1, 3}, {1, 0}} {
		if _, err := NewWrappingKey(kn[0], kn[1]); err == nil {
			t.Errorf("split %d of %d", kn[0], kn[1])
		}
	}
	if _, err := Combine(nil, 0); !errors.Is(err, ErrShares) {
		t.Errorf("threshold 0: %v", err)
	}
	for _, b := range [][]byte{nil, make([]byte, 43), make([]byte, 113), bytes.Repeat([]byte{0xff}, 44)} {
		if _, err := ParseShare(b); !errors.Is(err, ErrShares) {
			t.Errorf("share of %d bytes: %v", len(b), err)
		}
	}
}

func TestNothingPrints(t *testing.T) {
	raw := [Size]byte{0xab, 0xcd, 0xef, 0x12}
	s := SecretFrom(raw)
	w, err := NewWrappingKey(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	w.Full, w.Shares[0] = Share{x: 0, y: [limbs]uint32{424242}}, Share{x: 1, y: [limbs]uint32{424242}}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	for _, v := range []any{s, w, w.Full, w.Shares, Entry{From: 1, Secret: s}, struct{ S *Secret }{s}, []*Secret{s}} {
		var text strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%X", "%q", "%b", "%o", "%t", "%c"} {
			fmt.Fprintf(&text, verb+" ", v)
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(j)
		logger.Info("x", "v", v)
		for _, leak := range []string{"424242", "67932", "abcdef", "ABCDEF", "171 205 239", "171, 205"} {
			if strings.Contains(text.String(), leak) || strings.Contains(log.String(), leak) {
				t.Errorf("%T prints itself: %s %s", v, text.String(), log.String())
			}
		}
	}
}

func TestChainConcurrently(t *testing.T) {
	c := NewChain()
	c.Set(1, exampleSecret())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range synod.SeqNo(2000) {
				if _, err := c.At(1 + i); err != nil {
					t.Error(err)
					return
				}
				c.Latest()
			}
		})
	}
	for i := range synod.SeqNo(200) {
		c.Set(10+i, exampleSecret())
		c.Truncate(5)
	}
	wg.Wait()
	if all := c.All(); len(all) != 1 || all[0].From != 1 {
		t.Errorf("%d secrets are left", len(all))
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{64, 1024, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := NewChain()
			c.Set(1, exampleSecret())
			text, aad := make([]byte, size, size+TagSize), make([]byte, 200)
			b.SetBytes(int64(size + len(aad)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := c.Seal(synod.TxID{View: 2, SeqNo: 3}, false, text, aad); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	c := NewChain()
	c.Set(1, exampleSecret())
	id := synod.TxID{View: 2, SeqNo: 3}
	text := make([]byte, 1024, 1024+TagSize)
	_, tag, err := c.Seal(id, false, text, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Open(id, false, tag, text, nil); err != nil {
			b.Fatal(err)
		}
	}
}
