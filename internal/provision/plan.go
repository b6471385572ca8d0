package provision

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"synod/internal/arm"
)

// StepKind is what a step does.
type StepKind string

// The kinds of steps.
const (
	StepStart       StepKind = "StartNode"          // start a node: NodeKind, Zone, Release
	StepDiscard     StepKind = "DiscardNode"        // stop a node that is not in the network, and remove what it has
	StepActivate    StepKind = "ActivateOperator"   // the operator acknowledges the network's state
	StepTrust       StepKind = "TrustNode"          // a Pending node becomes Trusted
	StepRetire      StepKind = "RetireNode"         // remove_node
	StepForget      StepKind = "ForgetNode"         // remove the row of a retired node that nobody counts on, and the node
	StepOpen        StepKind = "OpenService"        // for the first time
	StepReopen      StepKind = "ReopenService"      // one that was recovered, and whose only recovery share is the operator's
	StepShare       StepKind = "SubmitShare"        // the operator's recovery share
	StepRenew       StepKind = "RenewCertificates"  // of the service and all nodes
	StepApprove     StepKind = "ProposeRelease"     // ask members to let a release join
	StepMark        StepKind = "MarkNode"           // note that a node is to be replaced
	StepDisallow    StepKind = "DisallowOldRelease" // take what was replaced out of the join policy
	StepEndpoint    StepKind = "OpenEndpoint"
	StepPause       StepKind = "StopNodes"     // all of them, in order, keeping what they have
	StepTakeDown    StepKind = "RemoveNetwork" // everything of it
	StepFetch       StepKind = "FetchBackup"   // and verify it
	StepAdopt       StepKind = "AdoptBackup"   // from now on the network is what the backup says
	StepWait        StepKind = "Wait"          // for what Reason says
	StepWaitMembers StepKind = "WaitForMembers"
	StepFail        StepKind = "Fail" // it will come to nothing: Message says why
)

// Step is one thing to do next.
type Step struct {
	Kind     StepKind
	Ordinal  int    // of the node that it concerns; -1 if there is none
	NodeID   string // the same, in the network
	NodeKind Kind   // of StepStart
	Zone     string
	Release  string
	// Reason is a word and Message a sentence, for people.
	Reason, Message string
	// Background says of a wait that a network is as it should be all the same.
	Background bool
}

// Service is what a network says of itself.
type Service struct {
	Known       bool   // a node has answered
	Status      string // Opening, Open, Recovering, WaitingForRecoveryShares
	Certificate string // PEM
	NotAfter    time.Time
	Primary     string   // node ID, "" while there is none
	Voters      []string // node IDs
	// HostData is what may join, as far as it was asked for.
	HostData []string
	// Holders are the members with a recovery key, ActiveHolders those who are
	// active; the service opens once they are Threshold.
	Holders, ActiveHolders, Threshold int
	// OperatorHolds says that the operator has a share, ShareSent that it has sent it
	// for the recovery that is under way.
	OperatorHolds, ShareSent bool
	// Resumes says that the service goes on from what was sealed, and opens by itself.
	Resumes bool
}

// NodeView is a node as its driver and the network see it.
type NodeView struct {
	Node
	Status    string // in the network: Pending, Trusted, Retired, or "" if it is not there
	Removable bool   // Retired, and nobody counts on it
	// Silent says that the primary has not heard of it for too long, or that it does
	// not answer.
	Silent bool
	// CertificateNotAfter is until when its certificate is valid; zero if unknown.
	CertificateNotAfter time.Time
	View, Seqno         uint64
}

