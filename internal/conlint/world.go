package conlint

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"synod"
	"synod/internal/identity"
	"synod/internal/kv"
	"synod/internal/tables"
)

// person is somebody who may propose or vote.
type person struct {
	id   string
	info *tables.MemberInfo // nil for somebody who is not, or no longer, a member
	key  bool               // holds a recovery key
}

// kind is a kind of person that a constitution may tell apart from an equal
// member.
type kind struct {
	name   string
	person person
	marked bool // an operator, or whatever the text calls who has such a mark
	absent bool // not an active member: can be proposer or voter only because it was one
}

// said is the kind in a sentence.
func (k kind) said() string {
	if k.marked {
		return "member marked " + k.name
	}
	return k.name
}

func idOf(name string) string {
	h := sha256.Sum256([]byte("synod constitution lint " + name))
	return hex.EncodeToString(h[:])
}

func active(role tables.RecoveryRole, data map[string]any) *tables.MemberInfo {
	info := &tables.MemberInfo{Status: tables.MemberActive, RecoveryRole: role}
	if data != nil {
		info.MemberData, _ = json.Marshal(data) // of texts and booleans
	}
	return info
}

// members are n equal members, active and with recovery keys. The second one
// has a certificate that is known here.
func (s *service) members(n int) []person {
	all := make([]person, n)
	for i := range all {
		all[i] = person{id: idOf(fmt.Sprint("member ", i)), info: active("", nil), key: true}
		if i == 1 {
			all[i].id = s.secondID
		}
	}
	return all
}

// kindsOf are the kinds of person to try for a text.
func kindsOf(n *names) []kind {
	kinds := []kind{
		{name: "member", person: person{id: idOf("member 0"), info: active("", nil), key: true}},
		{name: "member without recovery key", person: person{id: idOf("no key"), info: active("", nil)}},
		{name: "recovery owner", person: person{id: idOf("owner"), info: active(tables.RecoveryOwner, nil), key: true}},
	}
	for _, m := range n.marks {
		data := map[string]any{m.field: m.value}
		kinds = append(kinds,
			kind{name: m.String(), person: person{id: idOf(m.String()), info: active("", data)}, marked: true},
			kind{name: m.String() + " with recovery key", person: person{id: idOf(m.String() + " key"), info: active("", data), key: true}, marked: true})
	}
	for _, id := range n.ids {
		kinds = append(kinds, kind{name: "member " + id[:8] + "…", person: person{id: id, info: active("", nil), key: true}})
	}
	return append(kinds,
		kind{name: "member not yet active", person: person{id: idOf("accepted"), info: &tables.MemberInfo{Status: tables.MemberAccepted}, key: true}, absent: true},
		kind{name: "removed member", person: person{id: idOf("removed")}, absent: true})
}

// service is what all made-up services share: certificates and nodes, made
// once.
type service struct {
	cert, encryptionKey string // of nobody in the tables
	second, secondID    string // certificate and ID of the second member
	pending, trusted    string // nodes
}

// newService makes the keys once: that takes as long as a small lint.
var newService = sync.OnceValues(func() (*service, error) {
	p, err := identity.NewMember("newcomer", "", time.Now())
	if err != nil {
		return nil, err
	}
	second, err := identity.NewMember("second", "", time.Now())
	if err != nil {
		return nil, err
	}
	_, key, err := identity.NewEncryptionKey()
	if err != nil {
		return nil, err
	}
	return &service{
		cert: p.CertPEM, encryptionKey: key, second: second.CertPEM, secondID: string(identity.MemberIDOf(second.CertDER)),
		pending: idOf("pending node"), trusted: idOf("trusted node"),
	}, nil
})

// putRow writes a value of our own types, which all have a JSON form.
func putRow(tx *kv.Tx, table string, key []byte, v any) { _ = tables.PutJSON(tx, table, key, v) }

// foundation writes what every service has.
func (s *service) foundation(tx *kv.Tx) {
	putRow(tx, tables.Service, tables.UnitKey(), tables.ServiceInfo{Cert: s.cert, Status: tables.ServiceOpen})
	putRow(tx, tables.ServiceConfiguration, tables.UnitKey(), tables.ServiceConfig{RecoveryThreshold: 1})
	putRow(tx, tables.Signatures, tables.UnitKey(), tables.SignatureRecord{Root: strings.Repeat("ab", 32)})
	putRow(tx, tables.Constitution, tables.UnitKey(), "")
}

// world makes a service with these members. Who may be named in arguments is a
// member too, if only one who is not active yet.
func (l *linter) world(people []person) (*kv.Store, error) {
	s, store := l.svc, kv.New()
	present := slices.Clone(people)
	for _, named := range append([]kind{{person: s.members(2)[1], marked: true}}, l.kinds...) {
		if named.marked && !slices.ContainsFunc(people, func(p person) bool { return p.id == named.person.id }) {
			info := *named.person.info
			info.Status = tables.MemberAccepted
			named.person.info = &info
			present = append(present, named.person)
		}
	}
	tx := store.Begin()
	defer tx.Release()
	s.foundation(tx)
	put := func(table, key string, v any) { putRow(tx, table, []byte(key), v) }
	for _, p := range present {
		if p.info == nil {
			continue
		}
		put(tables.Members, p.id, *p.info)
		tx.Put(tables.MemberCerts, []byte(p.id), []byte(s.cert))
		if p.key {
			tx.Put(tables.MemberEncryptionKeys, []byte(p.id), []byte(s.encryptionKey))
		}
		put(tables.MemberAcks, p.id, tables.MemberAck{})
	}
	csr := func(status string) any {
		return map[string]any{"status": status, "certificate_signing_request": "csr", "rpc_interfaces": map[string]any{}}
	}
	put(tables.Nodes, s.pending, csr("Pending"))
	put(tables.Nodes, s.trusted, csr("Trusted"))
	put(tables.JWTIssuers, "https://issuer.example", map[string]any{"issuer": "https://issuer.example"})
	put(tables.SNPTCBVersions, "00a00f11", map[string]any{"boot_loader": 1, "tee": 2, "snp": 3, "microcode": 4})
	put(tables.SNPUVMEndorsements, "did:x", map[string]any{"other": map[string]any{"svn": "7"}, "feed": map[string]any{"svn": "1"}})
	put(tables.Endpoints, "GET /old", map[string]any{})
	put(tables.CACertBundles, "n", s.cert)
	tx.Put(tables.Modules, []byte("/old.js"), []byte("export function f() {}"))
	tx.Put(tables.UserCerts, []byte(idOf("user")), []byte(s.cert))
	// Another proposal is open: some actions end it.
	put(tables.ProposalsInfo, idOf("other proposal"), tables.ProposalInfo{State: tables.ProposalOpen, ProposerID: synod.MemberID(idOf("member 0"))})
	return store, store.Commit(tx.WriteSet(), synod.TxID{View: 2, SeqNo: 1})
}
