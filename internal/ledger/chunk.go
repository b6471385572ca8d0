package ledger

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"synod"
)

// A chunk file is (CCF: src/host/ledger.h)
//
//	0             offset of the positions table, 0 while the chunk is incomplete
//	8             entries, back to back
//	table offset  offset of each entry as 4 bytes
const (
	chunkHeader  = 8
	positionSize = 4
	offsetMax    = math.MaxUint32 // of an entry

	scanBuffer = 256 << 10
)

// appendTable appends the positions table.
func appendTable(dst []byte, positions []uint32) []byte {
	for _, p := range positions {
		dst = binary.LittleEndian.AppendUint32(dst, p)
	}
	return dst
}

// readTable returns the offset of the positions table, which is where the
// entries end, and the positions. For an incomplete chunk it returns the file's
// size and nil. A file too short for a header is an error. Some of the words are
// CCF's, which its suites look for.
func readTable(r io.ReaderAt, size int64) (int64, []uint32, error) {
	var header [chunkHeader]byte
	if size < chunkHeader {
		return 0, nil, corrupt(0, 0, "Failed to read positions offset from ledger file: %d bytes are too few for a chunk", size)
	}
	if err := readFull(r, header[:], 0); err != nil {
		return 0, nil, err
	}
	offset := binary.LittleEndian.Uint64(header[:])
	if offset == 0 {
		return size, nil, nil
	}
	if offset > uint64(size) {
		return 0, nil, corrupt(0, 0, "Invalid table offset %d greater than total file size %d", offset, size)
	}
	if offset < chunkHeader {
		return 0, nil, corrupt(0, 0, "positions table at %d in a file of %d bytes", offset, size)
	}
	length := size - int64(offset)
	if length == 0 || length%positionSize != 0 || length/positionSize > int64(offset)/entryMin {
		return 0, nil, corrupt(int64(offset), 0, "positions table of %d bytes", length)
	}
	b := make([]byte, length)
	if err := readFull(r, b, int64(offset)); err != nil {
		return 0, nil, err
	}
	positions := make([]uint32, length/positionSize)
	for i := range positions {
		positions[i] = binary.LittleEndian.Uint32(b[i*positionSize:])
		low := uint64(chunkHeader)
		if i > 0 {
			low = uint64(positions[i-1]) + entryMin
		}
		if uint64(positions[i]) < low || uint64(positions[i])+entryMin > offset || i == 0 && positions[0] != chunkHeader {
			return 0, nil, corrupt(int64(offset)+int64(i)*positionSize, 0, "position %d of entry %d", positions[i], i)
		}
	}
	return int64(offset), positions, nil
}

func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Scanner reads the entries of one chunk in order and checks that they follow
// one another. One goroutine may use it.
type Scanner struct {
	r         *bufio.Reader
	off       int64 // of the next entry
	end       int64 // where the entries end
	next      synod.SeqNo
	view      synod.View // of the entry before
	positions []uint32   // nil for an incomplete chunk
	first     synod.SeqNo
}

// NewScanner reads a chunk of size bytes whose first entry is start. Errors
// about the bytes are *CorruptError without a file name.
func NewScanner(r io.ReaderAt, size int64, start synod.SeqNo) (*Scanner, error) {
	end, positions, err := readTable(r, size)
	if err != nil {
		return nil, err
	}
	s := newScanner(r, end, start)
	s.positions = positions
	return s, nil
}

// newScanner reads entries up to end whatever the chunk's header says.
func newScanner(r io.ReaderAt, end int64, start synod.SeqNo) *Scanner {
	length := max(end-chunkHeader, 0)
	section := io.NewSectionReader(r, chunkHeader, length)
	return &Scanner{r: bufio.NewReaderSize(section, int(min(length+entryMin, scanBuffer))), off: chunkHeader, end: end, next: start, first: start}
}

// Complete says that the chunk has its positions table.
func (s *Scanner) Complete() bool { return s.positions != nil }

// Offset is where the next entry starts, or where the entries end.
func (s *Scanner) Offset() int64 { return s.off }

// Next returns the next entry and io.EOF after the last. After an error that
// is a *CorruptError, Offset tells where the readable entries end.
func (s *Scanner) Next() (*Entry, error) {
	if s.off == s.end {
		if s.positions != nil && uint64(s.next-s.first) != uint64(len(s.positions)) {
			return nil, corrupt(s.end, s.next, "%d entries, but %d positions", s.next-s.first, len(s.positions))
		}
		return nil, io.EOF
	}
	if s.end-s.off < entryMin {
		return nil, s.fault("%d bytes are too few for an entry", s.end-s.off)
	}
	b, err := s.r.Peek(entryMin)
	if err != nil {
		return nil, err
	}
	h, reason := parseHead(b)
	switch i := uint64(s.next - s.first); {
	case reason != "":
		return nil, s.fault("%s", reason)
	case h.size > uint64(s.end-s.off):
		return nil, s.fault("entry of %d bytes, but only %d are left", h.size, s.end-s.off)
	case h.id.SeqNo != s.next:
		return nil, s.fault("entry has seqno %d", h.id.SeqNo)
	case h.id.View < s.view:
		return nil, s.fault("view goes back from %d to %d", s.view, h.id.View)
	case s.positions != nil && (i >= uint64(len(s.positions)) || s.off != int64(s.positions[i])):
		return nil, s.fault("entry is not where the positions table says")
	}
	raw := make([]byte, h.size)
	if _, err := io.ReadFull(s.r, raw); err != nil {
		return nil, err
	}
	e, err := ParseEntry(raw)
	if err != nil {
		return nil, err.(*CorruptError).in("", s.off) //nolint:errorlint // ParseEntry returns no other
	}
	s.off += int64(h.size)
	s.next++
	s.view = h.id.View
	return e, nil
}

func (s *Scanner) fault(format string, args ...any) *CorruptError {
	return &CorruptError{Offset: s.off, SeqNo: s.next, Reason: fmt.Sprintf(format, args...), Tail: s.positions == nil}
}