// Observed is what there is.
type Observed struct {
	Now time.Time
	// Fresh says that the network was never reported as made: nothing in it is of
	// value yet.
	Fresh bool
	Nodes []NodeView // those of the driver, by ordinal
	// Lost are nodes of ours that the network knows and the driver does not.
	Lost    []NodeView
	Service Service
	// Operator is the operator's status as a member: "", Accepted, Active.
	Operator string
	// EndpointServes says that the network's endpoint, which is open, answers with
	// its certificate.
	EndpointOpen, EndpointServes bool
	EndpointError                string // why it could not be opened, for people
	// OpenRefused says that the constitution leaves opening the service to members.
	OpenRefused bool
	// Target is the release that nodes should run, TargetHostData what identifies it;
	// TargetKnown says whether the server has it, Approving whether a proposal for it
	// is open.
	Target, TargetHostData string
	TargetKnown, Approving bool
	// Recovering says that somebody asked for a recovery of a network that has lost its
	// majority.
	Recovering bool
	// Restoring says that a backup is to take the place of what there is, Staged that
	// it is here, verified.
	Restoring, Staged bool
	// Restored says that this has happened, and that what is left is for members: who
	// asked for it need not wait for them.
	Restored bool
	// Upgrading says that an upgrade is under way: its end is that only its release
	// may join.
	Upgrading bool
}

const (
	// firstTries is how often the first node of a new network is tried.
	firstTries = 3
	// joinGrace is how long a node may take from its start to being in the network.
	joinGrace = 45 * time.Second
	// firstGrace is how long the first node may take to answer.
	firstGrace = 60 * time.Second
)

// Plan says what to do next to bring a network to what is wanted: steps that can be
// taken now, in this order, or what is waited for; nothing if all is well. It depends
// on its arguments alone.
func Plan(d arm.Desired, o Observed) []Step {
	p := &planner{d: d, o: o}
	switch {
	case d.Deleted:
		p.takeDown()
	case d.RunningState == arm.RunningPaused:
		p.pause()
	case o.Restoring:
		p.restore()
	case !o.Service.Known:
		p.begin()
	default:
		p.run()
	}
	return p.steps
}

type planner struct {
	d     arm.Desired
	o     Observed
	steps []Step
}

func (p *planner) add(s Step) { p.steps = append(p.steps, s) }

