package provision

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"synod"
	"synod/client"
	"synod/internal/archive"
	"synod/internal/arm"
)

const (
	// rotateTimeout bounds how long a network may take to end a ledger file and to
	// write a snapshot.
	rotateTimeout = 30 * time.Second
	// rotatePause is between two looks at the nodes' files.
	rotatePause = 50 * time.Millisecond
	// rehearseTimeout bounds how long a node may take to recover from a backup.
	rehearseTimeout = 10 * time.Minute
	// rehearsal begins the name under which a driver runs a restore that is thrown
	// away. Those of networks begin with a letter.
	rehearsal = "0-rehearsal-"
)

// backup copies what a network has committed to a store and verifies the copy. The
// backup's name follows from the operation, so that one that was cut short is ended
// and not begun anew.
func (m *Manager) backup(ctx context.Context, n arm.Network, op arm.Operation, report func(name, status, message string)) (json.RawMessage, error) {
	var in arm.BackupInput
	if err := json.Unmarshal(op.Input, &in); err != nil {
		return nil, fmt.Errorf("input of the operation: %w", err)
	}
	address := cmp.Or(in.URI, n.Desired.Backup.Target)
	st, err := m.store(address)
	if err != nil {
		return nil, err
	}
	name := strings.ToLower(n.ID.Name) + "-" + op.StartedAt.UTC().Format("20060102-150405")
	report("RotateLedger", arm.OperationRunning, "the network ends its ledger file and takes a snapshot")
	if err := m.rotate(ctx, n); err != nil {
		return nil, fmt.Errorf("have the network end its ledger file: %w", err)
	}
	src, err := m.source(ctx, n)
	if err != nil {
		return nil, err
	}
	report("CopyFiles", arm.OperationRunning, "to "+st.String())
	about := m.about(n)
	about.Region, about.Scheduled = in.RestoreRegion, in.Scheduled
	manifest, err := archive.Append(ctx, st, name, src, about, func(done, total int64) {
		report("CopyFiles", arm.OperationRunning, fmt.Sprintf("%d of %d bytes", done, total))
	})
	if err != nil {
		return nil, err
	}
	report("CopyFiles", arm.OperationSucceeded, fmt.Sprintf("%d files, %d bytes", len(manifest.Files), manifest.SizeBytes()))
	report("VerifyBackup", arm.OperationRunning, "")
	check, err := archive.Verify(ctx, st, name, m.o.Scratch, func(done, total int64) {
		report("VerifyBackup", arm.OperationRunning, fmt.Sprintf("%d of %d bytes", done, total))
	})
	if err != nil {
		return nil, fmt.Errorf("the backup was written and does not verify: %w", err)
	}
	report("VerifyBackup", arm.OperationSucceeded, fmt.Sprintf("%d entries, signed up to %s", check.Entries, check.Good))
	if in.Scheduled && n.Desired.Backup.Keep > 0 {
		if err := prune(ctx, st, n.ID.ResourceID(), n.Desired.Backup.Keep); err != nil {
			m.o.Log.WarnContext(ctx, "old backups stay", "network", n.ID.Name, "err", err.Error())
		}
	}
	record := recordOf(manifest, address)
	record.View, record.VerifiedAt = uint64(check.Good.View), m.o.Now().UTC()
	m.made(n.ID, record)
	return json.Marshal(arm.MessageResult{
		Message: fmt.Sprintf("backup %s: %d entries in %d bytes, verified up to %s", name, check.Entries, check.Bytes, check.Good),
		Backup:  &record,
	})
}

// recordOf is what clients are told of a backup.
func recordOf(m *archive.Manifest, address string) arm.BackupRecord {
	return arm.BackupRecord{
		Share: m.Name, Target: address, Network: m.Network, At: m.UpdatedAt, Seqno: uint64(m.Last), SizeBytes: m.SizeBytes(),
		Continual: m.Continual, Region: m.Region,
	}
}

// ListBackups returns the backups of a store, newest first. Those that cannot be
// read are left out, and are in the log.
func (m *Manager) ListBackups(ctx context.Context, address string) ([]arm.BackupRecord, error) {
	st, err := m.store(address)
	if err != nil {
		return nil, err
	}
	manifests, broken, err := archive.List(ctx, st)
	if err != nil {
		return nil, err
	}
	for _, err := range broken {
		m.o.Log.WarnContext(ctx, "a backup cannot be read", "err", err.Error())
	}
	records := make([]arm.BackupRecord, len(manifests))
	for i, manifest := range manifests {
		records[i] = recordOf(manifest, address)
	}
	return records, nil
}

// FindBackup returns one backup of a store. The error is arm.ErrNotFound if there is
// none of that name.
func (m *Manager) FindBackup(ctx context.Context, address, name string) (arm.BackupRecord, error) {
	st, err := m.store(address)
	if err != nil {
		return arm.BackupRecord{}, err
	}
	manifest, err := archive.Read(ctx, st, name)
	if errors.Is(err, archive.ErrNotFound) {
		return arm.BackupRecord{}, fmt.Errorf("backup %s: %w", name, arm.ErrNotFound)
	}
	if err != nil {
		return arm.BackupRecord{}, restoreError(err)
	}
	return recordOf(manifest, address), nil
}

