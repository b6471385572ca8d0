package jsapp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// recentActionsMax is how many signed actions are remembered: older ones are
// refused by their time.
const recentActionsMax = 100

// Format is how an action came.
type Format string

// The formats (CCF: include/ccf/js/registry.h, ActionFormat).
const (
	JSON Format = "JSON"
	COSE Format = "COSE"
)

// RecordAction leaves in the ledger who asked for what, with the bytes that they
// sent: with a signature among them an auditor needs to trust nobody.
func (r *Registry) RecordAction(tx app.Tx, format Format, user, action string, body []byte) error {
	tx.Put(r.space.Prefix+".audit.input", tables.UnitKey(), body)
	return tables.PutJSON(tx, r.space.Prefix+".audit.info", tables.UnitKey(), map[string]any{
		"action_name": action, "format": format, "user_id": user,
	})
}

// CheckNotReplayed makes sure that a signed action is a new one: not among the
// recent ones, and not older than their median. createdAt is the signed time in
// seconds since the epoch, body the whole signed message. The error is CCF's:
// 500 InvalidInput.
func (r *Registry) CheckNotReplayed(tx app.Tx, createdAt uint64, body []byte) error {
	table := r.space.Prefix + ".recent_actions"
	digest := sha256.Sum256(body)
	key := fmt.Sprintf("%010d:%s", createdAt, hex.EncodeToString(digest[:]))
	var recent []string
	tx.ForEach(table, func(k, _ []byte) bool { recent = append(recent, string(k)); return true })
	slices.Sort(recent)
	if slices.Contains(recent, key) {
		return synod.Errorf(500, synod.CodeInvalidInput, "Action was already applied")
	}
	if len(recent) > 0 {
		oldest, _, _ := strings.Cut(recent[len(recent)/2], ":")
		if now, _, _ := strings.Cut(key, ":"); now < oldest {
			return synod.Errorf(500, synod.CodeInvalidInput, "Action created_at timestamp is too old")
		}
	}
	tx.Put(table, []byte(key), tables.UnitKey())
	for i := 0; i < len(recent)-(recentActionsMax-1); i++ {
		tx.Delete(table, []byte(recent[i]))
	}
	return nil
}
