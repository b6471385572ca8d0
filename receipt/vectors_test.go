package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"synod"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func serviceCert(t testing.TB, life string) []byte {
	return read(t, map[string]string{
		"before": "service-1_cert.pem", "recovered": "service-2_cert.pem", "recovered2": "service-3_cert.pem",
	}[life])
}

// vectors lists the test data of one kind: by name, transaction and life.
func vectors(t testing.TB, kind, ext string) map[string][2]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", kind+"-*"+ext))
	if err != nil || len(names) == 0 {
		t.Fatal("no test data", err)
	}
	out := map[string][2]string{}
	for _, n := range names {
		base := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(n), kind+"-"), ext)
		id, life := base[:strings.LastIndexByte(base, '.')], base[strings.LastIndexByte(base, '.')+1:]
		out[filepath.Base(n)] = [2]string{id, life}
	}
	return out
}

func endorsements(t testing.TB, name string) [][]byte {
	var list struct{ Endorsements [][]byte }
	if err := json.Unmarshal(read(t, name), &list); err != nil {
		t.Fatal(err)
	}
	return list.Endorsements
}

func TestJSONVectors(t *testing.T) {
	lives := []string{"before", "recovered", "recovered2"}
	for name, v := range vectors(t, "receipt", ".json") {
		t.Run(name, func(t *testing.T) {
			raw := read(t, name)
			r, err := Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := json.Marshal(r); err != nil || !bytes.Equal(again, raw) {
				t.Errorf("written again as %s, %v", again, err)
			}
			id, err := synod.ParseTxID(v[0])
			if err != nil {
				t.Fatal(err)
			}
			res, err := r.Verify(Options{ServiceCert: serviceCert(t, v[1])})
			if err != nil {
				t.Fatal(err)
			}
			if !res.IsSignature && res.TxID != id {
				t.Errorf("of %s", res.TxID)
			}
			for _, other := range lives {
				if other == v[1] {
					continue
				}
				if _, err := r.Verify(Options{ServiceCert: serviceCert(t, other)}); !errors.Is(err, ErrWrongService) {
					t.Errorf("with the certificate of %s: %v", other, err)
				}
			}
		})
	}
}

func TestCOSEVectors(t *testing.T) {
	for name, v := range vectors(t, "cose_receipt", ".cbor") {
		t.Run(name, func(t *testing.T) {
			r, err := ParseCOSE(read(t, name))
			if err != nil {
				t.Fatal(err)
			}
			id, err := synod.ParseTxID(v[0])
			if err != nil {
				t.Fatal(err)
			}
			o := Options{ServiceCert: serviceCert(t, v[1]), TxID: id}
			switch {
			case v[1] == "recovered2" && id.View == 2:
				o.Endorsements = endorsements(t, "cose_endorsements-2.40.recovered2.cbor")
			case v[1] == "recovered" && id.View == 2:
				// The same endorsement, which that life's answers lack.
				o.Endorsements = endorsements(t, "cose_endorsements-2.40.recovered2.cbor")[1:]
			}
			res, err := r.Verify(o)
			if err != nil {
				t.Fatal(err)
			}
			if res.Issuer != "service.example.com" || res.Subject != "ledger.signature" || res.SignatureTxID.SeqNo <= id.SeqNo {
				t.Errorf("result %+v", res)
			}
			if len(o.Endorsements) == 0 {
				return
			}
			o.Endorsements = nil
			if _, err := r.Verify(o); !errors.Is(err, ErrWrongService) {
				t.Errorf("without endorsements: %v", err)
			}
		})
	}
}

func TestEndorsementLists(t *testing.T) {
	list := endorsements(t, "cose_endorsements-2.45.recovered2.cbor")
	r, err := ParseCOSE(read(t, "cose_receipt-2.45.recovered2.cbor"))
	if err != nil {
		t.Fatal(err)
	}
	verify := func(e ...[]byte) error {
		_, err := r.Verify(Options{ServiceCert: serviceCert(t, "recovered2"), Endorsements: e})
		return err
	}
	if err := verify(list...); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string][][]byte{
		"oldest first": {list[1], list[0]},
		"newest alone": list[:1],
		"oldest alone": list[1:],
		"repeated":     {list[0], list[0], list[1]},
	} {
		if err := verify(e...); !errors.Is(err, ErrWrongService) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify([]byte("?")); !errors.Is(err, ErrMalformed) {
		t.Errorf("rubbish: %v", err)
	}
	for i := range list {
		eachFlip(list[i], func(bit int, changed []byte) {
			if bit/8%3 != 0 && !*allBits {
				return // each costs three verifications
			}
			e := [][]byte{list[0], list[1]}
			e[i] = changed
			if verify(e...) == nil {
				t.Fatalf("endorsement %d verifies with bit %d flipped", i, bit)
			}
		})
	}
}

var allBits = flag.Bool("all-bits", false, "flip every bit of the receipts, one after another")

// eachFlip calls f with copies of raw, each with one bit flipped: one in each
// byte, another one from byte to byte, or every bit with -all-bits.
func eachFlip(raw []byte, f func(bit int, changed []byte)) {
	for bit := range 8 * len(raw) {
		if !*allBits && bit%8 != bit/8%8 {
			continue
		}
		changed := bytes.Clone(raw)
		changed[bit/8] ^= 1 << (bit % 8)
		f(bit, changed)
	}
}

