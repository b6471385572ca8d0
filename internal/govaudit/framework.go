package govaudit

import (
	"encoding/json"

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
	if left[tables.Nodes] || left[tables.NodeEndorsedCertificates] {
		if what := t.nodes(); what != "" {
			take(what, tables.Nodes, tables.NodeEndorsedCertificates)
		}
	}
	switch {
	case left[tables.Service] && t.recovered():
		t.report.Recoveries++
		take("completed the recovery", tables.Service, tables.SubmittedShares, tables.HistoricalLedgerSecret,
			tables.Shares, tables.ServiceEndorsement)
	case left[tables.SubmittedShares] && t.shareSubmitted():
		take("submitted a recovery share", tables.SubmittedShares, tables.EncryptedLedgerSecrets)
	}
	if left[tables.JWTSigningKeys] && t.refreshedKeys() {
		take("refreshed JWT signing keys", tables.JWTSigningKeys)
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
	if setStatus(want, tables.ServiceOpen) != nil {
		return false
	}
	record, _ := want.Get(tables.Service, tables.UnitKey())
	if !sameJSON(record, value) {
		return false
	}
	if m := t.writes(tables.SubmittedShares); m != nil && len(m.Writes) > 0 {
		return false
	}
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
	return true
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

// refreshedKeys says whether the transaction changed keys of issuers only for
// which members let nodes fetch them.
func (t *transaction) refreshedKeys() bool {
	m := t.writes(tables.JWTSigningKeys)
	changed := map[string]bool{}
	for _, w := range append(writesOf(m.Removes), m.Writes...) {
		before, _, err := tables.GetJSON[[]tables.JWTKey](t.before, tables.JWTSigningKeys, w.Key)
		var after []tables.JWTKey
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

func writesOf(removes [][]byte) []kv.Write {
	all := make([]kv.Write, len(removes))
	for i, k := range removes {
		all[i].Key = k
	}
	return all
}
