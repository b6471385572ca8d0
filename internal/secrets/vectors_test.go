package secrets

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"synod"
	"synod/internal/tables"
)

const member0 = synod.MemberID("35d0afe285ba831ac9a42b4236b1ca58c36c6e53d6bdcd4979e27c23a81e15c3")

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type row struct {
	SeqNo      synod.SeqNo                 `json:"seqno"`
	Shares     *tables.RecoveryShares      `json:"recovery_shares"`
	Historical *tables.EncryptedPastSecret `json:"historical_encrypted_ledger_secret"`
	Submitted  tables.Bytes                `json:"encrypted_submitted_shares"`
}

// rowsBefore returns what a recovery finds in the ledger below a seqno.
func rowsBefore(t testing.TB, end synod.SeqNo) (*tables.RecoveryShares, []Stored) {
	t.Helper()
	var rows []row
	if err := json.Unmarshal(read(t, "rows.json"), &rows); err != nil {
		t.Fatal(err)
	}
	var shares *tables.RecoveryShares
	var past []Stored
	for _, r := range rows {
		if r.SeqNo >= end {
			break
		}
		if r.Shares != nil {
			shares = r.Shares
		}
		if r.Historical != nil {
			past = append(past, Stored{At: r.SeqNo, Row: *r.Historical})
		}
	}
	return shares, past
}

func memberKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	block, _ := pem.Decode(read(t, "member0_enc_privk.pem"))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

// recovered does what the nth recovery did, whose service began at start: it
// decrypts member0's share, rebuilds the wrapping key (one share is enough),
// unwraps the latest secret and walks back.
func recovered(t testing.TB, n string, start synod.SeqNo) *Chain {
	t.Helper()
	shares, past := rowsBefore(t, start)
	text, err := DecryptWith(memberKey(t), shares.EncryptedShares[member0])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, read(t, "share-recovery-"+n+".bin")) {
		t.Fatalf("recovery %s: the share decrypts to something else", n)
	}
	share, err := ParseShare(text)
	if err != nil {
		t.Fatal(err)
	}
	full, err := Combine([]Share{share}, 1)
	if err != nil {
		t.Fatal(err)
	}
	latest, err := UnwrapWith(full, shares.WrappedLatestLedgerSecret)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := Restore(latest, past[len(past)-1], among(past))
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

// openEntry decrypts the private domain of a ledger entry with a chain, and
// checks its commit evidence.
func openEntry(t testing.TB, c *Chain, name string) []byte {
	t.Helper()
	b := read(t, name)
	tag, iv, b := [TagSize]byte(b[8:24]), b[24:36], b[36:]
	id := synod.TxID{
		View:  synod.View(binary.LittleEndian.Uint32(iv[8:])),
		SeqNo: synod.SeqNo(binary.LittleEndian.Uint64(iv)),
	}
	public := b[8 : 8+binary.LittleEndian.Uint64(b)]
	text, err := c.Open(id, false, tag, b[8+len(public):], public)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.At(id.SeqNo)
	if err != nil {
		t.Fatal(err)
	}
	if got := sha256.Sum256(s.CommitEvidence(nil, id)); !bytes.Equal(got[:], public[1+8+32:1+8+64]) {
		t.Errorf("%s: another commit evidence", id)
	}

	// Sealed again, it is the same.
	again := append(make([]byte, 0, len(text)+TagSize), text...)
	iv2, tag2, err := c.Seal(id, false, again, public)
	if err != nil || tag2 != tag || !bytes.Equal(iv2[:], iv) || !bytes.Equal(again, b[8+len(public):]) {
		t.Errorf("%s: sealed differently, %v", id, err)
	}
	return text
}

func TestRecoveries(t *testing.T) {
	for _, tc := range []struct {
		n       string
		start   synod.SeqNo
		from    []synod.SeqNo
		stored  []synod.SeqNo
		entries map[string]string
	}{
		{
			"1", 115,
			[]synod.SeqNo{1, 61},
			[]synod.SeqNo{19, 60},
			map[string]string{"entry-2.23.bin": "private record 0", "entry-2.63.bin": "after rekey"},
		},
		{
			"2", 135,
			[]synod.SeqNo{1, 61, 115},
			[]synod.SeqNo{19, 60, 123},
			map[string]string{"entry-2.23.bin": "private record 0", "entry-2.63.bin": "after rekey", "entry-4.127.bin": "after recovery 0"},
		},
	} {
		c := recovered(t, tc.n, tc.start)
		all := c.All()
		if len(all) != len(tc.from) {
			t.Fatalf("recovery %s: %d secrets", tc.n, len(all))
		}
		for i, e := range all {
			if e.From != tc.from[i] || e.StoredAt != tc.stored[i] {
				t.Errorf("recovery %s: secret %d from %d, stored at %d", tc.n, i, e.From, e.StoredAt)
			}
		}
		for name, want := range tc.entries {
			if text := openEntry(t, c, name); !bytes.Contains(text, []byte(want)) {
				t.Errorf("%s holds %q", name, text)
			}
		}
	}
	a, b := recovered(t, "1", 115), recovered(t, "2", 135)
	for i, e := range a.All() {
		if !e.Secret.Equal(b.All()[i].Secret) {
			t.Errorf("secret %d differs between the recoveries", i)
		}
	}
}

