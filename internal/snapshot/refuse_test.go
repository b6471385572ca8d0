package snapshot

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"synod"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/secrets"
	"synod/internal/tables"
	"synod/receipt"
)

func loadBytes(file []byte, trust Trust, chain *secrets.Chain) (*Loaded, error) {
	return Load(bytes.NewReader(file), int64(len(file)), trust, chain, kv.New())
}

// TestFlips changes every byte of a snapshot: each is noticed, whether all of
// it is loaded, only the public part, or none.
func TestFlips(t *testing.T) {
	s := newService(t, 2)
	s.set("private", []byte("key"), []byte("value"))
	file, trust := s.snapshot()
	if _, err := loadBytes(file, trust, s.chain); err != nil {
		t.Fatal(err)
	}
	for i := range file {
		b := bytes.Clone(file)
		b[i] ^= 1 << (i % 8)
		var err error
		switch i % 3 {
		case 0:
			_, err = loadBytes(b, trust, s.chain)
		case 1:
			_, err = loadBytes(b, trust, nil)
		default:
			_, err = Verify(bytes.NewReader(b), int64(len(b)), trust)
		}
		if err == nil {
			t.Errorf("byte %d of %d can be changed", i, len(file))
		}
	}
}

// TestTruncated cuts a snapshot at every length, and appends to it.
func TestTruncated(t *testing.T) {
	s := newService(t, 2)
	file, trust := s.snapshot()
	for n := range file {
		if _, err := Verify(bytes.NewReader(file[:n]), int64(n), trust); err == nil {
			t.Errorf("%d bytes of %d are enough", n, len(file))
		}
	}
	if _, err := Verify(bytes.NewReader(append(file, '}')), int64(len(file)+1), trust); !errors.Is(err, receipt.ErrMalformed) {
		t.Errorf("a byte more: %v", err)
	}
}

// TestReceipts: what the receipt is, and who made it.
func TestReceipts(t *testing.T) {
	s := newService(t, 2)
	file, trust := s.snapshot()
	head, err := ledger.ReadSnapshotHead(bytes.NewReader(file), int64(len(file)))
	must(t, err)
	entry := file[:head.ReceiptAt:head.ReceiptAt]
	rec, err := receipt.Parse(file[head.ReceiptAt:])
	must(t, err)
	text := func(change func(*receipt.Receipt)) []byte {
		r := *rec
		leaf := *rec.LeafComponents
		r.LeafComponents = &leaf
		change(&r)
		return must1(json.Marshal(&r))(t)
	}
	other := newService(t, 2)
	otherFile, otherTrust := other.snapshot()
	named := func(seqno, evidence synod.SeqNo) Trust {
		n := trust
		n.Name = ledger.SnapshotName{SeqNo: seqno, Evidence: evidence, Committed: true}
		return n
	}
	for name, tc := range map[string]struct {
		receipt []byte
		trust   Trust
		want    error
	}{
		"none":               {nil, trust, ErrNoReceipt},
		"not JSON":           {[]byte("{"), trust, receipt.ErrMalformed},
		"too long":           {bytes.Repeat([]byte{' '}, receiptMax+1), trust, ErrMalformed},
		"COSE":               {[]byte{0xd2, 0x84}, trust, ErrCOSEReceipt},
		"of a signature":     {text(func(r *receipt.Receipt) { root := r.Root(); *r = *receipt.NewForSignature(s.signature(root)) }), trust, ErrSignatureReceipt},
		"without claims":     {text(func(r *receipt.Receipt) { r.LeafComponents.WithoutClaims = true }), trust, ErrEvidence},
		"other claims":       {text(func(r *receipt.Receipt) { r.LeafComponents.ClaimsDigest[0]++ }), trust, receipt.ErrBadSignature},
		"other path":         {text(func(r *receipt.Receipt) { r.Proof = r.Proof[1:] }), trust, receipt.ErrBadSignature},
		"without cert":       {text(func(r *receipt.Receipt) { r.Cert = "" }), trust, receipt.ErrNoCertificate},
		"other node":         {text(func(r *receipt.Receipt) { r.NodeID = synod.NodeID(strings.Repeat("0", 64)) }), trust, receipt.ErrWrongNode},
		"other service":      {file[head.ReceiptAt:], Trust{Service: other.cert}, receipt.ErrWrongService},
		"no service":         {file[head.ReceiptAt:], Trust{}, receipt.ErrTrust},
		"of other snapshot":  {otherReceipt(t, otherFile), otherTrust, ErrDigest},
		"another seqno":      {file[head.ReceiptAt:], named(1, trust.Name.Evidence), ErrEvidence},
		"another evidence":   {file[head.ReceiptAt:], named(trust.Name.SeqNo, trust.Name.Evidence+1), ErrEvidence},
		"of an old evidence": {s.oldReceipt(entry), Trust{Service: s.cert}, ErrEvidence},
	} {
		t.Run(name, func(t *testing.T) {
			b := append(entry, tc.receipt...)
			if _, err := Verify(bytes.NewReader(b), int64(len(b)), tc.trust); !errors.Is(err, tc.want) {
				t.Errorf("verify: %v, want %v", err, tc.want)
			}
			if _, err := loadBytes(b, tc.trust, nil); !errors.Is(err, tc.want) {
				t.Errorf("load: %v, want %v", err, tc.want)
			}
		})
	}
}

