package arm

import (
	"context"
	"crypto/cipher"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite" // and its driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Sentinels of the store.
var (
	// ErrNotFound says that there is no such thing in the store.
	ErrNotFound = errors.New("not in the store")
	// ErrOperationEnded says that an operation has ended and cannot change.
	ErrOperationEnded = errors.New("the operation has ended")
	// ErrNewerStore says that a newer release has written the store.
	ErrNewerStore = errors.New("the store was written by a newer release")
)

// readersMax is how many reads of the store go on at once.
const readersMax = 4

// busyTimeout is how long a statement waits for another process's lock.
const busyTimeout = 10 * time.Second

// Store keeps networks, operations, roles and the audit log in one SQLite file.
// It may be used by many goroutines, and by several processes: a command that
// changes roles does so beside a server.
type Store struct {
	write *sql.DB // one connection; its transactions take the lock at once
	read  *sql.DB
	aead  cipher.AEAD
	now   func() time.Time

	mu       sync.Mutex
	watchers map[*watcher]struct{} // guarded by mu
}

// OpenStore opens or makes the store in the file at path, and brings its tables
// up to this release. The key that seals what may be secret is in path+".key",
// made at first with mode 0600. Close it.
func OpenStore(ctx context.Context, path string, now func() time.Time) (*Store, error) {
	aead, err := openSeal(path + ".key")
	if err != nil {
		return nil, err
	}
	pragmas := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
	}}
	file := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + pragmas.Encode()
	s := &Store{aead: aead, now: now, watchers: map[*watcher]struct{}{}}
	if s.write, err = sql.Open("sqlite", file+"&_txlock=immediate"); err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	s.write.SetMaxOpenConns(1)
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.write.Close())
	}
	if s.read, err = sql.Open("sqlite", file+"&_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.write.Close())
	}
	s.read.SetMaxOpenConns(readersMax)
	return s, nil
}

// Close ends every watch and closes the file.
func (s *Store) Close() error {
	s.endWatches()
	return errors.Join(s.read.Close(), s.write.Close())
}

// migrate runs each file of migrations/ that the store has not seen, in order,
// each in a transaction with the mark that it was run.
func (s *Store) migrate(ctx context.Context) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(names)
	var version int
	if err := s.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(names) {
		return fmt.Errorf("%w: its tables have version %d, this release knows %d", ErrNewerStore, version, len(names))
	}
	for i := version; i < len(names); i++ {
		text, err := migrations.ReadFile(names[i])
		if err != nil {
			return err
		}
		err = s.change(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, string(text)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", i+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
	}
	return nil
}

// change runs fn in a transaction that holds the write lock from its start, and
// tells the watchers what changed once it has been committed. The first one of a
// request takes the request's audit entry along.
func (s *Store) change(ctx context.Context, fn func(tx *sql.Tx) error, changes ...Change) error {
	return s.transact(ctx, durable, fn, changes)
}

// observe is change for what can be seen again: it does not wait for the disk,
// so that many networks' reconcilers do not hold up requests. A power failure may
// lose it, the end of this process does not; the next durable write takes it to
// the disk.
func (s *Store) observe(ctx context.Context, fn func(tx *sql.Tx) error, changes ...Change) error {
	return s.transact(ctx, lazy, fn, changes)
}

// Values of SQLite's synchronous, which holds for the transactions after it.
const (
	durable = "PRAGMA synchronous = FULL"
	lazy    = "PRAGMA synchronous = NORMAL"
)

func (s *Store) transact(ctx context.Context, synchronous string, fn func(tx *sql.Tx) error, changes []Change) error {
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, synchronous); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = fn(tx)
	pending, ok := ctx.Value(auditKey{}).(*pendingAudit)
	if ok = ok && !pending.written; ok && err == nil {
		err = s.appendAudit(ctx, tx, pending.entry)
		changes = append(changes, Change{Kind: ChangeAudit})
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if ok {
		pending.written = true
	}
	s.tell(changes)
	return nil
}

// querier is what reads inside and outside of a transaction have in common.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// timeForm sorts as text.
const timeForm = "2006-01-02T15:04:05.000000000Z"

// scanner is a row, alone or of several.
type scanner interface{ Scan(into ...any) error }

// list runs a query and returns what scan makes of each row.
func list[T any](ctx context.Context, s *Store, what string, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeForm)
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(timeForm, s)
}

// parseTimes reads texts into the times that they stand for.
func parseTimes(texts []string, times ...*time.Time) error {
	for i, text := range texts {
		t, err := parseTime(text)
		if err != nil {
			return err
		}
		*times[i] = t
	}
	return nil
}

// isUnique reports whether err is a broken UNIQUE or PRIMARY KEY rule.
func isUnique(err error) bool {
	return err != nil && strings.Contains(err.Error(), "UNIQUE constraint failed")
}

// diskFull reports whether err says that there was no room for what was to be written.
func diskFull(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_FULL
}
