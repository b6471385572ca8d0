package life

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/ledger/faultfs"
	"synod/internal/recovery"
	"synod/internal/secrets"
	"synod/internal/snapshot"
	"synod/internal/tables"
)

// Changed is what became of changed files.
type Changed struct {
	Tried    int // changes: of each byte, and of the length
	Detected int // refused, or not believed, and it was said why
	Harmless int // what is believed is what was written
	// Unsigned are harmless too: bytes of the last signature that is believed, which
	// no signature covers, and which change nothing of what it says.
	Unsigned int
	Shorter  int // a file that was not complete was cut between two entries: no trace is left of what was behind
}

// small is what a small service leaves on its disk: three chunks, the last of which
// is not complete, a rekey and a snapshot.
func small() (*service, *faultfs.Disk, error) {
	w := &world{cfg: Config{Seed: 1, Trace: func(string, ...any) {}}, rng: newRand(1), disk: faultfs.New()}
	s, err := w.begin()
	if err != nil {
		return nil, nil, err
	}
	for _, step := range []func() error{s.write, s.rekey, s.write, s.takeSnapshot, s.write} {
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	return s, w.disk, s.close()
}

// ChangeLedger changes every nth byte of the ledger of a small service, one at a
// time, and cuts its files there. The error says what was believed that was never
// written, or not believed without a reason.
func ChangeLedger(nth int) (Changed, error) {
	var c Changed
	s, disk, err := small()
	if err != nil {
		return c, err
	}
	whole, err := believe(disk.Files())
	if err != nil || len(whole.entries) != len(s.w.written) || whole.reason != "" {
		return c, fmt.Errorf("unchanged: %d of %d entries, %s: %w", len(whole.entries), len(s.w.written), whole.reason, err)
	}
	for name, content := range ledgerFiles(disk.Files()) {
		for i := range content {
			if (i+len(name))%nth != 0 {
				continue
			}
			flipped := slices.Clone(content)
			flipped[i] ^= 1 << (i % 8)
			for what, b := range map[string][]byte{"byte": flipped, "length": content[:i:i]} {
				files := disk.Files()
				files[name] = b
				c.Tried++
				got, err := believe(files)
				switch {
				case err != nil:
					c.Detected++
				case len(got.entries) > 0 && !holds(got.entries, s.w.written) && sameButUnsigned(got.entries, s.w.written):
					c.Unsigned++
				case !holds(got.entries, s.w.written):
					return c, fmt.Errorf("%s %d of %s: %d entries are believed that were never written", what, i, name, len(got.entries))
				case len(got.entries) == len(s.w.written):
					c.Harmless++
				case got.reason != "" || got.said:
					c.Detected++
				case what == "length" && !strings.Contains(name, ".committed"):
					c.Shorter++
				default:
					return c, fmt.Errorf("%s %d of %s: %d of %d entries are believed, and nothing says why", what, i, name, len(got.entries), len(s.w.written))
				}
			}
		}
	}
	return c, nil
}

// sameButUnsigned says whether entries differ from those that were written in the
// last alone, a signature, and not in what that signs or how.
func sameButUnsigned(got, written [][]byte) bool {
	last := len(got) - 1
	if last >= len(written) || !holds(got[:last], written) {
		return false
	}
	a, err := signs(got[last])
	if err != nil {
		return false
	}
	b, err := signs(written[last])
	return err == nil && reflect.DeepEqual(a, b)
}

// said is what a signature transaction says.
type said struct {
	id         synod.TxID
	record     tables.SignatureRecord
	sig        string
	cose, tree string
}

func signs(raw []byte) (said, error) {
	e, err := ledger.ParseEntry(raw)
	if err != nil {
		return said{}, err
	}
	maps, err := kv.DecodeDomain(e.PublicMaps, true)
	if err != nil {
		return said{}, err
	}
	out := said{id: e.TxID}
	for _, m := range maps {
		if len(m.Writes) != 1 || len(m.Removes) > 0 {
			return said{}, errors.New("it is no signature")
		}
		value := m.Writes[0].Value
		switch m.Name {
		case tables.Signatures:
			if err := json.Unmarshal(value, &out.record); err != nil {
				return said{}, err
			}
			out.sig, out.record.Sig = string(out.record.Sig), nil
			// Nobody reads these: they are of a protocol that CCF no longer has.
			out.record.CommitSeqno, out.record.CommitView, out.record.HashedNonce = 0, 0, ""
			// That this is the node's, for the key in the node table, was checked; what
			// else is in it a receipt's reader checks.
			out.record.Cert = ""
		case tables.COSESignatures:
			out.cose = string(value)
		case tables.Tree:
			out.tree = string(value)
		default:
			return said{}, fmt.Errorf("it writes %s", m.Name)
		}
	}
	return out, nil
}

func ledgerFiles(files map[string][]byte) map[string][]byte {
	maps.DeleteFunc(files, func(name string, _ []byte) bool { return !strings.HasPrefix(name, ledgerDir+"/") })
	return files
}

// believed is what a recovery believes of a ledger.
type believed struct {
	entries [][]byte
	reason  string // why there are no more
	said    bool   // opening the ledger gave a warning
}

func believe(files map[string][]byte) (believed, error) {
	disk := faultfs.New()
	for name, b := range ledgerFiles(files) {
		disk.WriteFile(name, b)
	}
	heard := &heard{}
	log, err := ledger.Open(ledger.Config{Dir: ledgerDir, FS: disk, Recover: true, Log: slog.New(slog.NewTextHandler(heard, nil))})
	if err != nil {
		return believed{}, err
	}
	out, err := recovery.Public(context.Background(), log, kv.New(), recovery.Begin{}, func(synod.TxID) {})
	if err != nil {
		return believed{}, errors.Join(err, log.Close())
	}
	entries, err := log.Read(1, out.Last.SeqNo, 0)
	return believed{entries, out.Reason, heard.n > 0}, errors.Join(err, log.Close())
}

// heard counts what is logged.
type heard struct{ n int }

func (h *heard) Write(b []byte) (int, error) {
	h.n++
	return len(b), nil
}

// ChangeSnapshot is ChangeLedger for the snapshot.
func ChangeSnapshot(nth int) (Changed, error) {
	var c Changed
	s, disk, err := small()
	if err != nil {
		return c, err
	}
	name, content := "", []byte(nil)
	for file, b := range disk.Files() {
		if strings.HasPrefix(file, snapshotDir+"/") {
			name, content = strings.TrimPrefix(file, snapshotDir+"/"), b
		}
	}
	parsed, ok := ledger.ParseSnapshotName(name)
	if !ok {
		return c, fmt.Errorf("%q is no snapshot", name)
	}
	trust := snapshot.Trust{Service: []byte(s.cert), Name: parsed}
	want, err := load(content, trust, s.chain)
	if err != nil {
		return c, fmt.Errorf("unchanged: %w", err)
	}
	for i := range content {
		if i%nth != 0 {
			continue
		}
		flipped := slices.Clone(content)
		flipped[i] ^= 1 << (i % 8)
		for what, b := range map[string][]byte{"byte": flipped, "length": content[:i:i]} {
			c.Tried++
			got, err := load(b, trust, s.chain)
			switch {
			case err != nil:
				c.Detected++
			case got == want:
				c.Harmless++
			default:
				return c, fmt.Errorf("%s %d of %s: another state is believed", what, i, name)
			}
		}
	}
	return c, nil
}

// load is the state in a snapshot, as text.
func load(b []byte, trust snapshot.Trust, chain *secrets.Chain) (string, error) {
	store := kv.New()
	loaded, err := snapshot.Load(bytes.NewReader(b), int64(len(b)), trust, chain, store)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	fmt.Fprint(&text, loaded.TxID, loaded.ViewStarts, loaded.Tree.Root())
	tx := store.Begin()
	defer tx.Release()
	tx.EachMap(func(name string, version synod.SeqNo, keys int) bool {
		fmt.Fprintf(&text, "\n%s %d %d", name, version, keys)
		tx.ForEach(name, func(k, v []byte) bool {
			at, _ := tx.VersionOfPreviousWrite(name, k)
			fmt.Fprintf(&text, " %x=%x@%d", k, v, at)
			return true
		})
		return true
	})
	return text.String(), nil
}
