package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"synod/internal/archive"
	"synod/internal/arm"
)

// A restore goes through a copy of the backup on this server's disk, the stage: it
// is fetched and verified whole before anything of a network that is to be replaced
// is given up. What it was fetched for is written last, and names the operation.

// stage is what stage.json says of the files beside it.
type stage struct {
	Operation string `json:"operation"`
	Service   string `json:"service"` // certificate of the service whose ledger it is, PEM
	// Previous are those of the services that the ledger was of before, oldest first.
	Previous []string `json:"previous,omitempty"`
	Entries  uint64   `json:"entries"`
}

func (w *worker) stageDir() string { return filepath.Join(w.m.o.Scratch, "restore-"+w.name) }

// tidyScratch removes the copies of backups that a server left which was killed: those
// that it verified or rehearsed, and stages of networks that are gone.
func (m *Manager) tidyScratch(ctx context.Context) error {
	entries, err := os.ReadDir(m.o.Scratch)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	networks, err := m.o.Store.Networks(ctx, arm.Filter{})
	if err != nil {
		return err
	}
	var failed error
	for _, e := range entries {
		name, stage := strings.CutPrefix(e.Name(), "restore-")
		if stage && slices.ContainsFunc(networks, func(n arm.Network) bool { return strings.EqualFold(n.ID.Name, name) }) {
			continue
		}
		failed = errors.Join(failed, os.RemoveAll(filepath.Join(m.o.Scratch, e.Name())))
	}
	return failed
}

// staged returns the stage that is ready; ok is false if there is none.
func (w *worker) staged() (s stage, ok bool) {
	text, err := os.ReadFile(filepath.Join(w.stageDir(), "stage.json"))
	if err != nil {
		return s, false
	}
	return s, json.Unmarshal(text, &s) == nil
}

// restoring says whether a restore is under way that has not replaced what there was.
func (w *worker) restoring() bool {
	return w.op != nil && w.op.Kind == arm.KindRestore && w.net.Status.RestoredBy != w.op.ID
}

// fetchBackup makes the stage of the running operation.
func (w *worker) fetchBackup(ctx context.Context) error {
	from := w.net.Desired.RestoreFrom
	if from == nil {
		return errors.New("a restore names no backup")
	}
	st, err := w.m.store(from.Target)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(w.stageDir()); err != nil {
		return err
	}
	if err := os.MkdirAll(w.stageDir(), 0o700); err != nil {
		return err
	}
	id := w.op.ID
	var check *archive.Check
	err = w.m.whileWanted(ctx, id, func(ctx context.Context, touch func()) (err error) {
		check, err = archive.Fetch(ctx, st, from.Share, w.stageDir(), func(done, total int64) {
			touch()
			w.note(ctx, Step{Kind: StepFetch, Ordinal: -1}, arm.OperationRunning, fmt.Sprintf("%d of %d bytes", done, total))
		})
		return err
	})
	if err != nil {
		return errors.Join(restoreError(err), os.RemoveAll(w.stageDir()))
	}
	text, err := json.Marshal(stage{Operation: id, Service: check.ServiceCertificate(), Previous: check.PreviousCertificates(), Entries: check.Entries})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(w.stageDir(), "stage.json"), text, 0o600)
}

// adopt notes that nothing is left of what there was, and that the network is now
// what the stage says.
func (w *worker) adopt(ctx context.Context) error {
	s, ok := w.staged()
	if !ok {
		return errors.New("the copy of the backup is gone")
	}
	if err := w.m.o.Driver.DropKept(ctx, w.name); err != nil {
		return err
	}
	status := &w.net.Status
	if status.ServiceCertificate != "" && !sameKey(status.ServiceCertificate, s.Service) {
		w.keepPrevious(w.m.o.Now())
	}
	status.PreviousIdentities = history(status.PreviousIdentities, s.Previous)
	status.ServiceCertificate, status.ServiceStatus, status.Nodes = s.Service, "", nil
	status.RestoredBy = w.op.ID
	return w.m.o.Store.PutStatus(ctx, w.id, *status)
}

// history puts the identities that a restored ledger tells of before those that are
// known, but for those that are known: receipts of all of them are to be verified.
func history(known []arm.Identity, told []string) []arm.Identity {
	var all []arm.Identity
	for _, cert := range told {
		if !slices.ContainsFunc(known, func(k arm.Identity) bool { return sameKey(k.Certificate, cert) }) {
			all = append(all, arm.Identity{Certificate: cert})
		}
	}
	return append(all, known...)
}

// dropStage removes the stage once a node serves what it held.
func (w *worker) dropStage(ctx context.Context) {
	if _, err := os.Stat(w.stageDir()); errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err := os.RemoveAll(w.stageDir()); err != nil {
		w.m.o.Log.WarnContext(ctx, "a copy of a backup is left", "network", w.name, "err", err.Error())
	}
}

// fromStage is what a restored network is recovered from; ok is false if it is
// recovered from what its nodes have left, as after any loss of all of them.
func (w *worker) fromStage() (Recover, bool) {
	s, ok := w.staged()
	if !ok || s.Operation != w.net.Status.RestoredBy {
		return Recover{}, false
	}
	return Recover{
		Ledger: filepath.Join(w.stageDir(), "ledger"), Snapshots: filepath.Join(w.stageDir(), "snapshots"), PreviousCertificate: s.Service,
	}, true
}

// restore plans the replacement of what there is by a backup.
func (p *planner) restore() {
	if !p.o.Staged {
		p.add(Step{Kind: StepFetch, Ordinal: -1, Reason: "Restore", Message: "the backup is fetched and verified"})
		return
	}
	for _, n := range slices.Backward(p.o.Nodes) {
		p.add(of(StepDiscard, n, "Restored", "a backup takes its place"))
	}
	p.add(Step{Kind: StepAdopt, Ordinal: -1, Reason: "Restore"})
}
