package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// golden is the worked example of CCF's format: leaf 0 zero, leaf i = H(byte i).
func golden() *Tree {
	t := New()
	for i := byte(1); i <= 6; i++ {
		t.Append(sha256.Sum256([]byte{i}))
	}
	return t
}

func TestGoldenRoots(t *testing.T) {
	want := map[uint64]string{
		0: strings.Repeat("00", 32),
		1: "632959f31641075aa6848d91649123edb324aca48206c605ea0bbe43590dceec",
		2: "ae54095e475d3928b223cf378f8aa1995a614c4d2a5b867436d5c988e02909ae",
		3: "2b59906f20704cee3a43b58dbfcd7eb35dd13beb566542fa24893d038e6eb682",
		4: "fb9cf99964e944cac40e61024026a3a91512546b864a297cc68fb4c312a1e5e6",
		6: "92203c7917947f8dc301bfa433eef638634b43d0be514fc721bf44502da55a44",
	}
	tree := golden()
	for i, w := range want {
		got, err := tree.RootAt(i)
		if err != nil || hex.EncodeToString(got[:]) != w {
			t.Errorf("root at %d = %x, %v; want %s", i, got, err, w)
		}
	}
	if got := tree.Root(); hex.EncodeToString(got[:]) != want[6] {
		t.Errorf("root = %x", got)
	}
}

func TestGoldenPathAndSerialise(t *testing.T) {
	tree := golden()
	p, err := tree.Path(6, 6)
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, s := range p {
		if !s.Left {
			t.Error("step to the right")
		}
		text = append(text, hex.EncodeToString(s.Hash[:]))
	}
	if diff := cmp.Diff([]string{
		"f03808f5b8088c61286d505e8e93aa378991d9889ae2d874433ca06acabcd493",
		"2b59906f20704cee3a43b58dbfcd7eb35dd13beb566542fa24893d038e6eb682",
	}, text); diff != "" {
		t.Error(diff)
	}
	b, err := tree.Serialise(5, 6)
	if err != nil {
		t.Fatal(err)
	}
	const want = "0000000000000002" + "0000000000000005" +
		"e77b9a9ae9e30b0dbdb6f510a264ef9de781501d7b6b92ae89eb059c5ab743db" +
		"67586e98fad27da0b9968bc039a1ef34c939b9b8e523a8bef89d478608c5ecf6" +
		"e52d9c508c502347344d8c07ad91cbd6068afc75ff6292f062a09ca381c89e71" +
		"2b59906f20704cee3a43b58dbfcd7eb35dd13beb566542fa24893d038e6eb682"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("serialise(5,6) = %s", got)
	}
	fresh, err := New().Serialise(0, 0)
	if err != nil || hex.EncodeToString(fresh) != "0000000000000001"+strings.Repeat("00", 40) {
		t.Errorf("fresh tree = %x, %v", fresh, err)
	}
}

// reference is the recursive definition of the root.
func reference(leaves []Hash) Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	l, r := reference(leaves[:k]), reference(leaves[k:])
	return join(&l, &r)
}

func leafOf(i uint64) Hash {
	if i == 0 {
		return Hash{}
	}
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, i))
}

func leavesTo(n uint64) []Hash {
	out := make([]Hash, 0, n+1)
	for i := uint64(0); i <= n; i++ {
		out = append(out, leafOf(i))
	}
	return out
}

// checkTree compares everything that a tree answers with the definition.
func checkTree(t *testing.T, tree *Tree, leaves []Hash) {
	t.Helper()
	if tree.MaxIndex() != uint64(len(leaves)-1) {
		t.Fatalf("max index %d, want %d", tree.MaxIndex(), len(leaves)-1)
	}
	if got, want := tree.Root(), reference(leaves); got != want {
		t.Fatalf("root of %d leaves differs", len(leaves))
	}
	for i := tree.MinIndex(); i <= tree.MaxIndex(); i++ {
		if got, err := tree.Leaf(i); err != nil || got != leaves[i] {
			t.Fatalf("leaf %d differs: %v", i, err)
		}
		root, err := tree.RootAt(i)
		if err != nil || root != reference(leaves[:i+1]) {
			t.Fatalf("root at %d differs: %v", i, err)
		}
		for last := i; last <= tree.MaxIndex(); last++ {
			p, err := tree.Path(i, last)
			if err != nil {
				t.Fatal(err)
			}
			if p.Root(leaves[i]) != reference(leaves[:last+1]) {
				t.Fatalf("path of %d in 0..%d leads elsewhere", i, last)
			}
		}
	}
}

func TestAgainstDefinition(t *testing.T) {
	leaves := leavesTo(40)
	for n := range leaves {
		tree := New()
		for _, l := range leaves[1 : n+1] {
			tree.Append(l)
		}
		checkTree(t, tree, leaves[:n+1])
	}
}

