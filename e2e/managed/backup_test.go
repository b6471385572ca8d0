//go:build e2e

package managed

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"synod/internal/arm"
)

// operate begins an operation that changes nothing of what is wanted.
func (w *world) operate(name, kind string, input any) *arm.Operation {
	w.t.Helper()
	text, err := json.Marshal(input)
	if err != nil {
		w.t.Fatal(err)
	}
	op := &arm.Operation{Network: id(name), Kind: kind, Input: text}
	if err := w.store.StartOperation(w.t.Context(), op); err != nil {
		w.t.Fatal(err)
	}
	return op
}

// backup backs a network up and returns the backup's name.
func (w *world) backup(name string) arm.BackupRecord {
	w.t.Helper()
	op := w.operate(name, arm.KindBackup, arm.BackupInput{})
	w.succeed(op, time.Minute)
	last := w.wait(op, time.Second)
	var result arm.MessageResult
	if err := json.Unmarshal(last.Result, &result); err != nil || result.Backup == nil {
		w.t.Fatalf("%s: %v", last.Result, err)
	}
	w.t.Log(result.Message)
	return *result.Backup
}

// restore makes a network of a backup.
func (w *world) restore(name, share string, d arm.Desired) *arm.Operation {
	w.t.Helper()
	d.RestoreFrom = &arm.RestoreSource{Share: share}
	op := &arm.Operation{Kind: arm.KindRestore}
	if _, err := w.store.PutDesired(w.t.Context(), arm.Network{ID: id(name), Location: "local", Desired: d}, arm.Precondition{}, op); err != nil {
		w.t.Fatal(err)
	}
	return op
}

