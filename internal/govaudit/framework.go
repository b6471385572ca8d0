package govaudit

import (
	"encoding/json"
	"slices"

	"synod"
	"synod/internal/kv"
	"synod/internal/tables"
)

// framework judges a transaction without a signed request: what nodes do by
// themselves. Each rule takes the tables that it accounts for; a table that is
// left was written by nobody.
func (t *transaction) framework() {
	left := map[string]bool{}
	for _, m := range governed(t.maps) {
		left[m.Name] = true
	}
	take := func(what string, names ...string) {
		var mine []string
		for _, n := range names {
			if left[n] {
				delete(left, n)
				mine = append(mine, n)
			}
		}
		if what != "" {
			t.event(Event{What: what, Tables: mine})
		}
	}
	if _, ok := t.unitValue(tables.Snapshots); ok {
		take("", tables.Snapshots)
	}
	take("", tables.Raft)
	take("", tables.NodeStarts)
	if left[tables.Nodes] || left[tables.NodeEndorsedCertificates] {
		if what := t.nodes(); what != "" {
			take(what, tables.Nodes, tables.NodeEndorsedCertificates)
		}
	}
	switch {
	case left[tables.Service] && t.unsealed():
		take("went on with the ledger secrets that were sealed", tables.Service, tables.SubmittedShares, tables.LastRecoveryType, tables.EncryptedLedgerSecrets)
	case left[tables.Service] && t.recovered():
		t.report.Recoveries++
		take("completed the recovery", tables.Service, tables.SubmittedShares, tables.HistoricalLedgerSecret,
			tables.Shares, tables.ServiceEndorsement)
	case left[tables.HistoricalLedgerSecret] && !left[tables.Service] && t.recoveredAgain():
		take("completed the recovery again, after a change of the primary", tables.HistoricalLedgerSecret, tables.Shares, tables.ServiceEndorsement)
	case left[tables.SubmittedShares] && t.shareSubmitted():
		take("submitted a recovery share", tables.SubmittedShares, tables.EncryptedLedgerSecrets)
	}
	for _, name := range []string{tables.JWTSigningKeys, tables.JWTSigningCerts} {
		if left[name] && t.refreshedKeys(name) {
			take("refreshed JWT signing keys", name)
		}
	}
	if left[legacySigningKeys] {
		take("wrote JWT signing keys", legacySigningKeys, tables.JWTSigningKeyV1, tables.JWTSigningKeyIssuer)
		t.found(Legacy, legacySigningKeys, "", "JWT signing keys as services before 5.0 kept them, which this tool does not judge")
	}
	for _, m := range governed(t.maps) {
		if left[m.Name] {
			t.found(Violation, m.Name, "", "table %s was written at %s by nobody", m.Name, t.id)
		}
	}
}

// recovered says whether the transaction ends a recovery: members agreed on it
// and their shares were enough.
func (t *transaction) recovered() bool {
	value, ok := t.unitValue(tables.Service)
	if !ok || t.service().Status != tables.ServiceWaitingForRecoveryShares {
		return false
	}
	want := t.store.Begin()
	defer want.Release()
	if t.setStatus(want, tables.ServiceOpen) != nil {
		return false
	}
	record, _ := want.Get(tables.Service, tables.UnitKey())
	if !sameJSON(record, value) {
		return false
	}
	if m := t.writes(tables.SubmittedShares); m != nil && len(m.Writes) > 0 {
		return false
	}
	t.recoveredRows()
	return true
}

