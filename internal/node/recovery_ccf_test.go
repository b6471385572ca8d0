package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"synod"
	"synod/client"
	"synod/examples/logging/logapp"
	"synod/internal/identity"
	"synod/receipt"
)

// TestRecoverServiceOfCCF recovers a service that CCF ran, from its files and
// with its members' keys: what was private is readable, what CCF proved is still
// proved, and the service goes on.
func TestRecoverServiceOfCCF(t *testing.T) {
	const vectors = "testdata/ccf-service"
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(vectors, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	s := &service{t: t, app: logapp.New()}
	for i := range 3 {
		s.members = append(s.members, &identity.Participant{
			CertPEM: read(fmt.Sprintf("member%d_cert.pem", i)), KeyPEM: read(fmt.Sprintf("member%d_privk.pem", i)),
		})
	}
	s.shares = []string{read("member0_enc_privk.pem"), read("member1_enc_privk.pem")}
	s.user = &identity.Participant{CertPEM: read("user0_cert.pem"), KeyPEM: read("user0_privk.pem")}
	previous, old, oldService := read("service-3_cert.pem"), read("receipt-2.39.before.json"), read("service-1_cert.pem")
	ledgerOf, err := filepath.Abs("../audit/testdata/ledger")
	if err != nil {
		t.Fatal(err)
	}
	snapshotsOf, err := filepath.Abs("../ledger/testdata/snapshots")
	if err != nil {
		t.Fatal(err)
	}
	for _, with := range []bool{false, true} {
		t.Run(fmt.Sprintf("snapshot %v", with), func(t *testing.T) {
			s := &service{t: t, app: s.app, dir: t.TempDir(), members: s.members, shares: s.shares, user: s.user}
			if err := os.CopyFS(filepath.Join(s.dir, "ledger"), os.DirFS(ledgerOf)); err != nil {
				t.Fatal(err)
			}
			if with {
				if err := os.CopyFS(filepath.Join(s.dir, "snapshots"), os.DirFS(snapshotsOf)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(s.dir, "previous.pem"), []byte(previous), 0o600); err != nil {
				t.Fatal(err)
			}
			s.recoverHere()
			s.governed()
			// The service's own constitution is in force: its action has another name.
			s.pass(client.Action{Name: "open", Args: map[string]any{
				"previous_service_identity": previous, "next_service_identity": s.ServiceCertificate(),
			}})
			if answer := s.share(0); !answer.Enough() {
				t.Fatalf("one share is not enough: %+v", answer)
			}
			<-s.Opened()

			s.wantRecord(100, "private record 0")
			s.wantRecord(322, "after rekey 22")
			id := s.record(1000, "written by Synod")
			if id.View != 8 {
				t.Errorf("the recovered service is in view %d, want 8", id.View)
			}
			s.wantRecord(1000, "written by Synod")
			s.wantPast("2.23", "2.39", "2.101", "4.127", "6.148", id.String())
			rec, err := receipt.Parse([]byte(old))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := rec.Verify(receipt.Options{ServiceCert: []byte(oldService), TxID: synod.TxID{View: 2, SeqNo: 39}}); err != nil {
				t.Errorf("a receipt that CCF issued: %v", err)
			}
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
			s.wantLedger()

			// And once more, now from what Synod wrote.
			s = s.recover(with)
			s.governed()
			s.pass(client.Action{Name: "open", Args: map[string]any{
				"previous_service_identity": s.previous(), "next_service_identity": s.ServiceCertificate(),
			}})
			s.share(1)
			<-s.Opened()
			s.wantRecord(100, "private record 0")
			s.wantRecord(322, "after rekey 22")
			s.wantRecord(1000, "written by Synod")
			s.wantPast("2.23", "2.39", "2.101", "4.127", "6.148", id.String())
			if got := string(s.asOf("2.23", "/app/log/private/historical?id=100").Body); got != `{"msg":"private record 0"}` {
				t.Errorf("2.23 wrote %s", got)
			}
		})
	}
}
