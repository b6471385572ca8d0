package govaudit

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"synod"
	"synod/internal/cose"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/tables"
)

// A ledger that CCF wrote, through two recoveries, follows from what its
// members signed.
func TestLedgerOfCCF(t *testing.T) {
	integrity, r, err := Directory(t.Context(), "../audit/testdata/ledger")
	if err != nil {
		t.Fatal(err)
	}
	if integrity.Entries != 157 || len(r.Findings) != 0 {
		t.Errorf("%d entries, findings %+v", integrity.Entries, r.Findings)
	}
	if r.Proposals != 8 || r.Accepted != 6 || r.Ballots != 14 || r.Withdrawals != 1 || r.Acks != 3 || r.Recoveries != 2 {
		t.Errorf("%+v", r)
	}
	var against, rejected int
	for _, e := range r.Events {
		if e.Vote == "against" {
			against++
		}
		if e.State == tables.ProposalRejected {
			rejected++
		}
	}
	if against != 2 || rejected != 1 {
		t.Errorf("%d votes against, %d proposals rejected", against, rejected)
	}
}

func TestHonestService(t *testing.T) {
	s := newService(t, defaultConstitution())
	user := newMember(t)
	s.pass(s.members[:2], "set_user", map[string]any{"cert": user.CertPEM, "user_data": map[string]any{"a": 1.5, "b": nil}})
	s.pass(s.members[1:], "set_member", map[string]any{"cert": newMember(t).CertPEM, "member_data": map[string]any{"x": "<é>"}})
	s.pass(s.members[:2], "set_js_app", map[string]any{"bundle": map[string]any{
		"modules": []any{map[string]any{"name": "x.js", "module": "export const x = () => ({ body: 1 });"}},
		"metadata": map[string]any{"endpoints": map[string]any{"/x": map[string]any{"get": map[string]any{
			"js_module": "x.js", "js_function": "x", "mode": "readonly", "forwarding_required": "never",
			"redirection_strategy": "none", "authn_policies": []any{}, "openapi": map[string]any{},
		}}}},
	}})
	open := s.propose(s.members[0], proposalOf("remove_user", map[string]any{"user_id": strings.Repeat("ab", 32)}), nil)
	s.vote(s.members[1], open, no, nil)
	s.vote(s.members[2], open, "export function vote() { throw new Error('x') }", nil)
	s.send(s.members[0], s.request(s.members[0], cose.GovHeader{MsgType: cose.MsgWithdrawal, ProposalID: open}, ""), nil)
	// An action that drops every open proposal.
	s.propose(s.members[0], proposalOf("remove_user", map[string]any{"user_id": strings.Repeat("cd", 32)}), nil)
	s.pass(s.members[:2], "set_constitution", map[string]any{"constitution": defaultConstitution() + "\n// changed"})
	// A proposal that is ordered after others have been.
	tx, _ := s.handle(s.members[0], s.request(s.members[0], cose.GovHeader{MsgType: cose.MsgProposal},
		proposalOf("remove_user", map[string]any{"user_id": strings.Repeat("ef", 32)})))
	s.tx(func(tx *kv.Tx) { tx.Put("public:records", []byte("before"), []byte("it")) })
	s.sign()
	s.order(tx)
	tx.Release()
	// What applications write is none of governance's business.
	s.tx(func(tx *kv.Tx) { tx.Put("public:records", []byte("a"), []byte("b")) })
	s.sign()
	r := s.replay()
	if len(r.Findings) != 0 {
		t.Errorf("findings %+v", r.Findings)
	}
	if r.Accepted != 5 || r.Withdrawals != 1 || r.Acks != 3 {
		t.Errorf("%+v", r)
	}
}

