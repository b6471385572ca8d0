package cose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func certificate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(read(t, "identities/"+name+"_cert.pem"))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func publicKey(t testing.TB, name string) *ecdsa.PublicKey {
	return certificate(t, name).PublicKey.(*ecdsa.PublicKey)
}

func privateKey(t testing.TB, name string) *ecdsa.PrivateKey {
	t.Helper()
	b := read(t, "identities/"+name+"_privk.pem")
	block, rest := pem.Decode(b)
	if block.Type == "EC PARAMETERS" {
		block, _ = pem.Decode(rest)
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signerOf tells whose a governance vector is.
func signerOf(name string) string {
	for _, m := range []string{"member1", "member2"} {
		if strings.Contains(name, m) {
			return m
		}
	}
	return "member0"
}

func governance(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/governance/*.request.bin")
	if err != nil || len(names) != 20 {
		t.Fatalf("%d requests, %v", len(names), err)
	}
	return names
}

func TestGovernanceVectors(t *testing.T) {
	for _, path := range governance(t) {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			raw := read(t, "governance/"+name)
			m, err := Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			h, err := m.Gov()
			if err != nil {
				t.Fatal(err)
			}
			cert := certificate(t, signerOf(name))
			id := sha256.Sum256(cert.Raw)
			if h.KID != hex.EncodeToString(id[:]) || h.Alg != AlgES384 || !h.HasMsgType || !h.HasCreatedAt {
				t.Errorf("header %+v", h)
			}
			if want := strings.Contains(name, "ballot"); h.HasProposalID != want {
				t.Errorf("proposal ID there: %v, want %v", h.HasProposalID, want)
			}
			pub := cert.PublicKey.(*ecdsa.PublicKey)
			if err := m.Verify(pub, nil); err != nil {
				t.Error(err)
			}
			if err := m.Verify(publicKey(t, "service-1"), nil); !errors.Is(err, ErrSignature) {
				t.Errorf("with another key: %v", err)
			}

			// Signed again, the same is said in the same bytes.
			key := privateKey(t, signerOf(name))
			again, err := SignGov(key, h.KID, h, m.Payload)
			if err != nil {
				t.Fatal(err)
			}
			m2, err := Parse(again)
			if err != nil {
				t.Fatal(err)
			}
			if err := m2.Verify(pub, nil); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(m.Protected, m2.Protected) || !bytes.Equal(m.Payload, m2.Payload) ||
				!bytes.Equal(raw[:len(raw)-len(m.Signature)], again[:len(again)-len(m2.Signature)]) {
				t.Errorf("signed again as %x", again)
			}

			// And by a key that is elsewhere.
			tbs, assemble, err := PrepareGov(h.Alg, h.KID, h, m.Payload)
			if err != nil {
				t.Fatal(err)
			}
			if same, err := assemble(m.Signature); err != nil || !bytes.Equal(same, raw) {
				t.Errorf("assembled as %x, %v", same, err)
			}
			digest, err := Digest(h.Alg, tbs)
			if err != nil || !bytes.Equal(digest, m.digestForTest()) {
				t.Errorf("digest %x, %v", digest, err)
			}
			if _, err := assemble(m.Signature[1:]); !errors.Is(err, ErrSignature) {
				t.Errorf("assembled with a short signature: %v", err)
			}
		})
	}
}

func (m *Message) digestForTest() []byte {
	a, err := algorithmByID(m.Alg)
	if err != nil {
		return nil
	}
	return a.digest(m.Protected, m.Payload)
}

func TestFlippedBitsOfGovernance(t *testing.T) {
	raw := read(t, "governance/002-ack-member0.request.bin")
	pub := publicKey(t, "member0")
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1 << (i % 8)
		m, err := Parse(changed)
		if err == nil {
			err = m.Verify(pub, nil)
		}
		if err == nil {
			t.Fatalf("verifies with byte %d changed", i)
		}
	}
}

// serviceAt returns the name of the identity that signs in a view.
func serviceAt(v synod.View) string {
	return map[synod.View]string{2: "service-1", 4: "service-2", 6: "service-3"}[v]
}

func TestLedgerSignatures(t *testing.T) {
	var list []struct {
		TxID synod.TxID
		Root string
		COSE []byte
	}
	if err := json.Unmarshal(read(t, "ledger_signatures.json"), &list); err != nil || len(list) != 43 {
		t.Fatal(len(list), err)
	}
	for _, v := range list {
		root, err := hex.DecodeString(v.Root)
		if err != nil {
			t.Fatal(err)
		}
		s, m, err := ParseLedgerSignature(v.COSE)
		if err != nil {
			t.Fatal(err)
		}
		cert := certificate(t, serviceAt(v.TxID.View))
		kid := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
		want := LedgerSignature{
			KID: hex.EncodeToString(kid[:]), IssuedAt: s.IssuedAt,
			Issuer: "service.example.com", Subject: "ledger.signature", TxID: v.TxID,
		}
		if diff := cmp.Diff(want, *s); diff != "" {
			t.Error(diff)
		}
		pub := cert.PublicKey.(*ecdsa.PublicKey)
		if err := m.Verify(pub, root); err != nil {
			t.Errorf("%s: %v", v.TxID, err)
		}
		root[0] ^= 1
		if err := m.Verify(pub, root); !errors.Is(err, ErrSignature) {
			t.Errorf("%s over another root: %v", v.TxID, err)
		}
		if err := m.Verify(pub, nil); !errors.Is(err, ErrPayload) {
			t.Errorf("%s over nothing: %v", v.TxID, err)
		}
		if got := s.encode(m.Alg); !bytes.Equal(got, m.Protected) {
			t.Errorf("encoded again as %x", got)
		}
		if got := appendMessage(nil, m.Protected, emptyMap(), nil, m.Signature); !bytes.Equal(got, v.COSE) {
			t.Errorf("assembled again as %x", got)
		}
	}
}

func TestApplicationVectors(t *testing.T) {
	proofs, err := filepath.Glob("testdata/responses/cbor_merkle_proof-*.cbor")
	if err != nil || len(proofs) == 0 {
		t.Fatal(err)
	}
	for _, path := range proofs {
		name := filepath.Base(path)
		raw := read(t, "responses/"+name)
		p, err := ParseInclusionProof(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(p.Encode(), raw) {
			t.Errorf("%s: encoded differently", name)
		}
		var answer struct {
			COSE []byte `json:"cose_signature"`
		}
		if err := json.Unmarshal(read(t, "responses/"+strings.Replace(name, "cbor_merkle_proof", "cose_signature", 1)), &answer); err != nil {
			t.Fatal(err)
		}
		s, m, err := ParseLedgerSignature(answer.COSE)
		if err != nil {
			t.Fatal(err)
		}
		root := p.Root()
		pub := publicKey(t, serviceAt(s.TxID.View))
		if err := m.Verify(pub, root[:]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		receipt, err := Receipt(answer.COSE, p)
		if err != nil {
			t.Fatal(err)
		}
		_, rm, err := ParseLedgerSignature(receipt)
		if err != nil {
			t.Fatal(err)
		}
		got, err := rm.InclusionProofs()
		if err != nil || !cmp.Equal(got, []InclusionProof{p}) {
			t.Errorf("%s: receipt holds %+v, %v", name, got, err)
		}
	}
}

func TestEndorsements(t *testing.T) {
	var rows []struct {
		Endorsement  []byte
		EndorsingKey []byte      `json:"endorsing_key"`
		Begin        synod.TxID  `json:"endorsement_epoch_begin"`
		End          *synod.TxID `json:"endorsement_epoch_end"`
	}
	if err := json.Unmarshal(read(t, "endorsements.json"), &rows); err != nil || len(rows) != 3 {
		t.Fatal(len(rows), err)
	}
	for i, row := range rows {
		e, m, err := ParseEndorsement(row.Endorsement)
		if err != nil {
			t.Fatal(err)
		}
		pub, err := x509.ParsePKIXPublicKey(row.EndorsingKey)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Verify(pub.(*ecdsa.PublicKey), nil); err != nil {
			t.Error(err)
		}
		if e.EpochStart != row.Begin || (row.End == nil) != e.EpochEnd.IsZero() || row.End != nil && e.EpochEnd != *row.End {
			t.Errorf("epoch %s..%s", e.EpochStart, e.EpochEnd)
		}
		if (i == 0) != (e.EpochRoot == nil) {
			t.Errorf("root %x", e.EpochRoot)
		}
		endorsed := row.EndorsingKey
		if i > 0 {
			endorsed = rows[i-1].EndorsingKey
		}
		if !bytes.Equal(e.EndorsedKey, endorsed) {
			t.Error("another key is endorsed")
		}
		if got := e.encode(m.Alg); !bytes.Equal(got, m.Protected) {
			t.Errorf("encoded again as %x", got)
		}
	}
}
