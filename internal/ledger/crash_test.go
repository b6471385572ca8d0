package ledger_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"synod"
	"synod/internal/ledger"
	"synod/internal/ledger/faultfs"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run the crash test with this seed alone")
	seedsFlag = flag.Uint64("seeds", 400, "number of seeds of the crash test, for each model")
)

// TestCrash runs random workloads that crash in a random step, several times
// in a row, and checks after each crash what the package promises.
func TestCrash(t *testing.T) {
	models := map[string]faultfs.Model{
		"ordered": faultfs.Ordered, "zeroed": faultfs.Zeroed, "unordered": faultfs.Unordered, "kept": faultfs.Kept, "mixed": -1,
	}
	for name, model := range models {
		t.Run(name, func(t *testing.T) {
			first, last := uint64(1), *seedsFlag
			if testing.Short() {
				last = min(last, 40)
			}
			if *seedFlag != 0 {
				first, last = *seedFlag, *seedFlag
			}
			crashes := 0
			for seed := first; seed <= last; seed++ {
				w := &world{rng: rand.New(rand.NewPCG(seed, uint64(model))), model: model, disk: faultfs.New(), committed: map[string][]byte{}}
				if err := w.run(); err != nil {
					t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(w.trace, "\n"))
				}
				crashes += w.crashes
			}
			t.Logf("%d crashes", crashes)
		})
	}
}

// world is one run: the disk, the log on it, and what the log has promised.
type world struct {
	rng   *rand.Rand
	model faultfs.Model // negative: another at each crash
	disk  *faultfs.Disk
	log   *ledger.Log
	view  synod.View
	trace []string

	entries   [][]byte // acknowledged
	limit     synod.SeqNo
	committed map[string][]byte // committed files, as they must stay
	crashes   int
}

// attempt is the call under way: afterwards the log holds a prefix of the
// entries before or after it, not less than what both have in common.
type attempt struct{ before, after [][]byte }

func (a attempt) common() int {
	n := 0
	for n < min(len(a.before), len(a.after)) && bytes.Equal(a.before[n], a.after[n]) {
		n++
	}
	return n
}

func (w *world) say(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) run() error {
	w.view = 2
	if err := w.reopen(attempt{}); err != nil {
		return err
	}
	for w.crashes < 4 {
		if w.rng.IntN(3) == 0 {
			w.disk.CrashAt(w.disk.Steps() + 1 + w.rng.IntN(12))
		}
		if w.rng.IntN(12) == 0 {
			w.disk.SetCapacity(w.disk.Used() + int64(w.rng.IntN(1200)))
		}
		a, err := w.step()
		w.disk.SetCapacity(0)
		switch {
		case err == nil:
			w.entries = a.after
		case w.disk.Crashed(): // perhaps while a failed write was taken back
			w.crashes++
			if err := w.crash(a); err != nil {
				return err
			}
			continue
		case errors.Is(err, syscall.ENOSPC):
			w.say("disk full")
			if err := w.settle(a); err != nil {
				return err
			}
		default:
			return err
		}
		if err := w.remember(); err != nil {
			return err
		}
	}
	return nil
}

// step does one random call.
func (w *world) step() (attempt, error) {
	last := synod.SeqNo(len(w.entries))
	a := attempt{before: w.entries, after: w.entries}
	switch r := w.rng.IntN(10); {
	case r < 6:
		first := last + 1
		if w.rng.IntN(4) == 0 {
			first -= synod.SeqNo(w.rng.Uint64N(uint64(last - w.limit + 1)))
			w.view++
		}
		batch := w.batch(first)
		a.after = append(append([][]byte(nil), w.entries[:first-1]...), batch...)
		w.say("append %d entries at %d", len(batch), first)
		return a, w.log.Append(first, batch)
	case r < 7:
		to := w.limit + synod.SeqNo(w.rng.Uint64N(uint64(last-w.limit+1)))
		a.after = w.entries[:to:to]
		w.say("truncate to %d", to)
		w.view++
		return a, w.log.Truncate(to)
	default:
		to := w.limit + synod.SeqNo(w.rng.Uint64N(uint64(last-w.limit+1)))
		w.limit = to
		w.say("commit %d", to)
		return a, w.log.Commit(to)
	}
}

// batch makes some entries; one that ends the chunk before follows a signature.
func (w *world) batch(first synod.SeqNo) [][]byte {
	var entries [][]byte
	signed := first > 1 && isSignature(w.entries[first-2])
	for range 1 + w.rng.IntN(6) {
		k := kind(w.rng.IntN(4))
		if k == before && !signed {
			k = plain
		}
		signed = k == signature || k == ending
		id := synod.TxID{View: w.view, SeqNo: first + synod.SeqNo(len(entries))}
		entries = append(entries, makeEntry(id, k, 200+w.rng.IntN(900), byte(w.rng.Uint32())))
	}
	return entries
}

