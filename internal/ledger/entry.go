package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"synod"
)

// Sizes in bytes and offsets in an entry (CCF: src/kv/serialised_entry_format.h,
// src/kv/generic_serialise_wrapper.h):
//
//	0   version 1, flags, size of the rest as 48 bits
//	8   tag (16)
//	24  initialisation vector (12): seqno, then view
//	36  length of the public domain (8)
//	44  public domain, then the private domain's ciphertext
//
// All integers are little-endian.
const (
	HeaderSize = 8 // of the part that Size does not count

	TagAt    = HeaderSize   // of the tag
	IVAt     = TagAt + 16   // of the initialisation vector
	LengthAt = IVAt + 12    // of the public domain's length
	PublicAt = LengthAt + 8 // of the public domain

	entryMin  = PublicAt + 1 + 8 + 8 // a public domain of type 0 and no map
	sizeLimit = 1 << 48

	formatVersion = 1
)

// Flags of an entry. They are covered by the entry's leaf, so every node cuts
// its chunks at the same places.
const (
	FlagForceChunkAfter  = 1 // the chunk ends with this entry, a signature
	FlagForceChunkBefore = 2 // the chunk ends with the entry before
)

// viewMax is the highest view that fits in an initialisation vector: the top
// bit of its last byte marks snapshots (CCF: src/node/encryptor.h).
const viewMax = 1<<31 - 1

// EntryType says which digests an entry carries (CCF: src/kv/kv_types.h).
type EntryType uint8

// The entry types. Only the last is written today; Snapshot occurs in snapshot
// files alone.
const (
	TypeWriteSet                            EntryType = 0
	TypeSnapshot                            EntryType = 1
	TypeWriteSetWithClaims                  EntryType = 2
	TypeWriteSetWithCommitEvidence          EntryType = 3
	TypeWriteSetWithCommitEvidenceAndClaims EntryType = 4
)

// HasClaims says that an entry of this type carries a claims digest.
func (t EntryType) HasClaims() bool {
	return t == TypeWriteSetWithClaims || t == TypeWriteSetWithCommitEvidenceAndClaims
}

// HasEvidence says that an entry of this type carries a commit evidence digest.
func (t EntryType) HasEvidence() bool {
	return t == TypeWriteSetWithCommitEvidence || t == TypeWriteSetWithCommitEvidenceAndClaims
}

// Entry is one parsed entry. Its slices point into Raw.
type Entry struct {
	Flags       byte
	TxID        synod.TxID
	Type        EntryType
	Claims      [32]byte // zero unless Type.HasClaims
	Evidence    [32]byte // zero unless Type.HasEvidence
	MaxConflict uint64   // 0 today; old entries hold other values; means nothing

	Public     []byte // the whole public domain, which the tag covers as associated data
	PublicMaps []byte // the map blocks in it
	Tag        [16]byte
	IV         [12]byte
	Cipher     []byte // the private domain's ciphertext, often empty
	Raw        []byte // the whole entry, header included
}

// PutHeader writes the header of an entry with size bytes after the header
// into b[:HeaderSize].
func PutHeader(b []byte, flags byte, size int) {
	binary.LittleEndian.PutUint64(b, uint64(size)<<16|uint64(flags)<<8|formatVersion)
}

// AppendPublicHeader appends the start of the public domain of an ordinary
// entry, type 4: what stands before its map blocks. The order is claims, then
// evidence; in the leaf it is the other way round.
func AppendPublicHeader(dst []byte, seqno synod.SeqNo, claims, evidence [32]byte) []byte {
	dst = append(dst, byte(TypeWriteSetWithCommitEvidenceAndClaims))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(seqno))
	dst = append(dst, claims[:]...)
	dst = append(dst, evidence[:]...)
	return binary.LittleEndian.AppendUint64(dst, 0)
}

// Build lays out an entry from its parts; public is the whole public domain,
// cipher the private domain's ciphertext.
func Build(flags byte, tag [16]byte, iv [12]byte, public, cipher []byte) []byte {
	size := PublicAt + len(public) + len(cipher)
	b := make([]byte, PublicAt, size)
	PutHeader(b, flags, size-HeaderSize)
	copy(b[TagAt:], tag[:])
	copy(b[IVAt:], iv[:])
	binary.LittleEndian.PutUint64(b[LengthAt:], uint64(len(public)))
	b = append(b, public...)
	return append(b, cipher...)
}

// IV is the initialisation vector of the entry with this ID.
func IV(id synod.TxID) [12]byte {
	var iv [12]byte
	binary.LittleEndian.PutUint64(iv[:], uint64(id.SeqNo))
	binary.LittleEndian.PutUint32(iv[8:], uint32(id.View))
	return iv
}

// head is what the first bytes of an entry say.
type head struct {
	flags byte
	size  uint64 // of the whole entry, header included
	id    synod.TxID
}

