package node_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"synod"
	"synod/client"
	"synod/examples/logging/logapp"
	"synod/internal/audit"
	"synod/internal/node"
	"synod/receipt"
)

// recover stops the service and starts a node in a new folder that recovers it
// from copies of its ledger and, if with, its snapshots.
func (s *service) recover(with bool) *service {
	s.t.Helper()
	if err := s.stop(); err != nil {
		s.t.Fatal(err)
	}
	previous := s.ServiceCertificate()
	next := &service{t: s.t, app: s.app, dir: s.t.TempDir(), members: s.members, shares: s.shares, user: s.user}
	copies := []string{"ledger"}
	if with {
		copies = append(copies, "snapshots")
	}
	for _, name := range copies {
		if err := os.CopyFS(filepath.Join(next.dir, name), os.DirFS(filepath.Join(s.dir, name))); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(next.dir, "previous.pem"), []byte(previous), 0o600); err != nil {
		s.t.Fatal(err)
	}
	next.recoverHere()
	return next
}

// recoverHere starts the node that recovers.
func (s *service) recoverHere() {
	s.t.Helper()
	s.launch(s.recoverCommand(), s.folders())
}

func (s *service) recoverCommand() object {
	return object{"type": "Recover", "service_certificate_file": s.path("service_cert.pem"), "recover": object{
		"previous_service_identity_file": s.path("previous.pem"),
	}}
}

// folders are where a node keeps its files that is not in the working directory.
func (s *service) folders() object {
	return object{
		"ledger": object{"directory": s.path("ledger")}, "snapshots": object{"directory": s.path("snapshots")},
		"output_files": object{"pid_file": s.path("node.pid"), "node_certificate_file": s.path("nodecert.pem"), "sealed_ledger_secret_location": s.path("sealed")},
	}
}

// tryRecover says why the node that should recover ends.
func (s *service) tryRecover() error {
	s.t.Helper()
	return s.tryCommand(s.recoverCommand())
}

func (s *service) tryCommand(command object) error {
	s.t.Helper()
	cfg := object{"network": object{
		"node_to_node_interface": object{"bind_address": "127.0.0.1:0"},
		"rpc_interfaces":         object{"main": object{"bind_address": "127.0.0.1:0"}},
	}, "command": command}
	maps.Copy(cfg, s.folders())
	r, err := s.begin(s.app, s.dir, cfg)
	if err != nil {
		return err
	}
	select {
	case <-r.ended:
		return r.err
	case <-time.After(pollMax):
		s.t.Error("the node runs on")
		return r.stop()
	}
}

