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

// Filter narrows a list of networks; zero fields do not narrow.
type Filter struct {
	Subscription string
	Group        string // with Subscription only
	Name         string // networks' names are unique on a server
	After        string // the Name after which the list goes on
	Limit        int    // at most so many; 0 is all
}

// Precondition is what must hold of a network for a write, as HTTP's If-Match
// and If-None-Match say it.
type Precondition struct {
	Match     string // the ETag that it must have, or "*" for any; "" asks nothing
	NoneMatch bool   // it must not exist

	// NetworksMax is how many networks its subscription may have with it; 0 is
	// no bound.
	NetworksMax int
}

const networkColumns = `subscription, grp, name, location, tags, desired, status, etag, revision, created_at, created_by, modified_at, modified_by`

// Networks returns the networks that filter leaves, by name.
func (s *Store) Networks(ctx context.Context, filter Filter) ([]Network, error) {
	query, args := `SELECT `+networkColumns+` FROM networks WHERE true`, []any{}
	for _, c := range []struct{ column, value string }{
		{"subscription = ?", filter.Subscription}, {"grp = ?", filter.Group}, {"name = ?", filter.Name}, {"name > ?", filter.After},
	} {
		if c.value != "" {
			query += " AND " + c.column
			args = append(args, c.value)
		}
	}
	query += " ORDER BY name"
	if filter.Limit > 0 {
		query += " LIMIT ?"
		args = append(args, filter.Limit)
	}
	return list(ctx, s, "list networks", s.scanNetwork, query, args...)
}

// Network returns the network with id, or ErrNotFound.
func (s *Store) Network(ctx context.Context, id NetworkID) (Network, error) {
	return s.network(ctx, s.read, id)
}

func (s *Store) network(ctx context.Context, q querier, id NetworkID) (Network, error) {
	n, err := s.scanNetwork(q.QueryRowContext(ctx, `SELECT `+networkColumns+` FROM networks WHERE key = ?`, id.Key()))
	if errors.Is(err, sql.ErrNoRows) {
		return Network{}, ErrNotFound
	}
	return n, err
}

// NetworkNamed returns the network with a name, which is unique on a server, or
// ErrNotFound.
func (s *Store) NetworkNamed(ctx context.Context, name string) (Network, error) {
	found, err := s.Networks(ctx, Filter{Name: name, Limit: 1})
	if err != nil {
		return Network{}, err
	}
	if len(found) == 0 {
		return Network{}, ErrNotFound
	}
	return found[0], nil
}

func (s *Store) scanNetwork(row scanner) (Network, error) {
	var n Network
	var tags, status, created, modified string
	var desired []byte
	err := row.Scan(&n.ID.Subscription, &n.ID.Group, &n.ID.Name, &n.Location, &tags, &desired, &status, &n.ETag, &n.Revision,
		&created, &n.CreatedBy, &modified, &n.ModifiedBy)
	if err != nil {
		return Network{}, err
	}
	plain, err := s.unseal("network "+n.ID.Key(), desired)
	if err != nil {
		return Network{}, err
	}
	err = errors.Join(json.Unmarshal([]byte(tags), &n.Tags), json.Unmarshal(plain, &n.Desired), json.Unmarshal([]byte(status), &n.Status),
		parseTimes([]string{created, modified}, &n.CreatedAt, &n.ModifiedAt))
	if err != nil {
		return Network{}, fmt.Errorf("network %s: %w", n.ID.Name, err)
	}
	return n, nil
}

