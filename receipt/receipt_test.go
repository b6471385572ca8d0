package receipt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"synod"
	"synod/internal/cose"
	"synod/internal/merkle"
)

func TestParseRefuses(t *testing.T) {
	good := string(read(t, "receipt-2.26.before.json"))
	h := strings.Repeat("0", 64)
	swap := func(old, replacement string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in the receipt", old)
		}
		return strings.Replace(good, old, replacement, 1)
	}
	for name, text := range map[string]string{
		"empty":              ``,
		"null":               `null`,
		"array":              `[]`,
		"empty object":       `{}`,
		"trailing":           good + " {}",
		"cut":                good[:len(good)-1],
		"unknown field":      swap(`{"cert"`, `{"x":1,"cert"`),
		"repeated field":     swap(`{"cert"`, `{"proof":[],"cert"`),
		"other case":         swap(`"node_id"`, `"Node_id"`),
		"no signature":       swap(`"signature"`, `"is_signature_transaction"`),
		"null proof":         swap(`"proof":[`, `"proof":null,"service_endorsements":[`),
		"step of two":        swap(`{"right":`, `{"left":"`+h+`","right":`),
		"empty step":         swap(`"proof":[`, `"proof":[{},`),
		"step of another":    swap(`{"right":`, `{"up":`),
		"short hash":         swap(`{"right":"`, `{"right":"0`),
		"both leaves":        swap(`"leaf_components"`, `"leaf":"`+h+`","leaf_components"`),
		"neither leaf":       `{"signature":"","node_id":"` + h + `","proof":[]}`,
		"no write set":       swap(`"write_set_digest"`, `"claims_digest_"`),
		"evidence":           swap(`"ce:2.26:`, `"CE:2.26:`),
		"evidence, no id":    swap(`"ce:2.26:`, `"ce:2:`),
		"evidence, zero":     swap(`"ce:2.26:`, `"ce:2.0:`),
		"evidence too long":  swap(`"ce:2.26:`, `"ce:2.26:`+strings.Repeat("a", 1024)),
		"bad certificate":    swap(`BEGIN CERTIFICATE`, `BEGIN CERTIFICATES`),
		"CRLF":               swap(`-----\n`, `-----\r\n`),
		"said a signature":   swap(`{"cert"`, `{"is_signature_transaction":true,"cert"`),
		"too many steps":     swap(`"proof":[`, `"proof":[`+strings.Repeat(`{"left":"`+h+`"},`, 64)),
		"deep":               strings.Repeat(`{"cert":`, 100_000),
		"number as string":   swap(`"node_id":"`, `"node_id":1,"x":"`),
		"upper-case hex":     `{"signature":"","node_id":"` + strings.Repeat("A", 64) + `","proof":[],"leaf":"` + h + `"}`,
		"loose base64":       `{"signature":"AB==","node_id":"` + h + `","proof":[],"leaf":"` + h + `"}`,
		"base64 with breaks": `{"signature":"AA\n==","node_id":"` + h + `","proof":[],"leaf":"` + h + `"}`,
	} {
		if _, err := Parse([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Parse([]byte(swap(`{"cert"`, `{"is_signature_transaction":false,"cert"`))); err != nil {
		t.Errorf("form 2: %v", err)
	}
	if _, err := Parse(make([]byte, sizeMax+1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("huge: %v", err)
	}
}

func TestOldLeafWithoutClaims(t *testing.T) {
	l := LeafComponents{WriteSetDigest: [32]byte{1}, CommitEvidence: "ce:2.3:00", WithoutClaims: true}
	ced := sha256.Sum256([]byte(l.CommitEvidence))
	if want := sha256.Sum256(append(l.WriteSetDigest[:], ced[:]...)); l.Digest() != want {
		t.Error("leaf without claims differs")
	}
	r := New(Signature{NodeID: synod.NodeID(strings.Repeat("0", 64))}, l, nil)
	b, err := json.Marshal(r)
	if err != nil || strings.Contains(string(b), "claims") {
		t.Fatalf("%s, %v", b, err)
	}
	again, err := Parse(b)
	if err != nil || !again.LeafComponents.WithoutClaims {
		t.Errorf("parsed as %+v, %v", again, err)
	}
}

// A receipt made of the parts of another is that other.
func TestNew(t *testing.T) {
	raw := read(t, "receipt-2.26.before.json")
	r, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	sig := Signature{Sig: r.Signature, Cert: r.Cert, NodeID: r.NodeID, Root: r.Root()}
	b, err := json.Marshal(New(sig, *r.LeafComponents, r.Proof))
	if err != nil || !bytes.Equal(b, raw) {
		t.Errorf("made %s, %v", b, err)
	}
	s := NewForSignature(sig)
	res, err := s.Verify(Options{ServiceCert: serviceCert(t, "before")})
	if err != nil || !res.IsSignature || res.Root != r.Root() {
		t.Errorf("receipt of the signature: %+v, %v", res, err)
	}
	if _, err := json.Marshal(&Receipt{}); err == nil {
		t.Error("a receipt without a leaf is written")
	}
}

func TestParseCOSERefuses(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := cose.SignLedger(key, cose.LedgerSignature{TxID: synod.TxID{View: 2, SeqNo: 9}}, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	proof := cose.InclusionProof{CommitEvidence: "ce:2.3:00", Path: merkle.Path{{}}}
	good, err := cose.Receipt(sig, proof)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseCOSE(good); err != nil {
		t.Fatal(err)
	}
	proof.CommitEvidence = "nothing"
	strange, err := cose.Receipt(sig, proof)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty":    nil,
		"no proof": sig,
		"evidence": strange,
		"trailing": append(bytes.Clone(good), 0),
		"huge":     make([]byte, sizeMax+1),
	} {
		if _, err := ParseCOSE(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"receipt-2.26.before.json", "receipt-2.1.recovered2.json", "receipt-6.154.recovered2.json"} {
		f.Add(read(f, name))
	}
	cert := serviceCert(f, "before")
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if _, err := r.Verify(Options{ServiceCert: cert}); err == nil && !bytes.Contains(b, []byte("ce:2.26:")) {
			t.Fatalf("verifies: %s", b)
		}
		out, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(out)
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if twice, err := json.Marshal(again); err != nil || !bytes.Equal(out, twice) {
			t.Fatalf("%s became %s, %v", out, twice, err)
		}
	})
}

func FuzzParseCOSE(f *testing.F) {
	for _, name := range []string{"cose_receipt-2.39.before.cbor", "cose_receipt-6.154.recovered2.cbor"} {
		f.Add(read(f, name))
	}
	cert := serviceCert(f, "recovered2")
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseCOSE(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		_, _ = r.Verify(Options{ServiceCert: cert})
	})
}

func BenchmarkVerify(b *testing.B) {
	r, err := Parse(read(b, "receipt-2.26.before.json"))
	if err != nil {
		b.Fatal(err)
	}
	o := Options{ServiceCert: serviceCert(b, "before")}
	for b.Loop() {
		if _, err := r.Verify(o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	r, err := Parse(read(b, "receipt-2.26.before.json"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(r); err != nil {
			b.Fatal(err)
		}
	}
}
