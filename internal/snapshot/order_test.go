package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/dchest/siphash"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
)

// TestHash has the values of /reference/siphash by an independent program (see
// docs/formats/snapshot.md).
func TestHash(t *testing.T) {
	for key, want := range map[string]uint64{
		"": 0xc8e72faac5f4ecca, "a": 0x2f70f674197c4575, "b": 0x34adb122d46266e5, "k": 0xf23d4a107ff67728,
		"\x00\x00\x00\x00\x00\x00\x00\x00": 0xe2b6aab3a6b9ff73, "hello world": 0x25f25b6ac22431da,
	} {
		if got := siphash.Hash(hashKey0, hashKey1, []byte(key)); got != want || orderOf([]byte(key)) != uint32(want) {
			t.Errorf("hash of %q is %x, want %x", key, got, want)
		}
	}
}

// TestExample is the example of docs/formats/snapshot.md: the order of two
// keys, padding, versions, tag and digest.
func TestExample(t *testing.T) {
	const want = `
0100e50000000000 55eca92ceb49c163713165908e9a2dc8 050000000000000000000080 c100000000000000
01 0500000000000000 0000000000000000
2000000000000000 57832afde3e59e115568ef0f7e87b215f5d68c623098a4d6982df3ec8d18c34f
1000000000000000 0100000000000000 0100000000000000
0800000000000000 7075626c69633a74 0500000000000000 5000000000000000
0100000000000000 6b00000000000000 0a00000000000000 0500000000000000 3232000000000000
0100000000000000 6200000000000000 0900000000000000 0300000000000000 3100000000000000`
	wanted, err := hex.DecodeString(strings.Join(strings.Fields(want), ""))
	must(t, err)
	store := kv.New()
	l := store.Load()
	must(t, l.Map("public:t", 5))
	must(t, l.Put([]byte("b"), []byte("1"), 3))
	must(t, l.Put([]byte("k"), []byte("22"), 5))
	l.Finish(synod.TxID{View: 2, SeqNo: 5})
	var raw [32]byte
	for i := range raw {
		raw[i] = byte(i)
	}
	chain := secrets.NewChain()
	chain.Set(1, secrets.SecretFrom(raw))
	tx := store.Begin()
	defer tx.Release()
	f := newMemory()
	e, err := write(context.Background(), f, State{tx, [32]byte(wanted[69:]), []synod.SeqNo{1, 1}, chain})
	must(t, err)
	if !bytes.Equal(f.b, wanted) {
		t.Errorf("wrote\n%x, want\n%x", f.b, wanted)
	}
	if got := hex.EncodeToString(e.Digest[:]); got != "71a68eb8afe6f3bf84946fff4f4facecb3a22482ba9b8eab79aca0358f9840f5" {
		t.Errorf("digest %s", got)
	}
}

// TestParts writes the same map in one part and in many; also with keys that
// all have hashes in one corner, and with the same hash.
func TestParts(t *testing.T) {
	low := func(n int) (keys []string) {
		for i := 0; len(keys) < n; i++ {
			if key := fmt.Sprint(i); orderOf([]byte(key)) < hashes/512 {
				keys = append(keys, key)
			}
		}
		return keys
	}
	var spread []string
	for i := range 1000 {
		spread = append(spread, fmt.Sprint(i))
	}
	for name, keys := range map[string][]string{"spread": spread, "corner": low(300), "few": spread[:3], "none": nil} {
		t.Run(name, func(t *testing.T) {
			store := kv.New()
			l := store.Load()
			must(t, l.Map("m", 9))
			for i, key := range keys {
				must(t, l.Put([]byte(key), bytes.Repeat([]byte{'v'}, i%20), synod.SeqNo(1+i%9)))
			}
			l.Finish(synod.TxID{View: 2, SeqNo: 9})
			tx := store.Begin()
			defer tx.Release()
			var first []byte
			for _, most := range []int{1 << 20, 500, 100, 7, 1} {
				f := newMemory()
				w := &writer{
					ctx: context.Background(), file: f, buf: make([]byte, 0, 1000), body: sha256.New(),
					seal: secrets.SecretFrom([32]byte{}).Stream([12]byte{}), tx: tx, rowsMax: most,
				}
				w.block(block{"m", 9, len(keys)})
				w.flush()
				must(t, w.err)
				if first == nil {
					first = f.b
					inOrder(t, first, len(keys))
				}
				if !bytes.Equal(f.b, first) {
					t.Errorf("parts of %d keys come out differently", most)
				}
			}
		})
	}
}

// inOrder checks a block of map m as the format describes it.
func inOrder(t *testing.T, b []byte, keys int) {
	t.Helper()
	next := func(n uint64) []byte { v := b[:n]; b = b[n:]; return v }
	u64 := func() uint64 { return binary.LittleEndian.Uint64(next(8)) }
	if name := next(u64()); string(name) != "m" || u64() != 9 || u64() != uint64(len(b)) {
		t.Fatal("the head of the block is wrong")
	}
	last := uint32(0)
	for ; len(b) > 0; keys-- {
		key := next(u64())
		next(uint64(-len(key) & 7))
		if h := orderOf(key); h < last {
			t.Errorf("key %q is out of order", key)
		} else {
			last = h
		}
		value := next(u64())
		next(uint64(-len(value) & 7))
	}
	if keys != 0 {
		t.Errorf("%d keys are missing", keys)
	}
}

// TestDiskChanges: what a disk gives back differs from what was written.
func TestDiskChanges(t *testing.T) {
	s := newService(t, 2)
	st := s.state()
	f := &forgetful{memory: newMemory()}
	if _, err := write(context.Background(), f, st); err != ErrDiskChanged {
		t.Errorf("%v", err)
	}
}

type forgetful struct{ *memory }

func (f *forgetful) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.memory.ReadAt(p, off)
	if n > 100 {
		p[100] ^= 1
	}
	return n, err
}

var _ ledger.File = (*forgetful)(nil)
