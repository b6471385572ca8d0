package node_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"synod"
	"synod/client"
	"synod/examples/logging/logapp"
	"synod/internal/audit"
	"synod/internal/govaudit"
	"synod/receipt"
)

// startSealing starts a service of one node that can seal.
func startSealing(t *testing.T) *service {
	t.Helper()
	s := newService(t)
	s.app = logapp.New()
	s.launch(s.startCommand(), s.folders())
	return s
}

// sealing is what the node says of what it has sealed.
func (s *service) sealing() sealingState {
	s.t.Helper()
	var state sealingState
	if _, err := s.dial(nil).Get(s.t.Context(), "/node/sealing", &state); err != nil {
		s.t.Fatal(err)
	}
	return state
}

type sealingState struct {
	Allowed bool
	Key     string      `json:"sealing_key"`
	Secret  synod.SeqNo `json:"ledger_secret_seqno"`
	At      *synod.TxID `json:"sealed_at"`
}

func (s *service) allowSealing(allowed bool) {
	s.t.Helper()
	s.pass(client.Action{Name: "set_sealed_resume", Args: map[string]any{"allowed": allowed}})
	if !allowed {
		s.poll("what was sealed to be removed", func() error {
			if files, err := filepath.Glob(s.path("sealed/*")); err != nil || len(files) > 0 {
				return fmt.Errorf("%v, %w", files, err)
			}
			return nil
		})
		return
	}
	s.wantSealed(0)
}

// wantSealed waits until a ledger secret that came after another is sealed.
func (s *service) wantSealed(after synod.SeqNo) synod.SeqNo {
	s.t.Helper()
	var secret synod.SeqNo
	s.poll("the service to be sealed", func() error {
		state := s.sealing()
		if !state.Allowed || state.At == nil || state.Secret <= after || state.Secret > state.At.SeqNo+1 {
			return fmt.Errorf("%+v", state)
		}
		secret = state.Secret
		return nil
	})
	return secret
}

func (s *service) rekey() {
	s.t.Helper()
	before := s.sealing().Secret
	s.pass(client.Action{Name: "trigger_ledger_rekey"})
	s.wantSealed(before)
}

