package snapshot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"unicode/utf8"

	"synod"
	"synod/internal/tables"
)

// ErrMalformed is wrapped by every error about map blocks that are not in the
// format.
var ErrMalformed = errors.New("snapshot is malformed")

// nameMax bounds the name of a map, in bytes.
const nameMax = 1 << 16

// entryMax bounds a key or a value, in bytes: what a ledger file could hold.
const entryMax = 1 << 32

// deleted marks the version of a key that is gone, in old snapshots.
const deleted = 1 << 63

// readBuffer is how many bytes are read, hashed and opened at once.
const readBuffer = 256 << 10

// A source reads one stretch of a file once, through a hash and then a cipher.
type source struct {
	file    io.ReaderAt
	at, end int64
	digest  hash.Hash
	open    func([]byte) // takes what was read and may change it
	fault   *error       // where a failure of the file is noted

	buf  []byte
	rest []byte // of buf, not yet handed out
}

// left is how many bytes are still to come.
func (s *source) left() uint64 { return uint64(s.end-s.at) + uint64(len(s.rest)) }

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		if s.at == s.end {
			return 0, io.EOF
		}
		n := min(int64(cap(s.buf)), s.end-s.at)
		s.rest = s.buf[:n]
		if k, err := s.file.ReadAt(s.rest, s.at); k < len(s.rest) {
			s.rest = nil
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			*s.fault = err
			return 0, err
		}
		s.at += n
		s.digest.Write(s.rest)
		s.open(s.rest)
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// drain reads what is left.
func (s *source) drain() error {
	_, err := io.Copy(io.Discard, s)
	return err
}

// A sink takes the maps of a snapshot: kv.Loader, or something that watches.
type sink interface {
	Map(name string, version synod.SeqNo) error
	Put(key, value []byte, version synod.SeqNo) error
}

// blocks parses the map blocks of one domain.
type blocks struct {
	src    *source
	public bool
	newest synod.SeqNo // the snapshot's
	to     sink

	end   uint64 // where the map under way ends, as src.left
	key   []byte
	value []byte
}

// run reads to the end of the domain.
func (b *blocks) run() error {
	for b.src.left() > 0 {
		if err := b.block(); err != nil {
			return err
		}
	}
	return nil
}

func (b *blocks) block() error {
	b.end = 0
	name, err := b.bytes(nil, nameMax)
	if err != nil {
		return fmt.Errorf("map name: %w", err)
	}
	switch {
	case !utf8.Valid(name):
		return fmt.Errorf("%w: a map name is not UTF-8", ErrMalformed)
	case strings.HasPrefix(string(name), tables.PublicPrefix) != b.public:
		return fmt.Errorf("%w: map %q is in the wrong domain", ErrMalformed, name)
	}
	if err := b.entries(string(name)); err != nil {
		return fmt.Errorf("map %q: %w", name, err)
	}
	return nil
}

func (b *blocks) entries(name string) error {
	version, err := b.version()
	if err != nil {
		return err
	}
	size, err := b.u64()
	if err != nil {
		return err
	}
	if size > b.src.left() {
		return fmt.Errorf("%w: %d bytes of entries where %d are left", ErrMalformed, size, b.src.left())
	}
	b.end = b.src.left() - size
	if err := b.to.Map(name, synod.SeqNo(version)); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	for b.src.left() > b.end {
		if err := b.entry(); err != nil {
			return err
		}
		if cap(b.key)+cap(b.value) > readBuffer {
			b.key, b.value = nil, nil
		}
	}
	return nil
}

func (b *blocks) entry() (err error) {
	if b.key, err = b.bytes(b.key, entryMax); err != nil {
		return err
	}
	if err = b.skip(-len(b.key) & 7); err != nil {
		return err
	}
	size, err := b.u64()
	if err != nil {
		return err
	}
	if size < 8 {
		return fmt.Errorf("%w: %d bytes of version and value", ErrMalformed, size)
	}
	raw, err := b.u64()
	if err != nil {
		return err
	}
	if b.value, err = b.fill(b.value, size-8, entryMax); err != nil {
		return err
	}
	if err = b.skip(-len(b.value) & 7); err != nil {
		return err
	}
	if raw&deleted != 0 {
		if len(b.value) != 0 {
			return fmt.Errorf("%w: a deleted key has a value", ErrMalformed)
		}
		return nil
	}
	if version := synod.SeqNo(raw); version <= b.newest {
		if err := b.to.Put(b.key, b.value, version); err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		return nil
	}
	return fmt.Errorf("%w: a key of %d in a snapshot of %d", ErrMalformed, raw, b.newest)
}

// version reads the seqno of the last write to a map.
func (b *blocks) version() (synod.SeqNo, error) {
	v, err := b.u64()
	if err == nil && synod.SeqNo(v) > b.newest {
		err = fmt.Errorf("%w: version %d in a snapshot of %d", ErrMalformed, v, b.newest)
	}
	return synod.SeqNo(v), err
}

func (b *blocks) u64() (uint64, error) {
	var v [8]byte
	if err := b.read(v[:]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(v[:]), nil
}

// bytes reads a length and as many bytes, into buf if there is room.
func (b *blocks) bytes(buf []byte, most uint64) ([]byte, error) {
	n, err := b.u64()
	if err != nil {
		return buf, err
	}
	return b.fill(buf, n, most)
}

// fill reads n bytes, into buf if there is room.
func (b *blocks) fill(buf []byte, n, most uint64) ([]byte, error) {
	if n > most || n > b.src.left()-b.end {
		return buf, fmt.Errorf("%w: length %d beyond the end or the bound", ErrMalformed, n)
	}
	if n > uint64(cap(buf)) {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	return buf, b.read(buf)
}

// skip reads n bytes of padding, fewer than 8, which must be zero.
func (b *blocks) skip(n int) error {
	var v [8]byte
	if err := b.read(v[:n]); err != nil {
		return err
	}
	if v != zeros {
		return fmt.Errorf("%w: padding is not zero", ErrMalformed)
	}
	return nil
}

func (b *blocks) read(p []byte) error {
	if uint64(len(p)) > b.src.left()-b.end {
		return fmt.Errorf("%w: it ends early", ErrMalformed)
	}
	_, err := io.ReadFull(b.src, p)
	return err
}
