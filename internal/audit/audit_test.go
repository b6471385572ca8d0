package audit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/internal/ledger"
	"synod/internal/tables"
)

// vectors is a ledger that CCF wrote: one service, two recoveries, 157
// entries; its last file is open. See testdata/README.md.
const vectors = "testdata/ledger"

// copyLedger copies the vectors to a folder that the test may change.
func copyLedger(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(vectors)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLedgerOfCCFVerifies(t *testing.T) {
	r, err := Directory(t.Context(), vectors)
	if err != nil {
		t.Fatal(err)
	}
	if r.Entries != 157 || r.Signatures != 43 || r.COSESignatures != 43 || len(r.Chunks) != 14 {
		t.Errorf("%d entries, %d signatures, %d by the service, %d files", r.Entries, r.Signatures, r.COSESignatures, len(r.Chunks))
	}
	if want := (synod.TxID{View: 6, SeqNo: 157}); r.Last != want || r.Good != want {
		t.Errorf("last %s, good %s, want %s", r.Last, r.Good, want)
	}
	if r.Cut == nil || r.Cut.Dropped != 0 || filepath.Base(r.Cut.File) != "ledger_156" || r.Torn != nil {
		t.Errorf("cut %+v, torn %+v", r.Cut, r.Torn)
	}
	var lives []string
	for _, s := range r.Services {
		lives = append(lives, s.Since.String()+" "+string(s.Status))
	}
	if diff := cmp.Diff([]string{"2.1 Open", "4.115 Open", "6.135 Open"}, lives); diff != "" {
		t.Error(diff)
	}
}

// A flipped bit anywhere in the signed part of the ledger is found. Every
// offset would take minutes; a stride that is prime to the sizes of fields
// visits all kinds of bytes.
func TestEveryFlippedBitIsFound(t *testing.T) {
	stride := 1499
	if testing.Short() {
		stride = 20011
	}
	chunks, _, err := List(vectors)
	if err != nil {
		t.Fatal(err)
	}
	dir := copyLedger(t)
	tried := 0
	for _, c := range chunks {
		name := filepath.Join(dir, filepath.Base(c.File))
		original, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(original); at += stride {
			changed := append([]byte{}, original...)
			changed[at] ^= 1 << (at % 8)
			if err := os.WriteFile(name, changed, 0o644); err != nil {
				t.Fatal(err)
			}
			tried++
			r, err := Directory(t.Context(), dir)
			// Nothing signs the last signature itself, which starts here.
			unsigned := filepath.Base(name) == "ledger_156" && at >= 323
			if err == nil && r.Torn == nil && !unsigned {
				t.Errorf("%s: a flipped bit at %d was not found", filepath.Base(name), at)
			}
			if err == nil && r.Torn != nil && filepath.Base(name) != "ledger_156" {
				t.Errorf("%s: a flipped bit at %d passes as a torn tail", filepath.Base(name), at)
			}
			if err != nil && r.Good.SeqNo >= c.First+synod.SeqNo(len(original)) {
				t.Errorf("good up to %s after a flip in %s", r.Good, filepath.Base(name))
			}
		}
		if err := os.WriteFile(name, original, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d flips", tried)
}

func TestChangedEntryIsLocated(t *testing.T) {
	dir := copyLedger(t)
	// The text of a public record, in an entry between two signatures.
	name := filepath.Join(dir, "ledger_31-59.committed")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), "public record 0")
	b[at] = 'P'
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Directory(t.Context(), dir)
	var bad *Error
	if !errors.As(err, &bad) {
		t.Fatalf("error is %v", err)
	}
	if filepath.Base(bad.File) != "ledger_31-59.committed" || !strings.Contains(bad.Reason, "was changed") {
		t.Errorf("error is %v", bad)
	}
	if bad.Since.IsZero() || bad.Since != r.Good || bad.Since.SeqNo >= bad.TxID.SeqNo {
		t.Errorf("good up to %s (report: %s), error at %s", bad.Since, r.Good, bad.TxID)
	}
	if r.Cut == nil || !strings.Contains(bad.Hint(), bad.Since.String()) {
		t.Errorf("cut %+v, hint %q", r.Cut, bad.Hint())
	}
}

func TestTruncation(t *testing.T) {
	tests := map[string]struct {
		file string
		size int64
		want string // part of the error, "" for none
		torn bool
	}{
		"open chunk, inside its last entry":  {"ledger_156", 2000, "", true},
		"open chunk, inside its first entry": {"ledger_156", 100, "", true},
		"open chunk, empty":                  {"ledger_156", 0, "", true},
		"open chunk, inside its header":      {"ledger_156", 5, "", true},
		"committed chunk, inside its table":  {"ledger_146-155.committed", 7970, "ledger_146-155.committed", false},
		"committed chunk, inside an entry":   {"ledger_146-155.committed", 3000, "ledger_146-155.committed", false},
		"committed chunk, empty":             {"ledger_12-20.committed", 0, "too few", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := copyLedger(t)
			if err := os.Truncate(filepath.Join(dir, tt.file), tt.size); err != nil {
				t.Fatal(err)
			}
			r, err := Directory(t.Context(), dir)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Fatalf("error is %v", err)
			}
			if (r.Torn != nil) != tt.torn {
				t.Errorf("torn is %+v", r.Torn)
			}
			if tt.torn && (r.Good != synod.TxID{View: 6, SeqNo: 155} && r.Good.SeqNo != 156) {
				t.Errorf("good up to %s", r.Good)
			}
			var h interface{ Hint() string }
			var bad *ledger.CorruptError
			if err != nil && !errors.As(err, &h) && !(errors.As(err, &bad) && bad.Hint != "") {
				t.Error("the error has no hint")
			}
		})
	}
}

