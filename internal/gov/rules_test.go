package gov_test

import (
	"strings"
	"testing"

	"synod/constitutions"
	"synod/internal/cose"
	"synod/internal/kv"
	"synod/internal/tables"
)

// people are the members of a service under one of our constitutions: voters
// with an encryption key, and some with marks in their data and none.
type people struct {
	*service
	voters                []*member
	operator, provisioner *member
}

func newPeople(t *testing.T, constitution string, voters int) *people {
	t.Helper()
	p := &people{service: newService(t, constitution)}
	p.voters = p.addMembers(voters)
	p.operator = p.marked(args{"is_operator": true})
	p.provisioner = p.marked(args{"is_operator_provisioner": true})
	return p
}

// marked adds an active member with data and without an encryption key.
func (p *people) marked(data args) *member {
	p.t.Helper()
	m := newMember(p.t)
	p.write(func(tx *kv.Tx) {
		tx.Put(tables.MemberCerts, []byte(m.id), []byte(m.CertPEM))
		put(p.t, tx, tables.Members, m.id, args{"status": "Active", "member_data": data})
	})
	return m
}

// state proposes body and returns the state that it has at once; an answer
// other than 200 is its code.
func (p *people) state(m *member, body string) string {
	p.t.Helper()
	return outcome(p.t, p.propose(m, body))
}

func outcome(t testing.TB, a *answer) string {
	t.Helper()
	if a.Status != 200 {
		return a.code() + ": " + a.message()
	}
	state, _ := a.value(t, "proposalState").(string)
	return state
}