// What nodes do by themselves needs no member.
func TestWhatNodesDo(t *testing.T) {
	s := newService(t, defaultConstitution())
	key, err := identity.NewKey(identity.Secp384r1)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := identity.NewCSR(key, "CN=node", []string{"iPAddress:127.0.0.2"})
	if err != nil {
		t.Fatal(err)
	}
	id := string(identity.NodeIDOf(&key.PublicKey))
	change := func(change func(n *tables.NodeInfo)) {
		s.tx(func(tx *kv.Tx) {
			n, _, err := tables.GetJSON[tables.NodeInfo](tx, tables.Nodes, []byte(id))
			if err != nil {
				t.Fatal(err)
			}
			change(&n)
			s.put(tx, tables.Nodes, id, n)
		})
		s.sign()
	}
	change(func(n *tables.NodeInfo) { n.Status, n.CertificateSigningRequest = tables.NodePending, csr })
	s.pass(s.members[:2], "transition_node_to_trusted", map[string]any{"node_id": id, "valid_from": "20260101000000Z", "validity_period_days": 30})
	s.pass(s.members[:2], "remove_node", map[string]any{"node_id": id})
	change(func(n *tables.NodeInfo) { n.RetiredCommitted = true })
	s.tx(func(tx *kv.Tx) {
		tx.Delete(tables.Nodes, []byte(id))
		tx.Delete(tables.NodeEndorsedCertificates, []byte(id))
	})
	s.tx(func(tx *kv.Tx) { s.put(tx, tables.Snapshots, "", tables.SnapshotEvidence{Version: 1}) })
	s.sign()
	r := s.replay()
	if len(r.Findings) != 0 {
		t.Errorf("findings %+v", r.Findings)
	}
	var did []string
	for _, e := range r.Events {
		if e.Member == "" {
			did = append(did, e.What)
		}
	}
	want := "created the service; joined as a pending node; noted that a node's retirement is committed; deleted a retired node"
	if got := strings.Join(did, "; "); got != want {
		t.Errorf("got %s", got)
	}
}

// Nodes may refresh the keys of an issuer where members say so.
func TestRefreshedKeys(t *testing.T) {
	s := newService(t, smallConstitution)
	const issuer = "https://issuer.example"
	s.pass(s.members[:2], "set", map[string]any{"table": tables.JWTIssuers, "key": issuer, "text": `{"auto_refresh":true}`})
	refresh := func(of string) {
		s.tx(func(tx *kv.Tx) {
			s.put(tx, tables.JWTSigningKeys, "kid", []tables.JWTKey{{Issuer: of, PublicKey: []byte{1}}})
		})
		s.sign()
	}
	refresh(issuer)
	if r := s.replay(); len(r.Findings) != 0 || r.Events[len(r.Events)-1].What != "refreshed JWT signing keys" {
		t.Errorf("findings %+v", r.Findings)
	}
	refresh("https://another.example")
	if r := s.replay(); r.Count(Violation) != 1 {
		t.Errorf("findings %+v", r.Findings)
	}
}

// A service goes on from what its nodes had sealed if its members said so, and is
// not open before the secrets of its past are known.
func TestSealedResume(t *testing.T) {
	s := newService(t, defaultConstitution())
	s.pass(s.members[:2], "set_sealed_resume", map[string]any{"allowed": true})
	s.tx(func(tx *kv.Tx) { s.resume(tx, s.cert, tables.ServiceRecovering) })
	s.sign()
	s.setStatus(tables.ServiceWaitingForRecoveryShares)
	s.setStatus(tables.ServiceOpen)
	r := s.replay()
	if len(r.Findings) != 0 || r.Recoveries != 1 {
		t.Errorf("%d recoveries, findings %+v", r.Recoveries, r.Findings)
	}
	var did []string
	for _, e := range r.Events {
		if e.Member == "" {
			did = append(did, e.What)
		}
	}
	want := "created the service; resumed the service from what was sealed; went on with the ledger secrets that were sealed; completed the recovery"
	if got := strings.Join(did, "; "); got != want {
		t.Errorf("got %s", got)
	}
}