// wait adds a wait, which ends the plan.
func (p *planner) wait(reason, format string, args ...any) {
	p.add(Step{Kind: StepWait, Ordinal: -1, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func of(kind StepKind, n NodeView, reason, message string) Step {
	return Step{Kind: kind, Ordinal: n.Ordinal, NodeID: n.NodeID, Zone: n.Zone, Release: n.Release, Reason: reason, Message: message}
}

func (p *planner) takeDown() {
	for _, n := range p.o.Nodes {
		p.add(of(StepDiscard, n, "Deleted", "the network is deleted"))
	}
	p.add(Step{Kind: StepTakeDown, Ordinal: -1, Reason: "Deleted"})
}

func (p *planner) pause() {
	if slices.ContainsFunc(p.o.Nodes, func(n NodeView) bool { return n.Alive }) {
		p.add(Step{Kind: StepPause, Ordinal: -1, Reason: "Paused", Message: "the network is paused"})
	}
}

// begin makes a network of which no node answers: a new one, or the one that there
// was from what its nodes have left.
func (p *planner) begin() {
	for _, n := range p.o.Nodes {
		if !n.Alive {
			continue
		}
		if p.o.Recovering && p.o.Now.Sub(n.StartedAt) >= firstGrace {
			p.stopForRecovery()
			return
		}
		// What is of value is in no node but these: they stay.
		if !p.o.Fresh || p.o.Now.Sub(n.StartedAt) < firstGrace {
			p.wait("FirstNode", "node %d does not answer yet", n.Ordinal)
			return
		}
		p.add(of(StepDiscard, n, "NoAnswer", fmt.Sprintf("it has not answered for %v", firstGrace)))
		return
	}
	kind, message := KindStart, ""
	switch {
	case p.d.RestoreFrom != nil || !p.o.Fresh:
		kind = KindRecover
		var given bool
		if message, given = p.failedRecoveries(); given {
			return
		}
	default:
		if p.failedFirst() {
			return
		}
	}
	if !p.o.TargetKnown {
		p.add(Step{Kind: StepFail, Ordinal: -1, Reason: CodeReleaseUnknown, Message: fmt.Sprintf("this server has no release %q", p.o.Target)})
		return
	}
	p.add(Step{Kind: StepStart, Ordinal: -1, NodeKind: kind, Zone: p.zone(), Release: p.o.Target, Reason: "FirstNode", Message: message})
}

// failedRecoveries discards what tries to recover have left but the first of them,
// which may have been more than a try, and the last, whose last words it returns: each
// is a copy of the ledger. It gives a network up that never was more than tries.
func (p *planner) failedRecoveries() (message string, given bool) {
	first := len(p.o.Nodes)
	for first > 0 && p.o.Nodes[first-1].Kind == KindRecover {
		first--
	}
	tries := p.o.Nodes[first:]
	if len(tries) == 0 || len(tries) < 2 && !p.o.Fresh {
		return "", false
	}
	last := tries[len(tries)-1]
	if p.o.Fresh && len(tries) >= firstTries {
		p.add(Step{Kind: StepFail, Ordinal: -1, Reason: CodeFirstNodeFailed, Message: fmt.Sprintf("the first node ended %d times, at last with: %s", len(tries), last.Why)})
		return "", true
	}
	if !p.o.Fresh {
		for _, n := range tries[1 : len(tries)-1] {
			p.add(of(StepDiscard, n, "Ended", n.Why))
		}
	}
	return "the last try ended with: " + last.Why, false
}

// stopForRecovery stops what is left of a network that cannot go on: a service
// recovers in one place.
func (p *planner) stopForRecovery() {
	p.add(Step{Kind: StepPause, Ordinal: -1, Reason: "Recovery", Message: "what is left of the network is stopped: it recovers from the longest ledger"})
}

// failedFirst discards what a new network's first tries have left, and gives up
// after several.
func (p *planner) failedFirst() bool {
	why, tries := "", 0
	for _, n := range p.o.Nodes {
		tries, why = n.Ordinal+1, n.Why
	}
	if tries >= firstTries {
		p.add(Step{Kind: StepFail, Ordinal: -1, Reason: CodeFirstNodeFailed, Message: fmt.Sprintf("the first node ended %d times, at last with: %s", tries, why)})
		return true
	}
	for _, n := range p.o.Nodes {
		p.add(of(StepDiscard, n, "Ended", n.Why))
	}
	return false
}

// run looks after a network whose nodes answer.
func (p *planner) run() {
	p.cleanUp()
	s := p.o.Service
	switch {
	case p.alive(s.Voters)*2 <= len(s.Voters) && p.o.Recovering:
		p.stopForRecovery()
		return
	case p.alive(s.Voters)*2 <= len(s.Voters):
		p.wait("QuorumLost", "%d of %d voting nodes are left: nothing can be committed", p.alive(s.Voters), len(s.Voters))
		return
	case s.Primary == "":
		p.wait("NoPrimary", "the nodes have no primary")
		return
	case p.o.Operator != "Active":
		p.add(Step{Kind: StepActivate, Ordinal: -1, NodeID: s.Primary, Reason: "Operator"})
		return
	}
	if s.Status == "Open" {
		p.renew()
	}
	if p.membership() {
		return
	}
	if s.Status == "Open" && p.upgraded() {
		return
	}
	switch {
	case !p.o.EndpointOpen:
		p.add(Step{Kind: StepEndpoint, Ordinal: -1, Reason: "Endpoint"})
		return
	case !p.o.EndpointServes:
		p.wait("Endpoint", "the endpoint does not answer with the service's certificate yet")
		return
	}
	p.open()
}

// cleanUp discards what is of no use any more. While a service recovers, whatever
// nodes have left is kept.
func (p *planner) cleanUp() {
	recovering := p.o.Service.Status != "Open" && p.o.Service.Status != "Opening"
	for _, n := range p.o.Nodes {
		switch {
		case n.Removable && !recovering:
			p.add(of(StepForget, n, "Retired", "nobody counts on it"))
		case n.Status != "" || recovering:
		case p.o.Service.Primary == "":
			// Who answers may know less than there is: newcomers that it has not heard of vote.
		case !n.Alive:
			p.add(of(StepDiscard, n, "Ended", n.Why))
		case p.o.Now.Sub(n.StartedAt) > joinGrace:
			p.add(of(StepDiscard, n, "NotJoined", fmt.Sprintf("it has not joined within %v", joinGrace)))
		}
	}
	for _, n := range p.o.Lost {
		if n.Removable && !recovering {
			p.add(of(StepForget, n, "Retired", "nobody counts on it"))
		}
	}
}

// alive counts those of the voters whose process runs.
func (p *planner) alive(voters []string) int {
	count := 0
	for _, id := range voters {
		// A node that is not ours is believed to live: nothing is known against it.
		dead := func(n NodeView) bool { return n.NodeID == id && (!n.Alive || n.Silent) }
		if !slices.ContainsFunc(p.o.Nodes, dead) && !slices.ContainsFunc(p.o.Lost, func(n NodeView) bool { return n.NodeID == id }) {
			count++
		}
	}
	return count
}

// census is where every node is on its way through the network.
type census struct {
	well    []NodeView // Trusted and voting, and nothing is wrong
	bad     []NodeView // in the network, to be replaced
	coming  []NodeView // started, not voting yet
	pending []NodeView // of these, Pending
	going   bool       // one is Retired and still counted on
}

func (p *planner) count() census {
	var c census
	for _, n := range slices.Concat(p.o.Nodes, p.o.Lost) {
		lost := !slices.ContainsFunc(p.o.Nodes, func(m NodeView) bool { return m.NodeID == n.NodeID && m.Ordinal == n.Ordinal })
		votes := slices.Contains(p.o.Service.Voters, n.NodeID)
		switch {
		case n.Status == "Retired":
			c.going = c.going || !n.Removable
		case n.Status == "" && n.Alive && p.o.Now.Sub(n.StartedAt) <= joinGrace:
			c.coming = append(c.coming, n)
		case n.Status == "":
		case lost || !n.Alive || n.Replace || votes && n.Silent:
			c.bad = append(c.bad, n)
		case n.Status == "Pending":
			c.pending, c.coming = append(c.pending, n), append(c.coming, n)
		case !votes:
			c.coming = append(c.coming, n)
		default:
			c.well = append(c.well, n)
		}
	}
	return c
}

// membership brings the network to the wanted number of well nodes, one change at
// a time: new ones before old ones go. It says whether there is something to do or
// to wait for.
func (p *planner) membership() bool {
	c := p.count()
	for _, n := range c.bad {
		if n.Status == "Pending" { // it has no part in anything yet
			p.add(of(StepRetire, n, "Ended", n.Why))
			return true
		}
	}
	if len(c.pending) > 0 {
		p.add(of(StepTrust, c.pending[0], "Joining", ""))
		return true
	}
	need := p.d.NodeCount
	missing := need - len(c.well) - len(c.coming)
	opening := p.o.Service.Status != "Open"
	switch {
	case opening && missing > 0:
		// Whoever joins is trusted at once: they all may.
		for range missing {
			p.start("Missing")
		}
		return true
	case len(c.coming) > 0:
		n := c.coming[0]
		p.wait("Joining", "node %d is joining", n.Ordinal)
		return true
	case c.going:
		p.wait("Retiring", "a node is being let go")
		return true
	case missing > 0:
		p.start("Missing")
		return true
	case len(c.bad) > 0:
		p.retire(p.victim(c.bad), why(c.bad))
		return true
	case len(c.well) > need:
		p.retire(p.victim(c.well), "TooMany")
		return true
	}
	return p.exchange(c.well)
}

func why(bad []NodeView) string {
	for _, n := range bad {
		if !n.Alive {
			return "Ended"
		}
	}
	return "Replaced"
}

// start adds a node to those that are being started: of the wanted release if that
// may join, else of what the others run.
func (p *planner) start(reason string) {
	release := p.o.Target
	if !p.mayJoin() {
		for _, n := range p.o.Nodes {
			if n.Status == "Trusted" && n.Alive {
				release = n.Release
			}
		}
	}
	p.add(Step{Kind: StepStart, Ordinal: -1, NodeKind: KindJoin, Zone: p.zone(), Release: release, Reason: reason})
}

// mayJoin says whether the wanted release is in the join policy; it is if that was
// not asked for, since all nodes run it.
func (p *planner) mayJoin() bool {
	return p.o.TargetKnown && (len(p.o.Service.HostData) == 0 || slices.Contains(p.o.Service.HostData, p.o.TargetHostData))
}

// zone is the zone with the fewest nodes, of those that are and will be.
func (p *planner) zone() string {
	if len(p.d.Zones) == 0 {
		return ""
	}
	in := map[string]int{}
	for _, n := range p.o.Nodes {
		if n.Alive && n.Status != "Retired" && !n.Replace && !n.Silent {
			in[n.Zone]++
		}
	}
	for _, s := range p.steps {
		if s.Kind == StepStart {
			in[s.Zone]++
		}
	}
	return slices.MinFunc(p.d.Zones, func(a, b string) int { return cmp.Compare(in[a], in[b]) })
}

// victim is who goes first: never the primary if it can be another, first those that
// do not run the wanted release, then those in the fullest zone, then the newest.
func (p *planner) victim(from []NodeView) NodeView {
	in := map[string]int{}
	for _, n := range p.o.Nodes {
		if n.Status == "Trusted" && n.Alive {
			in[n.Zone]++
		}
	}
	flag := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return slices.MinFunc(from, func(a, b NodeView) int {
		return cmp.Or(
			cmp.Compare(flag(a.Alive), flag(b.Alive)),
			// Old nodes go before new ones, the primary last of them.
			cmp.Compare(flag(a.Release == p.o.Target), flag(b.Release == p.o.Target)),
			cmp.Compare(flag(a.NodeID == p.o.Service.Primary), flag(b.NodeID == p.o.Service.Primary)),
			cmp.Compare(in[b.Zone], in[a.Zone]),
			cmp.Compare(b.Ordinal, a.Ordinal),
		)
	})
}

// retire lets a node go, unless what is left could not go on.
func (p *planner) retire(n NodeView, reason string) {
	voters := p.o.Service.Voters
	alive, total := p.alive(voters), len(voters)
	lives := n.Alive && !n.Silent
	if slices.Contains(voters, n.NodeID) {
		total--
		if lives {
			alive--
		}
	}
	switch {
	case lives && n.NodeID == p.o.Service.Primary && alive < total:
		p.wait("QuorumAtRisk", "node %d leads and others do not answer: it stays until they do", n.Ordinal)
	case lives && alive*2 <= total:
		p.wait("QuorumAtRisk", "without node %d there would be no majority", n.Ordinal)
	default:
		p.add(of(StepRetire, n, reason, n.Why))
	}
}

// exchange takes one step of an upgrade: members let the release join, then a node
// of it is added, which makes one too many.
func (p *planner) exchange(well []NodeView) bool {
	old := 0
	for _, n := range well {
		if n.Release != p.o.Target {
			old++
		}
	}
	switch {
	case old == 0:
		return false
	case !p.o.TargetKnown:
		p.add(Step{Kind: StepFail, Ordinal: -1, Reason: CodeReleaseUnknown, Message: fmt.Sprintf("this server has no release %q", p.o.Target)})
	case p.mayJoin():
		p.start("Upgrade")
	case p.o.Approving:
		p.add(Step{
			Kind: StepWaitMembers, Ordinal: -1, Release: p.o.Target, Reason: "ReleaseApproval",
			Message: fmt.Sprintf("members vote on the operator's proposal that lets release %s join", p.o.Target),
		})
	case p.d.UpgradeStrategy == arm.Unsupervised:
		p.add(Step{
			Kind: StepFail, Ordinal: -1, Release: p.o.Target, Reason: CodeReleaseNotApproved,
			Message: fmt.Sprintf("the join policy does not have release %s: members can approve it first, or upgrade supervised", p.o.Target),
		})
	default:
		p.add(Step{Kind: StepApprove, Ordinal: -1, NodeID: p.o.Service.Primary, Release: p.o.Target, Reason: "Upgrade"})
	}
	return true
}

// upgraded ends an upgrade: what was replaced may join no more.
func (p *planner) upgraded() bool {
	if !p.o.Upgrading || len(p.o.Service.HostData) < 2 {
		return false
	}
	p.add(Step{Kind: StepDisallow, Ordinal: -1, NodeID: p.o.Service.Primary, Release: p.o.Target, Reason: "Upgrade"})
	return true
}

// renew renews all certificates when a third of the life of one is left.
func (p *planner) renew() {
	life := time.Duration(p.d.CertificateDays) * 24 * time.Hour
	due := func(end time.Time) bool { return !end.IsZero() && end.Sub(p.o.Now) <= life/3 }
	is := due(p.o.Service.NotAfter)
	for _, n := range p.o.Nodes {
		is = is || n.Status == "Trusted" && n.Alive && due(n.CertificateNotAfter)
	}
	if is {
		p.add(Step{Kind: StepRenew, Ordinal: -1, NodeID: p.o.Service.Primary, Reason: "TwoThirds"})
	}
}

// open opens a new service once enough of those who are to hold recovery shares are
// active. That of a service that was recovered is for members.
func (p *planner) open() {
	s := p.o.Service
	switch s.Status {
	case "Opening":
		if p.o.OpenRefused {
			p.add(Step{
				Kind: StepWaitMembers, Ordinal: -1, Reason: "MembersToOpen", Background: true,
				Message: "the constitution leaves it to members to open the service (transition_service_to_open)",
			})
			return
		}
		if s.ActiveHolders >= max(s.Threshold, 1) {
			p.add(Step{Kind: StepOpen, Ordinal: -1, NodeID: s.Primary, Reason: "Opening"})
			return
		}
		p.add(Step{Kind: StepWaitMembers, Ordinal: -1, Reason: "MembersToActivate", Background: true, Message: fmt.Sprintf(
			"the service opens once %d of the %d members who hold recovery keys are active; %d are so far (synod member activate)", s.Threshold, s.Holders, s.ActiveHolders)})
	case "Recovering":
		if s.Resumes {
			p.wait("Resuming", "the service goes on from what its nodes have sealed, once they are back")
			return
		}
		if s.OperatorHolds && s.Holders == 1 {
			p.add(Step{Kind: StepReopen, Ordinal: -1, NodeID: s.Primary, Reason: "Recovery"})
			return
		}
		p.add(Step{
			Kind: StepWaitMembers, Ordinal: -1, Reason: "RecoveryVote", Background: p.o.Restored,
			Message: "members vote to open the recovered service (synod recovery open)",
		})
	case "WaitingForRecoveryShares":
		if s.OperatorHolds && !s.ShareSent {
			p.add(Step{Kind: StepShare, Ordinal: -1, NodeID: s.Primary, Reason: "Recovery"})
			return
		}
		if s.OperatorHolds && s.Threshold <= 1 {
			p.wait("Recovery", "the nodes read the private part of the ledger")
			return
		}
		p.add(Step{
			Kind: StepWaitMembers, Ordinal: -1, Reason: "RecoveryShares", Background: p.o.Restored,
			Message: "members send their recovery shares (synod recovery share submit)",
		})
	}
}
