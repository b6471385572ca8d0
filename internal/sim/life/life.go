package life

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"synod"
	"synod/internal/attest"
	"synod/internal/identity"
	"synod/internal/ledger/faultfs"
	"synod/internal/sealing"
	"synod/internal/secrets"
)

// Directories of the node on its disk.
const (
	ledgerDir   = "ledger"
	snapshotDir = "snapshots"
	sealedDir   = "sealed"
)

// Config says which life.
type Config struct {
	Seed  uint64
	Bug   Bug
	Trace func(format string, a ...any) // nil to be quiet
}

// Result is what happened in a life.
type Result struct {
	Kills     int // of the node
	Entries   int // that the last ledger holds
	Recovered int // by shares
	Resumed   int // from what was sealed
	Snapshots int // that it came back from
	Refused   int // times that it said why it could not come back as asked
}

// Add takes in what happened in another life.
func (r *Result) Add(o Result) {
	r.Kills += o.Kills
	r.Entries += o.Entries
	r.Recovered += o.Recovered
	r.Resumed += o.Resumed
	r.Snapshots += o.Snapshots
	r.Refused += o.Refused
}

// killsMax is how often the node is killed in one life.
const killsMax = 5

// world is what outlasts the node: its disk, and what is known of it.
type world struct {
	cfg    Config
	rng    *rand.Rand
	disk   *faultfs.Disk
	until  int // steps of the disk before the node is killed; 0: never
	result Result

	written  [][]byte // every entry that the node has made, of what it goes on from too
	before   [][]byte // the same of the service before, while a recovery is not finished
	promised int      // entries of written, or of before, that were committed
	certs    []string // of all services, the newest last
	secrets  []secrets.Entry
	snapshot synod.SeqNo  // the newest that was completed; 0 if there is none
	sealed   *sealedState // nil while nothing need be sealed
}

// sealedState is what the node has said that it has sealed.
type sealedState struct{ latest, policyAt synod.SeqNo }

// errLost says that what was promised is not there.
var errLost = errors.New("what was promised is lost")

// Run lives one life. The error says which promise was broken.
func Run(cfg Config) (Result, error) {
	if cfg.Trace == nil {
		cfg.Trace = func(string, ...any) {}
	}
	w := &world{cfg: cfg, rng: newRand(cfg.Seed), disk: faultfs.New()}
	for w.result.Kills < killsMax {
		w.until = 1 + w.rng.IntN(90)
		w.disk.CrashAt(w.disk.Steps() + w.until)
		err := w.live()
		if !w.disk.Crashed() {
			if err != nil {
				return w.result, err
			}
		}
		if errors.Is(err, errLost) {
			return w.result, err
		}
		w.result.Kills++
		model := faultfs.Model(w.rng.IntN(int(faultfs.Kept) + 1))
		w.disk = w.disk.Reboot(model, w.rng)
		w.cfg.Trace("killed (%v); model %d; %d entries were promised", err, model, w.promised)
	}
	w.until = 0
	w.disk.CrashAt(0)
	return w.result, w.finish()
}

// finish has the node come back once more, and live on undisturbed.
func (w *world) finish() error {
	s, err := w.begin()
	if err != nil {
		return err
	}
	if err := s.goOn(4); err != nil {
		return fmt.Errorf("after it came back: %w", err)
	}
	w.result.Entries = len(w.written)
	return s.close()
}

// live is one process, until it is killed or has done enough.
func (w *world) live() error {
	s, err := w.begin()
	if err != nil {
		return err
	}
	if err := s.goOn(6 + w.rng.IntN(12)); err != nil {
		return err
	}
	return s.close()
}

// begin starts a new service, or has the one there is come back.
func (w *world) begin() (*service, error) {
	if w.promised == 0 {
		// Nothing was ever committed. What there is may be no service at all.
		w.disk = faultfs.New()
		w.disk.CrashAt(w.until)
		w.written, w.before, w.certs, w.secrets, w.snapshot, w.sealed = nil, nil, nil, nil, 0, nil
		return w.genesis()
	}
	return w.comeBack()
}

// promise says that the entries written so far are committed.
func (w *world) promise() { w.promised = len(w.written) }

// platform is a sealing key of the simulated machine.
func platform(string) (attest.SealingKey, error) {
	return attest.SealingKey{Source: "simulated", Measurement: "00", HostData: "00"}, nil
}

func (w *world) fs() disk { return disk{w.disk, w.cfg.Bug} }

func (w *world) sealedDir() *sealing.Dir { return sealing.NewDir(sealedDir, w.fs(), platform) }

// holds says whether a log's entries are the beginning of what was written.
func holds(got, written [][]byte) bool {
	if len(got) > len(written) {
		return false
	}
	for i := range got {
		if !bytes.Equal(got[i], written[i]) {
			return false
		}
	}
	return true
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) } //nolint:gosec // a simulation

// keys are made once: what a life does does not depend on them.
var keys = func() (list []*ecdsa.PrivateKey) {
	for range 8 {
		k, err := identity.NewKey(identity.Secp256r1)
		if err != nil {
			panic(err)
		}
		list = append(list, k)
	}
	return list
}()

// now is the time in all lives.
var now = time.Unix(1_700_000_000, 0)