// Whatever the operator of a service writes without its members is found.
func TestFrauds(t *testing.T) {
	user := newMember(t)
	setUser := proposalOf("set_user", map[string]any{"cert": user.CertPEM})
	userID := []byte(user.id)
	tests := []struct {
		name  string
		plant func(s *service)
		table string
		text  string
	}{
		{"a table written by nobody", func(s *service) {
			s.tx(func(tx *kv.Tx) { tx.Put(tables.UserCerts, userID, []byte(user.CertPEM)) })
		}, tables.UserCerts, "by nobody"},
		{"a constitution written by nobody", func(s *service) {
			s.tx(func(tx *kv.Tx) { s.put(tx, tables.Constitution, "", "export function apply() {}") })
		}, tables.Constitution, "by nobody"},
		{"a table of one's own", func(s *service) {
			s.tx(func(tx *kv.Tx) { tx.Put("public:ccf.gov.mine", []byte("a"), []byte("b")) })
		}, "public:ccf.gov.mine", "by nobody"},
		{"an internal table written by nobody", func(s *service) {
			s.tx(func(tx *kv.Tx) { s.put(tx, tables.Shares, "", tables.RecoveryShares{}) })
		}, tables.Shares, "by nobody"},
		{"a member made active", func(s *service) {
			m := newMember(t)
			s.tx(func(tx *kv.Tx) {
				tx.Put(tables.MemberCerts, []byte(m.id), []byte(m.CertPEM))
				s.put(tx, tables.Members, string(m.id), tables.MemberInfo{Status: tables.MemberActive})
			})
		}, tables.MemberCerts, "by nobody"},
		{"a node trusted by nobody", func(s *service) {
			s.tx(func(tx *kv.Tx) {
				s.put(tx, tables.Nodes, strings.Repeat("ab", 32), tables.NodeInfo{Status: tables.NodeTrusted})
			})
		}, tables.Nodes, "by nobody"},
		{"JWT keys of an issuer that nodes may not refresh", func(s *service) {
			s.tx(func(tx *kv.Tx) {
				s.put(tx, tables.JWTSigningKeys, "kid", []tables.JWTKey{{Issuer: "https://a.b", PublicKey: []byte{1}}})
			})
		}, tables.JWTSigningKeys, "by nobody"},
		{"a ballot that was not signed", func(s *service) {
			id := s.propose(s.members[0], setUser, nil)
			s.vote(s.members[0], id, no, func(tx *kv.Tx) {
				s.changeProposal(tx, id, func(p *tables.ProposalInfo) { p.Ballots[s.members[0].id] = yes })
			})
		}, tables.ProposalsInfo, "not the one that the member signed"},
		{"another member's ballot beside one's own", func(s *service) {
			id := s.propose(s.members[0], setUser, nil)
			s.vote(s.members[0], id, no, func(tx *kv.Tx) {
				s.changeProposal(tx, id, func(p *tables.ProposalInfo) { p.Ballots[s.members[1].id] = yes })
			})
		}, tables.ProposalsInfo, "not what the replay gives"},
		{"accepted without enough votes", func(s *service) {
			id := s.propose(s.members[0], setUser, nil)
			s.vote(s.members[0], id, yes, func(tx *kv.Tx) {
				s.changeProposal(tx, id, func(p *tables.ProposalInfo) {
					p.State, p.FinalVotes = tables.ProposalAccepted, map[synod.MemberID]bool{s.members[0].id: true}
				})
				tx.Put(tables.UserCerts, userID, []byte(user.CertPEM))
			})
		}, tables.UserCerts, "changed by nobody"},
		{"the vote of an inactive member", func(s *service) {
			inactive := newMember(t)
			s.pass(s.members[:2], "set_member", map[string]any{"cert": inactive.CertPEM})
			id := s.propose(s.members[0], setUser, nil)
			s.vote(inactive, id, yes, nil)
		}, tables.COSEHistory, "a member who was not active"},
		{"a vote of nobody", func(s *service) {
			id := s.propose(s.members[0], setUser, nil)
			s.vote(newMember(t), id, yes, nil)
		}, tables.COSEHistory, "no member"},
		{"a ballot that was there already", func(s *service) {
			id := s.propose(s.members[0], setUser, nil)
			s.vote(s.members[0], id, no, nil)
			raw := s.ballot(s.members[0], id, no)
			s.tx(func(tx *kv.Tx) {
				s.put(tx, tables.COSEHistory, string(s.members[0].id), tables.Bytes(raw))
				s.changeProposal(tx, id, func(p *tables.ProposalInfo) { p.State = tables.ProposalAccepted })
			})
		}, tables.ProposalsInfo, "changed by nobody"},
		{"a request without COSE", func(s *service) {
			s.tx(func(tx *kv.Tx) {
				s.put(tx, tables.GovHistory, string(s.members[0].id), tables.SignedReq{MD: []byte("1")})
				tx.Put(tables.UserCerts, userID, []byte(user.CertPEM))
			})
		}, tables.UserCerts, "by nobody"},
		{"writes beside a request, to private tables", func(s *service) {
			s.send(s.members[0], s.request(s.members[0], cose.GovHeader{MsgType: cose.MsgProposal}, setUser), func(tx *kv.Tx) {
				tx.Put("private", []byte("a"), []byte("b"))
			})
		}, "", "private tables"},
		{"writes beside a request, to an application's table", func(s *service) {
			s.send(s.members[0], s.request(s.members[0], cose.GovHeader{MsgType: cose.MsgProposal}, setUser), func(tx *kv.Tx) {
				tx.Put("public:records", []byte("a"), []byte("b"))
			})
		}, "public:records", "by nobody"},
		{"apply's writes altered", func(s *service) {
			id := s.propose(s.members[0], setUser, nil)
			s.vote(s.members[0], id, yes, nil)
			s.vote(s.members[1], id, yes, func(tx *kv.Tx) { tx.Put(tables.UserCerts, userID, []byte(newMember(t).CertPEM)) })
		}, tables.UserCerts, "not what the replay gives"},
		{"apply's writes extended", func(s *service) {
			id := s.propose(s.members[0], setUser, nil)
			s.vote(s.members[0], id, yes, nil)
			s.vote(s.members[1], id, yes, func(tx *kv.Tx) { tx.Put(tables.UserCerts, []byte("another"), []byte("cert")) })
		}, tables.UserCerts, "changed by nobody"},
		{"apply's writes left out", func(s *service) {
			id := s.propose(s.members[0], setUser, nil)
			s.vote(s.members[0], id, yes, nil)
			tx, _ := s.handle(s.members[1], s.ballot(s.members[1], id, yes))
			defer tx.Release()
			s.tx(func(other *kv.Tx) {
				for _, m := range tx.WriteSet().Maps {
					for _, w := range m.Writes {
						if m.Name != tables.UserCerts {
							other.Put(m.Name, w.Key, w.Value)
						}
					}
				}
			})
		}, tables.UserCerts, "is missing"},
		{"a replayed proposal", func(s *service) {
			raw := s.request(s.members[0], cose.GovHeader{MsgType: cose.MsgProposal}, setUser)
			s.send(s.members[0], raw, nil)
			s.recordProposal(raw, "")
		}, "", "Proposal submission replay"},
		{"a proposal that is bound to no state", func(s *service) {
			s.recordProposal(s.request(s.members[0], cose.GovHeader{MsgType: cose.MsgProposal}, setUser), strings.Repeat("ab", 32))
		}, tables.Proposals, "not that of its request"},
		{"a proposal that is older than half of the window", func(s *service) {
			s.recordProposal(s.request(s.members[0], cose.GovHeader{MsgType: cose.MsgProposal, CreatedAt: 1_000_000_000}, setUser), "")
		}, "", "created too long ago"},
		{"a replayed proposal that the window was made to forget", func(s *service) {
			raw := s.request(s.members[0], cose.GovHeader{MsgType: cose.MsgProposal}, setUser)
			s.send(s.members[0], raw, nil)
			s.sign()
			// As if the window had forgotten it.
			tx, recent := s.store.Begin(), ""
			tx.ForEach(tables.COSERecentProposals, func(k, _ []byte) bool { recent = string(k); return true })
			tx.Release()
			s.tx(func(tx *kv.Tx) { tx.Delete(tables.COSERecentProposals, []byte(recent)) })
			s.send(s.members[0], raw, nil)
		}, tables.COSERecentProposals, "by nobody"},
		{"a proposal of another body", func(s *service) {
			s.send(s.members[0], s.request(s.members[0], cose.GovHeader{MsgType: cose.MsgProposal}, setUser), func(tx *kv.Tx) {
				for _, m := range tx.WriteSet().Maps {
					if m.Name == tables.Proposals {
						tx.Put(tables.Proposals, m.Writes[0].Key, []byte(`{"actions":[]}`))
						return
					}
				}
			})
		}, tables.Proposals, "not the one that its proposer signed"},
		{"an acknowledgement of another digest", func(s *service) {
			digest := strings.Repeat("ab", 32)
			s.tx(func(tx *kv.Tx) { s.putAck(tx, s.members[0], digest, digest) })
		}, tables.MemberAcks, "another state digest"},
		{"a digest that nobody signed", func(s *service) {
			s.tx(func(tx *kv.Tx) {
				ack, _, err := tables.GetJSON[tables.MemberAck](tx, tables.MemberAcks, []byte(s.members[0].id))
				if err != nil {
					t.Fatal(err)
				}
				ack.StateDigest = strings.Repeat("cd", 32)
				s.put(tx, tables.MemberAcks, string(s.members[0].id), ack)
			})
		}, tables.MemberAcks, "no root"},
		{"a request kept for another member", func(s *service) {
			id := s.propose(s.members[0], setUser, nil)
			s.vote(s.members[0], id, yes, func(tx *kv.Tx) { moveHistory(tx, s.members[0], s.members[1]) })
		}, tables.COSEHistory, "not by the member it is kept for"},
		{"a signature that does not verify", func(s *service) {
			raw := s.request(s.members[0], cose.GovHeader{MsgType: cose.MsgProposal}, setUser)
			raw[len(raw)-1] ^= 1
			s.send(s.members[0], raw, nil)
		}, tables.COSEHistory, "does not verify"},
		{"a withdrawal by another member", func(s *service) {
			id := s.propose(s.members[0], setUser, nil)
			raw := s.request(s.members[1], cose.GovHeader{MsgType: cose.MsgWithdrawal, ProposalID: id}, "")
			s.tx(func(tx *kv.Tx) {
				s.put(tx, tables.COSEHistory, string(s.members[1].id), tables.Bytes(raw))
				s.changeProposal(tx, id, func(p *tables.ProposalInfo) { p.State = tables.ProposalWithdrawn })
			})
		}, "", "could not have been accepted"},
		{"a proposal dropped by nobody", func(s *service) {
			id := s.propose(s.members[0], setUser, nil)
			s.tx(func(tx *kv.Tx) {
				s.changeProposal(tx, id, func(p *tables.ProposalInfo) { p.State = tables.ProposalDropped })
			})
		}, tables.ProposalsInfo, "by nobody"},
		{"a certificate that the service did not sign", func(s *service) {
			other := newService(t, defaultConstitution())
			key, err := identity.NewKey(identity.Secp384r1)
			if err != nil {
				t.Fatal(err)
			}
			csr, err := identity.NewCSR(key, "CN=node", []string{"iPAddress:127.0.0.2"})
			if err != nil {
				t.Fatal(err)
			}
			id := string(identity.NodeIDOf(&key.PublicKey))
			s.tx(func(tx *kv.Tx) {
				s.put(tx, tables.Nodes, id, tables.NodeInfo{Status: tables.NodePending, CertificateSigningRequest: csr})
			})
			key, s.signer.ServiceKey = s.signer.ServiceKey, other.signer.ServiceKey
			cert := s.cert
			s.cert = other.cert
			p := s.propose(s.members[0], proposalOf("transition_node_to_trusted", map[string]any{"node_id": id, "valid_from": "20260101000000Z", "validity_period_days": 30}), nil)
			s.vote(s.members[0], p, yes, nil)
			s.vote(s.members[1], p, yes, nil)
			s.signer.ServiceKey, s.cert = key, cert
		}, tables.NodeEndorsedCertificates, "did not sign"},
		{"a recovery that keeps an old node", func(s *service) {
			other := newService(t, defaultConstitution())
			s.tx(func(tx *kv.Tx) {
				s.put(tx, tables.Service, "", tables.ServiceInfo{Cert: other.cert, Status: tables.ServiceRecovering})
				s.put(tx, tables.Nodes, string(other.signer.NodeID), tables.NodeInfo{Status: tables.NodeTrusted})
			})
			s.serveAs(other)
		}, tables.Nodes, "is not retired"},
		{"a recovery with another constitution", func(s *service) {
			other := newService(t, defaultConstitution())
			s.tx(func(tx *kv.Tx) {
				s.put(tx, tables.Service, "", tables.ServiceInfo{Cert: other.cert, Status: tables.ServiceRecovering})
				s.put(tx, tables.Constitution, "", "export function apply() {}")
			})
			s.serveAs(other)
		}, tables.Constitution, "by nobody"},
		{"a recovery that is open at once", func(s *service) {
			other := newService(t, defaultConstitution())
			s.tx(func(tx *kv.Tx) {
				s.put(tx, tables.Service, "", tables.ServiceInfo{Cert: other.cert, Status: tables.ServiceOpening})
			})
			s.serveAs(other)
		}, tables.Service, "not Recovering"},
		{"a resume that members did not allow", func(s *service) {
			s.tx(func(tx *kv.Tx) { s.resume(tx, s.cert, tables.ServiceRecovering) })
		}, tables.Recovery, "did not allow"},
		{"a resume that members no longer allow", func(s *service) {
			s.pass(s.members[:2], "set_sealed_resume", map[string]any{"allowed": true})
			s.pass(s.members[1:], "set_sealed_resume", map[string]any{"allowed": false})
			s.tx(func(tx *kv.Tx) { s.resume(tx, s.cert, tables.ServiceRecovering) })
		}, tables.Recovery, "did not allow"},
		{"a resume that allows itself", func(s *service) {
			s.tx(func(tx *kv.Tx) {
				s.resume(tx, s.cert, tables.ServiceRecovering)
				s.put(tx, tables.SealedResume, "", tables.SealedResumePolicy{Allowed: true})
			})
		}, tables.SealedResume, "by nobody"},
		{"a policy of sealed resume written by nobody", func(s *service) {
			s.tx(func(tx *kv.Tx) { s.put(tx, tables.SealedResume, "", tables.SealedResumePolicy{Allowed: true}) })
		}, tables.SealedResume, "by nobody"},
		{"a resume as another service", func(s *service) {
			other := newService(t, defaultConstitution())
			s.pass(s.members[:2], "set_sealed_resume", map[string]any{"allowed": true})
			s.tx(func(tx *kv.Tx) { s.resume(tx, other.cert, tables.ServiceRecovering) })
			s.serveAs(other)
		}, tables.Service, "is another"},
		{"a resume that is open at once", func(s *service) {
			s.pass(s.members[:2], "set_sealed_resume", map[string]any{"allowed": true})
			s.tx(func(tx *kv.Tx) { s.resume(tx, s.cert, tables.ServiceOpening) })
		}, tables.Service, "not Recovering"},
		{"a resume that keeps an old node", func(s *service) {
			s.pass(s.members[:2], "set_sealed_resume", map[string]any{"allowed": true})
			s.tx(func(tx *kv.Tx) {
				s.resume(tx, s.cert, tables.ServiceRecovering)
				s.put(tx, tables.Nodes, string(s.signer.NodeID), tables.NodeInfo{Status: tables.NodeTrusted})
			})
		}, tables.Nodes, "changed by nobody"},
		{"a recovery that goes on as a resume before it did", func(s *service) {
			other := newService(t, defaultConstitution())
			s.pass(s.members[:2], "set_sealed_resume", map[string]any{"allowed": true})
			s.tx(func(tx *kv.Tx) { s.resume(tx, s.cert, tables.ServiceRecovering) })
			s.sign()
			s.tx(func(tx *kv.Tx) {
				s.put(tx, tables.Service, "", tables.ServiceInfo{Cert: other.cert, Status: tables.ServiceRecovering})
				s.startNode(tx)
			})
			s.serveAs(other)
			s.setStatus(tables.ServiceWaitingForRecoveryShares)
		}, tables.Service, "by nobody"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, defaultConstitution())
			test.plant(s)
			s.sign()
			r := s.replay()
			for _, f := range r.Findings {
				if f.Kind == Violation && f.Table == test.table && strings.Contains(f.Text, test.text) {
					return
				}
			}
			t.Errorf("findings %+v, want one of table %q with %q", r.Findings, test.table, test.text)
		})
	}
}