// The share that was submitted in the first recovery is in the ledger, sealed
// with the recovery's own secret, which the second recovery restores.
func TestSubmittedShare(t *testing.T) {
	c := recovered(t, "2", 135)
	s, err := c.At(121)
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	if err := json.Unmarshal(read(t, "rows.json"), &rows); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, r := range rows {
		if r.SeqNo != 121 {
			continue
		}
		found = true
		text, err := s.Decrypt(r.Submitted)
		if err != nil || !bytes.Equal(text, read(t, "share-recovery-1.bin")) {
			t.Errorf("the submitted share differs, %v", err)
		}
	}
	if !found {
		t.Error("no submitted share")
	}
}

// among finds writes in a list.
func among(writes []Stored) func(synod.SeqNo) (tables.EncryptedPastSecret, bool, error) {
	return func(seqno synod.SeqNo) (tables.EncryptedPastSecret, bool, error) {
		for _, w := range writes {
			if w.At == seqno {
				return w.Row, true, nil
			}
		}
		return tables.EncryptedPastSecret{}, false, nil
	}
}

func TestRestoreRefuses(t *testing.T) {
	latest := recovered(t, "1", 115).All()[1].Secret
	_, past := rowsBefore(t, 115)
	last := past[len(past)-1]
	if _, err := Restore(exampleSecret(), last, among(past)); !errors.Is(err, ErrAuthentication) {
		t.Errorf("with another secret: %v", err)
	}
	// From a snapshot, only what follows it is known.
	if c, err := Restore(latest, last, among(nil)); err != nil || len(c.All()) != 2 {
		t.Errorf("restored %d secrets, %v", len(c.All()), err)
	}
	// A write that repeats the one before is skipped.
	again, stored := last, uint64(last.At)
	again.At++
	again.Row.NextVersion = new(uint64(last.Next()))
	repeated := *last.Row.PreviousLedgerSecret
	repeated.PreviousSecretStoredVersion = &stored
	again.Row.PreviousLedgerSecret = &repeated
	if c, err := Restore(latest, again, among(past)); err != nil || len(c.All()) != 2 {
		t.Errorf("restored %d secrets, %v", len(c.All()), err)
	}
	// No secret comes into service with the one after it, or later, or nowhere.
	for _, from := range []synod.SeqNo{0, last.Next() + 1, 1 << 40} {
		moved := last
		changed := *last.Row.PreviousLedgerSecret
		changed.Version = from
		moved.Row.PreviousLedgerSecret = &changed
		if _, err := Restore(latest, moved, among(past)); !errors.Is(err, ErrRestore) {
			t.Errorf("a past secret for %d: %v", from, err)
		}
	}
	// Writes that point in a circle end.
	circle := again
	repeated.PreviousSecretStoredVersion = new(uint64(again.At))
	if _, err := Restore(latest, circle, among([]Stored{circle})); !errors.Is(err, ErrRestore) {
		t.Errorf("in a circle: %v", err)
	}
}

func TestMemberEncryption(t *testing.T) {
	sealed, err := EncryptToMember(read(t, "member0_enc_pubk.pem"), []byte("share"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := DecryptWith(memberKey(t), sealed); err != nil || string(text) != "share" {
		t.Errorf("decrypted %q, %v", text, err)
	}
	sealed[0] ^= 1
	if _, err := DecryptWith(memberKey(t), sealed); !errors.Is(err, ErrAuthentication) {
		t.Errorf("a changed one: %v", err)
	}
	for name, key := range map[string][]byte{"empty": nil, "no PEM": []byte("x"), "private": read(t, "member0_enc_privk.pem")} {
		if _, err := EncryptToMember(key, []byte("share")); err == nil {
			t.Errorf("encrypted to a key that is %s", name)
		}
	}
}
