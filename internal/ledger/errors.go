package ledger

import (
	"errors"
	"fmt"

	"synod"
)

var (
	// ErrNotFound is returned for a seqno that the log does not hold.
	ErrNotFound = errors.New("ledger entry not found")
	// ErrCommitted is returned for an attempt to cut or rewrite committed entries.
	ErrCommitted = errors.New("ledger entry is committed")
	// ErrGap is returned by Append when entries would be missing in between.
	ErrGap = errors.New("ledger entries are missing in between")
	// ErrMalformed is wrapped by every error about bytes that are not in the format.
	ErrMalformed = errors.New("malformed")
	// ErrChunkFull is returned when a chunk would exceed 4 GiB, which its
	// positions cannot express.
	ErrChunkFull = errors.New("ledger chunk is full")
	// ErrClosed is returned by a closed Log.
	ErrClosed = errors.New("ledger is closed")
	// ErrInUse is returned by Open for a directory that another Log has open, of
	// whatever process.
	ErrInUse = errors.New("the ledger directory is in use by another node: copy it")
)

// CorruptError says where bytes are not in the format. It wraps ErrMalformed.
type CorruptError struct {
	File   string      // path; empty when a lone entry was parsed
	Offset int64       // bytes from the start of the file, or of the entry
	SeqNo  synod.SeqNo // the entry concerned; 0 if unknown
	Reason string
	Tail   bool   // an open chunk ends here in bytes that are no entry; Open cuts them off
	Hint   string // what an operator may try; may be empty
}

// Error returns "file: offset o: seqno s: reason" without what is unknown.
func (e *CorruptError) Error() string {
	s := fmt.Sprintf("offset %d: %s", e.Offset, e.Reason)
	if e.SeqNo != 0 {
		s = fmt.Sprintf("seqno %d: %s", e.SeqNo, s)
	}
	if e.File != "" {
		s = e.File + ": " + s
	}
	return s
}

// Unwrap makes errors.Is(err, ErrMalformed) true.
func (e *CorruptError) Unwrap() error { return ErrMalformed }

// in returns e with the file and the entry's offset filled in.
func (e *CorruptError) in(file string, offset int64) *CorruptError {
	c := *e
	c.File = file
	c.Offset += offset
	return &c
}

// IOError is a failure of the disk. Entries acknowledged before it are safe.
type IOError struct {
	Op   string // "write", "sync", "rename", …
	File string // path
	Err  error  // errors.Is finds syscall.ENOSPC, EIO and so on
}

// Error returns "op file: cause".
func (e *IOError) Error() string { return e.Op + " " + e.File + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *IOError) Unwrap() error { return e.Err }

func ioError(op, file string, err error) error {
	var known *IOError
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &IOError{Op: op, File: file, Err: err}
}