func TestFlippedBitsJSON(t *testing.T) {
	for _, name := range []string{"receipt-2.26.recovered2.json", "receipt-2.1.before.json"} {
		raw := read(t, name)
		cert := serviceCert(t, strings.Split(name, ".")[2])
		eachFlip(raw, func(bit int, changed []byte) {
			r, err := Parse(changed)
			if err == nil {
				_, err = r.Verify(Options{ServiceCert: cert})
			}
			if err == nil {
				t.Fatalf("%s verifies with bit %d flipped: %s", name, bit, changed)
			}
		})
	}
}

func TestFlippedBitsCOSE(t *testing.T) {
	raw := read(t, "cose_receipt-2.39.before.cbor")
	cert := serviceCert(t, "before")
	eachFlip(raw, func(bit int, changed []byte) {
		r, err := ParseCOSE(changed)
		if err == nil {
			_, err = r.Verify(Options{ServiceCert: cert})
		}
		if err == nil {
			t.Fatalf("verifies with bit %d flipped", bit)
		}
	})
}

func TestExpectations(t *testing.T) {
	r, err := Parse(read(t, "receipt-2.26.before.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseCOSE(read(t, "cose_receipt-2.39.before.cbor"))
	if err != nil {
		t.Fatal(err)
	}
	zero, other := [32]byte{}, [32]byte{1}
	wsd, cwsd := r.LeafComponents.WriteSetDigest, c.Proofs[0].WriteSetDigest
	trust := Options{ServiceCert: serviceCert(t, "before")}
	for name, tc := range map[string]struct {
		json, cose func(*Options)
		want       error
	}{
		"right": {
			func(o *Options) { o.Claims, o.WriteSetDigest, o.TxID = &zero, &wsd, synod.TxID{View: 2, SeqNo: 26} },
			func(o *Options) { o.Claims, o.WriteSetDigest, o.TxID = &zero, &cwsd, synod.TxID{View: 2, SeqNo: 39} },
			nil,
		},
		"claims":    {func(o *Options) { o.Claims = &other }, func(o *Options) { o.Claims = &other }, ErrClaimsMismatch},
		"write set": {func(o *Options) { o.WriteSetDigest = &other }, func(o *Options) { o.WriteSetDigest = &other }, ErrWriteSetMismatch},
		"entry":     {func(o *Options) { o.Entry = []byte("x") }, func(o *Options) { o.Entry = []byte("x") }, ErrWriteSetMismatch},
		"id": {
			func(o *Options) { o.TxID = synod.TxID{View: 2, SeqNo: 27} },
			func(o *Options) { o.TxID = synod.TxID{View: 4, SeqNo: 39} },
			ErrTxIDMismatch,
		},
		"no trust":  {func(o *Options) { o.ServiceCert = nil }, func(o *Options) { o.ServiceCert = nil }, ErrTrust},
		"bad trust": {func(o *Options) { o.ServiceCert = []byte("x") }, func(o *Options) { o.ServiceCert = []byte("x") }, ErrTrust},
	} {
		o := trust
		tc.json(&o)
		if _, err := r.Verify(o); !errors.Is(err, tc.want) {
			t.Errorf("JSON, %s: %v", name, err)
		}
		o = trust
		tc.cose(&o)
		if _, err := c.Verify(o); !errors.Is(err, tc.want) {
			t.Errorf("COSE, %s: %v", name, err)
		}
	}
}

func TestTamperedParts(t *testing.T) {
	fresh := func() *Receipt {
		r, err := Parse(read(t, "receipt-2.26.recovered2.json"))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	o := Options{ServiceCert: serviceCert(t, "recovered2")}
	foreign, err := Parse(read(t, "receipt-6.150.recovered2.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*Receipt)
		want   error
	}{
		"signature of another":   {func(r *Receipt) { r.Signature = foreign.Signature }, ErrBadSignature},
		"certificate of another": {func(r *Receipt) { r.Cert = foreign.Cert }, ErrBadSignature},
		"node of another":        {func(r *Receipt) { r.NodeID = foreign.NodeID }, ErrWrongNode},
		"no endorsement":         {func(r *Receipt) { r.ServiceEndorsements = nil }, ErrWrongService},
		"step removed":           {func(r *Receipt) { r.Proof = r.Proof[1:] }, ErrBadSignature},
		"side changed":           {func(r *Receipt) { r.Proof[0].Left = !r.Proof[0].Left }, ErrBadSignature},
		"no certificate":         {func(r *Receipt) { r.Cert = "" }, ErrNoCertificate},
		"no leaf":                {func(r *Receipt) { r.LeafComponents = nil }, ErrMalformed},
		"claims dropped":         {func(r *Receipt) { r.LeafComponents.WithoutClaims = true }, ErrBadSignature},
	} {
		r := fresh()
		tc.change(r)
		if _, err := r.Verify(o); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := fresh()
	o.NodeCert, r.Cert = []byte(r.Cert), ""
	if _, err := r.Verify(o); err != nil {
		t.Errorf("with the node's certificate given: %v", err)
	}
}
