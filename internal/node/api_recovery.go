package node

import (
	"synod"
	"synod/app"
	"synod/internal/tables"
)

// apiRecovery says how far the recovery of the service has come, for those who
// have to do the next step. It is Synod's own.
func (n *Node) apiRecovery(c *app.Context) error {
	info, ok, err := tables.GetJSON[tables.ServiceInfo](c.Tx(), tables.Service, tables.UnitKey())
	if err != nil {
		return err
	}
	report, recovered, err := tables.GetJSON[tables.RecoveryReport](c.Tx(), tables.Recovery, tables.UnitKey())
	if err != nil {
		return err
	}
	if !ok || !recovered {
		return synod.Errorf(404, synod.CodeResourceNotFound, "This service is not a recovery of a previous service.")
	}
	conf, _, err := tables.GetJSON[tables.ServiceConfig](c.Tx(), tables.ServiceConfiguration, tables.UnitKey())
	if err != nil {
		return err
	}
	shares, _, err := tables.GetJSON[tables.RecoveryShares](c.Tx(), tables.Shares, tables.UnitKey())
	if err != nil {
		return err
	}
	members := map[string]bool{}
	for id := range shares.EncryptedShares {
		members[string(id)] = c.Tx().Has(tables.SubmittedShares, []byte(id))
	}
	out := map[string]any{
		"node_state": *n.state.Load(), "service_status": info.Status, "recovery_count": info.RecoveryCount,
		"recovered_after": report.After, "dropped_to": report.DroppedTo, "readable_to": report.ReadableTo,
		"recovery_threshold": conf.RecoveryThreshold, "members": members,
	}
	if p := n.private.Load(); p != nil {
		out["recovery_target_seqno"], out["last_recovered_seqno"] = p.target, p.At()
	}
	return c.JSON(out)
}