func otherReceipt(t *testing.T, file []byte) []byte {
	head, err := ledger.ReadSnapshotHead(bytes.NewReader(file), int64(len(file)))
	must(t, err)
	return file[head.ReceiptAt:]
}

func (s *service) signature([32]byte) receipt.Signature {
	r := s.sig.Record
	return receipt.Signature{Sig: r.Sig, Cert: r.Cert, NodeID: r.Node}
}

// oldReceipt is the receipt of a transaction before the snapshot: of a service
// of its own under the same identity.
func (s *service) oldReceipt(entry []byte) []byte {
	old := newService(s.t, 2)
	old.signer, old.cert = s.signer, s.cert
	_, rec := old.record(Entry{SeqNo: 1, Digest: digestOf(entry)})
	return must1(json.Marshal(rec))(s.t)
}

// TestEvidence: an application lets a user choose the claims of a transaction,
// and the user chooses the digest of a forged snapshot. The entry tells.
func TestEvidence(t *testing.T) {
	forger := newService(t, 2)
	forged, _ := forger.snapshot()
	head, err := ledger.ReadSnapshotHead(bytes.NewReader(forged), int64(len(forged)))
	must(t, err)
	entry := forged[:head.ReceiptAt:head.ReceiptAt]

	s := newService(t, 2)
	_, trust := s.snapshot()
	trust.Name = ledger.SnapshotName{}
	leaf := s.commit(&kv.WriteSet{Maps: []kv.MapWrites{{Name: "public:app", Writes: []kv.Write{{Key: []byte("a"), Value: []byte("b")}}}}}, digestOf(entry))
	rec := s.receipt(s.store.Tip().SeqNo, leaf)
	file := append(entry, must1(json.Marshal(rec))(t)...)
	if _, err := loadBytes(file, trust, nil); !errors.Is(err, ErrEvidence) {
		t.Errorf("a snapshot that a user chose: %v", err)
	}
	trust.Evidence = nil
	if _, err := loadBytes(file, trust, s.chain); !errors.Is(err, ErrEvidence) {
		t.Errorf("a snapshot that a user chose, without the ledger: %v", err)
	}

	good, trust := s.snapshot()
	at := trust.Name.Evidence
	for name, raw := range map[string][]byte{
		"none":    nil,
		"other":   s.entries[at-1],
		"changed": append(bytes.Clone(s.entries[at]), 0),
	} {
		trust.Evidence = func(synod.SeqNo) ([]byte, error) { return raw, nil }
		if _, err := loadBytes(good, trust, nil); !errors.Is(err, ErrEvidence) {
			t.Errorf("%s: %v", name, err)
		}
	}
	lost := errors.New("lost")
	trust.Evidence = func(synod.SeqNo) ([]byte, error) { return nil, lost }
	if _, err := loadBytes(good, trust, nil); !errors.Is(err, lost) {
		t.Errorf("an error of the ledger: %v", err)
	}
}

func digestOf(entry []byte) [32]byte {
	s, err := ledger.ParseSnapshot(entry)
	if err != nil {
		panic(err)
	}
	return s.Digest()
}

// crafted is a genuine snapshot of any map blocks.
func (s *service) crafted(views []synod.SeqNo, public, private []byte) ([]byte, Trust) {
	s.t.Helper()
	leaf := s.sign()
	id := s.store.Tip()
	tx := s.store.Begin()
	defer tx.Release()
	sig, _ := tx.Get(tables.Signatures, tables.UnitKey())
	tree, _ := tx.Get(tables.Tree, tables.UnitKey())
	domain := ledger.AppendSnapshotHeader(nil, id.SeqNo, leaf, views)
	domain = append(domain, mapBlock(tables.Signatures, id.SeqNo, entryOf(tables.UnitKey(), sig, uint64(id.SeqNo)))...)
	domain = append(domain, mapBlock(tables.Tree, id.SeqNo, entryOf(tables.UnitKey(), tree, uint64(id.SeqNo)))...)
	domain = append(domain, public...)
	private = append(make([]byte, 0, len(private)+secrets.TagSize), private...)
	iv, tag, err := s.chain.Seal(id, true, private, domain)
	must(s.t, err)
	entry := ledger.Build(0, tag, iv, domain, private)
	_, rec := s.record(Entry{SeqNo: id.SeqNo, Digest: digestOf(entry)})
	return append(entry, must1(json.Marshal(rec))(s.t)...), Trust{Service: s.cert}
}

func mapBlock(name string, version synod.SeqNo, entries ...[]byte) []byte {
	state := bytes.Join(entries, nil)
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(name)))
	b = append(b, name...)
	b = binary.LittleEndian.AppendUint64(b, uint64(version))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(state)))
	return append(b, state...)
}