// several is a proposal of several actions, each {name, args}.
func several(t *testing.T, actions ...args) string {
	t.Helper()
	b, err := tables.Marshal(args{"actions": actions})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const someKey = "-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"

// TestOperators says who may do what alone under the two constitutions that
// know operators.
func TestOperators(t *testing.T) {
	data := args{"is_operator": true}
	set := func(cert string, more args) args {
		a := args{"cert": cert, "member_data": data}
		for k, v := range more {
			a[k] = v
		}
		return args{"name": "set_member", "args": a}
	}
	remove := func(id string) args { return args{"name": "remove_member", "args": args{"member_id": id}} }
	fresh := newMember(t)
	snapshot := args{"name": "trigger_snapshot"}

	for _, tc := range []struct {
		name                  string
		actions               func(p *people) []args
		operator, provisioner string // who passes alone: under operator by an operator, under operator_provisioner by a provisioner
	}{
		{"add an operator", func(*people) []args { return []args{set(fresh.CertPEM, nil)} }, "Accepted", "Accepted"},
		{"with null for a key", func(*people) []args { return []args{set(fresh.CertPEM, args{"encryption_pub_key": nil})} }, "Accepted", "Accepted"},
		{"add an operator with a recovery key", func(*people) []args { return []args{set(fresh.CertPEM, args{"encryption_pub_key": someKey})} }, "Open", "Rejected"},
		{"and with a role", func(*people) []args {
			return []args{set(fresh.CertPEM, args{"encryption_pub_key": someKey, "recovery_role": "NonParticipant"})}
		}, "Open", "Rejected"},
		{"add a voter", func(*people) []args { return []args{set(fresh.CertPEM, args{"member_data": nil})} }, "Open", "Rejected"},
		{"add one whose mark is false", func(*people) []args {
			return []args{set(fresh.CertPEM, args{"member_data": args{"is_operator": false}})}
		}, "Open", "Rejected"},
		{"add a provisioner", func(*people) []args {
			return []args{set(fresh.CertPEM, args{"member_data": args{"is_operator_provisioner": true}})}
		}, "Open", "Rejected"},
		{"make a voter an operator", func(p *people) []args { return []args{set(p.voters[0].CertPEM, nil)} }, "Open", "Rejected"},
		{"set an operator again", func(p *people) []args { return []args{set(p.operator.CertPEM, nil)} }, "Accepted", "Accepted"},
		{"remove an operator", func(p *people) []args { return []args{remove(p.operator.id)} }, "Accepted", "Accepted"},
		{"remove a voter", func(p *people) []args { return []args{remove(p.voters[0].id)} }, "Open", "Rejected"},
		{"remove nobody", func(*people) []args { return []args{remove(strings.Repeat("0", 64))} }, "Open", "Rejected"},
		{"change data", func(p *people) []args {
			return []args{{"name": "set_member_data", "args": args{"member_id": p.operator.id, "member_data": args{"is_operator": false}}}}
		}, "Open", "Rejected"},
		{"something else", func(*people) []args { return []args{snapshot} }, "Open", "Rejected"},
		{"something else as well", func(*people) []args { return []args{set(fresh.CertPEM, nil), snapshot} }, "Open", "Rejected"},
		{"an operator after a voter", func(p *people) []args { return []args{remove(p.voters[0].id), set(fresh.CertPEM, nil)} }, "Open", "Rejected"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeople(t, constitutions.Operator(), 3)
			body := several(t, tc.actions(p)...)
			// Voters first: what an operator passes may change things.
			if got := p.state(p.voters[0], body); got != "Open" {
				t.Errorf("operator, by a voter: %s", got)
			}
			if got := p.state(p.operator, body); got != tc.operator {
				t.Errorf("operator, by an operator: %s", got)
			}
			p = newPeople(t, constitutions.OperatorProvisioner(), 3)
			body = several(t, tc.actions(p)...)
			for _, who := range []*member{p.voters[0], p.operator} {
				if got := p.state(who, body); got != "Open" {
					t.Errorf("provisioner, by another: %s", got)
				}
			}
			if got := p.state(p.provisioner, body); got != tc.provisioner {
				t.Errorf("provisioner, by a provisioner: %s", got)
			}
		})
	}
	t.Run("both marks", func(t *testing.T) {
		p := newPeople(t, constitutions.OperatorProvisioner(), 1)
		both := p.marked(args{"is_operator": true, "is_operator_provisioner": true})
		if got := p.state(p.provisioner, several(t, remove(both.id))); got != "Rejected" {
			t.Errorf("removed: %s", got)
		}
		if got := p.state(p.provisioner, several(t, set(fresh.CertPEM, args{"member_data": args{"is_operator": true, "is_operator_provisioner": true}}))); got != "Rejected" {
			t.Errorf("added: %s", got)
		}
		if got := p.state(both, several(t, set(fresh.CertPEM, nil))); got != "Accepted" {
			t.Errorf("not a provisioner: %s", got)
		}
	})
	t.Run("actions of operators", func(t *testing.T) {
		// A service adds them with actions.set: here one that only exists.
		p := newPeople(t, constitutions.Operator()+"\nactions.set('trust_node', { check() {}, run() {} });", 3)
		if got := p.state(p.operator, several(t, args{"name": "trust_node"})); got != "Accepted" {
			t.Errorf("trust_node: %s", got)
		}
		if got := p.state(p.operator, several(t, args{"name": "trust_node"}, snapshot)); got != "Open" {
			t.Errorf("and more: %s", got)
		}
	})
	t.Run("a mark with a key", func(t *testing.T) {
		p := newPeople(t, constitutions.Operator(), 1)
		p.write(func(tx *kv.Tx) { tx.Put(tables.MemberEncryptionKeys, []byte(p.operator.id), []byte(someKey)) })
		if got := p.state(p.operator, several(t, set(fresh.CertPEM, nil))); got != "Open" {
			t.Errorf("a voter with a mark: %s", got)
		}
	})
}