// attach starts a node that joins the service. Its ledger and snapshots are copies
// of those of a folder, none if that is "".
func (s *service) attach(from string) *service {
	s.t.Helper()
	next := &service{t: s.t, app: s.app, dir: s.t.TempDir(), members: s.members, shares: s.shares, user: s.user}
	for _, name := range []string{"ledger", "snapshots"} {
		if from == "" {
			break
		}
		if err := os.CopyFS(filepath.Join(next.dir, name), os.DirFS(filepath.Join(from, name))); err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(next.dir, "service_cert.pem"), []byte(s.ServiceCertificate()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	more := next.folders()
	more["consensus"] = object{"election_timeout": "1s"}
	next.launch(object{
		"type": "Join", "service_certificate_file": next.path("service_cert.pem"),
		"join": object{"target_rpc_address": s.Address("main"), "retry_timeout": "20ms"},
	}, more)
	return next
}

func (s *service) wantState(want string) {
	s.t.Helper()
	s.poll("the state "+want, func() error {
		var state struct{ State string }
		if _, err := s.dial(nil).Get(s.t.Context(), "/node/state", &state); err != nil {
			return err
		}
		if state.State != want {
			return fmt.Errorf("it is %s", state.State)
		}
		return nil
	})
}

// Three nodes recover together; the one that began it dies between two shares.
func TestRecoveryOfSeveralNodes(t *testing.T) {
	for _, with := range []bool{false, true} {
		t.Run(fmt.Sprintf("snapshot %v", with), func(t *testing.T) {
			s := start(t, logapp.New())
			s.open()
			s.record(1, "of the first service")
			s.pass(client.Action{Name: "set_recovery_threshold", Args: map[string]any{"recovery_threshold": 2}})
			s.record(2, "the last")
			from := ""
			if with {
				from = s.dir
			}
			first := s.recover(with)
			first.governed()
			second, third := first.attach(from), first.attach(from)
			for _, n := range []*service{first, second, third} {
				n.wantState("PartOfPublicNetwork")
			}
			first.pass(client.Action{Name: "transition_service_to_open", Args: map[string]any{
				"previous_service_identity": first.previous(), "next_service_identity": first.ServiceCertificate(),
			}})
			if answer := first.share(0); answer.Enough() {
				t.Fatalf("one share is enough: %+v", answer)
			}
			if err := first.stop(); err != nil {
				t.Fatal(err)
			}
			second.poll("the last share to be taken", func() error {
				share, err := second.decryptedShare(1)
				if err != nil {
					return err
				}
				_, err = second.member(1).SubmitShare(t.Context(), share)
				return err
			})
			for _, n := range []*service{second, third} {
				<-n.Opened()
				n.wantState("PartOfNetwork")
				n.wantRecord(1, "of the first service")
				n.wantRecord(2, "the last")
			}
			second.record(3, "of the recovered service")
			third.poll("the record", func() error {
				_, err := third.dial(third.user).Get(t.Context(), "/app/log/private?id=3", nil)
				return err
			})
			for _, n := range []*service{third, second} {
				if err := n.stop(); err != nil {
					t.Fatal(err)
				}
			}
			second.wantLedger()
		})
	}
}

// reopen votes for a recovered service and submits shares.
func (s *service) reopen() {
	s.t.Helper()
	s.governed()
	s.pass(client.Action{Name: "transition_service_to_open", Args: map[string]any{
		"previous_service_identity": s.previous(), "next_service_identity": s.ServiceCertificate(),
	}})
	for i := range s.members {
		if answer := s.share(i); answer.Enough() {
			break
		}
	}
	<-s.Opened()
}

// previous is the certificate of the service that this one recovers.
func (s *service) previous() string {
	s.t.Helper()
	pem, err := os.ReadFile(filepath.Join(s.dir, "previous.pem"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(pem)
}

// share has a member send its recovery share.
func (s *service) share(i int) *client.SubmittedShares {
	s.t.Helper()
	share, err := s.decryptedShare(i)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := s.member(i).SubmitShare(s.t.Context(), share)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

func (s *service) decryptedShare(i int) ([]byte, error) {
	sealed, err := s.dial(nil).EncryptedShare(s.t.Context(), s.member(i).ID())
	if err != nil {
		return nil, err
	}
	return client.DecryptShare([]byte(s.shares[i]), sealed)
}

// record writes a private record.
func (s *service) record(id int, text string) synod.TxID {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"id": id, "msg": text})
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.dial(s.user).Do(s.t.Context(), client.Request{Method: "POST", Path: "/app/log/private", Body: body, Wait: client.WaitCommitted})
	if err != nil || resp.Status != 200 {
		s.t.Fatalf("write record %d: %v %v", id, resp, err)
	}
	return resp.TxID
}

func (s *service) wantRecord(id int, text string) {
	s.t.Helper()
	var got struct{ Msg string }
	if _, err := s.dial(s.user).Get(s.t.Context(), fmt.Sprintf("/app/log/private?id=%d", id), &got); err != nil || got.Msg != text {
		s.t.Errorf("record %d is %q, want %q (%v)", id, got.Msg, text, err)
	}
}

func (s *service) wantLedger() {
	s.t.Helper()
	report, err := audit.Directory(s.t.Context(), filepath.Join(s.dir, "ledger"))
	if err != nil {
		s.t.Errorf("the ledger: %v", err)
		return
	}
	for _, c := range report.Chunks {
		if c.Recovery {
			s.t.Errorf("%s is left of the recovery", c.File)
		}
	}
}

func TestRecovery(t *testing.T) {
	for _, with := range []bool{false, true} {
		t.Run(fmt.Sprintf("snapshot %v", with), func(t *testing.T) {
			s := start(t, logapp.New())
			s.open()
			s.record(1, "of the first service")
			s.pass(client.Action{Name: "trigger_ledger_rekey"})
			s.record(2, "after a rekey")
			old := s.record(3, "the last")
			for life := 2; life <= 3; life++ {
				s = s.recover(with)
				s.reopen()
				s.wantRecord(1, "of the first service")
				s.wantRecord(2, "after a rekey")
				s.wantRecord(3, "the last")
				id := s.record(10+life, "of a recovered service")
				if want := synod.View(2 * life); id.View != want {
					t.Errorf("life %d is in view %d, want %d", life, id.View, want)
				}
				if _, err := s.dial(nil).Receipt(t.Context(), id, receipt.Options{TxID: id}); err != nil {
					t.Errorf("a receipt of life %d: %v", life, err)
				}
				var status struct{ Status string }
				if _, err := s.dial(nil).Get(t.Context(), "/node/tx?transaction_id="+old.String(), &status); err != nil || status.Status != "Committed" {
					t.Errorf("%s is %q in life %d (%v)", old, status.Status, life, err)
				}
			}
			s.wantRecord(12, "of a recovered service")
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
			s.wantLedger()
		})
	}
}

// A recovery that comes to nothing is begun again from the same files, and
// members who send what is no use start over.
func TestRecoveryAgain(t *testing.T) {
	s := start(t, logapp.New())
	s.open()
	s.record(1, "of the first service")
	s.pass(client.Action{Name: "set_recovery_threshold", Args: map[string]any{"recovery_threshold": 2}})
	s.record(2, "the last")
	before := s.previousLedger()

	s = s.recover(true)
	s.governed()
	// The shares are those of what is to be recovered: they stay.
	refuse := func(action string, args map[string]any, want string) {
		t.Helper()
		body, err := client.ProposalBody(client.Action{Name: action, Args: args})
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.member(0).Propose(t.Context(), body)
		for i := 0; err == nil && i < 2; i++ {
			_, err = s.member(i).Vote(t.Context(), p.ID, client.BallotFor)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", action, err)
		}
	}
	refuse("trigger_recovery_shares_refresh", nil, "needed to recover it")
	refuse("set_recovery_threshold", map[string]any{"recovery_threshold": 1}, "needed to recover it")
	refuse("trigger_ledger_rekey", nil, "while the service is not open")
	refuse("transition_service_to_open", map[string]any{"next_service_identity": s.ServiceCertificate()}, "requires both")
	s.pass(client.Action{Name: "trigger_ledger_chunk"})
	s.pass(client.Action{Name: "trigger_ledger_chunk"})
	s.poll("a chunk of the recovery", func() error {
		if files, err := filepath.Glob(filepath.Join(s.dir, "ledger", "*.committed.recovery")); err != nil || len(files) == 0 {
			return fmt.Errorf("%v, %w", files, err)
		}
		return nil
	})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	// Again, in the same directory.
	if err := os.Remove(filepath.Join(s.dir, "node.pid")); err != nil {
		t.Fatal(err)
	}
	s.recoverHere()
	s.governed()
	s.pass(client.Action{Name: "transition_service_to_open", Args: map[string]any{
		"previous_service_identity": s.previous(), "next_service_identity": s.ServiceCertificate(),
	}})
	refuse("set_recovery_threshold", map[string]any{"recovery_threshold": 1}, "WaitingForRecoveryShares")
	share, err := s.decryptedShare(0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if answer, err := s.member(0).SubmitShare(t.Context(), share); err != nil || answer.Submitted != 1 || answer.Enough() {
			t.Fatalf("the same share: %+v, %v", answer, err)
		}
	}
	// Another member's share is one too few.
	if _, err := s.member(1).SubmitShare(t.Context(), share); err == nil || !strings.Contains(err.Error(), "Failed to initiate private recovery.") {
		t.Errorf("another member's share: %v", err)
	}
	if r, err := s.dial(nil).Recovery(t.Context()); err != nil || len(r.Members) != 3 || r.Members[s.member(0).ID()] || r.Status != "WaitingForRecoveryShares" {
		t.Errorf("after all start over: %+v, %v", r, err)
	}
	s.share(2)
	s.share(1)
	<-s.Opened()
	s.wantRecord(1, "of the first service")
	s.wantRecord(2, "the last")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.wantLedger()
	for name, b := range before {
		now, err := os.ReadFile(filepath.Join(s.dir, "ledger", name))
		if err != nil || !bytes.Equal(now, b) {
			t.Errorf("%s was changed (%v)", name, err)
		}
	}
}

// Nobody recovers a service, nor joins one, onto a ledger that a node writes.
func TestRecoverOntoLiveDirectory(t *testing.T) {
	s := start(t, logapp.New())
	s.open()
	s.record(1, "of a service that runs")
	if err := os.WriteFile(filepath.Join(s.dir, "previous.pem"), []byte(s.ServiceCertificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	before := s.files(&running{dir: s.dir}, "ledger")
	err := (&service{t: t, app: s.app, dir: s.dir}).tryRecover()
	var e *node.Error
	if !errors.As(err, &e) || e.Exit != node.ExitValidation || !strings.Contains(e.Error(), "ledger directory is in use by another node") {
		t.Errorf("it says: %v", err)
	}
	if now := s.files(&running{dir: s.dir}, "ledger"); !slices.Equal(now, before) {
		t.Errorf("files %v, before %v", now, before)
	}
	s.record(2, "afterwards")
}

// previousLedger are the committed files of the service's ledger.
func (s *service) previousLedger() map[string][]byte {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "ledger", "*.committed"))
	if err != nil || len(files) == 0 {
		s.t.Fatal(files, err)
	}
	all := map[string][]byte{}
	for _, name := range files {
		if all[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			s.t.Fatal(err)
		}
	}
	return all
}

// What cannot be recovered says why.
func TestRecoveryRefuses(t *testing.T) {
	s := start(t, logapp.New())
	s.open()
	s.record(1, "private")
	s.pass(client.Action{Name: "trigger_ledger_chunk"})
	s.record(2, "private")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	previous := s.ServiceCertificate()
	begin := func(spoil func(dir string)) error {
		dir := t.TempDir()
		for _, name := range []string{"ledger", "snapshots"} {
			if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(s.dir, name))); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "previous.pem"), []byte(previous), 0o600); err != nil {
			t.Fatal(err)
		}
		spoil(dir)
		next := &service{t: t, app: s.app, dir: dir}
		return next.tryRecover()
	}
	first := func(dir string) string {
		files, err := filepath.Glob(filepath.Join(dir, "ledger", "ledger_1-*.committed"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		return files[0]
	}
	foreign := foreignChunk(t)
	noSnapshots := func(dir string) {
		if err := os.RemoveAll(filepath.Join(dir, "snapshots")); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		spoil func(dir string)
		want  string
	}{
		"the wrong identity": {func(dir string) {
			if err := os.WriteFile(filepath.Join(dir, "previous.pem"), []byte(s.user.CertPEM), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "Previous service identity does not endorse the node identity that signed the snapshot"},
		"no identity": {func(dir string) {
			if err := os.WriteFile(filepath.Join(dir, "previous.pem"), []byte("none"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "previous_service_identity_file"},
		"a missing chunk": {func(dir string) {
			noSnapshots(dir)
			if err := os.Remove(first(dir)); err != nil {
				t.Fatal(err)
			}
		}, "the ledger lacks the entries 1 to "},
		"a chunk of another service in its place": {func(dir string) {
			noSnapshots(dir)
			if err := os.WriteFile(first(dir), foreign, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "be believed: "},
		"a chunk of another service beside it": {func(dir string) {
			noSnapshots(dir)
			if err := os.WriteFile(filepath.Join(dir, "ledger", "ledger_2-900.committed"), foreign, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "overlaps"},
		"a flipped bit in a committed chunk": {func(dir string) {
			noSnapshots(dir)
			b, err := os.ReadFile(first(dir))
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if err := os.WriteFile(first(dir), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "be believed: "},
		"nothing": {func(dir string) {
			noSnapshots(dir)
			if err := os.RemoveAll(filepath.Join(dir, "ledger")); err != nil {
				t.Fatal(err)
			}
		}, "no signature that can be believed"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := begin(tt.spoil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("it says: %v", err)
			} else {
				t.Log(err)
			}
		})
	}
}

// foreignChunk is the first committed chunk of another service.
func foreignChunk(t *testing.T) []byte {
	t.Helper()
	s := start(t, logapp.New())
	s.open()
	s.record(1, "private")
	s.pass(client.Action{Name: "trigger_ledger_chunk"})
	s.record(2, "private")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(s.dir, "ledger", "ledger_1-*.committed"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return b
}