// parseHead reads the header and initialisation vector; b holds at least the
// first entryMin bytes of an entry, the rest need not be there. The returned
// reason is empty when they are in the format.
func parseHead(b []byte) (head, string) {
	word := binary.LittleEndian.Uint64(b)
	h := head{flags: byte(word >> 8), size: word>>16 + HeaderSize}
	switch view := binary.LittleEndian.Uint32(b[IVAt+8:]); {
	case byte(word) != formatVersion:
		return h, fmt.Sprintf("version %d, want %d", byte(word), formatVersion)
	case h.flags&^(FlagForceChunkAfter|FlagForceChunkBefore) != 0:
		return h, fmt.Sprintf("unknown flags %#x", h.flags)
	case h.size < entryMin:
		return h, fmt.Sprintf("size %d is too small", h.size)
	case view == 0 || view > viewMax:
		return h, fmt.Sprintf("view %#x out of range", view)
	default:
		h.id = synod.TxID{View: synod.View(view), SeqNo: synod.SeqNo(binary.LittleEndian.Uint64(b[IVAt:]))}
	}
	if h.id.SeqNo == 0 {
		return h, "seqno 0"
	}
	return h, ""
}

// ParseEntry reads exactly one entry of a ledger file. It refuses with a
// *CorruptError everything that is not in the format, down to the public
// domain's header; the map blocks it leaves alone.
func ParseEntry(b []byte) (*Entry, error) {
	if len(b) < entryMin {
		return nil, corrupt(0, 0, "%d bytes are too few for an entry", len(b))
	}
	h, reason := parseHead(b)
	if reason != "" {
		return nil, corrupt(0, h.id.SeqNo, "%s", reason)
	}
	if h.size != uint64(len(b)) {
		return nil, corrupt(2, h.id.SeqNo, "size %d, but %d bytes", h.size, len(b))
	}
	e := &Entry{Flags: h.flags, TxID: h.id}
	if err := e.split(b); err != nil {
		return nil, err
	}
	switch e.Type {
	case TypeWriteSet, TypeWriteSetWithClaims, TypeWriteSetWithCommitEvidence, TypeWriteSetWithCommitEvidenceAndClaims:
	default:
		return nil, corrupt(PublicAt, h.id.SeqNo, "entry type %d", e.Type)
	}
	rest := e.Public[1+8:]
	need := 8
	if e.Type.HasClaims() {
		need += 32
	}
	if e.Type.HasEvidence() {
		need += 32
	}
	if len(rest) < need {
		return nil, corrupt(LengthAt, h.id.SeqNo, "public domain of %d bytes is too short for type %d", len(e.Public), e.Type)
	}
	if e.Type.HasClaims() {
		rest = rest[copy(e.Claims[:], rest):]
	}
	if e.Type.HasEvidence() {
		rest = rest[copy(e.Evidence[:], rest):]
	}
	e.MaxConflict = binary.LittleEndian.Uint64(rest)
	e.PublicMaps = rest[8:]
	if seqno := synod.SeqNo(binary.LittleEndian.Uint64(e.Public[1:])); seqno != h.id.SeqNo {
		return nil, corrupt(PublicAt+1, h.id.SeqNo, "public domain says seqno %d", seqno)
	}
	return e, nil
}

// split fills in the parts that transactions and snapshots have in common. The
// public domain holds at least its type and seqno afterwards.
func (e *Entry) split(b []byte) error {
	e.Raw = b
	copy(e.Tag[:], b[TagAt:])
	copy(e.IV[:], b[IVAt:])
	public := binary.LittleEndian.Uint64(b[LengthAt:])
	if public < 1+8+8 || public > uint64(len(b)-PublicAt) {
		return corrupt(LengthAt, e.TxID.SeqNo, "public domain of %d bytes in an entry of %d", public, len(b))
	}
	e.Public = b[PublicAt : PublicAt+public : PublicAt+public]
	e.Cipher = b[PublicAt+public:]
	e.Type = EntryType(e.Public[0])
	return nil
}

func corrupt(offset int64, seqno synod.SeqNo, format string, args ...any) *CorruptError {
	return &CorruptError{Offset: offset, SeqNo: seqno, Reason: fmt.Sprintf(format, args...)}
}

// WriteSetDigest is the SHA-256 of the whole entry, header included.
func (e *Entry) WriteSetDigest() [32]byte { return sha256.Sum256(e.Raw) }

// Leaf is the entry's leaf in the Merkle tree
// (CCF: src/node/rpc/claims.h, src/kv/store.h).
func (e *Entry) Leaf() [32]byte {
	digest := e.WriteSetDigest()
	var b [96]byte
	leaf := append(b[:0], digest[:]...)
	switch e.Type {
	case TypeWriteSetWithClaims:
		leaf = append(leaf, e.Claims[:]...)
	case TypeWriteSetWithCommitEvidence:
		leaf = append(leaf, e.Evidence[:]...)
	case TypeWriteSetWithCommitEvidenceAndClaims:
		leaf = append(leaf, e.Evidence[:]...)
		leaf = append(leaf, e.Claims[:]...)
	default:
		return digest
	}
	return sha256.Sum256(leaf)
}

// The tables that only signature transactions write. One of them is the first
// map of such an entry, since maps are in order of their names.
const (
	tableCOSESignatures = "public:ccf.internal.cose_signatures"
	tableSignatures     = "public:ccf.internal.signatures"
)

// IsSignature says that the entry is a signature transaction. Only the name of
// the first map is looked at.
func (e *Entry) IsSignature() bool {
	if len(e.PublicMaps) < 8 {
		return false
	}
	n := binary.LittleEndian.Uint64(e.PublicMaps)
	if n > uint64(len(e.PublicMaps)-8) {
		return false
	}
	name := string(e.PublicMaps[8 : 8+n])
	return name == tableCOSESignatures || name == tableSignatures
}
