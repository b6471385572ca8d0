package arm

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const operationColumns = `id, subscription, grp, name, kind, status, steps, input, result, error,
	started_at, updated_at, ended_at, requested_by, request_id, cancel_requested`

// newGUID returns a random GUID.
func newGUID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// prepare gives op what every new operation has.
func (s *Store) prepare(op *Operation) {
	if op.ID == "" {
		op.ID = newGUID()
	}
	if op.Status == "" {
		op.Status = OperationAccepted
		if op.Kind == KindDelete {
			op.Status = OperationDeleting
		}
	}
	op.StartedAt = s.now().UTC()
	op.UpdatedAt, op.EndedAt = op.StartedAt, time.Time{}
	if op.Ended() {
		op.EndedAt = op.StartedAt
	}
}

// StartOperation stores a new operation and gives it its ID; one whose Status is
// an end only records that there was nothing to do. While another runs
// on the same network it is refused with OperationNotAllowed, unless it is a
// delete: that cancels the other.
func (s *Store) StartOperation(ctx context.Context, op *Operation) error {
	s.prepare(op)
	return s.change(ctx, func(tx *sql.Tx) error { return s.insertOperation(ctx, tx, *op) },
		Change{Kind: ChangeOperation, Network: op.Network, Operation: op.ID})
}

func (s *Store) insertOperation(ctx context.Context, tx *sql.Tx, op Operation) error {
	if op.Ended() {
		return s.writeOperation(ctx, tx, op)
	}
	other, err := s.scanOperation(tx.QueryRowContext(ctx, `SELECT `+operationColumns+` FROM operations WHERE network = ? AND ended_at = ''`, op.Network.Key()))
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	case op.Kind != KindDelete || other.Kind == KindDelete:
		return &Error{Status: http.StatusConflict, Code: CodeOperationNotAllowed, Message: fmt.Sprintf(
			"An operation (%s, %s) is running on the network %q since %s. Wait for its end, or cancel it.",
			other.Kind, other.ID, op.Network.Name, other.StartedAt.Format(time.RFC3339))}
	default:
		other.Status, other.EndedAt = OperationCanceled, s.now().UTC()
		other.Error = &Error{Code: CodeOperationPreempted, Message: fmt.Sprintf("The network was deleted by operation %s.", op.ID)}
		if err := s.writeOperation(ctx, tx, other); err != nil {
			return err
		}
	}
	return s.writeOperation(ctx, tx, op)
}