// A constitution that asks the clock is not called a fraud.
func TestUnpredictableConstitution(t *testing.T) {
	s := newService(t, strings.Replace(defaultConstitution(), "export function apply(", `
export function apply(proposal, proposalId) {
  ccf.kv["public:ccf.gov.when"].set(ccf.strToBuf("now"), ccf.strToBuf(String(Date.now())));
  return applyActions(proposal, proposalId);
}
function applyActions(`, 1))
	r := s.replay()
	if r.Count(NotReexecuted) != 1 || r.Count(Violation) != 0 {
		t.Errorf("findings %+v", r.Findings)
	}
}

var update = flag.Bool("update", false, "write the ledger with frauds that the scripts of package cli use")

// smallConstitution keeps the ledger of the scripts small.
const smallConstitution = `
export function validate(input) { return { valid: true }; }
export function resolve(proposal, proposerId, votes) {
  return votes.filter((v) => v.vote).length > 1 ? "Accepted" : "Open";
}
export function apply(proposal) {
  for (const a of JSON.parse(proposal).actions) {
    if (a.name === "transition_service_to_open") {
      ccf.node.transitionServiceToOpen(undefined, ccf.strToBuf(a.args.next_service_identity));
    } else {
      ccf.kv[a.args.table].set(ccf.strToBuf(a.args.key), ccf.strToBuf(a.args.text));
    }
  }
}`

