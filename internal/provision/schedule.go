package provision

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"synod/internal/archive"
	"synod/internal/arm"
)

const (
	// scheduleEvery is between two looks at which backups are due.
	scheduleEvery = 2 * time.Second
	// liveEvery is how often at most a network whose ledger is copied as it grows is
	// asked to end its ledger file, and liveEntries from how many new entries on: its
	// own answer to that is a few.
	liveEvery   = time.Minute
	liveEntries = 20
	// scheduler is who asks for scheduled backups, retryAfter how long after one that
	// failed at most the next is begun; operationsSeen bounds the look for it.
	scheduler      = "schedule"
	retryAfter     = 15 * time.Minute
	operationsSeen = 50
)

// keepBackups makes the backups that policies ask for until the context ends. Each
// ledger is copied apart from the others: a store that hangs holds up one network.
func (m *Manager) keepBackups(ctx context.Context) {
	var copying sync.WaitGroup
	defer copying.Wait()
	for pause(ctx, scheduleEvery) == nil {
		networks, err := m.o.Store.Networks(ctx, arm.Filter{})
		if err != nil {
			m.o.Log.ErrorContext(ctx, "cannot read networks", "err", err.Error())
			continue
		}
		for _, n := range networks {
			if n.Desired.Deleted || n.Status.MadeAt.IsZero() {
				continue
			}
			if n.Desired.Backup.Continuous && m.copies(n.ID, true) {
				copying.Go(func() {
					defer m.copies(n.ID, false)
					m.copyLive(ctx, n)
				})
			}
			if m.due(ctx, n) {
				m.startScheduled(ctx, n)
			}
		}
	}
}

// due says whether the time between two scheduled backups is over.
func (m *Manager) due(ctx context.Context, n arm.Network) bool {
	every := n.Desired.Backup.Every
	if every == 0 || n.Status.RunningState != arm.RunningActive {
		return false
	}
	last := n.Status.MadeAt
	if whole := n.Status.LastWholeBackup; whole.After(last) {
		last = whole
	}
	if m.o.Now().Sub(last) < every {
		return false
	}
	// One that failed is not tried again at once either.
	operations, err := m.o.Store.Operations(ctx, n.ID, operationsSeen)
	if err != nil {
		m.o.Log.ErrorContext(ctx, "cannot read operations", "network", n.ID.Name, "err", err.Error())
		return false
	}
	for _, op := range operations {
		if op.Kind == arm.KindBackup && op.RequestedBy == scheduler && m.o.Now().Sub(op.StartedAt) < min(every, retryAfter) {
			return false
		}
	}
	return true
}

func (m *Manager) startScheduled(ctx context.Context, n arm.Network) {
	input, err := json.Marshal(arm.BackupInput{Scheduled: true})
	if err != nil {
		return
	}
	op := arm.Operation{Network: n.ID, Kind: arm.KindBackup, Input: input, RequestedBy: scheduler}
	err = m.o.Store.StartOperation(ctx, &op)
	var busy *arm.Error
	if err != nil && !errors.As(err, &busy) { // it is due again when what goes on has ended
		m.o.Log.ErrorContext(ctx, "cannot start a scheduled backup", "network", n.ID.Name, "err", err.Error())
	}
}

// copies notes that a network's ledger is being copied, or is no more, and says whether
// that is news.
func (m *Manager) copies(id arm.NetworkID, now bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := m.backups[id.Key()]
	news := state.copying != now
	state.copying = now
	m.backups[id.Key()] = state
	return news
}

// copyLive brings the continuous backup of a network up to what is committed.
func (m *Manager) copyLive(ctx context.Context, n arm.Network) {
	guarded, touch, cancel := patience(ctx, stalledAfter)
	defer cancel(nil)
	record, err := m.appendLive(guarded, n, func(int64, int64) { touch() })
	if ctx.Err() != nil || errors.Is(err, archive.ErrNothing) {
		return
	}
	if err != nil {
		if cause := context.Cause(guarded); cause != nil {
			err = cause
		}
		m.o.Log.WarnContext(ctx, "a continuous backup is late", "network", n.ID.Name, "err", err.Error())
		m.late(n.ID, err)
		return
	}
	m.made(n.ID, record)
}

