package govaudit

import (
	"encoding/json"
	"slices"

	"synod/internal/kv"
	"synod/internal/tables"
)

// created says whether the transaction made a service, the first or one that
// recovers: it says so itself.
func (t *transaction) created() bool {
	if t.id.SeqNo == 1 {
		return true
	}
	after, ok := t.serviceAfter()
	if !ok {
		return false
	}
	before := t.service()
	return after.Cert != before.Cert && t.newServiceKey(before.Cert, after.Cert) || t.resumed()
}

// resumed says whether the transaction makes the service go on with its key, from
// what a node had sealed.
func (t *transaction) resumed() bool {
	var report tables.RecoveryReport
	value, ok := t.unitValue(tables.Recovery)
	return ok && json.Unmarshal(value, &report) == nil && report.Resumed && t.id.SeqNo > 1
}

// mayResume says whether members allow that.
func (t *transaction) mayResume() bool {
	policy, _, err := tables.GetJSON[tables.SealedResumePolicy](t.before, tables.SealedResume, tables.UnitKey())
	return err == nil && policy.Allowed
}

func (t *transaction) serviceAfter() (tables.ServiceInfo, bool) {
	var info tables.ServiceInfo
	value, ok := t.unitValue(tables.Service)
	return info, ok && json.Unmarshal(value, &info) == nil
}

// What the transaction that makes a service may write, and what only the
// first one may (CCF: src/node/rpc/node_frontend.h, create).
var (
	createTables = []string{
		tables.Service, tables.Nodes, tables.NodeEndorsedCertificates, tables.NodeCodeIDs, tables.VirtualMeasurements,
		tables.VirtualHostData, tables.SNPMeasurements, tables.SNPHostData, tables.SNPUVMEndorsements, tables.SNPTCBVersions,
		tables.Raft,
	}
	ownTables = []string{ // of createTables, those where the first node adds what it runs
		tables.NodeEndorsedCertificates, tables.NodeCodeIDs, tables.VirtualMeasurements, tables.VirtualHostData,
		tables.SNPMeasurements, tables.SNPHostData, tables.SNPUVMEndorsements, tables.SNPTCBVersions,
	}
	genesisTables = []string{
		"public:ccf.internal.values", // of services before 2.0

		tables.MemberCerts, tables.MemberEncryptionKeys, tables.Members, tables.MemberAcks,
		tables.ServiceConfiguration, tables.Constitution,
	}
	recoveryTables = []string{tables.PreviousServiceIdentity, tables.PreviousServiceRoot, tables.Recovery, tables.NodeStarts}
)

// create judges the transaction that makes a service.
func (t *transaction) create() {
	what, allowed := "created the service", append(slices.Clone(createTables), genesisTables...)
	if t.id.SeqNo > 1 {
		what, allowed = "started a recovery with a new service identity", append(slices.Clone(createTables), recoveryTables...)
	}
	if t.resumes = t.resumed(); t.resumes {
		what = "resumed the service from what was sealed"
	}
	t.secretFrom = t.id.SeqNo
	t.counted = false // the program may be another one
	t.event(Event{What: what, Tables: t.tableNames()})
	for _, m := range governed(t.maps) {
		switch {
		case !slices.Contains(allowed, m.Name):
			t.found(Violation, m.Name, "", "table %s was written at %s by nobody: creating a service does not write it", m.Name, t.id)
		case len(m.Removes) > 0 && m.Name != tables.NodeStarts, len(m.Writes) > 1 && slices.Contains(ownTables, m.Name):
			t.found(Violation, m.Name, "", "table %s was written at %s by nobody: a new service adds one row of its own node", m.Name, t.id)
		}
	}
	info, ok := t.serviceAfter()
	if t.id.SeqNo > 1 {
		t.recovery(info)
	} else {
		if !ok || info.Status != tables.ServiceOpening {
			t.found(Violation, tables.Service, "", "a new service is %q, not Opening", info.Status)
		}
		t.firstMembers()
	}
	t.firstNode()
}

