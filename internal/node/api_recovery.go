package node

import (
	"time"

	"synod"
	"synod/app"
	"synod/internal/sealing"
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
		"recovery_threshold": conf.RecoveryThreshold, "members": members, "resumed": report.Resumed,
	}
	if missing, of, until, ok := n.resuming(); ok {
		out["resume_waits_for"], out["resume_nodes"], out["resume_until"] = missing, of, until.UTC().Format(time.RFC3339)
	}
	if p := n.private.Load(); p != nil {
		out["recovery_target_seqno"], out["last_recovered_seqno"] = p.target, p.At()
	}
	return c.JSON(out)
}

// apiSealing says whether members allow nodes to seal the service's secrets, and
// what this one has sealed. It is Synod's own.
func (n *Node) apiSealing(c *app.Context) error {
	allowed, err := sealing.Allowed(c.Tx())
	if err != nil {
		return err
	}
	out := map[string]any{"allowed": allowed != 0, "sealing_key": n.sealingSource(), "directory": n.cfg.OutputFiles.SealedLedgerSecretLocation}
	if allowed != 0 {
		out["allowed_since"] = allowed
	}
	switch last := n.sealed.last.Load(); {
	case last == nil:
	case last.err != nil:
		out["error"] = last.err.Error()
	default:
		out["sealed_at"], out["ledger_secret_seqno"] = last.committed, last.latest
	}
	return c.JSON(out)
}

// sealingSource says what this machine's sealing key is, for people.
func (n *Node) sealingSource() string {
	key, err := n.sealingKey("")
	if err != nil {
		return "none: " + err.Error()
	}
	return key.Source
}