func isSignature(b []byte) bool {
	e, err := ledger.ParseEntry(b)
	return err == nil && e.IsSignature()
}

// crash reboots the disk and opens the log, which may crash again.
func (w *world) crash(a attempt) error {
	for {
		model := w.model
		if model < 0 {
			model = faultfs.Model(w.rng.IntN(4))
		}
		w.disk = w.disk.Reboot(model, w.rng)
		w.say("crash, model %d: %v", model, names0(w.disk))
		if w.model == faultfs.Unordered { // no other model has torn a header before
			if err := w.headersPointToTables(); err != nil {
				return err
			}
		}
		if w.rng.IntN(3) == 0 {
			w.disk.CrashAt(1 + w.rng.IntN(4))
		}
		err := w.reopen(a)
		if err == nil || !w.disk.Crashed() {
			return err
		}
		w.say("crash while opening: %v", err)
	}
}

// headersPointToTables checks what other readers rely on before the log is
// opened again. Where sectors are not torn, a header is either clear or right.
func (w *world) headersPointToTables() error {
	for path, b := range w.disk.Files() {
		if len(b) < 8 || binary.LittleEndian.Uint64(b) == 0 {
			continue
		}
		name, _ := ledger.ParseName(strings.TrimPrefix(path, dir+"/"))
		s, err := ledger.NewScanner(bytes.NewReader(b), int64(len(b)), name.Start)
		for err == nil {
			_, err = s.Next()
		}
		if err != io.EOF {
			return fmt.Errorf("%s has a header, but: %w", path, err)
		}
	}
	return nil
}

func names0(d *faultfs.Disk) []string {
	list, err := d.ReadDir(dir)
	if err != nil {
		return []string{err.Error()}
	}
	return list
}

func (w *world) reopen(a attempt) error {
	log, err := ledger.Open(ledger.Config{Dir: dir, FS: w.disk, Check: checkEntry})
	if err != nil {
		return err
	}
	w.log = log
	w.disk.CrashAt(0)
	return w.settle(a)
}

// settle compares the log with what it has promised and takes over what it holds.
func (w *world) settle(a attempt) error {
	var got [][]byte
	if w.log.Last() > 0 {
		var err error
		if got, err = w.log.Read(1, w.log.Last(), 0); err != nil {
			return err
		}
	}
	w.say("holds %d entries; before %d, after %d, common %d", len(got), len(a.before), len(a.after), a.common())
	switch {
	case len(got) < a.common():
		return fmt.Errorf("%d entries, but %d were promised", len(got), a.common())
	case !isPrefix(got, a.before) && !isPrefix(got, a.after):
		return errors.New("entries of neither the state before nor after")
	}
	w.entries = got
	files := w.disk.Files()
	for path, b := range w.committed {
		if !bytes.Equal(files[path], b) {
			return fmt.Errorf("committed chunk %s has changed", path)
		}
	}
	return w.remember()
}

func isPrefix(a, b [][]byte) bool {
	if len(a) > len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// remember checks every file and notes the committed ones.
func (w *world) remember() error {
	n := 0
	place := ""
	ended := false
	err := ledger.Walk(dir, ledger.WalkOptions{FS: w.disk, Uncommitted: true}, func(at ledger.Place, e *ledger.Entry) error {
		if n >= len(w.entries) || !bytes.Equal(e.Raw, w.entries[n]) {
			return fmt.Errorf("entry %s in %s is not the log's", e.TxID, at.File)
		}
		n++
		if at.File == place && (ended || e.Flags&ledger.FlagForceChunkBefore != 0) {
			return fmt.Errorf("chunk %s should have ended before %s", at.File, e.TxID)
		}
		place, ended = at.File, e.Flags&ledger.FlagForceChunkAfter != 0
		return nil
	})
	if err != nil {
		return err
	}
	if n != len(w.entries) {
		return fmt.Errorf("files hold %d entries, the log %d", n, len(w.entries))
	}
	files := w.disk.Files()
	if ended && binary.LittleEndian.Uint64(files[place]) == 0 {
		return fmt.Errorf("chunk %s has ended and is not complete", place)
	}
	for path, b := range maps.All(files) {
		if name, ok := ledger.ParseName(strings.TrimPrefix(path, dir+"/")); ok && name.Committed {
			w.committed[path] = b
		}
	}
	return nil
}