// PutDesired stores what a user wants of a network, new or known, and starts op
// with it: both or neither. op may be nil, of a change that is no work (tags).
// It takes ID, Location, Tags, Desired and ModifiedBy of n, and ProvisioningState of
// its Status if the network is new; it returns the network as it is stored, and
// fills in op. A precondition that does not hold, a running operation and a name that
// another group has are each an *Error.
func (s *Store) PutDesired(ctx context.Context, n Network, cond Precondition, op *Operation) (Network, error) {
	var stored Network
	changes := []Change{{Kind: ChangeNetwork, Network: n.ID}}
	if op != nil {
		op.Network = n.ID
		s.prepare(op)
		changes = append(changes, Change{Kind: ChangeOperation, Network: n.ID, Operation: op.ID})
	}
	err := s.change(ctx, func(tx *sql.Tx) error {
		old, err := s.network(ctx, tx, n.ID)
		exists := err == nil
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := cond.check(old, exists); err != nil {
			return err
		}
		if !exists && cond.NetworksMax > 0 {
			if err := checkQuota(ctx, tx, n.ID, cond.NetworksMax); err != nil {
				return err
			}
		}
		now := s.now().UTC()
		stored = n
		stored.ETag, stored.Revision = newETag(), old.Revision+1
		stored.ModifiedAt = now
		if exists {
			stored.ID, stored.Status = old.ID, old.Status
			stored.CreatedAt, stored.CreatedBy = old.CreatedAt, old.CreatedBy
		} else {
			stored.CreatedAt, stored.CreatedBy = now, n.ModifiedBy
		}
		if op != nil {
			op.Network = stored.ID
			stored.Status.ProvisioningState = startState(op.Kind)
			if err := s.insertOperation(ctx, tx, *op); err != nil {
				return err
			}
		}
		return s.writeNetwork(ctx, tx, stored)
	}, changes...)
	if isUnique(err) {
		err = &Error{
			Status: http.StatusConflict, Code: CodeAlreadyExists, Target: "name",
			Message: fmt.Sprintf("The name %q is taken by a network in another resource group or subscription of this server.", n.ID.Name),
		}
	}
	if err != nil {
		return Network{}, err
	}
	return stored, nil
}

