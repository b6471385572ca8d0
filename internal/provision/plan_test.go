package provision

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"synod/internal/arm"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// scene is a network in words: each node is "ordinal flags" with the flags
// P primary, v votes, t Trusted, p Pending, r Retired, R removable, d dead,
// s silent, m marked for replacement, n of the release next, l lost, o old (started
// long ago), c started to recover, z in zone b.
func scene(nodes ...string) Observed {
	o := Observed{
		Now: noon, Operator: "Active", EndpointOpen: true, EndpointServes: true, Target: "first", TargetHostData: "f", TargetKnown: true,
		Service: Service{Known: true, Status: "Open", NotAfter: noon.Add(90 * 24 * time.Hour), Holders: 1, ActiveHolders: 1, Threshold: 1},
	}
	for _, text := range nodes {
		ordinal, flags, _ := strings.Cut(text, " ")
		n := NodeView{Node: Node{Kind: KindJoin, Zone: "a", Release: "first", Alive: true, StartedAt: noon.Add(-time.Second)}}
		if _, err := fmt.Sscan(ordinal, &n.Ordinal); err != nil {
			panic(err)
		}
		n.NodeID = "id" + ordinal
		lost := false
		for _, f := range flags {
			switch f {
			case 'P':
				o.Service.Primary = n.NodeID
			case 'v':
				o.Service.Voters = append(o.Service.Voters, n.NodeID)
			case 't':
				n.Status = "Trusted"
			case 'p':
				n.Status = "Pending"
			case 'r':
				n.Status = "Retired"
			case 'R':
				n.Removable = true
			case 'd':
				n.Alive, n.Why = false, "killed"
			case 's':
				n.Silent = true
			case 'm':
				n.Replace = true
			case 'n':
				n.Release = "next"
			case 'l':
				lost = true
			case 'o':
				n.StartedAt = noon.Add(-time.Hour)
			case 'c':
				n.Kind = KindRecover
			case 'z':
				n.Zone = "b"
			}
		}
		if lost {
			n.Alive = false
			o.Lost = append(o.Lost, n)
		} else {
			o.Nodes = append(o.Nodes, n)
		}
	}
	return o
}

// words are steps as the table says them.
func words(steps []Step) []string {
	all := []string{}
	for _, s := range steps {
		text := string(s.Kind)
		switch {
		case s.Kind == StepStart:
			text += fmt.Sprintf(" %s %s %s", s.NodeKind, s.Zone, s.Release)
		case s.Ordinal >= 0:
			text += fmt.Sprintf(" %d", s.Ordinal)
		}
		all = append(all, strings.TrimSpace(text+" "+s.Reason))
	}
	return all
}

