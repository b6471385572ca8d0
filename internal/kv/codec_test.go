package kv

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The worked example of an entry that CCF's layout rules give: one public and
// one private map.
func exampleSet() *WriteSet {
	return &WriteSet{Maps: []MapWrites{
		{Name: "p", Writes: []Write{{[]byte("a"), []byte("1")}}},
		{Name: "public:t", Writes: []Write{{[]byte("k"), []byte(`"v"`)}}},
	}}
}

const (
	examplePublic = `0800000000000000 7075626c69633a74 0000000000000000 0000000000000000
		0100000000000000 0100000000000000 6b 0300000000000000 227622 0000000000000000`
	examplePrivate = `0100000000000000 70 0000000000000000 0000000000000000 0100000000000000
		0100000000000000 61 0100000000000000 31 0000000000000000`
)

func TestDomainExample(t *testing.T) {
	ws := exampleSet()
	for public, text := range map[bool]string{true: examplePublic, false: examplePrivate} {
		want := unhex(t, text)
		if got := AppendDomain(nil, ws, public); !bytes.Equal(got, want) {
			t.Errorf("public %v: % x\nwant % x", public, got, want)
		}
		maps, err := DecodeDomain(want, public)
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		if public {
			i = 1
		}
		if diff := cmp.Diff(ws.Maps[i:i+1], maps); diff != "" {
			t.Error(diff)
		}
		if _, err := DecodeDomain(want, !public); !errors.Is(err, ErrMalformed) {
			t.Errorf("the other domain: %v", err)
		}
		if !DomainStartsWith(want, ws.Maps[i].Name) || DomainStartsWith(want, ws.Maps[1-i].Name) || DomainStartsWith(want[:7], "") {
			t.Error("DomainStartsWith")
		}
	}
	if !ws.HasPrivate() || (&WriteSet{Maps: ws.Maps[1:]}).HasPrivate() {
		t.Error("HasPrivate")
	}
	if want := len(unhex(t, examplePublic)) + len(unhex(t, examplePrivate)); ws.EncodedSize() != want {
		t.Errorf("EncodedSize %d, want %d", ws.EncodedSize(), want)
	}
}

func TestDecodeDomainRefuses(t *testing.T) {
	good := AppendDomain(nil, &WriteSet{Maps: []MapWrites{
		{Name: "public:a", Writes: []Write{{[]byte("k"), []byte("v")}}, Removes: [][]byte{[]byte("r")}},
	}}, true)
	again := func(names ...string) []byte {
		var b []byte
		for _, n := range names {
			b = AppendDomain(b, &WriteSet{Maps: []MapWrites{{Name: n, Removes: [][]byte{{}}}}}, true)
		}
		return b
	}
	with := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	const counts = 8 + 8 // length and bytes of the name
	for name, b := range map[string][]byte{
		"read version":  with(counts, 1),
		"read count":    with(counts+8, 1),
		"write count":   with(counts+16+7, 0x7f),
		"key length":    with(counts+24+6, 1),
		"not UTF-8":     with(8+7, 0xff),
		"no writes":     append([]byte{8, 0, 0, 0, 0, 0, 0, 0, 'p', 'u', 'b', 'l', 'i', 'c', ':', 'a'}, make([]byte, 32)...),
		"twice":         again("public:a", "public:a"),
		"twice, apart":  again("public:a", "public:c", "public:b", "public:c"),
		"trailing byte": append(bytes.Clone(good), 0),
	} {
		if _, err := DecodeDomain(b, true); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := 1; i < len(good); i++ {
		if _, err := DecodeDomain(good[:i], true); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	if maps, err := DecodeDomain(again("public:b", "public:a"), true); err != nil || len(maps) != 2 {
		t.Errorf("names out of order: %v", err)
	}
}

// publicDomains returns the map blocks of the public domains of a ledger
// chunk (CCF: src/kv/serialised_entry_format.h).
func publicDomains(t testing.TB, chunk []byte) [][]byte {
	t.Helper()
	end := binary.LittleEndian.Uint64(chunk)
	if end == 0 {
		end = uint64(len(chunk))
	}
	var out [][]byte
	for at := uint64(8); at < end; {
		size := binary.LittleEndian.Uint64(chunk[at:]) >> 16
		body := chunk[at+8+28 : at+8+size]
		public := body[8 : 8+binary.LittleEndian.Uint64(body)]
		head := map[byte]int{0: 9, 2: 41, 3: 41, 4: 73}[public[0]]
		if head == 0 {
			t.Fatalf("entry type %d", public[0])
		}
		out = append(out, public[head+8:])
		at += 8 + size
	}
	return out
}

// TestDomainCCF decodes what CCF wrote and encodes the same bytes.
func TestDomainCCF(t *testing.T) {
	files, err := filepath.Glob("testdata/*.committed")
	if err != nil || len(files) == 0 {
		t.Fatalf("no chunks: %v", err)
	}
	for _, file := range files {
		chunk, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range publicDomains(t, chunk) {
			maps, err := DecodeDomain(b, true)
			if err != nil {
				t.Fatalf("%s entry %d: %s", file, i, err)
			}
			ws := &WriteSet{Maps: maps}
			if got := AppendDomain(nil, ws, true); !bytes.Equal(got, b) {
				t.Errorf("%s entry %d encodes differently", file, i)
			}
			if ws.EncodedSize() != len(b) {
				t.Errorf("%s entry %d: EncodedSize %d of %d bytes", file, i, ws.EncodedSize(), len(b))
			}
		}
	}
}

func FuzzDecodeDomain(f *testing.F) {
	f.Add(unhex(f, examplePublic), true)
	f.Add(unhex(f, examplePrivate), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, public bool) {
		maps, err := DecodeDomain(b, public)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || maps != nil {
				t.Fatalf("error %v with %d maps", err, len(maps))
			}
			return
		}
		if got := AppendDomain(nil, &WriteSet{Maps: maps}, public); !bytes.Equal(got, b) {
			t.Fatalf("encodes to % x", got)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	ws := exampleSet()
	buf := make([]byte, 0, 1024)
	for _, public := range []bool{true, false} {
		b.Run(fmt.Sprintf("append/public=%v", public), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = AppendDomain(buf[:0], ws, public)
			}
		})
	}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		buf = AppendDomain(buf[:0], ws, true)
		for b.Loop() {
			if _, err := DecodeDomain(buf, true); err != nil {
				b.Fatal(err)
			}
		}
	})
}