// firstMembers looks at the members that a service starts with: each has yet
// to acknowledge.
func (t *transaction) firstMembers() {
	m := t.writes(tables.Members)
	if m == nil {
		return
	}
	for _, w := range m.Writes {
		var info tables.MemberInfo
		if json.Unmarshal(w.Value, &info) != nil || info.Status != tables.MemberAccepted {
			t.found(Violation, tables.Members, string(w.Key), "a member of a new service is %q without having acknowledged anything", info.Status)
		}
	}
}

// recovery looks at what a recovering service says of the one before it.
func (t *transaction) recovery(info tables.ServiceInfo) {
	before := t.service()
	if t.resumes {
		if !t.mayResume() {
			t.found(Violation, tables.Recovery, "", "the service resumes from what was sealed, which members did not allow")
		}
		if t.newServiceKey(before.Cert, info.Cert) || info.CurrentServiceCreateTxID == nil || *info.CurrentServiceCreateTxID != t.id {
			t.found(Violation, tables.Service, "", "the service resumes and is another")
		}
	}
	if info.Status != tables.ServiceRecovering {
		t.found(Violation, tables.Service, "", "the service has a new identity and is %q, not Recovering: members did not agree to it", info.Status)
	}
	if v, ok := t.unitValue(tables.PreviousServiceIdentity); ok {
		var last string
		if json.Unmarshal(v, &last) != nil || !samePEM([]byte(last), []byte(before.Cert)) {
			t.found(Violation, tables.PreviousServiceIdentity, "", "the recorded previous service is not the one before")
		}
	}
	rec, _, err := tables.GetJSON[tables.SignatureRecord](t.before, tables.Signatures, tables.UnitKey())
	if v, ok := t.unitValue(tables.PreviousServiceRoot); ok {
		var root string
		if err != nil || json.Unmarshal(v, &root) != nil || root != rec.Root {
			t.found(Violation, tables.PreviousServiceRoot, "", "the recorded last root is not that of the last signature")
		}
	}
}

// firstNode looks at the nodes that a service starts with: one that is trusted,
// and all others retired.
func (t *transaction) firstNode() {
	m := t.writes(tables.Nodes)
	if m == nil {
		t.found(Violation, tables.Nodes, "", "the service starts without a node")
		return
	}
	trusted := 0
	for _, w := range m.Writes {
		var after tables.NodeInfo
		if json.Unmarshal(w.Value, &after) != nil {
			t.found(Violation, tables.Nodes, string(w.Key), "the node's record does not parse")
			continue
		}
		switch {
		case after.Status == tables.NodeTrusted && !t.before.Has(tables.Nodes, w.Key):
			trusted++
		case after.Status == tables.NodeRetired && t.before.Has(tables.Nodes, w.Key) && t.onlyField(w, "status", "retired_committed"):
		default:
			t.found(Violation, tables.Nodes, string(w.Key), "the record of a node was changed by nobody")
		}
	}
	if trusted != 1 {
		t.found(Violation, tables.Nodes, "", "the service starts with %d new trusted nodes, want one", trusted)
	}
	err := tables.EachJSON(t.before, tables.Nodes, func(id string, info tables.NodeInfo) bool {
		written := slices.ContainsFunc(m.Writes, func(w kv.Write) bool { return string(w.Key) == id })
		if info.Status != tables.NodeRetired && !written {
			t.found(Violation, tables.Nodes, id, "a node of the service before is not retired")
		}
		return true
	})
	if err != nil {
		t.violation("%s", err)
	}
}

// onlyField says whether a write to a table of nodes changes these fields alone.
// Records of services before 2.0 get interfaces in their present form as well.
func (t *transaction) onlyField(w kv.Write, fields ...string) bool {
	before, ok, err := tables.GetJSON[map[string]json.RawMessage](t.before, tables.Nodes, w.Key)
	var after map[string]json.RawMessage
	if err != nil || !ok || json.Unmarshal(w.Value, &after) != nil {
		return false
	}
	for _, field := range fields {
		delete(before, field)
		delete(after, field)
	}
	for _, added := range []string{"node_to_node_interface", "rpc_interfaces"} {
		if _, had := before[added]; !had {
			delete(after, added)
		}
	}
	a, errA := json.Marshal(before)
	b, errB := json.Marshal(after)
	return errA == nil && errB == nil && sameJSON(a, b)
}
