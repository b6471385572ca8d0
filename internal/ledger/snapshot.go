package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"strconv"
	"strings"

	"synod"
)

// Snapshot is a parsed snapshot file: an entry of type 1, then the receipt of
// the transaction that recorded its digest (CCF: src/node/snapshot_serdes.h).
// Its slices point into the file's bytes.
type Snapshot struct {
	SeqNo synod.SeqNo // of the state; its initialisation vector has view 0
	Hash  [32]byte    // Merkle leaf of the transaction at SeqNo
	// ViewStarts[i] is the first seqno of view i+1; a view that was skipped
	// repeats the next one's.
	ViewStarts []synod.SeqNo

	Public     []byte // the whole public domain, which the tag covers
	PublicMaps []byte // the map blocks in it
	Tag        [16]byte
	IV         [12]byte
	Cipher     []byte // the private maps' ciphertext
	Raw        []byte // the entry: the file without the receipt
	Receipt    []byte // JSON; empty in files of 1.x
}

// snapshotBit marks the initialisation vector of a snapshot, in its last byte.
const snapshotBit = 0x80

// SnapshotHead is what a snapshot file says before its map blocks, and where
// they are.
type SnapshotHead struct {
	SeqNo      synod.SeqNo
	Hash       [32]byte      // as in Snapshot
	ViewStarts []synod.SeqNo // as in Snapshot
	Tag        [16]byte
	// MaxConflict is 0 today; old snapshots hold other values; means nothing.
	MaxConflict uint64
	MapsAt      int64 // of the public map blocks, bytes from the start of the file
	CipherAt    int64 // of the private maps' ciphertext
	ReceiptAt   int64 // of the receipt, which is the rest of the file
}

// viewStartsMax bounds the view history that is read, in bytes: a million
// elections.
const viewStartsMax = 8 << 20

// headFixed is what stands before the view history.
const headFixed = PublicAt + 1 + 8 + 8 + 8 + 32 + 8

// ReadSnapshotHead reads the head of a snapshot file of size bytes. An error is
// r's own or a *CorruptError.
func ReadSnapshotHead(r io.ReaderAt, size int64) (*SnapshotHead, error) {
	b := make([]byte, headFixed)
	if size < int64(len(b)) {
		return nil, corrupt(0, 0, "%d bytes are too few for a snapshot", size)
	}
	if err := readAt(r, b, 0); err != nil {
		return nil, err
	}
	word := binary.LittleEndian.Uint64(b)
	h := &SnapshotHead{
		SeqNo: synod.SeqNo(binary.LittleEndian.Uint64(b[IVAt:])), Tag: [16]byte(b[TagAt:IVAt]),
		MapsAt: headFixed, ReceiptAt: int64(word>>16 + HeaderSize),
	}
	switch {
	case byte(word) != formatVersion:
		return nil, corrupt(0, 0, "version %d, want %d", byte(word), formatVersion)
	case byte(word>>8) != 0:
		return nil, corrupt(1, 0, "flags %#x in a snapshot", byte(word>>8))
	case h.ReceiptAt < headFixed || h.ReceiptAt > size:
		return nil, corrupt(2, 0, "size %d in a file of %d bytes", h.ReceiptAt, size)
	}
	public := binary.LittleEndian.Uint64(b[LengthAt:])
	if public < headFixed-PublicAt || public > uint64(h.ReceiptAt-PublicAt) {
		return nil, corrupt(LengthAt, h.SeqNo, "public domain of %d bytes in an entry of %d", public, h.ReceiptAt)
	}
	h.CipherAt = PublicAt + int64(public)
	return h, h.readPublic(r, b)
}

// readPublic reads the head of the public domain, of which b holds the fixed
// part.
func (h *SnapshotHead) readPublic(r io.ReaderAt, b []byte) error {
	const viewsAt = headFixed - 8
	views := binary.LittleEndian.Uint64(b[viewsAt:])
	switch {
	case [12]byte(b[IVAt:LengthAt]) != SnapshotIV(h.SeqNo):
		return corrupt(IVAt, h.SeqNo, "initialisation vector is not a snapshot's")
	case EntryType(b[PublicAt]) != TypeSnapshot:
		return corrupt(PublicAt, h.SeqNo, "entry type %d, want %d", b[PublicAt], TypeSnapshot)
	case h.SeqNo == 0 || synod.SeqNo(binary.LittleEndian.Uint64(b[PublicAt+1:])) != h.SeqNo:
		return corrupt(PublicAt+1, h.SeqNo, "seqno is not the initialisation vector's")
	case binary.LittleEndian.Uint64(b[PublicAt+17:]) != uint64(len(h.Hash)):
		return corrupt(PublicAt+17, h.SeqNo, "hash is not 32 bytes")
	case views%8 != 0 || views > viewStartsMax || views > uint64(h.CipherAt-h.MapsAt):
		return corrupt(viewsAt, h.SeqNo, "view history is not whole, or too long")
	}
	copy(h.Hash[:], b[viewsAt-len(h.Hash):])
	h.MaxConflict = binary.LittleEndian.Uint64(b[PublicAt+9:])
	history := make([]byte, views)
	if err := readAt(r, history, h.MapsAt); err != nil {
		return err
	}
	h.MapsAt += int64(views)
	h.ViewStarts = make([]synod.SeqNo, 0, views/8)
	for ; len(history) > 0; history = history[8:] {
		start := synod.SeqNo(binary.LittleEndian.Uint64(history))
		if n := len(h.ViewStarts); start > h.SeqNo || n > 0 && start < h.ViewStarts[n-1] {
			return corrupt(headFixed, h.SeqNo, "view %d starts at %d", n+1, start)
		}
		h.ViewStarts = append(h.ViewStarts, start)
	}
	return nil
}

