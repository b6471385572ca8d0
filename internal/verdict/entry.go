package verdict

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"synod"
	"synod/internal/audit"
	"synod/internal/kv"
	"synod/internal/ledger"
)

// Entry is one entry of a ledger, as `synod ledger show -o json` prints it.
type Entry struct {
	TransactionID string `json:"transaction_id"`
	File          string `json:"file"`
	Offset        int64  `json:"offset"` // bytes
	SizeBytes     int    `json:"size_bytes"`
	Flags         byte   `json:"flags"`
	Type          byte   `json:"type"`
	Signature     bool   `json:"signature"`
	PrivateBytes  int    `json:"private_bytes"`
	ClaimsDigest  string `json:"claims_digest"`
	WriteSet      string `json:"write_set_digest"`
	Leaf          string `json:"leaf"`
	Tables        []Map  `json:"tables"`
}

// Map is what an entry did to a public table.
type Map struct {
	Name    string   `json:"name"`
	Writes  []Write  `json:"writes"`
	Removes []string `json:"removes"`
}

// Write is one key and its value.
type Write struct {
	Key   string `json:"key"`
	Value any    `json:"value"` // the JSON that it is, else text, else hex:…
	raw   []byte
}

// Text is the value as text, or as hex:….
func (w Write) Text() string { return Printable(w.raw) }

// ErrNoEntry says that a ledger has no such entry.
var ErrNoEntry = errors.New("no entry")

// FindEntry reads one entry, walking the chunk that it is in, and says where it
// is. Nothing is verified.
func FindEntry(ctx context.Context, dir string, seqno synod.SeqNo) (e *ledger.Entry, file string, offset int64, err error) {
	chunks, _, err := audit.List(dir)
	if err != nil {
		return nil, "", 0, err
	}
	for i := len(chunks) - 1; i >= 0; i-- {
		c := chunks[i]
		if c.First > seqno || c.Last != 0 && c.Last < seqno {
			continue
		}
		return findIn(ctx, c, seqno)
	}
	return nil, "", 0, fmt.Errorf("%w %d in %s", ErrNoEntry, seqno, dir)
}

func findIn(ctx context.Context, c audit.Chunk, seqno synod.SeqNo) (*ledger.Entry, string, int64, error) {
	f, err := os.Open(c.File)
	if err != nil {
		return nil, "", 0, fmt.Errorf("open chunk: %w", err)
	}
	defer f.Close()
	s, err := ledger.NewScanner(f, c.SizeBytes, c.First)
	for err == nil && ctx.Err() == nil {
		at := s.Offset()
		var e *ledger.Entry
		if e, err = s.Next(); err == nil && e.TxID.SeqNo == seqno {
			return e, c.File, at, nil
		}
	}
	var bad *ledger.CorruptError
	if errors.As(err, &bad) && bad.File == "" {
		bad.File = c.File
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", 0, err
	}
	return nil, "", 0, fmt.Errorf("%w %d in %s", ErrNoEntry, seqno, c.File)
}

// ShowEntry decodes what an entry wrote to public tables. The error is a
// *ledger.CorruptError.
func ShowEntry(e *ledger.Entry, file string, offset int64) (*Entry, error) {
	maps, err := kv.DecodeDomain(e.PublicMaps, true)
	if err != nil {
		return nil, &ledger.CorruptError{File: file, Offset: offset, SeqNo: e.TxID.SeqNo, Reason: err.Error()}
	}
	digest, leaf := e.WriteSetDigest(), e.Leaf()
	out := &Entry{
		TransactionID: e.TxID.String(), File: file, Offset: offset, SizeBytes: len(e.Raw), Flags: e.Flags,
		Type: byte(e.Type), Signature: e.IsSignature(), PrivateBytes: len(e.Cipher),
		ClaimsDigest: hex.EncodeToString(e.Claims[:]), WriteSet: hex.EncodeToString(digest[:]), Leaf: hex.EncodeToString(leaf[:]),
		Tables: []Map{},
	}
	for _, m := range maps {
		shown := Map{Name: m.Name, Writes: []Write{}, Removes: []string{}}
		for _, w := range m.Writes {
			shown.Writes = append(shown.Writes, Write{Printable(w.Key), value(w.Value), w.Value})
		}
		for _, k := range m.Removes {
			shown.Removes = append(shown.Removes, Printable(k))
		}
		out.Tables = append(out.Tables, shown)
	}
	return out, nil
}

func value(b []byte) any {
	if json.Valid(b) {
		return json.RawMessage(b)
	}
	return Printable(b)
}

// Printable is text as it is, anything else as hex:….
func Printable(b []byte) string {
	if !utf8.Valid(b) {
		return "hex:" + hex.EncodeToString(b)
	}
	for _, r := range string(b) {
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f {
			return "hex:" + hex.EncodeToString(b)
		}
	}
	return string(b)
}
