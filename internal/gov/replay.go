package gov

import (
	"encoding/hex"
	"fmt"
	"strings"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// createdAtMax is the last creation time that has ten digits, in the year
// 2286: keys of the window compare as text.
const createdAtMax = 9_999_999_999

// checkReplay refuses a proposal that has been made already or that is older
// than half of the window of recent ones, and otherwise adds it to the window
// and lets the oldest go (CCF: src/node/gov/handlers/proposals.h,
// validate_proposal_submission_time).
func checkReplay(tx app.Tx, createdAt uint64, signature [32]byte, id string) error {
	if createdAt > createdAtMax {
		return synod.Errorf(400, synod.CodeInvalidCreatedAt, "Header parameter created_at value is too large")
	}
	created := fmt.Sprintf("%010d", createdAt)
	key := created + ":" + hex.EncodeToString(signature[:])
	existing, ok, err := tables.GetJSON[string](tx, tables.COSERecentProposals, []byte(key))
	if err != nil {
		return broken(err)
	}
	if ok {
		return synod.Errorf(400, synod.CodeProposalReplay,
			"Proposal submission replay, already exists as proposal %s", existing)
	}
	var window []string // in ascending order, as the table is
	tx.ForEach(tables.COSERecentProposals, func(k, _ []byte) bool {
		window = append(window, string(k))
		return true
	})
	if len(window) > 0 {
		if least, _, _ := strings.Cut(window[len(window)/2], ":"); created < least {
			return synod.Errorf(400, synod.CodeProposalCreatedTooLongAgo,
				"Proposal created too long ago, created_at must be greater than %s", least)
		}
	}
	size, err := windowSize(tx)
	if err != nil {
		return broken(err)
	}
	if err := tables.PutJSON(tx, tables.COSERecentProposals, []byte(key), id); err != nil {
		return broken(err)
	}
	for len(window) > size-1 {
		tx.Delete(tables.COSERecentProposals, []byte(window[0]))
		window = window[1:]
	}
	return nil
}

// windowSize is how many recent proposals are kept, at least 1.
func windowSize(tx tables.Reader) (int, error) {
	config, _, err := tables.GetJSON[tables.ServiceConfig](tx, tables.ServiceConfiguration, tables.UnitKey())
	if err != nil {
		return 0, err
	}
	if n := config.RecentCOSEProposalsWindowSize; n != nil {
		return int(min(max(*n, 1), 1<<20)), nil
	}
	return tables.DefaultRecentProposalsWindow, nil
}