// unsealed says whether the transaction makes the past ledger secrets of a service
// known that resumes, to which members agreed beforehand; or, if they could not be
// opened, asks for members' shares.
func (t *transaction) unsealed() bool {
	value, ok := t.unitValue(tables.Service)
	if !ok || !t.resumes || !t.mayResume() || t.service().Status != tables.ServiceRecovering {
		return false
	}
	want := t.store.Begin()
	defer want.Release()
	if t.setStatus(want, tables.ServiceWaitingForRecoveryShares) != nil {
		return false
	}
	if record, _ := want.Get(tables.Service, tables.UnitKey()); !sameJSON(record, value) {
		return false
	}
	if m := t.writes(tables.SubmittedShares); m != nil && len(m.Writes) > 0 {
		return false
	}
	if v, ok := t.unitValue(tables.EncryptedLedgerSecrets); ok {
		if err := secretsFor(t.before, v); err != nil {
			t.found(Violation, tables.EncryptedLedgerSecrets, "", "ledger secrets for others than the nodes: %s", err)
		}
	}
	return true
}

// recoveredAgain says whether a new primary writes again what ends a recovery.
func (t *transaction) recoveredAgain() bool {
	info := t.service()
	if info.Status != tables.ServiceOpen || info.RecoveryCount == nil || *info.RecoveryCount == 0 {
		return false
	}
	t.recoveredRows()
	return true
}

// recoveredRows looks at what a node writes at the end of a recovery.
func (t *transaction) recoveredRows() {
	if v, ok := t.unitValue(tables.ServiceEndorsement); ok {
		if err := t.endorsement(v); err != nil {
			t.found(Violation, tables.ServiceEndorsement, "", "the endorsement of the previous service is not by the service's key: %s", err)
		}
	}
	if v, ok := t.unitValue(tables.Shares); ok {
		if err := sharesFor(t.before, v); err != nil {
			t.found(Violation, tables.Shares, "", "recovery shares are not those of the members: %s", err)
		}
	}
}

// shareSubmitted says whether the transaction is that of a member who gave its
// recovery share, or one that dropped them all. The request itself, with the
// share in it, is not recorded.
func (t *transaction) shareSubmitted() bool {
	m := t.writes(tables.SubmittedShares)
	if t.service().Status != tables.ServiceWaitingForRecoveryShares {
		return false
	}
	if len(m.Writes) == 0 {
		return true
	}
	if len(m.Writes) != 1 || t.member(synod.MemberID(m.Writes[0].Key)).Status != tables.MemberActive {
		return false
	}
	if v, ok := t.unitValue(tables.EncryptedLedgerSecrets); ok {
		if err := secretsFor(t.before, v); err != nil {
			t.found(Violation, tables.EncryptedLedgerSecrets, "", "ledger secrets for others than the nodes: %s", err)
		}
	}
	return true
}

// legacySigningKeys is where services before 5.0 kept JWT keys.
const legacySigningKeys = "public:ccf.gov.jwt.public_signing_keys"

// refreshedKeys says whether the transaction changed, in a table of keys, those
// of issuers only for which members let nodes fetch them.
func (t *transaction) refreshedKeys(table string) bool {
	m := t.writes(table)
	changed := map[string]bool{}
	for _, w := range append(writesOf(m.Removes), m.Writes...) {
		before, _, err := tables.GetJSON[[]json.RawMessage](t.before, table, w.Key)
		var after []json.RawMessage
		if err != nil || w.Value != nil && json.Unmarshal(w.Value, &after) != nil {
			return false
		}
		keysNotIn(before, after, changed)
		keysNotIn(after, before, changed)
	}
	for issuer := range changed {
		info, ok, err := tables.GetJSON[tables.JWTIssuer](t.before, tables.JWTIssuers, []byte(issuer))
		if err != nil || !ok || !info.AutoRefresh {
			return false
		}
	}
	return true
}

// keysNotIn notes the issuers of keys that are in a and not the same in b.
func keysNotIn(a, b []json.RawMessage, issuers map[string]bool) {
	for _, k := range a {
		var of struct {
			Issuer string `json:"issuer"`
		}
		same := slices.ContainsFunc(b, func(o json.RawMessage) bool { return sameJSON(o, k) })
		if err := json.Unmarshal(k, &of); err != nil || !same {
			issuers[of.Issuer] = true
		}
	}
}

func writesOf(removes [][]byte) []kv.Write {
	all := make([]kv.Write, len(removes))
	for i, k := range removes {
		all[i].Key = k
	}
	return all
}
