package archive

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"synod"
	"synod/internal/audit"
	"synod/internal/ledger"
)

// entry is one that writes to a table, with nothing about it right but its layout.
func entry(id synod.TxID, table string) []byte {
	public := ledger.AppendPublicHeader(nil, id.SeqNo, [32]byte{}, [32]byte{})
	public = binary.LittleEndian.AppendUint64(public, uint64(len(table)))
	public = append(public, table...)
	public = append(public, make([]byte, 32)...)
	return ledger.Build(0, [16]byte{}, ledger.IV(id), public, nil)
}

// open writes an open ledger file of a view in a new directory: signatures at the
// numbers given, and another entry after the last.
func open(t *testing.T, view synod.View, signed ...synod.SeqNo) string {
	t.Helper()
	dir := t.TempDir()
	file := make([]byte, 8)
	last := signed[len(signed)-1] + 1
	for s := synod.SeqNo(1); s <= last; s++ {
		table := "public:t"
		for _, at := range signed {
			if s == at {
				table = "public:ccf.internal.signatures"
			}
		}
		file = append(file, entry(synod.TxID{View: view, SeqNo: s}, table)...)
	}
	if err := os.WriteFile(filepath.Join(dir, "ledger_1"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFurthest(t *testing.T) {
	none := t.TempDir()
	deposed, torn, newest := open(t, 2, 3, 90), open(t, 3, 3, 30), open(t, 3, 3, 20)
	name := filepath.Join(torn, "ledger_1")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.LastIndex(text, []byte("public:ccf.internal.signatures"))
	if err := os.WriteFile(name, text[:end], 0o600); err != nil { // what is left is signed up to 3
		t.Fatal(err)
	}
	failed := open(t, 9, 3, 40) // of a recovery that came to nothing
	if err := os.Rename(filepath.Join(failed, "ledger_1"), filepath.Join(failed, "ledger_1.recovery")); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		dirs []string
		want int
	}{
		"nothing":                   {[]string{none, filepath.Join(none, "gone"), failed}, -1},
		"the longest of one view":   {[]string{newest, open(t, 3, 3, 25), torn}, 1},
		"a later view, though less": {[]string{deposed, newest, none}, 1},
		"torn":                      {[]string{torn, newest}, 1},
	} {
		if got := Furthest(c.dirs); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
	report, err := audit.Directory(t.Context(), ccfLedger)
	if err != nil {
		t.Fatal(err)
	}
	if tip := tipOf(ccfLedger); tip != report.Good || strings.TrimLeft(tip.String(), "0.") == "" {
		t.Errorf("CCF's ledger ends at %s, its last good signature is %s", tip, report.Good)
	}
}