// The scripts of package cli show what the command says of frauds.
func TestLedgerOfScripts(t *testing.T) {
	const dir = "../cli/testdata/fraud"
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		s := newService(t, smallConstitution)
		s.pass(s.members[:2], "set", map[string]any{"table": "public:ccf.gov.notes", "key": "note", "text": "agreed"})
		s.tx(func(tx *kv.Tx) { tx.Put("public:ccf.gov.notes", []byte("note"), []byte("not agreed")) })
		s.sign()
		s.write(dir)
	}
	_, r, err := Directory(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if r.Count(Violation) != 1 || r.Accepted != 2 {
		t.Errorf("%+v", r)
	}
}

// recordProposal writes a proposal of the first member without asking anybody;
// "" is the ID that it must have.
func (s *service) recordProposal(raw []byte, id string) {
	s.t.Helper()
	msg, err := cose.Parse(raw)
	if err != nil {
		s.t.Fatal(err)
	}
	h, err := msg.Gov()
	if err != nil {
		s.t.Fatal(err)
	}
	digest, root := sha256.Sum256(msg.Signature), s.machine.Tree.Root()
	if id == "" {
		id = fmt.Sprintf("%x", sha256.Sum256(append(root[:], digest[:]...)))
	}
	m := s.members[0].id
	s.tx(func(tx *kv.Tx) {
		s.put(tx, tables.COSEHistory, string(m), tables.Bytes(raw))
		s.put(tx, tables.COSERecentProposals, fmt.Sprintf("%010d:%x", h.CreatedAt, digest), id)
		tx.Put(tables.Proposals, []byte(id), msg.Payload)
		s.put(tx, tables.ProposalsInfo, id, tables.ProposalInfo{ProposerID: m, State: tables.ProposalOpen})
	})
}

