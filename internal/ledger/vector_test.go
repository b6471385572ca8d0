package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/internal/ledger"
)

// root is the tree's definition, written down directly: RFC 6962's shape
// without its prefixes.
func root(leaves [][32]byte) [32]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	left, right := root(leaves[:k]), root(leaves[k:])
	return sha256.Sum256(append(left[:], right[:]...))
}

// value finds the single value written to a public map.
func value(t *testing.T, maps []byte, name string) []byte {
	t.Helper()
	u64 := func() uint64 {
		n := binary.LittleEndian.Uint64(maps)
		maps = maps[8:]
		return n
	}
	bytesOf := func() []byte {
		n := u64()
		b := maps[:n]
		maps = maps[n:]
		return b
	}
	var found []byte
	for len(maps) > 0 {
		is := string(bytesOf()) == name
		u64()
		if reads := u64(); reads != 0 {
			t.Fatalf("%d reads in a map block", reads)
		}
		for range u64() {
			bytesOf()
			if v := bytesOf(); is {
				found = v
			}
		}
		for range u64() {
			bytesOf()
		}
	}
	return found
}

func verifyRoots(t *testing.T, dir string) (entries, signatures int) {
	t.Helper()
	leaves := [][32]byte{{}}
	err := ledger.Walk(dir, ledger.WalkOptions{Uncommitted: true}, func(at ledger.Place, e *ledger.Entry) error {
		entries++
		if e.TxID.SeqNo != synod.SeqNo(entries) {
			t.Errorf("%s: entry %d is %s", at.File, entries, e.TxID)
		}
		if again := ledger.Build(e.Flags, e.Tag, e.IV, e.Public, e.Cipher); !bytes.Equal(again, e.Raw) {
			t.Errorf("%s does not encode to what it was", e.TxID)
		}
		if e.Type == ledger.TypeWriteSetWithCommitEvidenceAndClaims && e.MaxConflict == 0 {
			public := append(ledger.AppendPublicHeader(nil, e.TxID.SeqNo, e.Claims, e.Evidence), e.PublicMaps...)
			if !bytes.Equal(public, e.Public) {
				t.Errorf("public domain of %s does not encode to what it was", e.TxID)
			}
		}
		if e.IV != ledger.IV(e.TxID) {
			t.Errorf("%s: initialisation vector %x", e.TxID, e.IV)
		}
		record := value(t, e.PublicMaps, "public:ccf.internal.signatures")
		if (record != nil) != e.IsSignature() {
			t.Errorf("%s: IsSignature is %v", e.TxID, e.IsSignature())
		}
		if record != nil {
			signatures++
			var s struct {
				Root string `json:"root"`
			}
			if err := json.Unmarshal(record, &s); err != nil {
				t.Fatal(err)
			}
			if r := root(leaves); s.Root != hex.EncodeToString(r[:]) {
				t.Errorf("%s: signed root %s, computed %x", e.TxID, s.Root, r)
			}
		}
		leaves = append(leaves, e.Leaf())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return entries, signatures
}

func TestVectorRoots(t *testing.T) {
	entries, signatures := verifyRoots(t, "testdata/ledger")
	if entries != 157 || signatures != 43 {
		t.Errorf("%d entries, %d signatures", entries, signatures)
	}
}

// TestForeignRoots checks further ledgers, such as those of CCF's source tree:
// SYNOD_LEDGERS holds directories, separated as in PATH.
func TestForeignRoots(t *testing.T) {
	dirs := os.Getenv("SYNOD_LEDGERS")
	if dirs == "" {
		t.Skip("SYNOD_LEDGERS is not set")
	}
	for _, dir := range filepath.SplitList(dirs) {
		t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) {
			entries, signatures := verifyRoots(t, dir)
			t.Logf("%d entries, %d signatures", entries, signatures)
		})
	}
}