func (s *Store) writeOperation(ctx context.Context, tx *sql.Tx, op Operation) error {
	steps, err := json.Marshal(op.Steps)
	if err != nil {
		return err
	}
	failure := ""
	if op.Error != nil {
		b, err := json.Marshal(op.Error)
		if err != nil {
			return err
		}
		failure = string(b)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO operations (network, `+operationColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET status=excluded.status, steps=excluded.steps, result=excluded.result, error=excluded.error,
		  updated_at=excluded.updated_at, ended_at=excluded.ended_at`,
		op.Network.Key(), op.ID, op.Network.Subscription, op.Network.Group, op.Network.Name, op.Kind, op.Status, string(steps),
		s.seal("operation "+op.ID, op.Input), string(op.Result), failure,
		formatTime(op.StartedAt), formatTime(op.UpdatedAt), formatTime(op.EndedAt), op.RequestedBy, op.RequestID, op.CancelRequested)
	return err
}

func (s *Store) scanOperation(row scanner) (Operation, error) {
	var op Operation
	var steps, result, failure, started, updated, ended string
	var input []byte
	err := row.Scan(&op.ID, &op.Network.Subscription, &op.Network.Group, &op.Network.Name, &op.Kind, &op.Status, &steps, &input, &result, &failure,
		&started, &updated, &ended, &op.RequestedBy, &op.RequestID, &op.CancelRequested)
	if err != nil {
		return Operation{}, err
	}
	plain, err := s.unseal("operation "+op.ID, input)
	if err != nil {
		return Operation{}, err
	}
	if len(plain) > 0 {
		op.Input = plain
	}
	if result != "" {
		op.Result = json.RawMessage(result)
	}
	if failure != "" {
		op.Error = new(Error)
		if err := json.Unmarshal([]byte(failure), op.Error); err != nil {
			return Operation{}, fmt.Errorf("operation %s: %w", op.ID, err)
		}
	}
	err = errors.Join(json.Unmarshal([]byte(steps), &op.Steps),
		parseTimes([]string{started, updated, ended}, &op.StartedAt, &op.UpdatedAt, &op.EndedAt))
	if err != nil {
		return Operation{}, fmt.Errorf("operation %s: %w", op.ID, err)
	}
	return op, nil
}

// Operation returns the operation with an ID, or ErrNotFound.
func (s *Store) Operation(ctx context.Context, id string) (Operation, error) {
	op, err := s.scanOperation(s.read.QueryRowContext(ctx, `SELECT `+operationColumns+` FROM operations WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Operation{}, ErrNotFound
	}
	return op, err
}

// RunningOperations returns the operations that have not ended, oldest first.
func (s *Store) RunningOperations(ctx context.Context) ([]Operation, error) {
	return s.operations(ctx, `WHERE ended_at = '' ORDER BY started_at, rowid`)
}

// Operations returns the newest operations on a network, newest first, at most
// limit.
func (s *Store) Operations(ctx context.Context, id NetworkID, limit int) ([]Operation, error) {
	return s.operations(ctx, `WHERE network = ? ORDER BY started_at DESC, rowid DESC LIMIT ?`, id.Key(), limit)
}

func (s *Store) operations(ctx context.Context, where string, args ...any) ([]Operation, error) {
	return list(ctx, s, "list operations", s.scanOperation, `SELECT `+operationColumns+` FROM operations `+where, args...)
}

// UpdateOperation stores op's Status, Steps, Result and Error; one whose Status
// is an end has ended now. It returns ErrOperationEnded if op had ended before,
// which a delete may have brought about, or ErrNotFound.
func (s *Store) UpdateOperation(ctx context.Context, op Operation) error {
	op.UpdatedAt, op.EndedAt = s.now().UTC(), time.Time{}
	if op.Ended() {
		op.EndedAt = op.UpdatedAt
	}
	op.Result = redactResult(op.Result)
	write := s.observe // progress
	if op.Ended() {
		write = s.change
	}
	return write(ctx, func(tx *sql.Tx) error {
		if err := wantRunning(ctx, tx, op.ID); err != nil {
			return err
		}
		return s.writeOperation(ctx, tx, op)
	}, Change{Kind: ChangeOperation, Network: op.Network, Operation: op.ID})
}

// redactResult takes out of a result what the address of a backup store may
// hold of secrets: results are kept in the clear and shown.
func redactResult(result json.RawMessage) json.RawMessage {
	var r MessageResult
	if json.Unmarshal(result, &r) != nil || r.Backup == nil || r.Backup.Target == "" {
		return result
	}
	r.Backup.Target = redact(r.Backup.Target)
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // texts, numbers and times
	}
	return b
}

// RequestCancel marks an operation so that whoever runs it ends it as Canceled
// where that leaves nothing half-made. It returns ErrOperationEnded or
// ErrNotFound if there is nothing to cancel.
func (s *Store) RequestCancel(ctx context.Context, id string) error {
	op, err := s.Operation(ctx, id)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := wantRunning(ctx, tx, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE operations SET cancel_requested = 1, updated_at = ? WHERE id = ?`, formatTime(s.now()), id)
		return err
	}, Change{Kind: ChangeOperation, Network: op.Network, Operation: id})
}

func wantRunning(ctx context.Context, tx *sql.Tx, id string) error {
	var ended string
	err := tx.QueryRowContext(ctx, `SELECT ended_at FROM operations WHERE id = ?`, id).Scan(&ended)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ErrNotFound
	case err != nil:
		return err
	case ended != "":
		return ErrOperationEnded
	default:
		return nil
	}
}

// How long what has ended is kept.
const (
	// OperationsKept is how long the record of an ended operation is kept.
	OperationsKept = 7 * 24 * time.Hour
	// operationsOfNetworkMax is how many ended operations of a network are kept.
	operationsOfNetworkMax = 1000
	// deletedKept is how long what was wanted of a deleted network is kept.
	deletedKept = 400 * 24 * time.Hour
)

// Prune removes what has been kept for long enough: ended operations and
// deleted networks.
func (s *Store) Prune(ctx context.Context) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		for _, p := range []struct {
			query string
			arg   any
		}{
			{`DELETE FROM operations WHERE ended_at != '' AND ended_at < ?`, formatTime(s.now().Add(-OperationsKept))},
			{`DELETE FROM operations WHERE rowid IN (SELECT rowid FROM
				(SELECT rowid, row_number() OVER (PARTITION BY network ORDER BY rowid DESC) AS n FROM operations WHERE ended_at != '') WHERE n > ?)`, operationsOfNetworkMax},
			{`DELETE FROM deleted_networks WHERE deleted_at < ?`, formatTime(s.now().Add(-deletedKept))},
		} {
			if _, err := tx.ExecContext(ctx, p.query, p.arg); err != nil {
				return err
			}
		}
		return nil
	})
}
