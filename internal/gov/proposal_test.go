package gov_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/app"
	"synod/constitutions"
	"synod/internal/cose"
	"synod/internal/js"
	"synod/internal/kv"
	"synod/internal/tables"
)

// plain is a constitution whose proposals say what it does:
// {"valid":…,"resolve":"…","apply":"…"}, each part a piece of JavaScript.
// Resolve sees yes, the number of votes for.
const plain = `
export function validate(input) {
  const p = JSON.parse(input);
  return p.valid ? eval(p.valid) : { valid: true };
}
export function resolve(proposal, proposerId, votes, proposalId) {
  const yes = votes.filter((v) => v.vote).length;
  const code = JSON.parse(proposal).resolve;
  return code ? eval(code) : yes > 0 ? "Accepted" : "Open";
}
export function apply(proposal, proposalId) {
  const code = JSON.parse(proposal).apply;
  if (code) eval(code);
}
`

// parts makes a proposal for plain.
func parts(t testing.TB, p map[string]string) string {
	t.Helper()
	if p == nil {
		p = map[string]string{}
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLifecycle(t *testing.T) {
	s := newService(t, plain)
	m := s.addMembers(3)
	majority := parts(t, map[string]string{"resolve": `yes > 1 ? "Accepted" : "Open"`, "apply": `ccf.kv["public:ccf.gov.mark"].set(ccf.strToBuf("a"), ccf.strToBuf(proposalId))`})

	a := s.propose(m[0], majority)
	if a.Status != 200 {
		t.Fatal(a)
	}
	id, _ := a.value(t, "proposalId").(string)
	open := fmt.Sprintf(`{"ballotCount":0,"proposalId":"%s","proposalState":"Open","proposerId":"%s"}`, id, m[0].id)
	if a.Body != open {
		t.Errorf("proposal %s", a.Body)
	}
	if got := s.get("/members/proposals/" + id); got.Body != open || got.Header.Get("content-type") != "application/json" {
		t.Errorf("shown %v", got)
	}
	if got := s.get("/members/proposals"); got.Body != `{"value":[`+open+`]}` {
		t.Errorf("list %s", got.Body)
	}
	if got := s.get("/members/proposals/" + id + "/actions"); got.Body != majority || got.Header.Get("content-type") != "" {
		t.Errorf("actions %v", got)
	}
	if got, _ := s.read(tables.COSEHistory, m[0].id); got == "" {
		t.Error("the signed request is not recorded")
	}

	if a = s.vote(m[1], id, no); a.Status != 200 || a.value(t, "ballotCount") != 1.0 {
		t.Errorf("ballot %v", a)
	}
	if got := s.get("/members/proposals/" + id + "/ballots/" + m[1].id); got.Body != no || got.Header.Get("content-type") != "text/javascript" {
		t.Errorf("ballot %v", got)
	}
	if got := s.get("/members/proposals/" + id + "/ballots/" + m[2].id); got.Status != 404 || got.code() != "VoteNotFound" {
		t.Errorf("no ballot %v", got)
	}
	// The same again is fine and writes nothing; another is not.
	if _, ws := s.dry(s.ballot(m[1], id, no)); ws != nil {
		t.Errorf("wrote %v", ws)
	}
	if a = s.vote(m[1], id, yes); a.Status != 400 || a.code() != "VoteAlreadyExists" ||
		a.message() != fmt.Sprintf("Different ballot already submitted by m[%s] for %s.", m[1].id, id) {
		t.Errorf("second thoughts %v", a)
	}
	s.vote(m[0], id, yes)
	a = s.vote(m[2], id, yes)
	want := fmt.Sprintf(`{"ballotCount":3,"finalVotes":{%s},"proposalId":"%s","proposalState":"Accepted","proposerId":"%s","voteFailures":{}}`,
		votes(map[*member]bool{m[0]: true, m[1]: false, m[2]: true}), id, m[0].id)
	if !sameJSON(t, want, a.Body) {
		t.Errorf("accepted %s\nwant %s", a.Body, want)
	}
	if got, _ := s.read("public:ccf.gov.mark", "a"); got != id {
		t.Errorf("apply wrote %q", got)
	}
	if got := s.get("/members/proposals/" + id); got.Body != a.Body {
		t.Errorf("shown %s", got.Body)
	}
	if a = s.vote(m[2], id, yes); a.Status != 400 || a.code() != "ProposalNotOpen" ||
		a.message() != "Proposal "+id+" is currently in state Accepted - only Open proposals can receive votes" {
		t.Errorf("late ballot %v", a)
	}

	// The next one that ends takes this one away.
	b := s.propose(m[1], parts(t, map[string]string{"resolve": `"Rejected"`}))
	if b.value(t, "proposalState") != "Rejected" || !strings.Contains(b.Body, `"finalVotes":{}`) {
		t.Errorf("rejected %v", b)
	}
	if got := s.get("/members/proposals/" + id); got.Status != 404 || got.code() != "ProposalNotFound" || got.message() != "Could not find proposal "+id+"." {
		t.Errorf("closed proposal %v", got)
	}
	if _, ok := s.read(tables.Proposals, id); ok {
		t.Error("its body is still there")
	}
}

func votes(m map[*member]bool) string {
	var all []string
	for who, v := range m {
		all = append(all, fmt.Sprintf(`"%s":%t`, who.id, v))
	}
	return strings.Join(all, ",")
}

func TestWithdraw(t *testing.T) {
	s := newService(t, plain)
	m := s.addMembers(2)
	waits := parts(t, map[string]string{"resolve": `yes > 1 ? "Accepted" : "Open"`})
	id, _ := s.propose(m[0], waits).value(t, "proposalId").(string)

	if a := s.withdraw(m[1], id); a.Status != 403 || a.code() != "AuthorizationFailed" ||
		a.message() != fmt.Sprintf("Proposal %s can only be withdrawn by proposer m[%s], not caller m[%s].", id, m[0].id, m[1].id) {
		t.Errorf("other member %v", a)
	}
	a := s.withdraw(m[0], id)
	want := fmt.Sprintf(`{"ballotCount":0,"proposalId":"%s","proposalState":"Withdrawn","proposerId":"%s"}`, id, m[0].id)
	if a.Status != 200 || a.Body != want {
		t.Errorf("withdrawn %v", a)
	}
	if a = s.withdraw(m[0], id); a.Status != 200 || a.Body != want {
		t.Errorf("again %v", a)
	}
	if a = s.withdraw(m[0], strings.Repeat("0", 64)); a.Status != 204 || a.Body != "" {
		t.Errorf("unknown %v", a)
	}
	if a = s.vote(m[1], id, yes); a.code() != "ProposalNotOpen" {
		t.Errorf("ballot %v", a)
	}
	id, _ = s.propose(m[0], parts(t, nil)).value(t, "proposalId").(string)
	s.vote(m[0], id, yes)
	if a = s.withdraw(m[0], id); a.Status != 400 || a.code() != "ProposalNotOpen" ||
		a.message() != "Proposal "+id+" is currently in state Accepted and cannot be withdrawn." {
		t.Errorf("accepted %v", a)
	}
}

// TestFailures are constitutions and ballots that do not do what they should.
// Whatever happens, nothing is left of the request, and the answer is logged
// once.
func TestFailures(t *testing.T) {
	const timeout = "Operation took too long to complete."
	cases := map[string]struct {
		constitution string // "" means plain
		proposal     map[string]string
		status       int
		code         string
		message      string // start of it
		slow         bool
	}{
		"validate says no":             {proposal: map[string]string{"valid": `({valid: false, description: "not today"})`}, status: 400, code: "ProposalFailedToValidate", message: "Proposal failed to validate: not today"},
		"validate says nearly yes":     {proposal: map[string]string{"valid": `({valid: 1, description: 3})`}, status: 400, code: "ProposalFailedToValidate", message: "Proposal failed to validate: "},
		"validate returns text":        {proposal: map[string]string{"valid": `"true"`}, status: 500, code: "InternalError", message: "Validation failed to return an object"},
		"validate returns nothing":     {proposal: map[string]string{"valid": `undefined`}, status: 500, code: "InternalError", message: "Validation failed to return an object"},
		"validate returns null":        {proposal: map[string]string{"valid": `null`}, status: 500, code: "InternalError", message: "Validation failed to return an object"},
		"validate returns a list":      {proposal: map[string]string{"valid": `[1]`}, status: 400, code: "ProposalFailedToValidate", message: "Proposal failed to validate: "},
		"validate throws":              {proposal: map[string]string{"valid": `throw new Error("oops")`}, status: 500, code: "InternalError", message: "Failed to execute validation: Error: oops "},
		"validate throws an object":    {proposal: map[string]string{"valid": `throw {a: 1}`}, status: 500, code: "InternalError", message: `Failed to execute validation: {"a":1}`},
		"validate loops":               {proposal: map[string]string{"valid": `for (;;);`}, status: 500, code: "InternalError", message: "Failed to execute validation: " + timeout, slow: true},
		"validate recurses":            {proposal: map[string]string{"valid": `(function f() { return f() + 1; })()`}, status: 500, code: "InternalError", message: "Failed to execute validation: "},
		"validate allocates":           {proposal: map[string]string{"valid": `{ const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1)); }`}, status: 500, code: "InternalError", message: "Failed to execute validation: "},
		"validate writes":              {proposal: map[string]string{"valid": `ccf.kv["public:ccf.gov.a"].set(new ArrayBuffer(1), new ArrayBuffer(1))`}, status: 500, code: "InternalError", message: "Failed to execute validation: TypeError: "},
		"resolve throws":               {proposal: map[string]string{"resolve": `throw new Error("oops")`}, status: 500, code: "InternalError", message: "Failed to resolve(): Error: oops\nTrace: "},
		"resolve returns rubbish":      {proposal: map[string]string{"resolve": `"Maybe"`}, status: 500, code: "InternalError", message: "resolve() returned invalid status value: \"Maybe\"\nTrace: N/A"},
		"resolve returns a state":      {proposal: map[string]string{"resolve": `"Withdrawn"`}, status: 500, code: "InternalError", message: "resolve() returned invalid status value: \"Withdrawn\""},
		"resolve returns nothing":      {proposal: map[string]string{"resolve": `undefined`}, status: 500, code: "InternalError", message: "resolve() returned invalid status value: \"undefined\""},
		"resolve returns a number":     {proposal: map[string]string{"resolve": `3`}, status: 500, code: "InternalError", message: "resolve() returned invalid status value: \"3\""},
		"apply throws":                 {proposal: map[string]string{"resolve": `"Accepted"`, "apply": `ccf.kv["public:ccf.gov.a"].set(new ArrayBuffer(1), new ArrayBuffer(1)); throw new Error("Error message")`}, status: 500, code: "InternalError", message: "Failed to apply(): Error: Error message\nTrace: "},
		"apply loops":                  {proposal: map[string]string{"resolve": `"Accepted"`, "apply": `for (;;) { try { for (;;); } catch (e) {} }`}, status: 500, code: "InternalError", message: "Failed to apply(): " + timeout, slow: true},
		"apply writes what it may not": {proposal: map[string]string{"resolve": `"Accepted"`, "apply": `ccf.kv["public:ccf.internal.a"].set(new ArrayBuffer(1), new ArrayBuffer(1))`}, status: 500, code: "InternalError", message: "Failed to apply(): TypeError: "},
		"no JavaScript":                {constitution: "that is no JavaScript", status: 500, code: "InternalError"},
		"no validate":                  {constitution: "export function resolve() {}", status: 500, code: "InternalError"},
		"no resolve":                   {constitution: "export function validate() { return { valid: true }; }", status: 500, code: "InternalError"},
		"throws at its top":            {constitution: plain + "\nthrow new Error('top');", status: 500, code: "InternalError"},
		"loops at its top":             {constitution: plain + "\nfor (;;);", status: 500, code: "InternalError", slow: true},
		"validate is no function":      {constitution: "export const validate = 3;", status: 500, code: "InternalError"},
	}
	check := func(t *testing.T, s *service, status int, code, message string, proposal map[string]string) {
		t.Helper()
		m := s.addMembers(1)
		before := s.store.Tip()
		a := s.propose(m[0], parts(t, proposal))
		if a.Status != status || a.code() != code || !strings.HasPrefix(a.message(), message) {
			t.Errorf("answer %v", a)
		}
		if s.store.Tip() != before {
			t.Error("something was written")
		}
		line := fmt.Sprintf("INFO POST /gov/members/proposals:create returning error %d: ", status)
		if n := s.log.count(line); n != 1 {
			t.Errorf("%d lines: %q", n, s.log.lines)
		}
		if n := s.log.count("tag=gov"); n < 1 {
			t.Errorf("no tag: %q", s.log.lines)
		}
	}
	other := newEngine(t, js.Config{Backend: js.Wazero})
	for name, tc := range cases {
		if tc.constitution == "" {
			tc.constitution = plain
		}
		t.Run(name, func(t *testing.T) {
			clock := time.Now
			if tc.slow {
				// A clock on which the time limit is soon reached.
				start := time.Now()
				clock = func() time.Time { return start.Add(50 * time.Since(start)) }
			}
			check(t, newServiceAt(t, tc.constitution, clock), tc.status, tc.code, tc.message, tc.proposal)
		})
		if !tc.slow {
			t.Run(name+", on the other back end", func(t *testing.T) {
				check(t, newServiceOn(t, tc.constitution, other, &log{}), tc.status, tc.code, tc.message, tc.proposal)
			})
		}
	}
}

// TestBallotFailures are ballots that do not vote.
func TestBallotFailures(t *testing.T) {
	s := newService(t, plain)
	m := s.addMembers(3)
	body := parts(t, map[string]string{"resolve": `yes > 0 ? "Accepted" : "Open"`})
	id, _ := s.propose(m[0], body).value(t, "proposalId").(string)

	a := s.vote(m[0], id, `export function vote() { throw new Error("no idea"); }`)
	if a.Status != 200 || a.value(t, "proposalState") != "Open" || strings.Contains(a.Body, "voteFailures") {
		t.Errorf("throws %v", a)
	}
	a = s.vote(m[1], id, `export function vote() { return 1; }`)
	if a.Status != 200 || a.value(t, "proposalState") != "Open" {
		t.Errorf("nearly true %v", a)
	}
	a = s.vote(m[2], id, yes)
	if a.value(t, "proposalState") != "Accepted" {
		t.Fatal(a)
	}
	failures, _ := a.value(t, "voteFailures").(map[string]any)
	failure, _ := failures[m[0].id].(map[string]any)
	if len(failures) != 1 || failure["reason"] != "Error: no idea" || !strings.Contains(fmt.Sprint(failure["trace"]), "at vote") {
		t.Errorf("failures %v", failures)
	}
	final, _ := a.value(t, "finalVotes").(map[string]any)
	if diff := cmp.Diff(map[string]any{m[1].id: false, m[2].id: true}, final); diff != "" {
		t.Error(diff)
	}

	id, _ = s.propose(m[0], body).value(t, "proposalId").(string)
	before := s.store.Tip()
	for name, ballot := range map[string]string{"no JavaScript": "that is no JavaScript", "no vote": "export const x = 1"} {
		if a := s.vote(m[0], id, ballot); a.Status != 400 || a.code() != "InvalidInput" || !strings.HasPrefix(a.message(), "Ballot cannot be evaluated: Failed to ") {
			t.Errorf("%s: %v", name, a)
		}
	}
	for name, payload := range map[string]string{
		"no ballot": `{}`, "no text": `{"ballot":3}`, "null": `{"ballot":null}`, "a list": `[]`, "no JSON": `x`, "nothing": ``,
	} {
		a := s.post(m[0], "/members/proposals/"+id+"/ballots/"+m[0].id+":submit", cose.GovHeader{MsgType: "ballot", ProposalID: id}, payload)
		if a.Status != 400 || a.code() != "InvalidInput" {
			t.Errorf("%s: %v", name, a)
		}
	}
	if s.store.Tip() != before {
		t.Error("something was written")
	}
}

// TestWhoMayVote are requests of the wrong person or for the wrong thing.
func TestWhoMayVote(t *testing.T) {
	s := newService(t, plain)
	m := s.addMembers(2)
	stranger := newMember(t)
	id, _ := s.propose(m[0], parts(t, nil)).value(t, "proposalId").(string)
	other := strings.Repeat("1", 64)
	payload := `{"ballot":"export function vote() { return true; }"}`
	path := "/members/proposals/" + id + "/ballots/" + m[0].id + ":submit"
	ballot := func(id string) cose.GovHeader { return cose.GovHeader{MsgType: "ballot", ProposalID: id} }

	for name, tc := range map[string]struct {
		a       *answer
		status  int
		code    string
		message string
	}{
		"not a member":      {s.post(stranger, path, ballot(id), payload), 401, "InvalidAuthenticationInfo", "Invalid authentication credentials."},
		"another member":    {s.post(m[1], path, ballot(id), payload), 400, "InvalidResourceName", "Authenticated member id does not match URL"},
		"another proposal":  {s.post(m[0], path, ballot(other), payload), 400, "InvalidResourceName", "Authenticated proposal id does not match URL"},
		"no proposal":       {s.post(m[0], path, ballot(""), payload), 400, "InvalidResourceName", "Authenticated proposal id does not match URL"},
		"another type":      {s.post(m[0], path, cose.GovHeader{MsgType: "withdrawal", ProposalID: id}, payload), 401, "InvalidAuthenticationInfo", "Invalid authentication credentials."},
		"unknown proposal":  {s.post(m[0], strings.Replace(path, id, other, 1), ballot(other), payload), 404, "ProposalNotFound", "Could not find proposal " + other + "."},
		"malformed id":      {s.post(m[0], strings.Replace(path, id, "nope", 1), ballot("nope"), payload), 400, "InvalidResourceName", "'nope' is not a valid hex-encoded proposal ID"},
		"malformed message": {s.send(signedRequest(path, []byte("junk"))), 500, "InternalError", ""},
		"no version":        {s.post(m[0], path+"?x=1", ballot(id), payload), 400, "MissingApiVersionParameter", ""},
	} {
		if tc.a.Status != tc.status || tc.a.code() != tc.code || tc.message != "" && tc.a.message() != tc.message {
			t.Errorf("%s: %v", name, tc.a)
		}
	}
}

func (s *service) ballot(m *member, proposal, ballot string) *app.Request {
	payload, _ := json.Marshal(map[string]string{"ballot": ballot})
	return s.request(m, "/members/proposals/"+proposal+"/ballots/"+m.id+":submit",
		cose.GovHeader{MsgType: cose.MsgBallot, ProposalID: proposal}, string(payload))
}

// TestReplayWindow follows CCF's own test of the window
// (CCF: tests/governance_js.py, test_proposal_replay_protection).
func TestReplayWindow(t *testing.T) {
	s := newService(t, plain)
	m := s.addMembers(1)[0]
	const base, window = 1_750_000_000, 100
	create := func(at uint64) *app.Request {
		return s.request(m, "/members/proposals:create", cose.GovHeader{MsgType: "proposal", CreatedAt: at}, parts(t, nil))
	}
	if a := s.send(create(10_000_000_000)); a.Status != 400 || a.code() != "InvalidCreatedAt" {
		t.Errorf("too late %v", a)
	}
	var last *app.Request
	var lastID string
	for i := range uint64(window) {
		last = create(base + i)
		a := s.send(last)
		if a.Status != 200 {
			t.Fatal(a)
		}
		lastID, _ = a.value(t, "proposalId").(string)
	}
	if a := s.send(last); a.Status != 400 || a.code() != "ProposalReplay" ||
		a.message() != "Proposal submission replay, already exists as proposal "+lastID {
		t.Errorf("replay %v", a)
	}
	tooOld := func(at, least uint64) {
		t.Helper()
		a := s.send(create(at))
		if a.Status != 400 || a.code() != "ProposalCreatedTooLongAgo" ||
			a.message() != fmt.Sprintf("Proposal created too long ago, created_at must be greater than %d", least) {
			t.Errorf("%d: %v", at, a)
		}
	}
	fine := func(at uint64) {
		t.Helper()
		if a := s.send(create(at)); a.Status != 200 {
			t.Errorf("%d: %v", at, a)
		}
	}
	tooOld(base-1, base+window/2)
	tooOld(base+window/2-1, base+window/2)
	fine(base + window/2)
	one := uint64(1)
	s.write(func(tx *kv.Tx) {
		put(t, tx, tables.ServiceConfiguration, "", tables.ServiceConfig{RecentCOSEProposalsWindowSize: &one})
	})
	fine(base + window)
	if n := s.len(tables.COSERecentProposals); n != 1 {
		t.Errorf("%d in the window", n)
	}
	tooOld(base+window-2, base+window)
}

func (s *service) len(table string) int {
	tx := s.store.Begin()
	defer tx.Release()
	return tx.Len(table)
}

// TestNoRoot is a node that cannot say what the state is.
func TestNoRoot(t *testing.T) {
	s := newService(t, plain)
	m := s.addMembers(1)[0]
	s.node.root = func(synod.SeqNo) ([32]byte, error) { return [32]byte{}, fmt.Errorf("flushed") }
	if a := s.propose(m, "{}"); a.Status != 500 || a.message() != "Proposal failed to bind to state." {
		t.Error(a)
	}
	s.write(func(tx *kv.Tx) { tx.Delete(tables.Constitution, tables.UnitKey()) })
	s.node.root = func(synod.SeqNo) ([32]byte, error) { return [32]byte{}, nil }
	if a := s.propose(m, "{}"); a.Status != 500 || a.message() != "No constitution is set - proposals cannot be evaluated" {
		t.Error(a)
	}
}

// BenchmarkPropose is a signed proposal under the default constitution:
// authentication, validate, resolve and the writes.
func BenchmarkPropose(b *testing.B) {
	s := newService(b, constitutions.Default())
	m := s.addMembers(3)
	body := action(b, "trigger_snapshot", nil)
	s.keep = false
	for b.Loop() {
		b.StopTimer()
		req := s.request(m[0], "/members/proposals:create", cose.GovHeader{MsgType: cose.MsgProposal}, body)
		b.StartTimer()
		if a := s.send(req); a.Status != 200 {
			b.Fatal(a)
		}
	}
}

// TestLoopingBallots has most members vote with ballots that never end: what
// counting them costs is bounded however many there are, and the ballots of
// the others still count.
func TestLoopingBallots(t *testing.T) {
	t.Parallel()
	start := time.Now()
	clock := func() time.Time { return start.Add(50 * time.Since(start)) }
	s := newServiceAt(t, plain, clock)
	m := s.addMembers(7)
	body := parts(t, map[string]string{"resolve": `yes > 1 ? "Accepted" : "Open"`})
	id, _ := s.propose(m[0], body).value(t, "proposalId").(string)
	slices.SortFunc(m, func(a, b *member) int { return strings.Compare(a.id, b.id) })

	loops := "export function vote() { for (;;) { try { for (;;); } catch (e) {} } }"
	const most = 3 * 5 * time.Second
	for i, who := range m[:5] {
		before := clock()
		if a := s.vote(who, id, loops); a.Status != 200 || a.value(t, "proposalState") != "Open" {
			t.Fatal(a)
		}
		// On a busy machine a second of the clock is soon over.
		if took := clock().Sub(before); took > 2*most {
			t.Errorf("%d ballots took %v", i+1, took)
		}
	}
	s.vote(m[5], id, yes)
	a := s.vote(m[6], id, yes)
	if a.value(t, "proposalState") != "Accepted" {
		t.Fatal(a)
	}
	failures, _ := a.value(t, "voteFailures").(map[string]any)
	for _, who := range m[:5] {
		f, _ := failures[who.id].(map[string]any)
		if f["reason"] != "Operation took too long to complete." {
			t.Errorf("failure %v", f)
		}
	}
	if len(failures) != 5 {
		t.Errorf("failures %v", failures)
	}
}