// store opens a backup store, or says what a client can do about it.
func (m *Manager) store(address string) (archive.Store, error) {
	st, err := m.o.Stores.Open(address)
	if err != nil {
		return nil, &arm.Error{Status: http.StatusBadRequest, Code: "InvalidBackupStore", Message: err.Error(), Target: "uri"}
	}
	return st, nil
}

func (m *Manager) about(n arm.Network) archive.About {
	return archive.About{Network: n.ID.ResourceID(), Service: n.Status.ServiceCertificate, Release: n.Status.Release, Now: m.o.Now()}
}

// prune removes the oldest of a network's scheduled backups, but for as many as are to
// be kept. Those that somebody asked for stay until somebody deletes them.
func prune(ctx context.Context, st archive.Store, network string, keep int) error {
	all, _, err := archive.List(ctx, st)
	if err != nil {
		return err
	}
	kept := 0
	for _, m := range all {
		if !strings.EqualFold(m.Network, network) || !m.Scheduled {
			continue
		}
		if kept++; kept > keep {
			if err := archive.Delete(ctx, st, m.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// source are the directories of the nodes that are in the network, or of all that
// there are if none answers.
func (m *Manager) source(ctx context.Context, n arm.Network) (archive.Source, error) {
	name := strings.ToLower(n.ID.Name)
	nodes, err := m.o.Driver.Nodes(ctx, name)
	if err != nil {
		return archive.Source{}, err
	}
	var src archive.Source
	add := func(ordinal int) {
		ledger, snapshots := m.o.Driver.Files(name, ordinal)
		src.Ledgers, src.Snapshots = append(src.Ledgers, ledger), append(src.Snapshots, snapshots)
	}
	for _, node := range n.Status.Nodes {
		here := slices.ContainsFunc(nodes, func(d Node) bool { return d.Ordinal == node.Ordinal })
		if here && (node.Role == arm.RolePrimary || node.Role == arm.RoleBackup) {
			add(node.Ordinal)
		}
	}
	if len(src.Ledgers) == 0 {
		for _, node := range nodes {
			add(node.Ordinal)
		}
	}
	src.Ledgers = append(src.Ledgers, m.o.Driver.Kept(name))
	return src, nil
}

// rotate has a running network write a snapshot and end its ledger file, and waits until what was committed before is in files that change no
// more. Of a network that does not run, what it has is what there is.
func (m *Manager) rotate(ctx context.Context, n arm.Network) error {
	c, err := m.primary(n)
	if c == nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, rotateTimeout)
	defer cancel()
	tx, err := m.o.Operator.acted(ctx, c, client.Action{Name: "trigger_snapshot"})
	if err != nil {
		return err
	}
	if err := m.await(ctx, n, "a snapshot", func(src archive.Source) bool { return archive.SnapshotReach(src) >= tx.SeqNo }); err != nil {
		return err
	}
	tx, err = m.o.Operator.acted(ctx, c, client.Action{Name: "trigger_ledger_chunk"})
	if err != nil {
		return err
	}
	return m.await(ctx, n, "the end of the ledger file", func(src archive.Source) bool { return archive.LedgerReach(src) >= tx.SeqNo })
}

// primary is a connection to the network's primary, nil if it has none.
func (m *Manager) primary(n arm.Network) (*client.Client, error) {
	for _, node := range n.Status.Nodes {
		if node.Role == arm.RolePrimary {
			return client.Dial("https://"+node.Address, client.WithServiceCertificate([]byte(n.Status.ServiceCertificate)), client.WithExpiredCertificates())
		}
	}
	return nil, nil
}

// await looks at the nodes' files until they are as wanted.
func (m *Manager) await(ctx context.Context, n arm.Network, what string, there func(archive.Source) bool) error {
	for {
		src, err := m.source(ctx, n)
		if err != nil {
			return err
		}
		if there(src) {
			return nil
		}
		if pause(ctx, rotatePause) != nil {
			return fmt.Errorf("%s did not come within %v", what, rotateTimeout)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rehearse brings a backup up in a node of its own, compares what that serves with
// what the backup says, and throws it away.
func (m *Manager) rehearse(ctx context.Context, n arm.Network, op arm.Operation, report func(name, status, message string)) (json.RawMessage, error) {
	var in arm.RestoreInput
	if err := json.Unmarshal(op.Input, &in); err != nil {
		return nil, fmt.Errorf("input of the operation: %w", err)
	}
	st, err := m.store(in.Target)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	name := rehearsal + strings.ToLower(n.ID.Name)
	if err := m.discard(ctx, name); err != nil { // of one that was cut short
		return nil, err
	}
	defer func() {
		if err := m.discard(context.WithoutCancel(ctx), name); err != nil {
			m.o.Log.WarnContext(ctx, "a rehearsal is left behind", "network", n.ID.Name, "err", err.Error())
		}
	}()
	report("FetchBackup", arm.OperationRunning, in.Share)
	dir, err := os.MkdirTemp(m.o.Scratch, "rehearsal-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	check, err := archive.Fetch(ctx, st, in.Share, dir, func(done, total int64) {
		report("FetchBackup", arm.OperationRunning, fmt.Sprintf("%d of %d bytes", done, total))
	})
	if err != nil {
		return nil, restoreError(err)
	}
	report("FetchBackup", arm.OperationSucceeded, fmt.Sprintf("%d entries, verified up to %s", check.Entries, check.Good))
	report("RecoverNode", arm.OperationRunning, "")
	release, ok := m.o.Releases.Get(n.Status.Release)
	if !ok {
		return nil, &arm.Error{Code: "ReleaseUnknown", Message: fmt.Sprintf("This server has no release %q.", n.Status.Release)}
	}
	node, err := m.o.Driver.Start(ctx, NodeSpec{
		Network: name, Release: release, Kind: KindRecover, CertificateDays: n.Desired.CertificateDays, Hosts: m.o.Hosts,
		Recover: Recover{Ledger: filepath.Join(dir, "ledger"), Snapshots: filepath.Join(dir, "snapshots"), PreviousCertificate: check.ServiceCertificate()},
	})
	if err != nil {
		return nil, err
	}
	reached, err := m.watchRehearsal(ctx, name, node.Ordinal, check.Good)
	if err != nil {
		return nil, &arm.Error{Code: "RehearsalFailed", Message: err.Error()}
	}
	took := time.Since(began).Round(time.Millisecond)
	report("RecoverNode", arm.OperationSucceeded, fmt.Sprintf("serves what was committed up to %s", reached))
	return json.Marshal(arm.MessageResult{
		Message: fmt.Sprintf("backup %s: %d entries verified up to %s, served by a recovered node after %v", in.Share, check.Entries, check.Good, took),
	})
}

// watchRehearsal waits until a node has recovered the public part of a ledger, and
// returns how far.
func (m *Manager) watchRehearsal(ctx context.Context, network string, ordinal int, want synod.TxID) (synod.TxID, error) {
	ctx, cancel := context.WithTimeout(ctx, rehearseTimeout)
	defer cancel()
	for {
		nodes, err := m.o.Driver.Nodes(ctx, network)
		if err != nil {
			return synod.TxID{}, err
		}
		i := slices.IndexFunc(nodes, func(n Node) bool { return n.Ordinal == ordinal })
		if i < 0 || !nodes[i].Alive {
			why := "it is gone"
			if i >= 0 {
				why = nodes[i].Why
			}
			return synod.TxID{}, fmt.Errorf("the node that recovered from the backup ended: %s", why)
		}
		if n := nodes[i]; n.Address != "" && n.ServiceCertificate != "" {
			if reached, ok := recovered(ctx, n); ok {
				if reached.SeqNo < want.SeqNo {
					return reached, fmt.Errorf("the recovered node reached %s, the backup is signed up to %s", reached, want)
				}
				return reached, nil
			}
		}
		if err := pause(ctx, waitPause); err != nil {
			return synod.TxID{}, fmt.Errorf("the node has not recovered within %v", rehearseTimeout)
		}
	}
}

// recovered asks a node whether it serves the public part of its ledger, and how far
// that was committed before it.
func recovered(ctx context.Context, n Node) (synod.TxID, bool) {
	c, err := client.Dial("https://"+n.Address, client.WithServiceCertificate([]byte(n.ServiceCertificate)), client.WithTimeout(lookTimeout), client.WithRetries(0))
	if err != nil {
		return synod.TxID{}, false
	}
	defer c.Close()
	var state struct {
		State string `json:"state"`
	}
	var commit struct {
		TxID synod.TxID `json:"transaction_id"`
	}
	if _, err := c.Get(ctx, "/node/state", &state); err != nil || state.State != "PartOfPublicNetwork" {
		return synod.TxID{}, false
	}
	if _, err := c.Get(ctx, "/node/commit", &commit); err != nil {
		return synod.TxID{}, false
	}
	return commit.TxID, commit.TxID.SeqNo > 0
}

// discard removes everything that a driver has under a name.
func (m *Manager) discard(ctx context.Context, network string) error {
	nodes, err := m.o.Driver.Nodes(ctx, network)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if err := m.o.Driver.Stop(ctx, network, n.Ordinal, false); err != nil {
			return err
		}
	}
	return m.o.Driver.Remove(ctx, network)
}

// restoreError says of a backup that cannot be fetched what a client can do.
func restoreError(err error) error {
	switch {
	case errors.Is(err, archive.ErrDamaged):
		return &arm.Error{Status: http.StatusConflict, Code: "BackupDamaged", Message: err.Error() + ". Restore from another backup; this one was not used."}
	case errors.Is(err, archive.ErrNotFound):
		return &arm.Error{Status: http.StatusNotFound, Code: "BackupNotFound", Message: err.Error() + ". Backups are listed by synod backup list."}
	}
	return err
}