func TestPlan(t *testing.T) {
	t.Parallel()
	three := []string{"0 Pvt", "1 vtz", "2 vt"}
	for name, tc := range map[string]struct {
		nodes   []string
		desired func(*arm.Desired)
		change  func(*Observed)
		want    []string
	}{
		"as wanted": {nodes: three},

		// From nothing.
		"a new network":                       {change: unknown(true), want: []string{"StartNode Start a first FirstNode"}},
		"the first node starts":               {nodes: []string{"0"}, change: unknown(true), want: []string{"Wait FirstNode"}},
		"the first node died":                 {nodes: []string{"0 d"}, change: unknown(true), want: []string{"DiscardNode 0 Ended", "StartNode Start a first FirstNode"}},
		"the first node hangs":                {nodes: []string{"0 o"}, change: unknown(true), want: []string{"DiscardNode 0 NoAnswer"}},
		"the first node died again and again": {nodes: []string{"2 d"}, change: unknown(true), want: []string{"Fail FirstNodeFailed"}},
		"no such release":                     {change: func(o *Observed) { unknown(true)(o); o.TargetKnown = false }, want: []string{"Fail ReleaseUnknown"}},
		"from a backup": {
			desired: func(d *arm.Desired) { d.RestoreFrom = &arm.RestoreSource{Share: "x"} }, change: unknown(true),
			want: []string{"StartNode Recover a first FirstNode"},
		},
		"the operator is new": {
			nodes: []string{"0 Pvt"}, change: func(o *Observed) { o.Service.Status, o.Operator = "Opening", "Accepted" },
			want: []string{"ActivateOperator Operator"},
		},
		"all join at once":            {nodes: []string{"0 Pvt"}, change: opening, want: []string{"StartNode Join b first Missing", "StartNode Join a first Missing"}},
		"some have joined":            {nodes: []string{"0 Pvt", "1 vtz", "2"}, change: opening, want: []string{"Wait Joining"}},
		"no endpoint yet":             {nodes: three, change: func(o *Observed) { opening(o); o.EndpointOpen, o.EndpointServes = false, false }, want: []string{"OpenEndpoint Endpoint"}},
		"the endpoint does not serve": {nodes: three, change: func(o *Observed) { opening(o); o.EndpointServes = false }, want: []string{"Wait Endpoint"}},
		"it opens":                    {nodes: three, change: opening, want: []string{"OpenService Opening"}},
		"members hold shares":         {nodes: three, change: func(o *Observed) { opening(o); o.Service.Holders, o.Service.Threshold = 3, 2 }, want: []string{"WaitForMembers MembersToActivate"}},
		"members open it":             {nodes: three, change: func(o *Observed) { opening(o); o.OpenRefused = true }, want: []string{"WaitForMembers MembersToOpen"}},

		// Nodes die.
		"a backup died":            {nodes: []string{"0 Pvt", "1 vtz", "2 vtd"}, want: []string{"StartNode Join a first Missing"}},
		"in the other zone":        {nodes: []string{"0 Pvt", "1 vtzd", "2 vt"}, want: []string{"StartNode Join b first Missing"}},
		"its successor joins":      {nodes: []string{"0 Pvt", "1 vtz", "2 vtd", "3"}, want: []string{"Wait Joining"}},
		"its successor is Pending": {nodes: []string{"0 Pvt", "1 vtz", "2 vtd", "3 p"}, want: []string{"TrustNode 3 Joining"}},
		"its successor catches up": {nodes: []string{"0 Pvt", "1 vtz", "2 vtd", "3 t"}, want: []string{"Wait Joining"}},
		"its successor votes":      {nodes: []string{"0 Pvt", "1 vtz", "2 vtd", "3 vt"}, want: []string{"RetireNode 2 Ended"}},
		"it is being let go":       {nodes: []string{"0 Pvt", "1 vtz", "2 vrd", "3 vt"}, want: []string{"Wait Retiring"}},
		"nobody counts on it":      {nodes: []string{"0 Pvt", "1 vtz", "2 rRd", "3 vt"}, want: []string{"ForgetNode 2 Retired"}},
		"its row is gone":          {nodes: []string{"0 Pvt", "1 vtz", "2 d", "3 vt"}, want: []string{"DiscardNode 2 Ended"}},
		"its files are gone":       {nodes: []string{"0 Pvt", "1 vtz", "2 vtl"}, want: []string{"StartNode Join a first Missing"}},
		"and its row":              {nodes: []string{"0 Pvt", "1 vtz", "2 rRl", "3 vt"}, want: []string{"ForgetNode 2 Retired"}},
		"one is silent":            {nodes: []string{"0 Pvt", "1 vtz", "2 vts"}, want: []string{"StartNode Join a first Missing"}},
		"one is to be replaced":    {nodes: []string{"0 Pvt", "1 vtz", "2 vtm"}, want: []string{"StartNode Join a first Missing"}},
		"the primary is":           {nodes: []string{"0 Pvtm", "1 vtz", "2 vt", "3 vt"}, want: []string{"RetireNode 0 Replaced"}},
		"not while one is dead":    {nodes: []string{"0 Pvtm", "1 vtz", "2 vtd", "3 vt", "4 vt"}, want: []string{"RetireNode 2 Ended"}},
		"two of five died":         {nodes: []string{"0 Pvt", "1 vtz", "2 vtd", "3 vtzd", "4 vt"}, desired: count(5), want: []string{"StartNode Join b first Missing"}},
		"one of them is back":      {nodes: []string{"0 Pvt", "1 vtz", "2 vtd", "3 vtzd", "4 vt", "5 vtz"}, desired: count(5), want: []string{"StartNode Join a first Missing"}},
		"both are back":            {nodes: []string{"0 Pvt", "1 vtz", "2 vtd", "3 vtzd", "4 vt", "5 vtz", "6 vt"}, desired: count(5), want: []string{"RetireNode 2 Ended"}},
		"newcomers are not known to who answers in an election": {nodes: []string{"0 vt", "1 vtz", "2 vt", "3 o", "4 d"}, want: []string{"Wait NoPrimary"}},
		"an election": {nodes: []string{"0 vtd", "1 vtz", "2 vt"}, want: []string{"Wait NoPrimary"}},
		"no majority": {nodes: []string{"0 Pvt", "1 vtzd", "2 vtd"}, want: []string{"Wait QuorumLost"}},
		"no majority, and somebody asks for a recovery": {nodes: []string{"0 vt", "1 vtzd", "2 vtd"}, change: func(o *Observed) { o.Recovering = true }, want: []string{"StopNodes Recovery"}},
		"a recovery that is not needed":                 {nodes: three, change: func(o *Observed) { o.Recovering = true }},
		"all died":                                      {nodes: []string{"0 d", "1 zd", "2 d"}, change: unknown(false), want: []string{"StartNode Recover a first FirstNode"}},
		"recoveries fail": {
			nodes: []string{"0 d", "1 d", "3 cd", "4 cd", "5 cd", "6 cd"}, change: unknown(false),
			want: []string{"DiscardNode 4 Ended", "DiscardNode 5 Ended", "StartNode Recover a first FirstNode"},
		},
		"a restore fails":    {nodes: []string{"0 cd", "1 cd", "2 cd"}, desired: func(d *arm.Desired) { d.RestoreFrom = &arm.RestoreSource{Share: "x"} }, change: unknown(true), want: []string{"Fail FirstNodeFailed"}},
		"none answers":       {nodes: []string{"0 o", "1 do"}, change: unknown(false), want: []string{"Wait FirstNode"}},
		"a newcomer hangs":   {nodes: append(slices.Clone(three), "3 o"), want: []string{"DiscardNode 3 NotJoined"}},
		"a newcomer died":    {nodes: append(slices.Clone(three), "3 d"), want: []string{"DiscardNode 3 Ended"}},
		"a Pending one died": {nodes: append(slices.Clone(three), "3 pd"), want: []string{"RetireNode 3 Ended"}},
		"a learner died":     {nodes: append(slices.Clone(three), "3 td"), want: []string{"RetireNode 3 Ended"}},

		// Scaling.
		"more":                          {nodes: three, desired: count(5), want: []string{"StartNode Join b first Missing"}},
		"fewer":                         {nodes: []string{"0 Pvt", "1 vtz", "2 vt", "3 vtz", "4 vt"}, desired: count(3), want: []string{"RetireNode 4 TooMany"}},
		"not the primary":               {nodes: []string{"0 vt", "1 vtz", "2 vt", "3 vtz", "4 Pvt"}, desired: count(3), want: []string{"RetireNode 2 TooMany"}},
		"to one":                        {nodes: []string{"0 vt", "1 Pvtz"}, desired: count(1), want: []string{"RetireNode 0 TooMany"}},
		"not while a majority needs it": {nodes: []string{"0 Pvt", "1 vt", "2 vtd", "3 vtd", "4 vt"}, desired: count(2), want: []string{"RetireNode 3 Ended"}},

		// Upgrades.
		"ask members":        {nodes: three, change: upgrade("f"), want: []string{"ProposeRelease Upgrade"}},
		"members vote":       {nodes: three, change: func(o *Observed) { upgrade("f")(o); o.Approving = true }, want: []string{"WaitForMembers ReleaseApproval"}},
		"unsupervised":       {nodes: three, desired: func(d *arm.Desired) { d.UpgradeStrategy = arm.Unsupervised }, change: upgrade("f"), want: []string{"Fail ReleaseNotApproved"}},
		"healed meanwhile":   {nodes: []string{"0 Pvt", "1 vtz", "2 vtd"}, change: upgrade("f"), want: []string{"StartNode Join a first Missing"}},
		"one of the new":     {nodes: three, change: upgrade("f", "n"), want: []string{"StartNode Join b next Upgrade"}},
		"for one of the old": {nodes: []string{"0 Pvt", "1 vtz", "2 vt", "3 vtzn"}, change: upgrade("f", "n"), want: []string{"RetireNode 2 TooMany"}},
		"the primary last":   {nodes: []string{"0 Pvt", "3 vtzn", "4 vtn", "5 vtn"}, change: upgrade("f", "n"), want: []string{"RetireNode 0 TooMany"}},
		"the old may join no more": {
			nodes: []string{"3 vtzn", "4 vtn", "5 Pvtn"}, change: func(o *Observed) { upgrade("f", "n")(o); o.Upgrading = true },
			want: []string{"DisallowOldRelease Upgrade"},
		},
		"upgraded": {nodes: []string{"3 vtzn", "4 vtn", "5 Pvtn"}, change: func(o *Observed) { upgrade("n")(o); o.Upgrading = true }},

		// Certificates.
		"two thirds of the service's": {nodes: three, change: func(o *Observed) { o.Service.NotAfter = noon.Add(30 * 24 * time.Hour) }, want: []string{"RenewCertificates TwoThirds"}},
		"two thirds of a node's":      {nodes: three, change: func(o *Observed) { o.Nodes[1].CertificateNotAfter = noon.Add(-time.Hour) }, want: []string{"RenewCertificates TwoThirds"}},
		"those of the dead do not matter": {
			nodes: []string{"0 Pvt", "1 vtz", "2 vt", "3 rRd"}, change: func(o *Observed) { o.Nodes[3].CertificateNotAfter = noon },
			want: []string{"ForgetNode 3 Retired"},
		},

		// The whole network.
		"pause":  {nodes: three, desired: func(d *arm.Desired) { d.RunningState = arm.RunningPaused }, want: []string{"StopNodes Paused"}},
		"paused": {nodes: []string{"0 d", "1 d"}, desired: func(d *arm.Desired) { d.RunningState = arm.RunningPaused }, change: unknown(false)},
		"delete": {nodes: three, desired: func(d *arm.Desired) { d.Deleted = true }, want: []string{"DiscardNode 0 Deleted", "DiscardNode 1 Deleted", "DiscardNode 2 Deleted", "RemoveNetwork Deleted"}},
		"recovering keeps what there is": {
			nodes: []string{"0 rRd", "1 d", "3 Pvt"}, desired: count(1), change: func(o *Observed) { o.Service.Status = "Recovering" },
			want: []string{"WaitForMembers RecoveryVote"},
		},
		"the operator alone can recover it": {
			nodes: []string{"3 Pvt"}, desired: count(1), change: func(o *Observed) { o.Service.Status, o.Service.OperatorHolds = "Recovering", true },
			want: []string{"ReopenService Recovery"},
		},
		"it goes on from what was sealed": {
			nodes: []string{"3 Pvt"}, desired: count(1), change: func(o *Observed) { o.Service.Status, o.Service.Resumes = "Recovering", true },
			want: []string{"Wait Resuming"},
		},
		"its share": {
			nodes: []string{"3 Pvt"}, desired: count(1), change: func(o *Observed) { o.Service.Status, o.Service.OperatorHolds = "WaitingForRecoveryShares", true },
			want: []string{"SubmitShare Recovery"},
		},
		"its share is sent": {
			nodes: []string{"3 Pvt"}, desired: count(1), change: func(o *Observed) {
				o.Service.Status, o.Service.OperatorHolds, o.Service.ShareSent = "WaitingForRecoveryShares", true, true
			},
			want: []string{"Wait Recovery"},
		},
		"a backup is fetched before anything goes": {
			nodes: three, change: func(o *Observed) { o.Restoring = true }, want: []string{"FetchBackup Restore"},
		},
		"a backup takes the place of what there is": {
			nodes: three, change: func(o *Observed) { o.Restoring, o.Staged = true, true },
			want: []string{"DiscardNode 2 Restored", "DiscardNode 1 Restored", "DiscardNode 0 Restored", "AdoptBackup Restore"},
		},
		"shares": {
			nodes: []string{"3 Pvt"}, desired: count(1), change: func(o *Observed) { o.Service.Status = "WaitingForRecoveryShares" },
			want: []string{"WaitForMembers RecoveryShares"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := arm.Desired{NodeCount: 3, Zones: []string{"a", "b"}, RunningState: arm.RunningActive, UpgradeStrategy: arm.Supervised, CertificateDays: 90}
			if tc.desired != nil {
				tc.desired(&d)
			}
			o := scene(tc.nodes...)
			if tc.change != nil {
				tc.change(&o)
			}
			want := append([]string{}, tc.want...)
			if diff := cmp.Diff(want, words(Plan(d, o))); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

func unknown(fresh bool) func(*Observed) {
	return func(o *Observed) {
		o.Service, o.Operator, o.Fresh = Service{}, "", fresh
	}
}

func opening(o *Observed) { o.Service.Status, o.Fresh = "Opening", true }

func count(n int) func(*arm.Desired) { return func(d *arm.Desired) { d.NodeCount = n } }

// upgrade wants the release next; hostData is what may join.
func upgrade(hostData ...string) func(*Observed) {
	return func(o *Observed) { o.Target, o.TargetHostData, o.Service.HostData = "next", "n", hostData }
}