func entryOf(key, value []byte, version uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(key)))
	b = append(append(b, key...), zeros[:-len(key)&7]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(8+len(value)))
	b = binary.LittleEndian.AppendUint64(b, version)
	return append(append(b, value...), zeros[:-len(value)&7]...)
}

// TestMapBlocks has genuine receipts over maps that are wrong.
func TestMapBlocks(t *testing.T) {
	k, v := []byte("key"), []byte("value")
	good := entryOf(k, v, 1)
	padded := bytes.Clone(good)
	padded[8+len(k)] = 1
	padded2 := bytes.Clone(good)
	padded2[len(padded2)-1] = 1
	short := bytes.Clone(good)
	short[16] = 7
	long := bytes.Clone(good)
	long[0] = 200
	huge := bytes.Clone(good)
	huge[7] = 0xff
	beyond := mapBlock("m", 1, good)
	beyond[17]++ // length of the state
	for name, tc := range map[string]struct {
		public, private []byte
		want            error
	}{
		"good":                       {mapBlock("public:m", 1, good), mapBlock("m", 1, good), nil},
		"empty maps":                 {mapBlock("public:m", 0), mapBlock("m", 2), nil},
		"deleted":                    {nil, mapBlock("m", 1, good, entryOf([]byte("x"), nil, 1<<63|1)), nil},
		"deleted, with a value":      {nil, mapBlock("m", 1, entryOf(k, v, 1<<63|1)), ErrMalformed},
		"private map in public":      {mapBlock("m", 1, good), nil, ErrMalformed},
		"public map in private":      {nil, mapBlock("public:m", 1, good), ErrMalformed},
		"map twice":                  {nil, append(mapBlock("m", 1, good), mapBlock("m", 1)...), ErrMalformed},
		"signatures twice":           {mapBlock(tables.Signatures, 1), nil, ErrMalformed},
		"key twice":                  {mapBlock("public:m", 1, good, good), nil, ErrMalformed},
		"key twice, private":         {nil, mapBlock("m", 1, good, good), ErrMalformed},
		"map of the future":          {nil, mapBlock("m", 1000, good), ErrMalformed},
		"key of the future":          {nil, mapBlock("m", 1, entryOf(k, v, 1000)), ErrMalformed},
		"name not UTF-8":             {nil, mapBlock("\xff", 1, good), ErrMalformed},
		"name too long":              {nil, mapBlock(strings.Repeat("n", nameMax+1), 1), ErrMalformed},
		"padding of a key":           {nil, mapBlock("m", 1, padded), ErrMalformed},
		"padding of a value":         {nil, mapBlock("m", 1, padded2), ErrMalformed},
		"value shorter than nothing": {nil, mapBlock("m", 1, short), ErrMalformed},
		"key beyond the map":         {nil, mapBlock("m", 1, long), ErrMalformed},
		"key beyond everything":      {nil, mapBlock("m", 1, huge), ErrMalformed},
		"map beyond the domain":      {nil, beyond, ErrMalformed},
		"entry cut":                  {nil, mapBlock("m", 1, good[:len(good)-8]), ErrMalformed},
		"bytes at the end":           {nil, append(mapBlock("m", 1), 1, 2, 3), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, 2)
			file, trust := s.crafted(s.views, tc.public, tc.private)
			if _, err := loadBytes(file, trust, s.chain); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			// Where the public part alone is loaded, the private one is not looked at.
			want := tc.want
			if tc.public == nil {
				want = nil
			}
			if _, err := loadBytes(file, trust, nil); !errors.Is(err, want) {
				t.Errorf("public: %v, want %v", err, want)
			}
		})
	}
}

// TestContradictions has maps that contradict the head, and wrong secrets.
func TestContradictions(t *testing.T) {
	s := newService(t, 2)
	file, trust := s.crafted([]synod.SeqNo{1}, nil, nil)
	if _, err := loadBytes(file, trust, s.chain); !errors.Is(err, ErrInconsistent) {
		t.Errorf("a view too few: %v", err)
	}
	file, trust = s.snapshot()
	other := secrets.NewChain()
	if _, err := loadBytes(file, trust, other); !errors.Is(err, secrets.ErrNoSecret) {
		t.Errorf("no secret: %v", err)
	}
	other.Set(1, secrets.SecretFrom([32]byte{9}))
	if _, err := loadBytes(file, trust, other); !errors.Is(err, secrets.ErrAuthentication) {
		t.Errorf("another secret: %v", err)
	}
	// The state is not right after a signature.
	s.set("public:x", []byte("k"), []byte("v"))
	tx := s.store.Begin()
	defer tx.Release()
	f := newMemory()
	e, err := write(t.Context(), f, State{Tx: tx, ViewStarts: s.views, Secrets: s.chain})
	must(t, err)
	_, rec := s.record(e)
	file = append(f.b, must1(json.Marshal(rec))(t)...)
	if _, err := loadBytes(file, trust2(s), s.chain); !errors.Is(err, ErrInconsistent) {
		t.Errorf("not right after a signature: %v", err)
	}
}

func trust2(s *service) Trust { return Trust{Service: s.cert} }