// TestBackupAndRestore backs a network up, restores it in place, under a new name,
// and under its old one after it was deleted, rehearses a restore, and refuses a
// backup with a flipped bit before anything is touched.
func TestBackupAndRestore(t *testing.T) {
	w := newWorld(t)
	m := newMember(t, false)
	w.succeed(put(t, w.store, "bank", arm.KindCreate, desired(1, m)), time.Minute)
	u := w.user("bank", m)
	u.must("PUT", "/app/account/alice", "")
	u.must("POST", "/app/deposit/alice", `{"value":7}`)
	made := w.backup("bank")
	u.must("POST", "/app/deposit/alice", `{"value":5}`)
	first := w.network("bank").Status

	if last := first.LastBackup; last == nil || last.Share != made.Share || made.VerifiedAt.IsZero() || made.Seqno == 0 {
		t.Errorf("status says %+v, made was %+v", last, made)
	}
	list, err := w.manager.ListBackups(t.Context(), "")
	if err != nil || len(list) != 1 || list[0].Share != made.Share {
		t.Errorf("list: %+v, %v", list, err)
	}
	w.succeed(w.operate("bank", arm.KindRehearse, arm.RestoreInput{RestoreSource: arm.RestoreSource{Share: made.Share}}), time.Minute)
	if left, _ := filepath.Glob(filepath.Join(w.dir, "networks", "*rehearsal*")); len(left) != 0 {
		t.Errorf("left of the rehearsal: %v", left)
	}

	balance := func(name, want string) {
		t.Helper()
		u := w.user(name, m)
		w.eventually(20*time.Second, name+" has the balance", func() bool {
			got, err := u.do("GET", "/app/account/alice", "")
			return err == nil && got == `{"account":"alice","balance":`+want+`}`
		}, func() any { return w.network(name).Status })
	}
	t.Run("in place", func(t *testing.T) {
		d := w.network("bank").Desired
		w.succeed(w.restore("bank", made.Share, d), time.Minute)
		balance("bank", "7")
		s := w.network("bank").Status
		if n := len(s.PreviousIdentities); n == 0 || s.PreviousIdentities[n-1].Certificate != first.ServiceCertificate || s.ServiceCertificate == first.ServiceCertificate {
			t.Errorf("identities: %d", n)
		}
		if s.AppURI != first.AppURI {
			t.Errorf("the address moved from %s to %s", first.AppURI, s.AppURI)
		}
	})
	t.Run("under a new name", func(t *testing.T) {
		w.succeed(w.restore("bank2", made.Share, desired(3, m)), time.Minute)
		w.whole("bank2", 3, 30*time.Second)
		balance("bank2", "7")
		if s := w.network("bank2").Status; len(s.PreviousIdentities) != 1 || s.PreviousIdentities[0].Certificate != first.ServiceCertificate {
			t.Errorf("identities: %+v", s.PreviousIdentities)
		}
	})
	t.Run("under the old name", func(t *testing.T) {
		w.succeed(w.change("bank", arm.KindDelete, func(d *arm.Desired) { d.Deleted = true }), time.Minute)
		w.succeed(w.restore("bank", made.Share, desired(1, m)), time.Minute)
		balance("bank", "7")
	})
	t.Run("flipped bit", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(w.dir, "backups", made.Share, "ledger", "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		text[len(text)/2] ^= 1
		if err := os.WriteFile(files[0], text, 0o600); err != nil {
			t.Fatal(err)
		}
		before := w.network("bank")
		last := w.wait(w.restore("bank", made.Share, before.Desired), time.Minute)
		if last.Status != arm.OperationFailed || last.Error == nil || last.Error.Code != "BackupDamaged" || !strings.Contains(last.Error.Message, filepath.Base(files[0])) {
			t.Errorf("%s %+v", last.Status, last.Error)
		}
		after := w.network("bank").Status
		if after.ServiceCertificate != before.Status.ServiceCertificate || after.ProvisioningState != arm.StateSucceeded {
			t.Errorf("the network is %s", after.ProvisioningState)
		}
		balance("bank", "7")
		last = w.wait(w.restore("bank3", made.Share, desired(1, m)), time.Minute)
		if last.Status != arm.OperationFailed {
			t.Errorf("%s", last.Status)
		}
		if left, _ := filepath.Glob(filepath.Join(w.dir, "networks", "bank3", "*", "ledger")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
		if left, _ := filepath.Glob(filepath.Join(w.dir, "scratch", "*")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// TestScheduledBackups has a policy keep the last backup of several, and the ledger
// copied as it grows; then the network's nodes are lost and it comes back from that
// copy under another name.
func TestScheduledBackups(t *testing.T) {
	w := newWorld(t)
	m := newMember(t, false)
	d := desired(1, m)
	d.Backup = arm.BackupPolicy{Every: time.Hour, Keep: 1, Continuous: true}
	w.succeed(put(t, w.store, "bank", arm.KindCreate, d), time.Minute)
	u := w.user("bank", m)
	u.must("PUT", "/app/account/alice", "")
	names := map[string]bool{}
	for range 2 {
		w.move(time.Hour + time.Minute)
		before := len(names)
		w.eventually(time.Minute, "another scheduled backup", func() bool {
			list, err := w.manager.ListBackups(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			whole := 0
			for _, b := range list {
				if !b.Continual {
					names[b.Share] = true
					whole++
				}
			}
			return len(names) > before && whole == 1
		}, func() any { return names })
	}
	for range 40 {
		u.must("POST", "/app/deposit/alice", `{"value":1}`)
	}
	var live arm.BackupRecord
	w.eventually(2*time.Minute, "what was written is in the copy", func() bool {
		list, err := w.manager.ListBackups(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range list {
			if b.Continual {
				live = b
			}
		}
		return live.Seqno >= 60
	}, func() any { return live })
	if got := condition(w.network("bank"), arm.ConditionBackupRecent); got != "True" {
		t.Errorf("BackupRecent is %s", got)
	}
	w.move(-2 * (time.Hour + time.Minute)) // new nodes are as old as their clock says
	w.succeed(w.change("bank", arm.KindDelete, func(d *arm.Desired) { d.Deleted = true }), time.Minute)
	w.succeed(w.restore("bank2", live.Share, desired(1, m)), time.Minute)
	w.user("bank2", m).must("GET", "/app/account/alice", "")
}
