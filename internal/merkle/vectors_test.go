package merkle

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// hexBytes is a byte string in hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.AppendDecode(nil, text)
	return err
}

// TestLedgerOfCCF replays a ledger's leaves and compares every root and every
// serialised tree with those in its signatures.
func TestLedgerOfCCF(t *testing.T) {
	raw, err := os.ReadFile("testdata/ledger.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Leaves     []hexBytes
		Signatures []struct {
			SeqNo uint64
			Root  hexBytes
			Tree  hexBytes
		}
	}
	if err := json.Unmarshal(raw, &v); err != nil || len(v.Leaves) != 157 || len(v.Signatures) != 43 {
		t.Fatal(len(v.Leaves), len(v.Signatures), err)
	}
	tree := New()
	for _, s := range v.Signatures {
		for tree.MaxIndex() < s.SeqNo-1 {
			tree.Append(Hash(v.Leaves[tree.MaxIndex()]))
		}
		root := tree.Root()
		if !bytes.Equal(root[:], s.Root) {
			t.Fatalf("root at signature %d differs", s.SeqNo)
		}
		theirs, err := Deserialise(s.Tree)
		if err != nil {
			t.Fatal(err)
		}
		if theirs.Root() != root || theirs.MaxIndex() != s.SeqNo-1 {
			t.Errorf("tree in signature %d differs", s.SeqNo)
		}
		ours, err := tree.Serialise(theirs.MinIndex(), s.SeqNo-1)
		if err != nil || !bytes.Equal(ours, s.Tree) {
			t.Errorf("tree at signature %d is written differently: %v", s.SeqNo, err)
		}
		again, err := theirs.Serialise(theirs.MinIndex(), theirs.MaxIndex())
		if err != nil || !bytes.Equal(again, s.Tree) {
			t.Errorf("tree of signature %d is written again differently: %v", s.SeqNo, err)
		}
		// Trees go on from where they were stored.
		next := Hash(v.Leaves[s.SeqNo-1])
		theirs.Append(next)
		if s.SeqNo%3 == 0 {
			tree.FlushTo(theirs.MinIndex())
		}
		path, err := theirs.Path(theirs.MinIndex(), theirs.MaxIndex())
		if err != nil {
			t.Fatal(err)
		}
		first, err := theirs.Leaf(theirs.MinIndex())
		if err != nil || path.Root(first) != theirs.Root() {
			t.Errorf("path after signature %d leads elsewhere: %v", s.SeqNo, err)
		}
	}
}