// changeProposal changes a recorded proposal.
func (s *service) changeProposal(tx *kv.Tx, id string, change func(p *tables.ProposalInfo)) {
	s.t.Helper()
	p, ok, err := tables.GetJSON[tables.ProposalInfo](tx, tables.ProposalsInfo, []byte(id))
	if !ok || err != nil {
		s.t.Fatalf("proposal %s: %v", id, err)
	}
	change(&p)
	s.put(tx, tables.ProposalsInfo, id, p)
}

// moveHistory keeps a member's request under another's name.
func moveHistory(tx *kv.Tx, from, to *member) {
	value, _ := tx.Get(tables.COSEHistory, []byte(from.id))
	tx.Put(tables.COSEHistory, []byte(to.id), value)
	tx.Delete(tables.COSEHistory, []byte(from.id))
}

func BenchmarkReplay(b *testing.B) {
	const proposals = 500
	s := newService(b, defaultConstitution())
	for range proposals {
		s.pass(s.members[:2], "remove_user", map[string]any{"user_id": strings.Repeat("ab", 32)})
	}
	dir := b.TempDir()
	s.write(dir)
	for b.Loop() {
		if _, _, err := Directory(b.Context(), dir); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*proposals/b.Elapsed().Seconds(), "proposals/s")
}