// readAt fills b. io.EOF with all bytes read is no error.
func readAt(r io.ReaderAt, b []byte, at int64) error {
	if n, err := r.ReadAt(b, at); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}

// ParseSnapshot reads a snapshot file as far as the map blocks, which it leaves
// alone, like the receipt. Errors are *CorruptError.
func ParseSnapshot(b []byte) (*Snapshot, error) {
	h, err := ReadSnapshotHead(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	return &Snapshot{
		SeqNo: h.SeqNo, Hash: h.Hash, ViewStarts: h.ViewStarts,
		Public: b[PublicAt:h.CipherAt:h.CipherAt], PublicMaps: b[h.MapsAt:h.CipherAt:h.CipherAt],
		Tag: h.Tag, IV: SnapshotIV(h.SeqNo), Cipher: b[h.CipherAt:h.ReceiptAt:h.ReceiptAt],
		Raw: b[:h.ReceiptAt:h.ReceiptAt], Receipt: b[h.ReceiptAt:],
	}, nil
}

// Digest is the SHA-256 of the snapshot without its receipt: the claims digest
// of the transaction that vouches for it.
func (s *Snapshot) Digest() [32]byte { return sha256.Sum256(s.Raw) }

// SnapshotIV is the initialisation vector of a snapshot.
func SnapshotIV(seqno synod.SeqNo) [12]byte {
	iv := IV(synod.TxID{SeqNo: seqno})
	iv[len(iv)-1] |= snapshotBit
	return iv
}

// AppendSnapshotHeader appends what stands before the map blocks in the public
// domain of a snapshot. Build makes the entry of it; the receipt is appended to
// that.
func AppendSnapshotHeader(dst []byte, seqno synod.SeqNo, hash [32]byte, viewStarts []synod.SeqNo) []byte {
	dst = append(dst, byte(TypeSnapshot))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(seqno))
	dst = binary.LittleEndian.AppendUint64(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(hash)))
	dst = append(dst, hash[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(viewStarts))*8)
	for _, s := range viewStarts {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(s))
	}
	return dst
}

// SnapshotName is what the name of a snapshot file says:
// snapshot_<seqno>_<evidence seqno>, then .committed once it has its receipt.
type SnapshotName struct {
	SeqNo     synod.SeqNo // of the state
	Evidence  synod.SeqNo // of the transaction that recorded its digest
	Committed bool
}

const snapshotPrefix = "snapshot_"

// ParseSnapshotName reads a file name without its directory. It refuses the
// names of 1.x (….committed_<seqno>), whose files hold no receipt.
func ParseSnapshotName(s string) (SnapshotName, bool) {
	var n SnapshotName
	rest, ok := strings.CutPrefix(s, snapshotPrefix)
	if !ok {
		return SnapshotName{}, false
	}
	rest, n.Committed = strings.CutSuffix(rest, suffixCommitted)
	seqno, evidence, ok := strings.Cut(rest, "_")
	if !ok {
		return SnapshotName{}, false
	}
	if n.SeqNo, ok = parseSeqNo(seqno); !ok {
		return SnapshotName{}, false
	}
	if n.Evidence, ok = parseSeqNo(evidence); !ok || n.Evidence <= n.SeqNo {
		return SnapshotName{}, false
	}
	return n, true
}

// String returns the file name.
func (n SnapshotName) String() string {
	b := strconv.AppendUint([]byte(snapshotPrefix), uint64(n.SeqNo), 10)
	b = append(b, '_')
	b = strconv.AppendUint(b, uint64(n.Evidence), 10)
	if n.Committed {
		b = append(b, suffixCommitted...)
	}
	return string(b)
}
