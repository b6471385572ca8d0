package govaudit

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"synod"
	"synod/app"
	"synod/constitutions"
	"synod/internal/cose"
	"synod/internal/evidence"
	"synod/internal/gov"
	"synod/internal/identity"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/machine"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// service makes a signed ledger, by the rules or against them. Its operator
// has the keys of the node and of the service: what they cannot do is sign for
// a member.
type service struct {
	t       testing.TB
	store   *kv.Store
	machine *machine.Machine
	signer  *evidence.Signer
	engine  *js.Engine
	node    *node
	app     map[string]*app.Endpoint
	entries [][]byte
	members []*member
	cert    string
	now     uint64
}

type member struct {
	*identity.Participant
	id synod.MemberID
}

// newService is an open service of three active members.
func newService(t testing.TB, constitution string) *service {
	t.Helper()
	serviceKey, err := identity.NewKey(identity.Secp384r1)
	if err != nil {
		t.Fatal(err)
	}
	nodeKey, err := identity.NewKey(identity.Secp384r1)
	if err != nil {
		t.Fatal(err)
	}
	from := time.Unix(1_750_000_000, 0)
	self, err := identity.SelfSigned(serviceKey, identity.SelfSignedRequest{Subject: "CN=service", NotBefore: from, Days: 90})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := identity.ParseCertPEM([]byte(identity.CertPEM(self)))
	if err != nil {
		t.Fatal(err)
	}
	csr, err := identity.NewCSR(nodeKey, "CN=node", []string{"iPAddress:127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	endorsed, err := identity.Endorse(csr, serviceKey, cert, from, 90)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := secrets.NewSecret()
	if err != nil {
		t.Fatal(err)
	}
	chain := secrets.NewChain()
	chain.Set(1, secret)
	engine, err := js.NewEngine(js.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	store := kv.New()
	nodeID := identity.NodeIDOf(&nodeKey.PublicKey)
	s := &service{
		t: t, store: store, machine: machine.New(store, evidence.NewTree(), chain, 1<<30), engine: engine,
		node: &node{}, app: map[string]*app.Endpoint{}, cert: identity.CertPEM(self), now: 1_750_000_000,
		signer: &evidence.Signer{
			NodeID: nodeID, NodeKey: nodeKey, NodeCert: func() string { return endorsed },
			ServiceKey: serviceKey, ServiceKID: identity.ServiceKID(&serviceKey.PublicKey), Now: func() time.Time { return from },
		},
	}
	s.node.effects = s.effects
	for _, e := range gov.New(gov.Config{Engine: engine, Node: s.node, Log: slog.New(slog.DiscardHandler)}).Endpoints() {
		s.app[e.Path] = e
	}
	for range 3 {
		s.members = append(s.members, newMember(t))
	}
	s.tx(func(tx *kv.Tx) {
		created := synod.TxID{View: 2, SeqNo: 1}
		s.put(tx, tables.Service, "", tables.ServiceInfo{Cert: s.cert, Status: tables.ServiceOpening, CurrentServiceCreateTxID: &created, RecoveryCount: new(uint64)})
		s.put(tx, tables.ServiceConfiguration, "", tables.ServiceConfig{RecoveryThreshold: 1})
		s.put(tx, tables.Constitution, "", constitution)
		s.put(tx, tables.Nodes, string(nodeID), tables.NodeInfo{Status: tables.NodeTrusted, CertificateSigningRequest: csr})
		tx.Put(tables.NodeEndorsedCertificates, []byte(nodeID), []byte(endorsed))
		for _, m := range s.members {
			tx.Put(tables.MemberCerts, []byte(m.id), []byte(m.CertPEM))
			tx.Put(tables.MemberEncryptionKeys, []byte(m.id), []byte("a key"))
			s.put(tx, tables.Members, string(m.id), tables.MemberInfo{Status: tables.MemberAccepted})
			s.put(tx, tables.MemberAcks, string(m.id), tables.MemberAck{})
		}
	})
	s.sign()
	for _, m := range s.members {
		s.ack(m)
	}
	s.pass(s.members[:2], "transition_service_to_open", map[string]any{"next_service_identity": s.cert})
	return s
}

func newMember(t testing.TB) *member {
	t.Helper()
	p, err := identity.NewMember("someone", "", time.Unix(1_749_999_000, 0))
	if err != nil {
		t.Fatal(err)
	}
	return &member{p, identity.MemberIDOf(p.CertDER)}
}

// effects write what nodes write, with bytes that only look like it.
func (s *service) effects(tx app.Tx) *js.Effects {
	shares := func() error {
		return tables.PutJSON(tx, tables.Shares, tables.UnitKey(), tables.RecoveryShares{
			WrappedLatestLedgerSecret: []byte("wrapped"), EncryptedShares: map[synod.MemberID]tables.Bytes{s.members[0].id: []byte("share")},
		})
	}
	return &js.Effects{
		TriggerLedgerChunk:           func() error { return nil },
		TriggerSnapshot:              func() error { return nil },
		TriggerRecoverySharesRefresh: shares,
		LatestLedgerSecretSeqno:      func() (synod.SeqNo, error) { return 1, nil },
		SetSealedResume: func(allowed bool) error {
			return tables.PutJSON(tx, tables.SealedResume, tables.UnitKey(), tables.SealedResumePolicy{Allowed: allowed})
		},
		GenerateEndorsedCertificate: func(csr, from string, days int) (string, error) {
			start, err := identity.ParseTime(from)
			if err != nil {
				return "", err
			}
			cert, err := identity.ParseCertPEM([]byte(s.cert))
			if err != nil {
				return "", err
			}
			return identity.Endorse(csr, s.signer.ServiceKey, cert, start, days)
		},
		TransitionServiceToOpen: func(_, _ []byte) error {
			info, _, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
			if err != nil {
				return err
			}
			info.Status = tables.ServiceOpen
			if err := tables.PutJSON(tx, tables.HistoricalLedgerSecret, tables.UnitKey(), tables.EncryptedPastSecret{}); err != nil {
				return err
			}
			if err := tables.PutJSON(tx, tables.Service, tables.UnitKey(), info); err != nil {
				return err
			}
			return shares()
		},
	}
}

func (s *service) put(tx app.Tx, table, key string, v any) {
	s.t.Helper()
	k := []byte(key)
	if key == "" {
		k = tables.UnitKey()
	}
	if err := tables.PutJSON(tx, table, k, v); err != nil {
		s.t.Fatal(err)
	}
}

func (s *service) next() synod.TxID {
	return synod.TxID{View: 2, SeqNo: s.store.Tip().SeqNo + 1}
}

// tx orders what write writes, whoever wants it.
func (s *service) tx(write func(tx *kv.Tx)) synod.TxID {
	s.t.Helper()
	tx := s.store.Begin()
	defer tx.Release()
	write(tx)
	return s.order(tx)
}

func (s *service) order(tx *kv.Tx) synod.TxID {
	s.t.Helper()
	id := s.next()
	b, err := s.machine.Order(machine.Prepare(tx, [32]byte{}), id)
	if err != nil {
		s.t.Fatal(err)
	}
	s.entries = append(s.entries, b)
	return id
}

// serveAs makes another service's identity the one that signs from here on.
func (s *service) serveAs(other *service) {
	s.cert = other.cert
	s.signer = &evidence.Signer{
		NodeID: s.signer.NodeID, NodeKey: s.signer.NodeKey, NodeCert: s.signer.NodeCert,
		ServiceKey: other.signer.ServiceKey, ServiceKID: other.signer.ServiceKID, Now: s.signer.Now,
	}
}

// resume makes a service go on from what a node is said to have sealed.
func (s *service) resume(tx *kv.Tx, cert string, status tables.ServiceStatus) {
	s.t.Helper()
	created := s.next()
	s.put(tx, tables.Service, "", tables.ServiceInfo{Cert: cert, Status: status, CurrentServiceCreateTxID: &created})
	s.put(tx, tables.Recovery, "", tables.RecoveryReport{After: s.store.Tip(), Resumed: true})
	s.startNode(tx)
}

// setStatus is what nodes write of a service that recovers, by themselves.
func (s *service) setStatus(status tables.ServiceStatus) {
	s.t.Helper()
	s.tx(func(tx *kv.Tx) {
		info, _, err := tables.GetJSON[tables.ServiceInfo](tx, tables.Service, tables.UnitKey())
		if err != nil {
			s.t.Fatal(err)
		}
		info.Status = status
		s.put(tx, tables.Service, "", info)
	})
	s.sign()
}

// startNode retires all nodes and trusts a new one, as a recovery does.
func (s *service) startNode(tx *kv.Tx) {
	s.t.Helper()
	key, err := identity.NewKey(identity.Secp384r1)
	if err != nil {
		s.t.Fatal(err)
	}
	retired := map[string]tables.NodeInfo{}
	err = tables.EachJSON(tx, tables.Nodes, func(id string, info tables.NodeInfo) bool {
		info.Status, info.RetiredCommitted = tables.NodeRetired, true
		retired[id] = info
		return true
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for id, info := range retired {
		s.put(tx, tables.Nodes, id, info)
	}
	s.put(tx, tables.Nodes, string(identity.NodeIDOf(&key.PublicKey)), tables.NodeInfo{Status: tables.NodeTrusted})
}

func (s *service) sign() {
	s.t.Helper()
	id := s.next()
	tree, err := s.machine.Tree.Serialise(id.SeqNo - 1)
	if err != nil {
		s.t.Fatal(err)
	}
	sig, err := s.signer.Sign(id, s.machine.Tree.Root(), tree)
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := s.machine.OrderSignature(sig.WriteSet, id)
	if err != nil {
		s.t.Fatal(err)
	}
	s.entries = append(s.entries, b)
	s.machine.Commit(id.SeqNo)
}

// ack is what the two requests of an acknowledgement write.
func (s *service) ack(m *member) {
	s.t.Helper()
	var digest string
	s.tx(func(tx *kv.Tx) {
		rec, _, err := tables.GetJSON[tables.SignatureRecord](tx, tables.Signatures, tables.UnitKey())
		if err != nil {
			s.t.Fatal(err)
		}
		digest = rec.Root
		s.put(tx, tables.MemberAcks, string(m.id), tables.MemberAck{StateDigest: digest})
	})
	s.tx(func(tx *kv.Tx) { s.putAck(tx, m, digest, digest) })
	s.sign()
}

// putAck writes an acknowledgement of one digest, with another in the record.
func (s *service) putAck(tx *kv.Tx, m *member, signed, recorded string) {
	s.t.Helper()
	raw := s.request(m, cose.GovHeader{MsgType: cose.MsgAck}, fmt.Sprintf(`{"stateDigest":%q}`, signed))
	s.put(tx, tables.MemberAcks, string(m.id), tables.MemberAck{StateDigest: recorded, COSESign1Req: raw})
	s.put(tx, tables.Members, string(m.id), tables.MemberInfo{Status: tables.MemberActive})
}

// request is what a member signs. Time passes with each.
func (s *service) request(m *member, h cose.GovHeader, payload string) []byte {
	s.t.Helper()
	if s.now++; h.CreatedAt == 0 {
		h.CreatedAt = s.now
	}
	raw, err := cose.SignGov(m.Key, string(m.id), h, []byte(payload))
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

// handle runs a request by the rules, without ordering it.
func (s *service) handle(m *member, raw []byte) (*kv.Tx, *app.Context) {
	s.t.Helper()
	msg, err := cose.Parse(raw)
	if err != nil {
		s.t.Fatal(err)
	}
	h, err := msg.Gov()
	if err != nil {
		s.t.Fatal(err)
	}
	path, params := createPath, []app.Param(nil)
	switch h.MsgType {
	case cose.MsgBallot:
		path, params = ballotPath, []app.Param{{Name: "proposalId", Value: h.ProposalID}, {Name: "memberId", Value: string(m.id)}}
	case cose.MsgWithdrawal:
		path, params = withdrawPath, []app.Param{{Name: "proposalId", Value: h.ProposalID}}
	}
	s.node.root = s.machine.Tree.Root()
	tx := s.store.Begin()
	c := app.NewContext(s.t.Context(), &app.Request{Method: "POST", Path: path, Query: "api-version=2024-07-01"}, tx, s.app[path], params)
	c.Caller = (&signed{m.id, msg, h, raw}).caller()
	if err := s.app[path].Handler(c); err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
	return tx, c
}

// send runs a request by the rules and orders it, after a change to what it
// wrote. It returns the answer.
func (s *service) send(m *member, raw []byte, tamper func(tx *kv.Tx)) map[string]any {
	s.t.Helper()
	tx, c := s.handle(m, raw)
	defer tx.Release()
	if tamper != nil {
		tamper(tx)
	}
	s.order(tx)
	var answer map[string]any
	if err := json.Unmarshal(c.Response().Body, &answer); err != nil {
		s.t.Fatal(err)
	}
	return answer
}

func proposalOf(name string, args any) string {
	b, err := json.Marshal(map[string]any{"actions": []any{map[string]any{"name": name, "args": args}}})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (s *service) propose(m *member, body string, tamper func(tx *kv.Tx)) string {
	s.t.Helper()
	answer := s.send(m, s.request(m, cose.GovHeader{MsgType: cose.MsgProposal}, body), tamper)
	id, _ := answer["proposalId"].(string)
	return id
}

const (
	yes = "export function vote(proposal, proposerId) { return true; }"
	no  = "export function vote(proposal, proposerId) { return false; }"
)

func (s *service) ballot(m *member, id, script string) []byte {
	s.t.Helper()
	payload, err := json.Marshal(map[string]string{"ballot": script})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.request(m, cose.GovHeader{MsgType: cose.MsgBallot, ProposalID: id}, string(payload))
}

func (s *service) vote(m *member, id, script string, tamper func(tx *kv.Tx)) map[string]any {
	s.t.Helper()
	return s.send(m, s.ballot(m, id, script), tamper)
}

// pass makes a proposal and votes for it.
func (s *service) pass(members []*member, action string, args any) string {
	s.t.Helper()
	id := s.propose(members[0], proposalOf(action, args), nil)
	for i, m := range members {
		answer := s.vote(m, id, yes, nil)
		if want := "Open"; i == len(members)-1 && answer["proposalState"] == want {
			s.t.Fatalf("%s is still open", action)
		}
	}
	s.sign()
	return id
}

// replay writes the ledger's files and reads them.
func (s *service) replay() *Report {
	s.t.Helper()
	dir := s.t.TempDir()
	s.write(dir)
	_, r, err := Directory(s.t.Context(), dir)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// write writes the ledger's files.
func (s *service) write(dir string) {
	s.t.Helper()
	log, err := ledger.Open(ledger.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := log.Append(1, s.entries); err != nil {
		s.t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func defaultConstitution() string { return constitutions.Default() }