func TestRandomWalk(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		tree, leaves := New(), leavesTo(0)
		for range 60 {
			switch op := rng.IntN(10); {
			case op < 6:
				for range rng.IntN(6) {
					leaves = append(leaves, leafOf(rng.Uint64()))
					tree.Append(leaves[len(leaves)-1])
				}
			case op == 6:
				tree.FlushTo(tree.MinIndex() + rng.Uint64N(tree.MaxIndex()-tree.MinIndex()+1))
			case op == 7:
				to := tree.MinIndex() + rng.Uint64N(tree.MaxIndex()-tree.MinIndex()+1)
				if err := tree.RetractTo(to); err != nil {
					t.Fatal(err)
				}
				leaves = leaves[:to+1]
			default:
				b, err := tree.Serialise(tree.MinIndex(), tree.MaxIndex())
				if err != nil {
					t.Fatal(err)
				}
				if tree, err = Deserialise(b); err != nil {
					t.Fatal(err)
				}
			}
			if len(leaves) < 24 {
				checkTree(t, tree, leaves)
			} else if tree.Root() != reference(leaves) {
				t.Fatal("root differs")
			}
		}
	}
}

func TestFlushKeepsMemorySmall(t *testing.T) {
	tree := New()
	for i := uint64(1); i <= 200_000; i++ {
		tree.Append(leafOf(i))
		if i%500 == 0 {
			tree.FlushTo(i)
		}
	}
	total := 0
	for _, l := range tree.levels {
		total += cap(l.hashes)
	}
	if total > 20_000 {
		t.Errorf("%d hashes are held for one leaf", total)
	}
	if tree.Root() != reference(leavesTo(200_000)) {
		t.Error("root differs")
	}
}

func TestRangeErrors(t *testing.T) {
	tree := golden()
	tree.FlushTo(3)
	for name, f := range map[string]func() error{
		"root of flushed":       func() error { _, err := tree.RootAt(2); return err },
		"root beyond":           func() error { _, err := tree.RootAt(7); return err },
		"leaf flushed":          func() error { _, err := tree.Leaf(2); return err },
		"path of flushed":       func() error { _, err := tree.Path(2, 6); return err },
		"path beyond":           func() error { _, err := tree.Path(4, 7); return err },
		"path before":           func() error { _, err := tree.Path(5, 4); return err },
		"serialise flushed":     func() error { _, err := tree.Serialise(1, 6); return err },
		"serialise beyond":      func() error { _, err := tree.Serialise(3, 7); return err },
		"serialise upside down": func() error { _, err := tree.Serialise(5, 4); return err },
		"retract below":         func() error { return tree.RetractTo(2) },
	} {
		if err := f(); !errors.Is(err, ErrRange) {
			t.Errorf("%s: %v", name, err)
		}
	}
	tree.FlushTo(100)
	if tree.MinIndex() != 6 || tree.MaxIndex() != 6 {
		t.Errorf("flush beyond the end leaves %d..%d", tree.MinIndex(), tree.MaxIndex())
	}
}

func TestDeserialiseRefuses(t *testing.T) {
	good, err := golden().Serialise(5, 6)
	if err != nil {
		t.Fatal(err)
	}
	huge := append([]byte(nil), good...)
	binary.BigEndian.PutUint64(huge[8:], ^uint64(0))
	for name, b := range map[string][]byte{
		"empty":        nil,
		"header alone": good[:16],
		"cut hash":     good[:len(good)-1],
		"cut extra":    good[:len(good)-32],
		"trailing":     append(append([]byte(nil), good...), make([]byte, 32)...),
		"huge from":    huge,
		"no leaf":      make([]byte, 16),
	} {
		if _, err := Deserialise(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDeserialise(f *testing.F) {
	for _, r := range [][2]uint64{{0, 0}, {0, 6}, {5, 6}, {4, 4}} {
		b, err := golden().Serialise(r[0], r[1])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := Deserialise(b)
		if err != nil {
			return
		}
		again, err := tree.Serialise(tree.MinIndex(), tree.MaxIndex())
		if err != nil || !cmp.Equal(b, again) {
			t.Fatalf("%x became %x, %v", b, again, err)
		}
		tree.Root()
		if _, err := tree.Path(tree.MinIndex(), tree.MaxIndex()); err != nil {
			t.Fatal(err)
		}
		tree.Append(Hash{1})
		tree.Root()
	})
}

func BenchmarkAppend(b *testing.B) {
	tree := New()
	b.ReportAllocs()
	for i := uint64(1); b.Loop(); i++ {
		tree.Append(Hash{byte(i)})
		if i%1000 == 0 {
			tree.FlushTo(i)
		}
	}
}

func BenchmarkAppendRoot(b *testing.B) {
	for _, size := range []uint64{1_000, 1_000_000} {
		b.Run(map[uint64]string{1_000: "1e3", 1_000_000: "1e6"}[size], func(b *testing.B) {
			tree := New()
			for i := uint64(1); i < size; i++ {
				tree.Append(Hash{byte(i)})
			}
			tree.FlushTo(size - 1)
			b.ReportAllocs()
			for b.Loop() {
				tree.Append(Hash{1})
				tree.Root()
			}
		})
	}
}

func BenchmarkPath(b *testing.B) {
	tree := New()
	for i := range uint64(100_000) {
		tree.Append(Hash{byte(i)})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tree.Path(50_000, 100_000); err != nil {
			b.Fatal(err)
		}
	}
}