func (m *Manager) appendLive(ctx context.Context, n arm.Network, progress archive.Progress) (arm.BackupRecord, error) {
	st, err := m.store(n.Desired.Backup.Target)
	if err != nil {
		return arm.BackupRecord{}, err
	}
	if state := m.backupState(n.ID); time.Since(state.rotated) >= liveEvery && reached(n) > state.last.Seqno+liveEntries {
		if err := m.rotate(ctx, n); err != nil {
			return arm.BackupRecord{}, err
		}
		m.rotated(n.ID)
	}
	src, err := m.source(ctx, n)
	if err != nil {
		return arm.BackupRecord{}, err
	}
	name, err := liveName(n)
	if err != nil {
		return arm.BackupRecord{}, err
	}
	about := m.about(n)
	about.Continual = true
	manifest, err := archive.Append(ctx, st, name, src, about, progress)
	if err != nil {
		return arm.BackupRecord{}, err
	}
	return recordOf(manifest, n.Desired.Backup.Target), nil
}

// reached is the last transaction that a network's primary was seen at.
func reached(n arm.Network) uint64 {
	for _, node := range n.Status.Nodes {
		if node.Role == arm.RolePrimary {
			return node.Seqno
		}
	}
	return 0
}

// liveName names a network's continuous backup. A recovered service gets a new one:
// what it has dropped may be in the old.
func liveName(n arm.Network) (string, error) {
	block, _ := pem.Decode([]byte(n.Status.ServiceCertificate))
	if block == nil {
		return "", errors.New("the service has no certificate yet")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("service certificate: %w", err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return strings.ToLower(n.ID.Name) + "-live-" + hex.EncodeToString(sum[:4]), nil
}

// made keeps a backup that was made for the network's worker to tell of.
func (m *Manager) made(id arm.NetworkID, record arm.BackupRecord) {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := m.backups[id.Key()]
	state.last, state.why = record, ""
	if !record.Continual {
		state.whole = record.At
	}
	m.backups[id.Key()] = state
}

func (m *Manager) rotated(id arm.NetworkID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := m.backups[id.Key()]
	state.rotated = time.Now()
	m.backups[id.Key()] = state
}

// forgetBackups forgets those of a network that is gone: another may get its name.
func (m *Manager) forgetBackups(id arm.NetworkID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.backups[id.Key()] = backupState{copying: m.backups[id.Key()].copying}
}

func (m *Manager) late(id arm.NetworkID, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := m.backups[id.Key()]
	state.why = err.Error()
	m.backups[id.Key()] = state
}

func (m *Manager) backupState(id arm.NetworkID) backupState {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.backups[id.Key()]
}

// backupState is what this process knows of a network's backups.
type backupState struct {
	last  arm.BackupRecord
	whole time.Time // when the last was made that was not continual
	why   string    // the last one failed

	rotated time.Time // when it was last asked to end its ledger file for the continuous one
	copying bool      // to the continuous one, just now
}

// tellBackups brings what was made since into the status, and says whether it is
// what the policy asks for.
func (w *worker) tellBackups() {
	state := w.m.backupState(w.id)
	s, policy := &w.net.Status, w.net.Desired.Backup
	if state.last.Share != "" && (s.LastBackup == nil || state.last.At.After(s.LastBackup.At)) {
		last := state.last
		s.LastBackup = &last
	}
	if state.whole.After(s.LastWholeBackup) {
		s.LastWholeBackup = state.whole
	}
	if s.MadeAt.IsZero() || policy.Every == 0 && !policy.Continuous {
		return
	}
	cond := arm.Condition{Type: arm.ConditionBackupRecent, Status: "True", Reason: "Recent"}
	since := s.MadeAt
	if s.LastBackup != nil {
		since = s.LastBackup.At
		cond.Message = "the last is " + s.LastBackup.Share
	}
	switch limit := 2 * policy.Every; {
	case state.why != "":
		cond.Status, cond.Reason, cond.Message = "False", "BackupFailed", state.why
	case limit > 0 && w.m.o.Now().Sub(since) > limit+time.Minute:
		cond.Status, cond.Reason, cond.Message = "False", "BackupOverdue", "the last was made at "+since.UTC().Format(time.RFC3339)
	}
	s.Conditions = replaceCondition(s.Conditions, cond, w.m.o.Now())
}

// replaceCondition keeps since when it holds as it does.
func replaceCondition(all []arm.Condition, c arm.Condition, now time.Time) []arm.Condition {
	c.Since = now.UTC()
	for i, old := range all {
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status && old.Reason == c.Reason {
			c.Since = old.Since
		}
		all[i] = c
		return all
	}
	return append(all, c)
}
