package govaudit

import (
	"context"
	"fmt"

	"synod"
	"synod/internal/audit"
	"synod/internal/ledger"
)

// Directory verifies the ledger in the directories as audit.Directory does,
// and its governance with it, up to the last signature that the service stands behind. The
// error is about integrity or reading; governance that does not verify is in
// the findings. Either report is nil only if nothing could be read.
func Directory(ctx context.Context, dirs ...string) (*audit.Report, *Report, error) {
	r, err := newReplay(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("governance replay: %w", err)
	}
	defer r.close()
	integrity, err := audit.Replay(ctx, func(e *ledger.Entry, v *audit.Verifier) error {
		return r.add(e, v.RootAt)
	}, dirs...)
	if integrity == nil {
		return nil, nil, err
	}
	r.report.cut(integrity.Good.SeqNo)
	return integrity, r.report, err
}

// cut forgets what nobody signed.
func (r *Report) cut(good synod.SeqNo) {
	for len(r.Events) > 0 && r.Events[len(r.Events)-1].TxID.SeqNo > good {
		r.Events = r.Events[:len(r.Events)-1]
	}
	for len(r.Findings) > 0 && r.Findings[len(r.Findings)-1].TxID.SeqNo > good {
		r.Findings = r.Findings[:len(r.Findings)-1]
	}
	if r.Events == nil {
		r.Events = []Event{}
	}
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
}
