package node_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"synod"
	"synod/client"
	"synod/examples/logging/logapp"
	"synod/internal/audit"
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
	s.t.Chdir(next.dir)
	next.launch(map[string]any{"type": "Recover", "recover": map[string]any{"previous_service_identity_file": "previous.pem"}}, nil)
	return next
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
	sealed, err := s.dial(nil).EncryptedShare(s.t.Context(), s.member(i).ID())
	if err != nil {
		s.t.Fatal(err)
	}
	share, err := client.DecryptShare([]byte(s.shares[i]), sealed)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := s.member(i).SubmitShare(s.t.Context(), share)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}

// log writes a private record.
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