// killed is what the disks of a service are that dies now: copies of them.
func killed(s *service, nodes ...*service) []*service {
	s.t.Helper()
	var all []*service
	previous := s.ServiceCertificate()
	for _, n := range nodes {
		next := &service{t: s.t, app: s.app, dir: s.t.TempDir(), members: s.members, shares: s.shares, user: s.user}
		for _, name := range []string{"ledger", "snapshots", "sealed"} {
			if err := os.CopyFS(next.path(name), os.DirFS(n.path(name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
				s.t.Fatal(err)
			}
		}
		next.write("previous.pem", previous)
		next.write("service_cert.pem", previous)
		all = append(all, next)
	}
	for _, n := range nodes {
		if err := n.stop(); err != nil {
			s.t.Fatal(err)
		}
	}
	return all
}

func (s *service) resumeCommand() object {
	cmd := s.recoverCommand()
	recover := cmd["recover"].(object)
	recover["previous_sealed_ledger_secret_location"] = s.path("sealed")
	recover["sealed_resume"] = true
	recover["sealed_resume_wait"] = "60s"
	return cmd
}

// join starts a node with its disk at another.
func (s *service) joinAt(first *service) {
	s.t.Helper()
	more := s.folders()
	more["consensus"] = object{"election_timeout": "1s"}
	s.launch(object{
		"type": "Join", "service_certificate_file": s.path("service_cert.pem"),
		"join": object{"target_rpc_address": first.Address("main"), "retry_timeout": "20ms"},
	}, more)
}

func (s *service) wantGoverned() {
	s.t.Helper()
	s.wantLedger()
	_, report, err := govaudit.Directory(s.t.Context(), s.path("ledger"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range report.Findings {
		s.t.Errorf("governance: %+v", f)
	}
}

// One node dies and comes back, twice, with a rekey between: the same service, with
// all its data, and nobody was asked.
func TestSealedResume(t *testing.T) {
	s := startSealing(t)
	s.open()
	if state := s.sealing(); state.Allowed || state.At != nil || !strings.Contains(state.Key, "development") {
		t.Errorf("before members allow it: %+v", state)
	}
	old := s.record(1, "of the first life")
	oldReceipt, err := s.dial(nil).Receipt(t.Context(), old, receipt.Options{TxID: old})
	if err != nil {
		t.Fatal(err)
	}
	s.allowSealing(true)
	certificate := s.ServiceCertificate()
	for life := 2; life <= 3; life++ {
		s.rekey()
		s.record(life, "after a rekey")
		s = killed(s, s)[0]
		s.launch(s.resumeCommand(), s.folders())
		<-s.Opened()
		if left, err := filepath.Glob(s.path("ledger/*.recovery")); err != nil || len(left) > 0 {
			t.Errorf("the application is open, and a crash would make the recovery come to nothing: %v, %v", left, err)
		}
		if s.ServiceCertificate() != certificate {
			t.Error("the service's certificate is another")
		}
		s.wantRecord(1, "of the first life")
		for before := 2; before <= life; before++ {
			s.wantRecord(before, "after a rekey")
		}
		id := s.record(10+life, "of a later life")
		if want := synod.View(2 * life); id.View != want {
			t.Errorf("life %d is in view %d, want %d", life, id.View, want)
		}
		for _, id := range []synod.TxID{old, id} {
			if _, err := s.dial(nil).Receipt(t.Context(), id, receipt.Options{TxID: id}); err != nil {
				t.Errorf("a receipt of %s in life %d: %v", id, life, err)
			}
		}
		s.wantSealed(id.SeqNo - 20)
		r, err := s.dial(nil).Recovery(t.Context())
		if err != nil || !r.Resumed || r.Status != "Open" || r.Count != life-1 {
			t.Errorf("life %d: %+v, %v", life, r, err)
		}
	}
	if _, err := oldReceipt.Receipt.Verify(receipt.Options{ServiceCert: []byte(s.ServiceCertificate()), TxID: old}); err != nil {
		t.Errorf("the receipt of before: %v", err)
	}
	s.allowSealing(false)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.wantGoverned()
}

// Three nodes die; one resumes the service, the others join anew with their disks,
// trusted at once; twice.
func TestSealedResumeOfSeveralNodes(t *testing.T) {
	s := startSealing(t)
	s.governed()
	nodes := []*service{s, s.attach(""), s.attach("")}
	s.open()
	for _, n := range nodes {
		n.governed() // the last may not vote yet
	}
	s.record(1, "of the first life")
	s.allowSealing(true)
	for _, n := range nodes {
		n.wantSealed(0)
	}
	certificate := s.ServiceCertificate()
	for life := 2; life <= 3; life++ {
		before := make([]synod.SeqNo, len(nodes))
		for i, n := range nodes {
			before[i] = n.sealing().Secret
		}
		nodes[0].rekey()
		nodes[0].record(life, "after a rekey")
		for i, n := range nodes {
			n.wantSealed(before[i])
		}
		nodes = killed(nodes[0], nodes...)
		first := nodes[0]
		first.launch(first.resumeCommand(), first.folders())
		first.governed()
		r, err := first.dial(nil).Recovery(t.Context())
		if err != nil || !r.Resumed || r.Status != "Recovering" || r.WaitsFor != 2 || r.Nodes != 3 {
			t.Errorf("while it waits: %+v, %v", r, err)
		}
		nodes[1].joinAt(first)
		nodes[2].joinAt(first)
		for _, n := range nodes {
			<-n.Opened()
			if n.ServiceCertificate() != certificate {
				t.Error("the service's certificate is another")
			}
			n.wantRecord(1, "of the first life")
			n.wantRecord(life, "after a rekey")
			n.wantSealed(0)
		}
		first.record(10+life, "of a later life")
	}
	last := nodes[0]
	for i := len(nodes) - 1; i >= 0; i-- {
		if err := nodes[i].stop(); err != nil {
			t.Fatal(err)
		}
	}
	last.wantGoverned()
}

// What cannot be resumed says why and what to do, and changes nothing.
func TestSealedResumeRefuses(t *testing.T) {
	s := startSealing(t)
	s.open()
	s.record(1, "private")
	s.allowSealing(true)
	early := killedNow(s)
	s.rekey()
	s.record(2, "private")
	s.pass(client.Action{Name: "trigger_ledger_chunk"})
	late := killedNow(s)
	s.allowSealing(false)
	off := killedNow(s)
	s.allowSealing(true)
	again := killedNow(s)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	other := startSealing(t)
	other.open()
	other.allowSealing(true)
	foreign := killedNow(other)
	if err := other.stop(); err != nil {
		t.Fatal(err)
	}

	for name, tt := range map[string]struct {
		ledger, sealed string
		spoil          func(dir string)
		want           []string
	}{
		"members have said no":  {ledger: off, sealed: late, want: []string{"members do not allow sealed resume", "members' shares"}},
		"allowed again since":   {ledger: again, sealed: late, want: []string{"no longer in force"}},
		"older than the ledger": {ledger: late, sealed: early, want: []string{"older than the ledger", "took part in the rekey"}},
		"newer than the ledger": {ledger: early, sealed: late, want: []string{"the ledger is older than what is sealed", "bring the files"}},
		"another service's":     {ledger: late, sealed: foreign, want: []string{"another service's"}},
		"nothing is sealed":     {ledger: late, sealed: off, want: []string{"there is no sealed service", "members' shares"}},
		"a changed byte":        {ledger: late, sealed: late, spoil: changeSealed(t, func(m map[string]string) { flip(m, "ciphertext") }), want: []string{"does not authenticate", "another node"}},
		"a changed header": {ledger: late, sealed: late, spoil: changeSealed(t, func(m map[string]string) {
			m["aad_text"] = strings.Replace(m["aad_text"], `"policy_seqno":`, `"policy_seqno":1`, 1)
		}), want: []string{"does not authenticate"}},
		"another program": {ledger: late, sealed: late, spoil: changeSealed(t, func(m map[string]string) {
			m["aad_text"] = strings.Replace(m["aad_text"], `"host_data":"`, `"host_data":"00`, 1)
		}), want: []string{"other code", "start the code that sealed it"}},
		"half a file": {ledger: late, sealed: late, spoil: func(dir string) { truncateSealed(t, dir) }, want: []string{"cannot be read", "another node"}},
		"sealed on other hardware": {ledger: late, sealed: late, spoil: changeSealed(t, func(m map[string]string) {
			m["aad_text"] = strings.Replace(m["aad_text"], `"measurement"`, `"tcb_version":"db18000000000004","measurement"`, 1)
		}), want: []string{"another kind of platform", "start on the machine that sealed it"}},
		"not what this program reads": {ledger: late, sealed: late, spoil: changeSealed(t, func(m map[string]string) { m["aad_text"] = "{}" }), want: []string{"not of the format"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := &service{t: t, app: s.app, dir: t.TempDir()}
			for folder, from := range map[string]string{"ledger": tt.ledger, "sealed": tt.sealed} {
				if err := os.CopyFS(n.path(folder), os.DirFS(filepath.Join(from, folder))); err != nil {
					t.Fatal(err)
				}
			}
			if tt.spoil != nil {
				tt.spoil(n.dir)
			}
			n.write("previous.pem", s.ServiceCertificate())
			before := filesIn(t, n.dir, "ledger", "sealed")
			err := n.tryCommand(n.resumeCommand())
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("it says %v, not %q", err, want)
				}
			}
			for name, b := range filesIn(t, n.dir, "ledger", "sealed") {
				if before[name] != b {
					t.Errorf("%s was changed", name)
				}
			}
			t.Log(err)
		})
	}
}

// killedNow copies what a node has on its disk.
func killedNow(s *service) string {
	s.t.Helper()
	dir := s.t.TempDir()
	for _, name := range []string{"ledger", "sealed"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(s.path(name))); err != nil {
			s.t.Fatal(err)
		}
	}
	return dir
}

func filesIn(t *testing.T, dir string, folders ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, folder := range folders {
		names, err := filepath.Glob(filepath.Join(dir, folder, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = string(b)
		}
	}
	return all
}

func changeSealed(t *testing.T, edit func(map[string]string)) func(dir string) {
	return func(dir string) {
		t.Helper()
		name := filepath.Join(dir, "sealed", "service.sealed.json")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]string
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		edit(m)
		if b, err = json.Marshal(m); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func flip(m map[string]string, field string) {
	b := []byte(m[field])
	if b[len(b)/2] != 'A' {
		b[len(b)/2] = 'A'
	} else {
		b[len(b)/2] = 'B'
	}
	m[field] = string(b)
}

func truncateSealed(t *testing.T, dir string) {
	t.Helper()
	name := filepath.Join(dir, "sealed", "service.sealed.json")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, info.Size()/2); err != nil {
		t.Fatal(err)
	}
}

// Members may also vote on a recovery as ever, in which what is sealed takes the
// place of their shares, as in CCF.
func TestLocalUnsealing(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		t.Run(fmt.Sprintf("allowed %v", allowed), func(t *testing.T) {
			s := startSealing(t)
			s.open()
			s.record(1, "of the first service")
			s.allowSealing(true)
			s.rekey()
			s.record(2, "after a rekey")
			sealed := killedNow(s)
			if !allowed {
				s.allowSealing(false)
			}
			old := s.ServiceCertificate()
			next := killed(s, s)[0]
			cmd := next.recoverCommand()
			cmd["recover"].(object)["previous_sealed_ledger_secret_location"] = filepath.Join(sealed, "sealed")
			next.launch(cmd, next.folders())
			if next.ServiceCertificate() == old {
				t.Error("the service's certificate is the old one")
			}
			next.governed()
			next.pass(client.Action{Name: "transition_service_to_open", Args: map[string]any{
				"previous_service_identity": next.previous(), "next_service_identity": next.ServiceCertificate(),
			}})
			for i := 0; !allowed && i < len(next.members); i++ {
				next.share(i)
			}
			<-next.Opened()
			next.wantRecord(1, "of the first service")
			next.wantRecord(2, "after a rekey")
			if err := next.stop(); err != nil {
				t.Fatal(err)
			}
			next.wantGoverned()
			if _, err := audit.Directory(t.Context(), next.path("ledger")); err != nil {
				t.Error(err)
			}
		})
	}
}