func TestFilesMustFollowOneAnother(t *testing.T) {
	t.Run("a file is missing", func(t *testing.T) {
		dir := copyLedger(t)
		if err := os.Remove(filepath.Join(dir, "ledger_60-61.committed")); err != nil {
			t.Fatal(err)
		}
		r, err := Directory(t.Context(), dir)
		if err == nil || !strings.Contains(err.Error(), "starts at entry 62, want 60") || r.Good.SeqNo != 59 {
			t.Errorf("error is %v, good up to %s", err, r.Good)
		}
	})
	t.Run("a file is renamed", func(t *testing.T) {
		dir := copyLedger(t)
		if err := os.Rename(filepath.Join(dir, "ledger_60-61.committed"), filepath.Join(dir, "ledger_60-60.committed")); err != nil {
			t.Fatal(err)
		}
		if _, err := Directory(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "its name says 60") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("an uncommitted file in the middle", func(t *testing.T) {
		dir := copyLedger(t)
		if err := os.Rename(filepath.Join(dir, "ledger_60-61.committed"), filepath.Join(dir, "ledger_60")); err != nil {
			t.Fatal(err)
		}
		if _, err := Directory(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "follows a file that is not") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("no files", func(t *testing.T) {
		if _, err := Directory(t.Context(), t.TempDir()); err == nil {
			t.Error("an empty folder passes")
		}
	})
	t.Run("other files are skipped, directories are joined", func(t *testing.T) {
		dir, other := copyLedger(t), t.TempDir()
		if err := os.Rename(filepath.Join(dir, "ledger_1-11.committed"), filepath.Join(other, "ledger_1-11.committed")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := Directory(t.Context(), dir, other)
		if err != nil || r.Entries != 157 || len(r.Skipped) != 1 {
			t.Errorf("%v, %+v", err, r)
		}
	})
}

func TestServiceStatusMayNotJump(t *testing.T) {
	for from, allowed := range mayFollow {
		for _, to := range []tables.ServiceStatus{tables.ServiceOpening, tables.ServiceOpen, tables.ServiceWaitingForRecoveryShares, tables.ServiceRecovering, "Closed"} {
			want := to == from || to == tables.ServiceOpening
			for _, a := range allowed {
				want = want || a == to
			}
			if got := statusMayChange(from, to); got != want {
				t.Errorf("%s to %s: %v", from, to, got)
			}
		}
	}
}

func BenchmarkDirectory(b *testing.B) {
	var size int64
	for b.Loop() {
		r, err := Directory(b.Context(), vectors)
		if err != nil {
			b.Fatal(err)
		}
		size = r.SizeBytes
	}
	b.SetBytes(size)
}
