package secretstest

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"synod"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// member0 holds a share that is enough alone.
const member0 = "35d0afe285ba831ac9a42b4236b1ca58c36c6e53d6bdcd4979e27c23a81e15c3"

// CCF returns the newest ledger secret of the service's third life, and the rows
// of historical_encrypted_ledger_secret that lead to the older ones, oldest first.
// dir is the testdata of package secrets.
func CCF(t testing.TB, dir string) (latest *secrets.Secret, stored []secrets.Stored) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var rows []struct {
		SeqNo      synod.SeqNo                 `json:"seqno"`
		Shares     *tables.RecoveryShares      `json:"recovery_shares"`
		Historical *tables.EncryptedPastSecret `json:"historical_encrypted_ledger_secret"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "rows.json"))
	must(err)
	must(json.Unmarshal(text, &rows))
	var shares *tables.RecoveryShares
	for _, r := range rows {
		if r.Shares != nil {
			shares = r.Shares
		}
		if r.Historical != nil {
			stored = append(stored, secrets.Stored{At: r.SeqNo, Row: *r.Historical})
		}
	}
	text, err = os.ReadFile(filepath.Join(dir, "member0_enc_privk.pem"))
	must(err)
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(err)
	text, err = secrets.DecryptWith(key.(*rsa.PrivateKey), shares.EncryptedShares[member0])
	must(err)
	share, err := secrets.ParseShare(text)
	must(err)
	full, err := secrets.Combine([]secrets.Share{share}, 1)
	must(err)
	latest, err = secrets.UnwrapWith(full, shares.WrappedLatestLedgerSecret)
	must(err)
	return latest, stored
}
