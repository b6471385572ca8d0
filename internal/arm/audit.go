package arm

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// AuditEntry is one line of the audit log: who asked what of the control plane
// and what came of it. It holds no content of requests.
type AuditEntry struct {
	Seq       int64     `json:"seq"` // from 1, without a gap
	At        time.Time `json:"at"`
	Principal string    `json:"principal"`
	Action    string    `json:"action"` // Microsoft.ConfidentialLedger/managedCCFs/write and its like
	Target    string    `json:"target"` // a resource id
	Result    string    `json:"result"` // accepted, or the answer's status and error code
	RequestID string    `json:"requestId"`
	// Hash is the SHA-256 of the entry before's hash and this entry, so that no
	// entry can be changed or taken out without changing all after it.
	Hash []byte `json:"hash"`
}

// ErrAuditBroken says that the audit log was changed after it was written.
var ErrAuditBroken = errors.New("the audit log was changed")

// hashAfter returns the hash that e must have after an entry with hash prev.
func (e AuditEntry) hashAfter(prev []byte) []byte {
	// A list of texts as JSON has one reading; nothing can be moved from one
	// field to its neighbour.
	b, err := json.Marshal([]any{e.Seq, formatTime(e.At), e.Principal, e.Action, e.Target, e.Result, e.RequestID})
	if err != nil {
		panic(err) // numbers and texts
	}
	sum := sha256.Sum256(append(prev[:len(prev):len(prev)], b...))
	return sum[:]
}

// AppendAudit adds e to the audit log; it gives it Seq, At and Hash.
func (s *Store) AppendAudit(ctx context.Context, e AuditEntry) error {
	return s.change(ctx, func(tx *sql.Tx) error { return s.appendAudit(ctx, tx, e) }, Change{Kind: ChangeAudit})
}

func (s *Store) appendAudit(ctx context.Context, tx *sql.Tx, e AuditEntry) error {
	var prev []byte
	err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1`).Scan(&e.Seq, &prev)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	e.Seq++
	e.At = s.now().UTC()
	_, err = tx.ExecContext(ctx, `INSERT INTO audit (seq, at, principal, action, target, result, request_id, hash) VALUES (?,?,?,?,?,?,?,?)`,
		e.Seq, formatTime(e.At), e.Principal, e.Action, e.Target, e.Result, e.RequestID, e.hashAfter(prev))
	return err
}

type auditKey struct{}

// pendingAudit is the entry of a request that is being served: the request's
// first transaction takes it along, so that neither is ever without the other.
type pendingAudit struct {
	entry   AuditEntry
	written bool
}

func withAudit(ctx context.Context, e AuditEntry) (context.Context, *pendingAudit) {
	p := &pendingAudit{entry: e}
	return context.WithValue(ctx, auditKey{}, p), p
}

// AuditFilter narrows what Audit returns; zero fields do not narrow.
type AuditFilter struct {
	Before int64  // only entries with a lower Seq
	Target string // only of this resource and what is below it
	Limit  int    // at most so many; 0 is auditMax
}

// auditMax is how many entries of the audit log are read at once.
const auditMax = 1000

// Audit returns entries of the audit log, newest first.
func (s *Store) Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error) {
	query, args := `WHERE true`, []any{}
	if f.Before > 0 {
		query += ` AND seq < ?`
		args = append(args, f.Before)
	}
	if f.Target != "" {
		query += ` AND (target = ? COLLATE NOCASE OR substr(target, 1, ?) = ? COLLATE NOCASE)`
		args = append(args, f.Target, len(f.Target)+1, f.Target+"/")
	}
	if f.Limit <= 0 || f.Limit > auditMax {
		f.Limit = auditMax
	}
	return s.audit(ctx, query+` ORDER BY seq DESC LIMIT ?`, append(args, f.Limit)...)
}

func (s *Store) audit(ctx context.Context, where string, args ...any) ([]AuditEntry, error) {
	return list(ctx, s, "read audit log", scanAudit, `SELECT seq, at, principal, action, target, result, request_id, hash FROM audit `+where, args...)
}

func scanAudit(row scanner) (AuditEntry, error) {
	var e AuditEntry
	var at string
	err := row.Scan(&e.Seq, &at, &e.Principal, &e.Action, &e.Target, &e.Result, &e.RequestID, &e.Hash)
	if err == nil {
		e.At, err = parseTime(at)
	}
	return e, err
}

// VerifyAudit reads the whole audit log and checks that each entry follows from
// the one before. It returns the last entry's Seq and Hash, which an outsider
// may keep to compare with later; or ErrAuditBroken with the first entry that is
// wrong.
func (s *Store) VerifyAudit(ctx context.Context) (int64, []byte, error) {
	var last AuditEntry
	for {
		page, err := s.audit(ctx, `WHERE seq > ? ORDER BY seq LIMIT ?`, last.Seq, auditMax)
		if err != nil {
			return last.Seq, last.Hash, err
		}
		for _, e := range page {
			if e.Seq != last.Seq+1 {
				return last.Seq, last.Hash, fmt.Errorf("%w: entry %d is missing", ErrAuditBroken, last.Seq+1)
			}
			if string(e.hashAfter(last.Hash)) != string(e.Hash) {
				return last.Seq, last.Hash, fmt.Errorf("%w: entry %d", ErrAuditBroken, e.Seq)
			}
			last = e
		}
		if len(page) == 0 {
			return last.Seq, last.Hash, nil
		}
	}
}
