package cose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/internal/merkle"
)

func newKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// item reads one CBOR item in hex.
func item(t *testing.T, h string) (any, error) {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(h, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	r := reader{b}
	v, err := r.value(0)
	if err == nil {
		err = r.end()
	}
	return v, err
}

func TestValues(t *testing.T) {
	for h, want := range map[string]any{
		"00":                 int64(0),
		"17":                 int64(23),
		"1818":               int64(24),
		"190100":             int64(256),
		"1a00010000":         int64(65536),
		"1b0000000100000000": int64(1 << 32),
		"1b8000000000000000": uint64(1 << 63),
		"20":                 int64(-1),
		"3822":               int64(-35),
		"3b7fffffffffffffff": int64(math.MinInt64),
		"40":                 []byte{},
		"4101":               []byte{1},
		"60":                 "",
		"62c3bc":             "ü",
		"80":                 []any{},
		"8201f6":             []any{int64(1), nil},
		"a0":                 map[any]any{},
		"a101f5":             map[any]any{int64(1): true},
		"f4":                 false,
		"f5":                 true,
	} {
		got, err := item(t, h)
		if err != nil || !cmp.Equal(want, got) {
			t.Errorf("%s = %#v, %v; want %#v", h, got, err, want)
		}
	}
}

func TestValuesRefused(t *testing.T) {
	for name, h := range map[string]string{
		"nothing":              "",
		"long 0":               "1800",
		"long 23":              "1817",
		"long 24":              "190018",
		"long 65535":           "1a0000ffff",
		"long 2^32-1":          "1b00000000ffffffff",
		"cut number":           "19ff",
		"reserved":             "1c",
		"below -2^63":          "3b8000000000000000",
		"long length":          "580101",
		"cut bytes":            "4201",
		"huge bytes":           "5bffffffffffffffff",
		"indefinite bytes":     "5f4101ff",
		"indefinite text":      "7f6161ff",
		"indefinite array":     "9f01ff",
		"indefinite map":       "bf01f5ff",
		"bad UTF-8":            "61ff",
		"huge array":           "9bffffffffffffffff",
		"huge map":             "bbffffffffffffffff",
		"array of more":        "8201",
		"map of half a pair":   "a101",
		"duplicate int":        "a201f501f4",
		"duplicate text":       "a26161f56161f4",
		"bytes as key":         "a14101f5",
		"array as key":         "a180f5",
		"bool as key":          "a1f5f5",
		"big key":              "a11b8000000000000000f5",
		"tag":                  "c200",
		"date of text":         "c16130",
		"date of a date":       "c1c100",
		"date as key":          "a1c100f5",
		"cut date":             "c1",
		"undefined":            "f7",
		"simple 16":            "f0",
		"long simple":          "f815",
		"half float":           "f93c00",
		"float":                "fa3f800000",
		"break":                "ff",
		"trailing":             "0000",
		"nested beyond bounds": strings.Repeat("81", depthMax+1) + "00",
	} {
		if v, err := item(t, h); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %#v, %v", name, v, err)
		}
	}
	if v, err := item(t, "c11a68000000"); err != nil || v != Date(0x68000000) {
		t.Errorf("date: %#v, %v", v, err)
	}
	if _, err := item(t, strings.Repeat("81", depthMax)+"00"); err != nil {
		t.Errorf("nested within bounds: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	good, err := SignGov(newKey(t, elliptic.P256()), "kid", GovHeader{MsgType: MsgAck, CreatedAt: 1}, []byte("p"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(good); err != nil {
		t.Fatal(err)
	}
	crit := append(appendMap(nil, 1), 2, 0x81, 1)
	big := appendMap(nil, 1)
	big = appendText(big, "x")
	big = appendBytes(big, make([]byte, headerMax))
	for name, b := range map[string][]byte{
		"empty":              nil,
		"untagged":           good[1:],
		"other tag":          append([]byte{0xd1}, good[1:]...),
		"long tag":           append([]byte{0xd8, 18}, good[1:]...),
		"two tags":           append([]byte{0xd2}, good...),
		"three items":        {0xd2, 0x83, 0x40, 0xa0, 0x40},
		"five items":         {0xd2, 0x85, 0x40, 0xa0, 0x40, 0x40, 0x40},
		"map":                {0xd2, 0xa2, 0x40, 0xa0, 0x40, 0x40},
		"protected is a map": {0xd2, 0x84, 0xa0, 0xa0, 0x40, 0x40},
		"protected no map":   {0xd2, 0x84, 0x41, 0x80, 0xa0, 0x40, 0x40},
		"protected trailing": {0xd2, 0x84, 0x42, 0xa0, 0x00, 0xa0, 0x40, 0x40},
		"unprotected null":   {0xd2, 0x84, 0x40, 0xf6, 0x40, 0x40},
		"payload text":       {0xd2, 0x84, 0x40, 0xa0, 0x60, 0x40},
		"signature null":     {0xd2, 0x84, 0x40, 0xa0, 0x40, 0xf6},
		"alg text":           {0xd2, 0x84, 0x44, 0xa1, 0x01, 0x61, 0x61, 0xa0, 0x40, 0x40},
		"kid text":           {0xd2, 0x84, 0x44, 0xa1, 0x04, 0x61, 0x61, 0xa0, 0x40, 0x40},
		"critical":           appendMessage(nil, crit, emptyMap(), []byte{}, nil),
		"huge protected":     appendMessage(nil, big, emptyMap(), []byte{}, nil),
		"huge unprotected":   appendMessage(nil, nil, big, []byte{}, nil),
		"trailing":           append(bytes.Clone(good), 0),
		"cut":                good[:len(good)-1],
	} {
		if _, err := Parse(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m, err := Parse([]byte{0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40})
	if err != nil || len(m.Header) != 0 || m.Alg != 0 || m.KID != nil || m.Detached {
		t.Errorf("empty message: %+v, %v", m, err)
	}
}

func TestVerifyErrors(t *testing.T) {
	p256, p384 := newKey(t, elliptic.P256()), newKey(t, elliptic.P384())
	sign := func(key *ecdsa.PrivateKey) *Message {
		b, err := SignGov(key, "kid", GovHeader{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := sign(p384)
	short := *m
	short.Signature = m.Signature[1:]
	zero := *m
	zero.Signature = make([]byte, 96)
	for name, tc := range map[string]struct {
		m       *Message
		key     *ecdsa.PrivateKey
		payload []byte
		want    error
	}{
		"right":           {m, p384, nil, nil},
		"other curve":     {m, p256, nil, ErrAlgorithm},
		"other key":       {m, newKey(t, elliptic.P384()), nil, ErrSignature},
		"unusual curve":   {m, newKey(t, elliptic.P224()), nil, ErrAlgorithm},
		"two payloads":    {m, p384, []byte{}, ErrPayload},
		"short signature": {&short, p384, nil, ErrSignature},
		"zeros":           {&zero, p384, nil, ErrSignature},
	} {
		if err := tc.m.Verify(&tc.key.PublicKey, tc.payload); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range []elliptic.Curve{elliptic.P256(), elliptic.P521()} {
		key := newKey(t, c)
		if err := sign(key).Verify(&key.PublicKey, nil); err != nil {
			t.Errorf("%s: %v", c.Params().Name, err)
		}
	}
	if _, err := SignGov(newKey(t, elliptic.P224()), "", GovHeader{}, nil); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("signed with P-224: %v", err)
	}
	if _, _, err := PrepareGov(-257, "", GovHeader{}, nil); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("prepared for RSA: %v", err)
	}
}

func TestGovTypes(t *testing.T) {
	base := func(n int) []byte {
		b := appendMap(nil, n)
		b = appendInt(appendInt(b, labelAlg), AlgES384)
		return appendBytes(appendInt(b, labelKID), []byte("id"))
	}
	for name, tc := range map[string]struct {
		protected []byte
		ok        bool
	}{
		"least":               {base(2), true},
		"no alg":              {appendBytes(appendInt(appendMap(nil, 1), labelKID), nil), false},
		"no kid":              {appendInt(appendInt(appendMap(nil, 1), labelAlg), AlgES384), false},
		"type a number":       {appendInt(appendText(base(3), HeaderMsgType), 1), false},
		"type bytes":          {appendBytes(appendText(base(3), HeaderMsgType), []byte("ack")), false},
		"proposal a number":   {appendInt(appendText(base(3), HeaderProposalID), 1), false},
		"time as text":        {appendText(appendText(base(3), HeaderCreatedAt), "1"), false},
		"time negative":       {appendInt(appendText(base(3), HeaderCreatedAt), -1), false},
		"time beyond 2^63":    {appendHead(appendText(base(3), HeaderCreatedAt), majorUint, 1<<63), false},
		"time 0":              {appendInt(appendText(base(3), HeaderCreatedAt), 0), true},
		"unknown headers":     {appendBool(appendText(base(3), "x"), true), true},
		"time as a bool":      {appendBool(appendText(base(3), HeaderCreatedAt), true), false},
		"time as a null":      {append(appendText(base(3), HeaderCreatedAt), cborNull), false},
		"type as an array":    {appendArray(appendText(base(3), HeaderMsgType), 0), false},
		"proposal as a map":   {appendMap(appendText(base(3), HeaderProposalID), 0), false},
		"type as empty text":  {appendText(appendText(base(3), HeaderMsgType), ""), true},
		"kid of zero length":  {appendBytes(appendInt(appendInt(appendInt(appendMap(nil, 2), 1), -7), 4), nil), true},
		"time of the maximum": {appendInt(appendText(base(3), HeaderCreatedAt), math.MaxInt64), true},
	} {
		m, err := Parse(appendMessage(nil, tc.protected, emptyMap(), []byte{}, nil))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := m.Gov(); (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInclusionProofRefused(t *testing.T) {
	good := InclusionProof{CommitEvidence: "ce:2.3:0", Path: merkle.Path{{Left: true}, {}}}
	enc := good.Encode()
	if p, err := ParseInclusionProof(enc); err != nil || !cmp.Equal(p, good) {
		t.Fatalf("%+v, %v", p, err)
	}
	long, deep, bare := good, good, good
	long.CommitEvidence = strings.Repeat("x", evidenceMax+1)
	deep.Path = make(merkle.Path, pathMax+1)
	bare.Path = nil
	none := good
	none.CommitEvidence = ""
	for name, b := range map[string][]byte{
		"empty":         nil,
		"cut":           enc[:len(enc)-1],
		"trailing":      append(bytes.Clone(enc), 0),
		"long evidence": long.Encode(),
		"no evidence":   none.Encode(),
		"deep":          deep.Encode(),
		"no path":       bare.Encode(),
		"three keys":    append([]byte{0xa3}, enc[1:]...),
		"other key":     append([]byte{0xa2, 3}, enc[2:]...),
	} {
		if _, err := ParseInclusionProof(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLedgerSignatureRefused(t *testing.T) {
	key := newKey(t, elliptic.P384())
	gov, err := SignGov(key, "kid", GovHeader{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	noID := appendMessage(nil, LedgerSignature{}.encode(AlgES384), emptyMap(), nil, nil)
	attachedRoot := appendMessage(nil, LedgerSignature{TxID: synod.TxID{View: 2, SeqNo: 2}}.encode(AlgES384), emptyMap(), []byte{1}, nil)
	for name, b := range map[string][]byte{"governance": gov, "bad ID": noID, "attached": attachedRoot, "empty": nil} {
		if _, _, err := ParseLedgerSignature(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Receipt(b, InclusionProof{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("receipt of %s: %v", name, err)
		}
	}
}

func TestEndorsementRoundTrip(t *testing.T) {
	key := newKey(t, elliptic.P384())
	for _, e := range []Endorsement{
		{IssuedAt: 5, EpochStart: synod.TxID{View: 2, SeqNo: 1}, EndorsedKey: []byte{1}},
		{IssuedAt: 5, EpochStart: synod.TxID{View: 2, SeqNo: 1}, EpochEnd: synod.TxID{View: 2, SeqNo: 9}, EpochRoot: make([]byte, 32), EndorsedKey: []byte{1}},
	} {
		b, err := SignEndorsement(key, e)
		if err != nil {
			t.Fatal(err)
		}
		got, m, err := ParseEndorsement(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, *got); diff != "" {
			t.Error(diff)
		}
		if err := m.Verify(&key.PublicKey, nil); err != nil {
			t.Error(err)
		}
	}
	bad, err := SignEndorsement(key, Endorsement{EpochStart: synod.TxID{View: 2, SeqNo: 1}, EpochRoot: []byte{1}, EndorsedKey: []byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ParseEndorsement(bad); !errors.Is(err, ErrMalformed) {
		t.Errorf("short root: %v", err)
	}
	if bad, err = SignEndorsement(key, Endorsement{EpochStart: synod.TxID{View: 2, SeqNo: 1}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ParseEndorsement(bad); !errors.Is(err, ErrMalformed) {
		t.Errorf("no key: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{
		"governance/002-ack-member0.request.bin", "governance/008-ballot-set_user-member0.request.bin",
		"governance/001-state_digest-update-member0.request.bin",
	} {
		f.Add(read(f, name))
	}
	key := newKey(f, elliptic.P256())
	sig, err := SignLedger(key, LedgerSignature{TxID: synod.TxID{View: 2, SeqNo: 2}}, [32]byte{})
	if err != nil {
		f.Fatal(err)
	}
	receipt, err := Receipt(sig, InclusionProof{CommitEvidence: "ce:2.1:", Path: merkle.Path{{}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sig)
	f.Add(receipt)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if h, err := m.Gov(); err == nil && h.KID != string(m.KID) {
			t.Fatal("kid differs")
		}
		_, _ = m.ledgerSignature()
		_, _ = m.endorsement()
		_, _ = m.InclusionProofs()
		if len(m.Unprotected) == 0 {
			payload := m.Payload
			if m.Detached {
				payload = nil
			}
			if again := appendMessage(nil, m.Protected, emptyMap(), payload, m.Signature); !bytes.Equal(again, b) {
				t.Fatalf("%x became %x", b, again)
			}
		}
	})
}

func FuzzInclusionProof(f *testing.F) {
	f.Add(InclusionProof{CommitEvidence: "ce:2.3:0", Path: merkle.Path{{Left: true}, {}}}.Encode())
	f.Add(read(f, "responses/cbor_merkle_proof-2.39.before.cbor"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseInclusionProof(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if again := p.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func BenchmarkSignLedger(b *testing.B) {
	for _, c := range []elliptic.Curve{elliptic.P384(), elliptic.P256()} {
		b.Run(c.Params().Name, func(b *testing.B) {
			key := newKey(b, c)
			s := LedgerSignature{KID: strings.Repeat("0", 64), IssuedAt: 1761669648, Issuer: "service.example.com", Subject: "ledger.signature", TxID: synod.TxID{View: 2, SeqNo: 20}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := SignLedger(key, s, [32]byte{1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	raw := read(b, "governance/008-ballot-set_user-member0.request.bin")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	m, err := Parse(read(b, "governance/008-ballot-set_user-member0.request.bin"))
	if err != nil {
		b.Fatal(err)
	}
	pub := publicKey(b, "member0")
	for b.Loop() {
		if err := m.Verify(pub, nil); err != nil {
			b.Fatal(err)
		}
	}
}
