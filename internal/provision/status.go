package provision

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"synod/internal/arm"
)

// conditions say what holds of a network, from what was seen and what comes next;
// newest is the release that new networks get.
func conditions(old []arm.Condition, d arm.Desired, o Observed, steps []Step, newest string) []arm.Condition {
	is := func(b bool) string {
		if b {
			return "True"
		}
		return "False"
	}
	s := o.Service
	voters := len(s.Voters)
	living := (&planner{d: d, o: o}).alive(s.Voters)
	var bad []string
	for _, n := range slices.Concat(o.Nodes, o.Lost) {
		if n.Status == "Trusted" && (!n.Alive || n.Silent) {
			bad = append(bad, fmt.Sprintf("node %d", n.Ordinal))
		}
	}
	all := []arm.Condition{
		{Type: arm.ConditionAvailable, Status: is(s.Status == "Open" && s.Primary != "" && o.EndpointServes), Reason: availability(d, o, living), Message: o.EndpointError},
		{Type: arm.ConditionDegraded, Status: is(len(bad) > 0 || s.Known && voters < d.NodeCount), Reason: "NodesMissing"},
		{Type: arm.ConditionQuorumAtRisk, Status: is(voters > 1 && (living-1)*2 <= voters), Reason: "OneMoreLoss"},
		{Type: arm.ConditionProgressing, Status: "False", Reason: "AsWanted"},
		{Type: arm.ConditionWaitingForMembers, Status: "False", Reason: "Nothing"},
	}
	if len(bad) > 0 {
		all[1].Reason, all[1].Message = "NodesLost", strings.Join(bad, ", ")+" of "+fmt.Sprint(voters)+" voting nodes"
	}
	for _, step := range steps {
		switch {
		case step.Kind == StepWaitMembers:
			all[4] = arm.Condition{Type: arm.ConditionWaitingForMembers, Status: "True", Reason: step.Reason, Message: step.Message}
		case step.Kind == StepFail:
			all[3] = arm.Condition{Type: arm.ConditionProgressing, Status: "False", Reason: step.Reason, Message: step.Message}
		}
		if step.Kind != StepFail && !step.Background && all[3].Status == "False" && all[3].Reason == "AsWanted" {
			message := step.Message
			if step.Ordinal >= 0 {
				message = strings.TrimSpace(fmt.Sprintf("node %d %s", step.Ordinal, message))
			}
			all[3] = arm.Condition{Type: arm.ConditionProgressing, Status: "True", Reason: string(step.Kind), Message: message}
			if step.Kind == StepWait {
				all[3].Reason = step.Reason
			}
		}
	}
	all = append(all, certificates(d, o), upgradable(newest, o))
	for i, c := range all[1:3] {
		if c.Status == "False" {
			all[1+i].Reason = "AllWell"
		}
	}
	return since(old, all, o.Now)
}

func availability(d arm.Desired, o Observed, living int) string {
	s := o.Service
	switch {
	case d.RunningState == arm.RunningPaused:
		return "Paused"
	case !s.Known:
		return "NoAnswer"
	case living*2 <= len(s.Voters):
		return "QuorumLost"
	case s.Primary == "":
		return "NoPrimary"
	case s.Status != "Open":
		return "Service" + s.Status
	case !o.EndpointServes:
		return "Endpoint"
	}
	return "Serving"
}

// upgradable says whether the server has a newer release than the network's nodes run.
func upgradable(newest string, o Observed) arm.Condition {
	c := arm.Condition{Type: arm.ConditionUpgradeAvailable, Status: "False", Reason: "Newest"}
	if newest != "" && newest != o.Target {
		c.Status, c.Reason, c.Message = "True", "NewerRelease", "this server's release is "+newest
	}
	return c
}

// certificates says how long the certificates are valid that clients see.
func certificates(d arm.Desired, o Observed) arm.Condition {
	c := arm.Condition{Type: arm.ConditionCertsValid, Status: "Unknown", Reason: "NotSeen"}
	end := o.Service.NotAfter
	for _, n := range o.Nodes {
		if t := n.CertificateNotAfter; n.Status == "Trusted" && n.Alive && !t.IsZero() && t.Before(end) {
			end = t
		}
	}
	if !o.Service.Known || end.IsZero() {
		return c
	}
	c.Status, c.Reason, c.Message = "True", "Valid", "until "+end.UTC().Format(time.RFC3339)
	switch left := end.Sub(o.Now); {
	case left <= 0:
		c.Status, c.Reason = "False", "Expired"
	case left < time.Duration(d.CertificateDays)*24*time.Hour/6: // half of the time that there was to renew
		c.Status, c.Reason = "False", "RenewalOverdue"
	}
	return c
}

// since keeps since when a condition holds as it does. Conditions of other kinds,
// which others write, stay.
func since(old, all []arm.Condition, now time.Time) []arm.Condition {
	for i, c := range all {
		all[i].Since = now.UTC()
		for _, before := range old {
			if before.Type == c.Type && before.Status == c.Status && before.Reason == c.Reason {
				all[i].Since = before.Since
			}
		}
	}
	for _, before := range old {
		if !slices.ContainsFunc(all, func(c arm.Condition) bool { return c.Type == before.Type }) {
			all = append(all, before)
		}
	}
	return all
}
