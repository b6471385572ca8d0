package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/internal/cose"
	"synod/internal/identity"
)

func newMember(t *testing.T) (*identity.Participant, *KeySigner) {
	t.Helper()
	who, err := identity.NewMember("member0", identity.Secp384r1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewKeySigner([]byte(who.CertPEM), []byte(who.KeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	return who, s
}

// seen is a governance request as the service would read it.
type seen struct {
	Path, ContentType string
	Header            cose.GovHeader
	Payload           string
}

func TestGovernanceRequests(t *testing.T) {
	who, signer := newMember(t)
	id := string(signer.ID())
	proposal := strings.Repeat("ab", 32)
	var got []seen
	svc := newService(t)
	srv := svc.serve(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		msg, err := cose.Parse(body)
		if err != nil {
			t.Fatal(err)
		}
		if err := msg.Verify(&who.Key.PublicKey, nil); err != nil {
			t.Error(err)
		}
		h, err := msg.Gov()
		if err != nil {
			t.Fatal(err)
		}
		if now := uint64(time.Now().Unix()); h.CreatedAt > now || h.CreatedAt+60 < now {
			t.Errorf("created at %d", h.CreatedAt)
		}
		h.CreatedAt = 0
		got = append(got, seen{r.URL.RequestURI(), r.Header.Get("content-type"), h, string(msg.Payload)})
		w.Header().Set("x-ms-ccf-transaction-id", "2.11")
		switch {
		case strings.HasSuffix(r.URL.Path, ":update"):
			io.WriteString(w, `{"memberId":"m","stateDigest":"d1"}`)
		case strings.HasSuffix(r.URL.Path, ":ack"), strings.Contains(r.URL.Path, "unknown"):
			w.WriteHeader(204)
		default:
			io.WriteString(w, `{"proposalId":"`+proposal+`","proposerId":"`+id+`","proposalState":"Open","ballotCount":1}`)
		}
	})
	m := NewMember(svc.dial(srv.URL), signer)
	body, err := ProposalBody(Action{Name: "remove_js_app"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.Propose(t.Context(), body)
	if err != nil || p.ID != proposal || p.State != ProposalOpen || p.BallotCount != 1 || p.TxID.SeqNo != 11 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := m.Vote(t.Context(), proposal, BallotFor); err != nil {
		t.Error(err)
	}
	if _, err := m.Withdraw(t.Context(), proposal); err != nil {
		t.Error(err)
	}
	var refused *synod.Error
	if _, err := m.Withdraw(t.Context(), "unknown"); !errors.As(err, &refused) || refused.Code != synod.CodeProposalNotFound {
		t.Errorf("withdrawing nothing: %v", err)
	}
	if tx, err := m.Activate(t.Context()); err != nil || tx.SeqNo != 11 {
		t.Errorf("activate: %v, %v", tx, err)
	}

	header := func(kind, proposal string) cose.GovHeader {
		return cose.GovHeader{
			Alg: -35, KID: id, MsgType: kind, HasMsgType: true, ProposalID: proposal,
			HasProposalID: proposal != "", HasCreatedAt: true,
		}
	}
	ballot, _ := json.Marshal(map[string]string{"ballot": BallotFor})
	const version, mime = "?api-version=2024-07-01", "application/cose"
	want := []seen{
		{"/gov/members/proposals:create" + version, mime, header("proposal", ""), string(body)},
		{"/gov/members/proposals/" + proposal + "/ballots/" + id + ":submit" + version, mime, header("ballot", proposal), string(ballot)},
		{"/gov/members/proposals/" + proposal + ":withdraw" + version, mime, header("withdrawal", proposal), ""},
		{"/gov/members/proposals/unknown:withdraw" + version, mime, header("withdrawal", "unknown"), ""},
		{"/gov/members/state-digests/" + id + ":update" + version, mime, header("state_digest", ""), ""},
		{"/gov/members/state-digests/" + id + ":ack" + version, mime, header("ack", ""), `{"stateDigest":"d1"}`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A key that never comes here: digest out, signature in, in both forms.
func TestSignatureMadeElsewhere(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		u, err := Prepare("id", curve, Message{Kind: KindProposal, CreatedAt: 1700000000, Payload: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		size := (curve.Params().BitSize + 7) / 8
		r, s, err := ecdsa.Sign(rand.Reader, key, u.Digest())
		if err != nil {
			t.Fatal(err)
		}
		raw := append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		der, err := key.Sign(rand.Reader, u.Digest(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, signature := range [][]byte{raw, der} {
			body, err := u.Finish(signature)
			if err != nil {
				t.Fatal(err)
			}
			msg, err := cose.Parse(body)
			if err != nil {
				t.Fatal(err)
			}
			if err := msg.Verify(&key.PublicKey, nil); err != nil {
				t.Errorf("%s: %v", curve.Params().Name, err)
			}
		}
		if _, err := u.Finish(raw[1:]); err == nil {
			t.Errorf("%s: a short signature was taken", curve.Params().Name)
		}
	}
	if _, err := Prepare("id", elliptic.P224(), Message{}); err == nil {
		t.Error("P-224 was taken")
	}
	if _, err := Prepare("id", elliptic.P256(), Message{CreatedAt: -1}); err == nil {
		t.Error("a time before the epoch was taken")
	}
}

func TestKeyMustBelongToCertificate(t *testing.T) {
	a, _ := newMember(t)
	b, _ := newMember(t)
	for name, pair := range map[string][2]string{
		"another's key":  {a.CertPEM, b.KeyPEM},
		"no certificate": {"", a.KeyPEM},
		"no key":         {a.CertPEM, a.CertPEM},
	} {
		if _, err := NewKeySigner([]byte(pair[0]), []byte(pair[1])); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestReads(t *testing.T) {
	id := strings.Repeat("0a", 32)
	svc := newService(t)
	srv := svc.serve(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/gov/members/proposals":
			io.WriteString(w, `{"value":[{"proposalId":"p","proposalState":"Open"}]}`)
		case "/gov/members/proposals/" + id:
			io.WriteString(w, `{"proposalId":"`+id+`","proposalState":"Rejected","finalVotes":{"m":true}}`)
		case "/gov/members/proposals/" + id + "/actions":
			io.WriteString(w, `{"actions":[]}`)
		case "/gov/service/members":
			io.WriteString(w, `{"value":[{"memberId":"m","status":"Active","memberData":null}]}`)
		case "/node/network":
			io.WriteString(w, `{"service_status":"Open","current_view":2,"primary_id":null}`)
		default:
			t.Errorf("asked for %s", r.URL)
		}
	})
	c := svc.dial(srv.URL)
	if list, err := c.Proposals(t.Context()); err != nil || len(list) != 1 || list[0].ID != "p" {
		t.Errorf("%v, %v", list, err)
	}
	if p, err := c.Proposal(t.Context(), id); err != nil || p.State != ProposalRejected || !p.FinalVotes["m"] {
		t.Errorf("%v, %v", p, err)
	}
	if b, err := c.ProposalActions(t.Context(), id); err != nil || string(b) != `{"actions":[]}` {
		t.Errorf("%s, %v", b, err)
	}
	if _, err := c.Proposal(t.Context(), "../../node/network"); err == nil {
		t.Error("an identifier with a path in it was taken")
	}
	if list, err := c.Members(t.Context()); err != nil || len(list) != 1 || list[0].Status != "Active" {
		t.Errorf("%v, %v", list, err)
	}
	if n, err := c.Network(t.Context()); err != nil || n.ServiceStatus != "Open" || *n.CurrentView != 2 || n.PrimaryID != nil {
		t.Errorf("%v, %v", n, err)
	}
}

// TestSubmitAnew: what a member has signed is posted again when the primary changed
// under the session, unless it was ordered.
func TestSubmitAnew(t *testing.T) {
	svc := newService(t)
	for name, tt := range map[string]struct {
		lost    int    // how many answers say that the session is lost
		ordered string // the transaction that they name
		asked   int32
	}{
		"nothing was ordered": {1, "", 2},
		"it was ordered":      {1, "3.9", 1},
		"again and again":     {100, "", DefaultRetriesMax + 1},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			srv := svc.serve(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || string(body) != "signed" || r.URL.Path != "/gov/members/proposals:create" {
					t.Errorf("%s: %q, %v", r.URL.Path, body, err)
				}
				if int(asked.Add(1)) > tt.lost {
					io.WriteString(w, "{}")
					return
				}
				w.Header().Set("connection", "close")
				if tt.ordered != "" {
					w.Header().Set("x-ms-ccf-transaction-id", tt.ordered)
				}
				w.WriteHeader(500)
				io.WriteString(w, `{"error":{"code":"SessionConsistencyLost","message":"Started in view 2, now in view 3."}}`)
			})
			_, err := svc.dial(srv.URL).Submit(t.Context(), "members/proposals:create", []byte("signed"))
			if (err == nil) != (int(tt.asked) > tt.lost) || asked.Load() != tt.asked {
				t.Errorf("%v after %d requests", err, asked.Load())
			}
		})
	}
}