func checkQuota(ctx context.Context, tx *sql.Tx, id NetworkID, most int) error {
	var count int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM networks WHERE subscription = ?`, id.Subscription).Scan(&count); err != nil {
		return err
	}
	if count < most {
		return nil
	}
	return errorf(http.StatusConflict, CodeQuotaExceeded, "",
		"The subscription %s has %d networks, and may have no more than %d. Delete one, or have the server's configuration allow more.", id.Subscription, count, most)
}

// startState is what a resource says of itself while an operation of a kind
// begins.
func startState(kind string) string {
	switch kind {
	case KindCreate, KindRestore:
		return StateAccepted
	case KindDelete:
		return StateDeleting
	default:
		return StateUpdating
	}
}

func (c Precondition) check(old Network, exists bool) error {
	switch {
	case c.NoneMatch && exists:
		return &Error{
			Status: http.StatusPreconditionFailed, Code: CodePreconditionFailed, Target: "If-None-Match",
			Message: fmt.Sprintf("The network %q exists.", old.ID.Name),
		}
	case c.Match != "" && !exists:
		return &Error{Status: http.StatusPreconditionFailed, Code: CodePreconditionFailed, Target: "If-Match", Message: "The network does not exist."}
	case c.Match != "" && c.Match != "*" && c.Match != old.ETag:
		return &Error{
			Status: http.StatusPreconditionFailed, Code: CodePreconditionFailed, Target: "If-Match",
			Message: "The network was changed meanwhile: its ETag is " + old.ETag + ". Read it again and repeat the change.",
		}
	default:
		return nil
	}
}

func newETag() string {
	var b [12]byte
	rand.Read(b[:]) //nolint:errcheck // never fails
	return `"` + hex.EncodeToString(b[:]) + `"`
}

func (s *Store) writeNetwork(ctx context.Context, tx *sql.Tx, n Network) error {
	tags, err := json.Marshal(n.Tags)
	if err != nil {
		return err
	}
	desired, err := json.Marshal(n.Desired)
	if err != nil {
		return err
	}
	status, err := json.Marshal(n.Status)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO networks (key, `+networkColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (key) DO UPDATE SET location=excluded.location, tags=excluded.tags, desired=excluded.desired, status=excluded.status,
		  etag=excluded.etag, revision=excluded.revision, modified_at=excluded.modified_at, modified_by=excluded.modified_by`,
		n.ID.Key(), n.ID.Subscription, n.ID.Group, n.ID.Name, n.Location, string(tags), s.seal("network "+n.ID.Key(), desired), string(status),
		n.ETag, n.Revision, formatTime(n.CreatedAt), n.CreatedBy, formatTime(n.ModifiedAt), n.ModifiedBy)
	return err
}

// PutStatus stores what the reconciler saw of a network, or returns ErrNotFound
// if the network is gone. It tells watchers only if something is new.
func (s *Store) PutStatus(ctx context.Context, id NetworkID, status Status) error {
	if b := status.LastBackup; b != nil {
		shown := *b
		shown.Target = redact(b.Target) // a status is kept in the clear
		status.LastBackup = &shown
	}
	text, err := json.Marshal(status)
	if err != nil {
		return err
	}
	var same bool
	err = s.read.QueryRowContext(ctx, `SELECT status = ? FROM networks WHERE key = ?`, string(text), id.Key()).Scan(&same)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil || same {
		return err
	}
	return s.observe(ctx, func(tx *sql.Tx) error {
		return wantOne(tx.ExecContext(ctx, `UPDATE networks SET status = ? WHERE key = ?`, string(text), id.Key()))
	}, Change{Kind: ChangeStatus, Network: id})
}

// DeleteNetwork removes a network's record, which is the last thing that the
// reconciler does for it, or returns ErrNotFound. What was wanted of it is kept
// for DeletedNetwork. A running operation stays: end it afterwards.
func (s *Store) DeleteNetwork(ctx context.Context, id NetworkID) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO deleted_networks (key, location, tags, desired, status, deleted_at)
			SELECT key, location, tags, desired, status, ? FROM networks WHERE key = ?`, formatTime(s.now()), id.Key())
		if err != nil {
			return err
		}
		if err := wantOne(tx.ExecContext(ctx, `DELETE FROM networks WHERE key = ?`, id.Key())); err != nil {
			return err
		}
		return dropEmptyGroup(ctx, tx, id.Subscription, id.Group)
	}, Change{Kind: ChangeNetwork, Network: id})
}

// DeletedNetwork returns the last state of a network that was deleted, and when
// that was, or ErrNotFound. Only ID, Location, Tags, Desired and Status are set.
func (s *Store) DeletedNetwork(ctx context.Context, id NetworkID) (Network, time.Time, error) {
	n := Network{ID: id}
	var tags, status, deleted string
	var desired []byte
	err := s.read.QueryRowContext(ctx, `SELECT location, tags, desired, status, deleted_at FROM deleted_networks WHERE key = ?`, id.Key()).
		Scan(&n.Location, &tags, &desired, &status, &deleted)
	if errors.Is(err, sql.ErrNoRows) {
		return Network{}, time.Time{}, ErrNotFound
	}
	if err != nil {
		return Network{}, time.Time{}, err
	}
	plain, err := s.unseal("network "+id.Key(), desired)
	if err != nil {
		return Network{}, time.Time{}, err
	}
	var at time.Time
	err = errors.Join(json.Unmarshal([]byte(tags), &n.Tags), json.Unmarshal(plain, &n.Desired), json.Unmarshal([]byte(status), &n.Status),
		parseTimes([]string{deleted}, &at))
	return n, at, err
}

// wantOne turns a write that met no row into ErrNotFound.
func wantOne(r sql.Result, err error) error {
	if err != nil {
		return err
	}
	if rows, err := r.RowsAffected(); err != nil || rows == 0 {
		return errors.Join(ErrNotFound, err)
	}
	return nil
}