// TestCounting has voters, operators and others vote: who of them counts.
func TestCounting(t *testing.T) {
	body := func(t *testing.T) string { return action(t, "trigger_snapshot", nil) }
	type step struct {
		who    string // "v0", "v1", …: a voter, "o": the operator, "p": the provisioner
		ballot string
		state  string
	}
	throws := "export function vote() { throw new Error('no idea'); }"
	for _, tc := range []struct {
		name, constitution string
		voters             int
		steps              []step
	}{
		{"operators do not count", constitutions.Operator(), 2, []step{{"o", yes, "Open"}, {"v0", yes, "Open"}, {"p", yes, "Accepted"}}},
		{"operators cannot stop", constitutions.Operator(), 1, []step{{"o", no, "Open"}, {"v0", yes, "Open"}, {"p", yes, "Accepted"}}},
		{"neither of both counts", constitutions.OperatorProvisioner(), 3, []step{{"o", yes, "Open"}, {"p", yes, "Open"}, {"v0", yes, "Open"}, {"v1", yes, "Accepted"}}},
		{"one voter decides", constitutions.OperatorProvisioner(), 1, []step{{"v0", yes, "Accepted"}}},
		{"against does not end it", constitutions.OperatorProvisioner(), 3, []step{{"v0", no, "Open"}, {"v1", yes, "Open"}, {"v2", yes, "Accepted"}}},
		{"half is not enough", constitutions.Default(), 2, []step{{"v0", yes, "Open"}, {"v1", yes, "Open"}, {"o", yes, "Accepted"}}},
		{"a veto", constitutions.Veto(), 3, []step{{"v0", yes, "Open"}, {"v1", yes, "Open"}, {"o", no, "Rejected"}}},
		{"a veto at once", constitutions.Veto(), 3, []step{{"v2", no, "Rejected"}}},
		{"no veto", constitutions.Veto(), 3, []step{{"v0", yes, "Open"}, {"v1", yes, "Open"}, {"v2", yes, "Accepted"}}},
		{"a veto that fails is none", constitutions.Veto(), 1, []step{{"v0", throws, "Open"}, {"o", yes, "Open"}, {"p", yes, "Accepted"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPeople(t, tc.constitution, tc.voters)
			a := p.propose(p.voters[0], body(t))
			id, _ := a.value(t, "proposalId").(string)
			for i, st := range tc.steps {
				who := map[string]*member{"o": p.operator, "p": p.provisioner}[st.who]
				if who == nil {
					who = p.voters[st.who[1]-'0']
				}
				if got := outcome(t, p.vote(who, id, st.ballot)); got != st.state {
					t.Fatalf("step %d, %s: %s, want %s", i, st.who, got, st.state)
				}
			}
		})
	}
	t.Run("those who left do not count", func(t *testing.T) {
		for _, c := range []string{constitutions.Operator(), constitutions.OperatorProvisioner(), constitutions.Default()} {
			p := newPeople(t, c, 4)
			p.write(func(tx *kv.Tx) { tx.Delete(tables.Members, []byte(p.operator.id)) })
			p.write(func(tx *kv.Tx) { tx.Delete(tables.Members, []byte(p.provisioner.id)) })
			id, _ := p.propose(p.voters[0], body(t)).value(t, "proposalId").(string)
			p.vote(p.voters[0], id, yes)
			p.write(func(tx *kv.Tx) { tx.Delete(tables.Members, []byte(p.voters[0].id)) })
			if got := outcome(t, p.vote(p.voters[1], id, yes)); got != "Open" {
				t.Errorf("one of three is left: %s", got)
			}
		}
	})
	t.Run("nobody has a vote", func(t *testing.T) {
		p := newPeople(t, constitutions.OperatorProvisioner(), 0)
		if got := p.state(p.operator, body(t)); got != "Open" {
			t.Error(got)
		}
	})
}

// TestRoles replaces a role's table, which an application then reads.
func TestRoles(t *testing.T) {
	s := newService(t, constitutions.Roles())
	m := s.addMembers(1)
	const table = "public:programmability.roles.admin"
	for _, actions := range [][]string{{"/a", "/b", "/a"}, {"/c"}, {}} {
		a := s.accept(m, action(t, "set_role_definition", args{"role": "admin", "actions": actions}))
		if got := outcome(t, a); got != "Accepted" {
			t.Fatal(got)
		}
		for _, x := range []string{"/a", "/b", "/c"} {
			want := strings.Contains(strings.Join(actions, " "), x)
			value, ok := s.read(table, quote(x))
			if ok != want || ok && value != strings.Repeat("\x00", 8) {
				t.Errorf("%v: %s: %v %q", actions, x, ok, value)
			}
		}
	}
	for _, bad := range []any{nil, args{}, args{"role": 1, "actions": []string{}}, args{"role": "a"}, args{"role": "a", "actions": "x"}, args{"role": "a", "actions": []any{1}}} {
		if a := s.propose(m[0], action(t, "set_role_definition", bad)); a.code() != "ProposalFailedToValidate" {
			t.Errorf("%v: %v", bad, a)
		}
	}
}

// TestMarksAreNoShield has marked members withdraw and vote as every other.
func TestMarksAreNoShield(t *testing.T) {
	p := newPeople(t, constitutions.OperatorProvisioner(), 3)
	id, _ := p.propose(p.operator, action(t, "trigger_snapshot", nil)).value(t, "proposalId").(string)
	if a := p.withdraw(p.provisioner, id); a.code() != "AuthorizationFailed" {
		t.Errorf("by another: %v", a)
	}
	if got := outcome(t, p.withdraw(p.operator, id)); got != "Withdrawn" {
		t.Error(got)
	}
	if a := p.post(p.voters[0], "/members/proposals:create", cose.GovHeader{MsgType: cose.MsgProposal}, `{"actions":7}`); a.Status != 400 {
		t.Error(a)
	}
}
