package portal_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"synod"
	"synod/client"
)

var update = flag.Bool("update", false, "rewrite the vectors that the browser's code is tested with")

// prepared is a governance message and the digest to be signed, which the
// browser's code must make of it as well (portal/src/crypto/cose.test.ts).
type prepared struct {
	MemberID   synod.MemberID `json:"memberId"`
	Curve      string         `json:"curve"`
	Kind       client.Kind    `json:"kind"`
	ProposalID string         `json:"proposalId,omitempty"`
	CreatedAt  int64          `json:"createdAt"`
	Payload    []byte         `json:"payload"`
	Digest     string         `json:"digest"`
}

func TestBrowserSignsTheSame(t *testing.T) {
	id := synod.MemberID(hex.EncodeToString(make([]byte, 32)))
	file := filepath.Join("..", "..", "portal", "src", "crypto", "testdata", "prepared.json")
	var want []prepared
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		for _, m := range []client.Message{
			{Kind: client.KindProposal, CreatedAt: 1764241200, Payload: []byte(`{"actions":[]}`)},
			{Kind: client.KindBallot, CreatedAt: 23, ProposalID: "ab", Payload: []byte(`{"ballot":"x"}`)},
			{Kind: client.KindStateDigest, CreatedAt: 1 << 33, Payload: nil},
			{Kind: client.KindAck, CreatedAt: 256, Payload: make([]byte, 300)},
		} {
			u, err := client.Prepare(id, curve, m)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, prepared{id, curve.Params().Name, m.Kind, m.ProposalID, m.CreatedAt, m.Payload, hex.EncodeToString(u.Digest())})
		}
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != string(text) {
		t.Errorf("%s is not what package client makes: run this test with -update (%v)", file, err)
	}
}

func selfSigned(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
