package ledger

import (
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"synod"
)

// DefaultCacheFiles is how many files of completed chunks stay open for
// reading; CCF keeps five. Each costs a descriptor and its positions table.
const DefaultCacheFiles = 8

// Config is what a Log is opened with. Dir is required.
type Config struct {
	Dir          string   // the main directory, made if missing
	ReadOnlyDirs []string // further places of committed chunks; must exist
	FS           FS       // the disk; Disk() if nil
	Log          *slog.Logger

	// After is the seqno of the snapshot that the node starts from. Entries up
	// to it count as committed, and a log that holds less goes on after it.
	After synod.SeqNo
	// Check is asked about each entry of the chunks that are not committed
	// before it is believed at start-up, for instance whether its tag is
	// right. The log is cut before the first entry that it refuses. A nil Check
	// believes what is in the format: an entry has no checksum of its own.
	Check func(*Entry) error
	// Recover lets the log end at the first fault or hole in its chunks that are
	// not committed, wherever that is; the chunks behind it are set aside. Without
	// it, only the newest chunk may end in a fault.
	Recover bool
	// CacheFiles is DefaultCacheFiles if zero.
	CacheFiles int
}

// Log is the ledger of one node: the chunks of its directories as one sequence
// of entries.
type Log struct {
	cfg   Config
	fs    FS
	log   *slog.Logger
	cache *cache
	lock  io.Closer // of the main directory

	// owned by the writer, who holds wmu
	wmu      sync.Mutex
	active   *chunk // the incomplete chunk, always the newest; nil if none
	lastView synod.View
	buf      []byte
	failed   error // the reason to refuse every further write
	recovery bool  // chunks that begin after recovers are named .recovery
	recovers synod.SeqNo

	// guarded by mu, changed only by the writer
	mu        sync.RWMutex
	chunks    []*chunk // ascending and disjoint
	first     synod.SeqNo
	last      synod.SeqNo
	committed synod.SeqNo
	epoch     uint64 // counts truncations
	closed    bool
	late      late // for readers alone; changed by them
}

// chunk is one file. All but start is guarded by Log.mu and changed only by the
// writer.
type chunk struct {
	dir   string
	name  Name
	start synod.SeqNo
	end   synod.SeqNo // last entry

	// known of chunks that are not committed
	aside     bool // of before a Skip: it gets no other name any more
	complete  bool
	ends      bool     // the last entry says that the chunk ends with it; set by Open
	size      int64    // where the entries end
	positions []uint32 // elements never change; a truncation makes a new array
	h         *handle  // open for writing; nil unless active
}

func (c *chunk) path() string { return filepath.Join(c.dir, c.name.String()) }

// First is the oldest entry from which the log has no hole, or Last()+1 if it
// is empty.
func (l *Log) First() synod.SeqNo {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.first
}

// Last is the newest entry on disk; 0 or Config.After if there is none.
func (l *Log) Last() synod.SeqNo {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.last
}

// Committed is the seqno up to which nothing can be cut.
func (l *Log) Committed() synod.SeqNo {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.committed
}

// Close closes the files. It waits for the writer; readers that are under way
// end properly.
func (l *Log) Close() error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	l.cache.close()
	if l.active != nil {
		err := l.active.h.release()
		return ioError("close", l.active.path(), errors.Join(err, l.lock.Close()))
	}
	return ioError("close", l.cfg.Dir, l.lock.Close())
}

// Usable says whether the log can be written to: no write has failed in a way
// that leaves it unclear what is on disk, and it is not closed.
func (l *Log) Usable() bool {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	return l.writable() == nil
}

// writable returns the reason not to write. The writer calls it.
func (l *Log) writable() error {
	if l.closed {
		return ErrClosed
	}
	return l.failed
}

// fail makes the log refuse to write from now on and returns the error.
func (l *Log) fail(op, file string, err error) error {
	l.failed = ioError(op, file, err)
	return l.failed
}

// handle is an open file with its positions, closed with its last reference.
type handle struct {
	file      File
	path      string
	positions []uint32 // of a completed chunk
	end       int64    // of its entries
	refs      atomic.Int32
}

func newHandle(f File, path string) *handle {
	h := &handle{file: f, path: path}
	h.refs.Store(1)
	return h
}

// acquire adds a reference; somebody must hold one already.
func (h *handle) acquire() *handle {
	h.refs.Add(1)
	return h
}

func (h *handle) release() error {
	if h.refs.Add(-1) == 0 {
		return h.file.Close()
	}
	return nil
}

// cache holds the files of completed chunks read last. It is safe for several
// goroutines.
type cache struct {
	mu    sync.Mutex
	max   int
	files []cached // most recently used last
}

type cached struct {
	c *chunk
	h *handle
}

// get returns a reference that the caller releases, or nil.
func (k *cache) get(c *chunk) *handle {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, f := range k.files {
		if f.c == c {
			copy(k.files[i:], k.files[i+1:])
			k.files[len(k.files)-1] = f
			return f.h.acquire()
		}
	}
	return nil
}

// put takes over the caller's reference, in the place of an older one.
func (k *cache) put(c *chunk, h *handle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := len(k.files) - 1; i >= 0; i-- {
		if k.files[i].c == c {
			k.discard(i)
		}
	}
	if len(k.files) >= k.max {
		k.discard(0)
	}
	k.files = append(k.files, cached{c, h})
}

func (k *cache) drop(c *chunk) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := len(k.files) - 1; i >= 0; i-- {
		if k.files[i].c == c {
			k.discard(i)
		}
	}
}

func (k *cache) discard(i int) {
	_ = k.files[i].h.release() // nothing was written through it since its last sync
	k.files = append(k.files[:i], k.files[i+1:]...)
}

func (k *cache) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.files) > 0 {
		k.discard(len(k.files) - 1)
	}
}