func TestVectorSnapshots(t *testing.T) {
	names, err := filepath.Glob("testdata/snapshots/*")
	if err != nil || len(names) != 7 {
		t.Fatal(names, err)
	}
	leaves := map[synod.SeqNo][32]byte{}
	claims := map[synod.SeqNo][32]byte{}
	err = ledger.Walk("testdata/ledger", ledger.WalkOptions{Uncommitted: true}, func(_ ledger.Place, e *ledger.Entry) error {
		leaves[e.TxID.SeqNo] = e.Leaf()
		claims[e.TxID.SeqNo] = e.Claims
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range names {
		name, ok := ledger.ParseSnapshotName(filepath.Base(path))
		if !ok || name.String() != filepath.Base(path) {
			t.Fatal(path, name, ok)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ledger.ParseSnapshot(b)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var receipt struct {
			Leaf struct {
				Claims string `json:"claims_digest"`
			} `json:"leaf_components"`
		}
		if err := json.Unmarshal(s.Receipt, &receipt); err != nil {
			t.Fatal(err)
		}
		digest := s.Digest()
		if receipt.Leaf.Claims != hex.EncodeToString(digest[:]) {
			t.Errorf("%s: digest %x, receipt says %s", path, digest, receipt.Leaf.Claims)
		}
		if claims[name.Evidence] != digest {
			t.Errorf("%s: claims digest of %d is %x", path, name.Evidence, claims[name.Evidence])
		}
		if s.SeqNo != name.SeqNo || s.Hash != leaves[s.SeqNo] {
			t.Errorf("%s: seqno %d, hash %x, want %x", path, s.SeqNo, s.Hash, leaves[s.SeqNo])
		}
		public := append(ledger.AppendSnapshotHeader(nil, s.SeqNo, s.Hash, s.ViewStarts), s.PublicMaps...)
		again := append(ledger.Build(0, s.Tag, s.IV, public, s.Cipher), s.Receipt...)
		if !bytes.Equal(again, b) {
			t.Errorf("%s does not encode to what it was", path)
		}
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func digest(t testing.TB, s string) [32]byte { return [32]byte(unhex(t, s)) }

// exampleEntry is an entry with a public and a private write, 2.3.
const exampleEntry = `
	0100f40000000000 2036d8160a8850e65eab2cff867df778 030000000000000002000000 9500000000000000
	04 0300000000000000 0000000000000000000000000000000000000000000000000000000000000000
	0fc2361aca552970e7ca6efee03c5b9c9de019b67f281898813fe709a11872bd 0000000000000000
	0800000000000000 7075626c69633a74 0000000000000000 0000000000000000 0100000000000000
	0100000000000000 6b 0300000000000000 227622 0000000000000000
	0cd89f10e22a306107e892509125a1c7ec23231d6954989a37fdedbba1d4e00e07dab12177ede5d8e98eb7bcccb0bd76000b3a7900393e5e7809bf`

func TestExampleEntry(t *testing.T) {
	raw := unhex(t, exampleEntry)
	e, err := ledger.ParseEntry(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := &ledger.Entry{
		TxID: synod.TxID{View: 2, SeqNo: 3}, Type: ledger.TypeWriteSetWithCommitEvidenceAndClaims,
		Evidence: digest(t, "0fc2361aca552970e7ca6efee03c5b9c9de019b67f281898813fe709a11872bd"),
		Public:   raw[44:193], PublicMaps: raw[44+81 : 193], Cipher: raw[193:], Raw: raw,
		Tag: [16]byte(raw[8:]), IV: [12]byte(raw[24:]),
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	if got := e.WriteSetDigest(); got != digest(t, "b352ce4df2e6f4dba9414597c0a3670e78975b20b27502cb5be75fd1aa28ea20") {
		t.Errorf("write-set digest %x", got)
	}
	if got := e.Leaf(); got != digest(t, "57832afde3e59e115568ef0f7e87b215f5d68c623098a4d6982df3ec8d18c34f") {
		t.Errorf("leaf %x", got)
	}
}

// exampleSnapshot is the snapshot of a service with one public map, without its
// receipt.
const exampleSnapshot = `
	0100e50000000000 55eca92ceb49c163713165908e9a2dc8 050000000000000000000080 c100000000000000
	01 0500000000000000 0000000000000000
	2000000000000000 57832afde3e59e115568ef0f7e87b215f5d68c623098a4d6982df3ec8d18c34f
	1000000000000000 0100000000000000 0100000000000000
	0800000000000000 7075626c69633a74 0500000000000000 5000000000000000
	0100000000000000 6b00000000000000 0a00000000000000 0500000000000000 3232000000000000
	0100000000000000 6200000000000000 0900000000000000 0300000000000000 3100000000000000`

func TestExampleSnapshot(t *testing.T) {
	s, err := ledger.ParseSnapshot(unhex(t, exampleSnapshot))
	if err != nil {
		t.Fatal(err)
	}
	if s.Digest() != digest(t, "71a68eb8afe6f3bf84946fff4f4facecb3a22482ba9b8eab79aca0358f9840f5") {
		t.Errorf("digest %x", s.Digest())
	}
	if diff := cmp.Diff([]synod.SeqNo{1, 1}, s.ViewStarts); diff != "" {
		t.Error(diff)
	}
}
