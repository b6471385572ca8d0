package ledger

import (
	"crypto/sha256"
	"encoding/binary"
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

// ParseSnapshot reads a snapshot file as far as the map blocks, which it leaves
// alone, like the receipt. Errors are *CorruptError.
func ParseSnapshot(b []byte) (*Snapshot, error) {
	if len(b) < entryMin {
		return nil, corrupt(0, 0, "%d bytes are too few for a snapshot", len(b))
	}
	word := binary.LittleEndian.Uint64(b)
	size := word>>16 + HeaderSize
	switch {
	case byte(word) != formatVersion:
		return nil, corrupt(0, 0, "version %d, want %d", byte(word), formatVersion)
	case byte(word>>8) != 0:
		return nil, corrupt(1, 0, "flags %#x in a snapshot", byte(word>>8))
	case size < entryMin || size > uint64(len(b)):
		return nil, corrupt(2, 0, "size %d in a file of %d bytes", size, len(b))
	}
	var e Entry
	e.TxID.SeqNo = synod.SeqNo(binary.LittleEndian.Uint64(b[IVAt:]))
	if err := e.split(b[:size:size]); err != nil {
		return nil, err
	}
	s := &Snapshot{
		SeqNo: e.TxID.SeqNo, Public: e.Public, Tag: e.Tag, IV: e.IV,
		Cipher: e.Cipher, Raw: e.Raw, Receipt: b[size:],
	}
	switch {
	case e.IV != SnapshotIV(s.SeqNo):
		return nil, corrupt(IVAt, s.SeqNo, "initialisation vector is not a snapshot's")
	case e.Type != TypeSnapshot:
		return nil, corrupt(PublicAt, s.SeqNo, "entry type %d, want %d", e.Type, TypeSnapshot)
	case s.SeqNo == 0 || synod.SeqNo(binary.LittleEndian.Uint64(e.Public[1:])) != s.SeqNo:
		return nil, corrupt(PublicAt+1, s.SeqNo, "seqno is not the initialisation vector's")
	}
	at := 1 + 8 + 8
	hash, rest, ok := cutPrefixed(e.Public[at:])
	if !ok || len(hash) != len(s.Hash) {
		return nil, corrupt(int64(PublicAt+at), s.SeqNo, "hash is not 32 bytes")
	}
	copy(s.Hash[:], hash)
	at += 8 + len(hash)
	views, rest, ok := cutPrefixed(rest)
	if !ok || len(views)%8 != 0 {
		return nil, corrupt(int64(PublicAt+at), s.SeqNo, "view history is not whole")
	}
	s.ViewStarts = make([]synod.SeqNo, 0, len(views)/8)
	for ; len(views) > 0; views = views[8:] {
		start := synod.SeqNo(binary.LittleEndian.Uint64(views))
		if n := len(s.ViewStarts); start > s.SeqNo || n > 0 && start < s.ViewStarts[n-1] {
			return nil, corrupt(int64(PublicAt+at), s.SeqNo, "view %d starts at %d", n+1, start)
		}
		s.ViewStarts = append(s.ViewStarts, start)
	}
	s.PublicMaps = rest
	return s, nil
}

// cutPrefixed takes bytes that follow their length.
func cutPrefixed(b []byte) (head, rest []byte, ok bool) {
	if len(b) < 8 {
		return nil, nil, false
	}
	n := binary.LittleEndian.Uint64(b)
	b = b[8:]
	if n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
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
