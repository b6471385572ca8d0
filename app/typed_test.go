package app_test

import (
	"math"
	"sort"
	"testing"

	"github.com/google/go-cmp/cmp"

	"synod"
	"synod/app"
)

// mapTx is a transaction over plain Go maps.
type mapTx map[string]map[string][]byte

func (tx mapTx) of(m string) map[string][]byte {
	if tx[m] == nil {
		tx[m] = map[string][]byte{}
	}
	return tx[m]
}

func (tx mapTx) Get(m string, k []byte) ([]byte, bool) { v, ok := tx.of(m)[string(k)]; return v, ok }
func (tx mapTx) Has(m string, k []byte) bool           { _, ok := tx.of(m)[string(k)]; return ok }
func (tx mapTx) Put(m string, k, v []byte)             { tx.of(m)[string(k)] = v }
func (tx mapTx) Delete(m string, k []byte)             { delete(tx.of(m), string(k)) }
func (tx mapTx) Clear(m string)                        { delete(tx, m) }
func (tx mapTx) Len(m string) int                      { return len(tx.of(m)) }
func (tx mapTx) ReadVersion() synod.TxID               { return synod.TxID{} }

func (tx mapTx) VersionOfPreviousWrite(string, []byte) (synod.SeqNo, bool) { return 0, false }

func (tx mapTx) ForEach(m string, visit func(k, v []byte) bool) { tx.Range(m, nil, nil, visit) }

func (tx mapTx) Range(m string, _, _ []byte, visit func(k, v []byte) bool) {
	keys := make([]string, 0, len(tx.of(m)))
	for k := range tx.of(m) {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if !visit([]byte(k), tx.of(m)[k]) {
			return
		}
	}
}

type point struct{ X, Y int }

func TestMapStoresTypesAsCCFDoes(t *testing.T) {
	tx := mapTx{}
	for _, err := range []error{
		app.MapOf[string, []byte]("texts").Put(tx, "k", []byte{1, 2}),
		app.MapOf[uint64, string]("numbers").Put(tx, 258, `"q"`),
		app.MapOf[string, point]("points").Put(tx, "p", point{1, 2}),
		app.MapWith("json", app.Uint64Codec(), app.JSONCodec[string]()).Put(tx, 1, "<v>"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := mapTx{
		"texts":   {"k": {1, 2}},
		"numbers": {"\x02\x01\x00\x00\x00\x00\x00\x00": []byte(`"q"`)},
		"points":  {"p": []byte(`{"X":1,"Y":2}`)},
		"json":    {"\x01\x00\x00\x00\x00\x00\x00\x00": []byte(`"<v>"`)},
	}
	if diff := cmp.Diff(want, tx); diff != "" {
		t.Error(diff)
	}
}

func TestMapOperations(t *testing.T) {
	tx := mapTx{}
	m := app.MapOf[uint64, point]("points")
	for i := range uint64(3) {
		if err := m.Put(tx, i, point{X: int(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if v, ok, err := m.Get(tx, 2); v.X != 2 || !ok || err != nil {
		t.Errorf("Get(2) = %v, %v, %v", v, ok, err)
	}
	if _, ok, err := m.Get(tx, 9); ok || err != nil {
		t.Errorf("Get(9) = %v, %v", ok, err)
	}
	if err := m.Delete(tx, 0); err != nil {
		t.Fatal(err)
	}
	if ok, err := m.Has(tx, 0); ok || err != nil {
		t.Errorf("Has(0) = %v, %v", ok, err)
	}
	seen := map[uint64]point{}
	if err := m.ForEach(tx, func(k uint64, v point) bool { seen[k] = v; return true }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[uint64]point{1: {X: 1}, 2: {X: 2}}, seen); diff != "" {
		t.Error(diff)
	}
	if m.Len(tx) != 2 || m.Name() != "points" {
		t.Errorf("Len = %d, Name = %s", m.Len(tx), m.Name())
	}
	m.Clear(tx)
	if m.Len(tx) != 0 {
		t.Error("Clear left something")
	}
}

func TestMapRefusesWhatIsNotOfItsType(t *testing.T) {
	tx := mapTx{"m": {"short": []byte("not JSON")}}
	m := app.MapOf[uint64, point]("m")
	if err := m.ForEach(tx, func(uint64, point) bool { return true }); err == nil {
		t.Error("a key of 5 bytes was read as an integer")
	}
	s := app.MapOf[string, point]("m")
	if _, ok, err := s.Get(tx, "short"); ok || err == nil {
		t.Error("text was read as a point")
	}
	if err := app.MapOf[string, float64]("m").Put(tx, "nan", math.NaN()); err == nil {
		t.Error("NaN was stored")
	}
}
