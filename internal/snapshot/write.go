package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"
	"strings"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// State is what a snapshot is made of. Tx must be pinned right after a
// signature that the service has committed, and stays the caller's to release.
type State struct {
	Tx         *kv.Tx
	Leaf       [32]byte      // Merkle leaf of that signature
	ViewStarts []synod.SeqNo // of the views up to the signature's; see ledger.Snapshot
	Secrets    *secrets.Chain
}

// Entry is a snapshot without its receipt.
type Entry struct {
	SeqNo  synod.SeqNo
	Size   int64    // bytes
	Digest [32]byte // SHA-256: what the evidence transaction records and claims
}

// ErrDiskChanged says that a disk gave back other bytes than were written.
var ErrDiskChanged = errors.New("the disk gave back other bytes than were written")

// writeBuffer is how many bytes are sealed, hashed and written at once.
const writeBuffer = 1 << 20

// A block is one map of a snapshot.
type block struct {
	name    string
	version synod.SeqNo
	keys    int
}

// write writes the entry of a state to an empty file. It reads the store batch
// by batch and never holds more than one part of a map. It stops early if ctx
// ends.
func write(ctx context.Context, f ledger.File, st State) (Entry, error) {
	seqno := st.Tx.ReadVersion().SeqNo
	secret, err := st.Secrets.At(seqno)
	if err != nil {
		return Entry{}, err
	}
	w := &writer{
		ctx: ctx, file: f, at: ledger.PublicAt, buf: make([]byte, 0, writeBuffer),
		seal: secret.Stream(ledger.SnapshotIV(seqno)), body: sha256.New(),
		tx: st.Tx, rowsMax: rowsMax,
	}
	var public, private []block
	st.Tx.EachMap(func(name string, version synod.SeqNo, keys int) bool {
		b := block{name, version, keys}
		if strings.HasPrefix(name, tables.PublicPrefix) {
			public = append(public, b)
		} else {
			private = append(private, b)
		}
		return true
	})
	w.put(ledger.AppendSnapshotHeader(nil, seqno, st.Leaf, st.ViewStarts))
	for _, b := range public {
		w.block(b)
	}
	w.flush()
	publicLen := w.at - ledger.PublicAt
	w.private = true
	for _, b := range private {
		w.block(b)
	}
	w.flush()
	if w.err != nil {
		return Entry{}, w.err
	}
	head := make([]byte, ledger.PublicAt)
	ledger.PutHeader(head, 0, int(w.at-ledger.HeaderSize))
	tag, iv := w.seal.Tag(), ledger.SnapshotIV(seqno)
	copy(head[ledger.TagAt:], tag[:])
	copy(head[ledger.IVAt:], iv[:])
	binary.LittleEndian.PutUint64(head[ledger.LengthAt:], uint64(publicLen))
	if _, err := f.WriteAt(head, 0); err != nil {
		return Entry{}, err
	}
	e := Entry{SeqNo: seqno, Size: w.at}
	e.Digest, err = w.digest(head)
	return e, err
}

// A writer streams one entry.
type writer struct {
	ctx     context.Context
	file    ledger.File
	at      int64  // where buf goes in the file
	buf     []byte // of the domain under way, in plain
	seal    *secrets.Stream
	private bool
	sealed  int64     // bytes of the private domain so far
	body    hash.Hash // over what was written
	err     error     // the first; nothing is done after it

	tx      *kv.Tx
	part    part
	rowsMax int
}

func (w *writer) put(b []byte) {
	for len(b) > 0 {
		n := min(len(b), cap(w.buf)-len(w.buf))
		w.buf = append(w.buf, b[:n]...)
		b = b[n:]
		if len(w.buf) == cap(w.buf) {
			w.flush()
		}
	}
}

func (w *writer) u64(v uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	w.put(b[:])
}

var zeros [8]byte

// pad fills up to a multiple of 8 after n bytes.
func (w *writer) pad(n int) { w.put(zeros[:-n&7]) }

func (w *writer) flush() {
	if w.err == nil {
		w.err = context.Cause(w.ctx)
	}
	if w.err != nil || len(w.buf) == 0 {
		w.buf = w.buf[:0]
		return
	}
	if w.private {
		if w.sealed += int64(len(w.buf)); w.sealed > secrets.StreamMax {
			w.err = fmt.Errorf("private maps of more than %d bytes do not fit a snapshot", int64(secrets.StreamMax))
			return
		}
		w.seal.Encrypt(w.buf)
	} else {
		w.seal.AAD(w.buf)
	}
	w.body.Write(w.buf)
	if _, err := w.file.WriteAt(w.buf, w.at); err != nil {
		w.err = err
	}
	w.at += int64(len(w.buf))
	w.buf = w.buf[:0]
}

// block writes one map.
func (w *writer) block(b block) {
	p := &w.part
	p.from, p.to = 0, hashes
	p.rows = slices.Grow(p.rows[:0], min(b.keys, w.rowsMax))
	p.places = slices.Grow(p.places[:0], min(b.keys, w.rowsMax))
	size := uint64(0)
	if b.keys <= w.rowsMax {
		p.load(w.tx, b.name, math.MaxInt)
		for i := range p.rows {
			size += sizeOf(p.rows[i].key, p.rows[i].value)
		}
	} else {
		w.tx.EachKey(b.name, func(key, value []byte, _ synod.SeqNo) bool {
			size += sizeOf(key, value)
			return true
		})
	}
	w.u64(uint64(len(b.name)))
	w.put([]byte(b.name))
	w.u64(uint64(b.version))
	w.u64(size)
	if b.keys <= w.rowsMax {
		w.rows()
		return
	}
	step := uint64(hashes / (b.keys/w.rowsMax + 1))
	for p.to = 0; p.to < hashes && w.err == nil; {
		p.from, p.to = p.to, min(p.to+step, hashes)
		p.load(w.tx, b.name, 2*w.rowsMax)
		w.rows()
	}
}

// sizeOf is how many bytes an entry takes.
func sizeOf(key, value []byte) uint64 {
	return 8 + padded(len(key)) + 8 + 8 + padded(len(value))
}

func padded(n int) uint64 { return uint64(n+7) &^ 7 }

// rows writes the entries of the part (CCF: src/ds/map_serializers.h).
func (w *writer) rows() {
	for _, place := range w.part.places {
		r := &w.part.rows[uint32(place)]
		w.u64(uint64(len(r.key)))
		w.put(r.key)
		w.pad(len(r.key))
		w.u64(uint64(8 + len(r.value)))
		w.u64(uint64(r.version))
		w.put(r.value)
		w.pad(len(r.value))
		if w.err != nil {
			break
		}
	}
	clear(w.part.rows) // let go of what a roll back or a delete has freed
}

// digest reads the file again, since the first bytes of an entry were the last
// to be known, and makes sure that it holds what was written.
func (w *writer) digest(head []byte) (digest [32]byte, err error) {
	whole, again := sha256.New(), sha256.New()
	whole.Write(head)
	buf := w.buf[:cap(w.buf)]
	src := io.NewSectionReader(w.file, ledger.PublicAt, w.at-ledger.PublicAt)
	for {
		n, err := src.Read(buf)
		whole.Write(buf[:n])
		again.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = context.Cause(w.ctx)
		}
		if err != nil {
			return digest, err
		}
	}
	if [32]byte(again.Sum(nil)) != [32]byte(w.body.Sum(nil)) {
		return digest, ErrDiskChanged
	}
	return [32]byte(whole.Sum(nil)), nil
}
