package app

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"synod"
)

// Codec turns values of one type into bytes and back. Decode must not keep
// the slice that it is given.
type Codec[T any] struct {
	Encode func(T) ([]byte, error)
	Decode func([]byte) (T, error)
}

// StringCodec stores the text itself (CCF: include/ccf/kv/serialisers, "blit").
func StringCodec() Codec[string] {
	return Codec[string]{
		Encode: func(s string) ([]byte, error) { return []byte(s), nil },
		Decode: func(b []byte) (string, error) { return string(b), nil },
	}
}

// BytesCodec stores the bytes themselves, copying both ways.
func BytesCodec() Codec[[]byte] {
	clone := func(b []byte) ([]byte, error) { return append([]byte{}, b...), nil }
	return Codec[[]byte]{Encode: clone, Decode: clone}
}

// Uint64Codec stores 8 bytes, little-endian, as CCF does for native integers;
// the order of such keys is not numeric.
func Uint64Codec() Codec[uint64] {
	return Codec[uint64]{
		Encode: func(n uint64) ([]byte, error) { return binary.LittleEndian.AppendUint64(nil, n), nil },
		Decode: func(b []byte) (uint64, error) {
			if len(b) != 8 {
				return 0, fmt.Errorf("an unsigned integer of %d bytes, want 8", len(b))
			}
			return binary.LittleEndian.Uint64(b), nil
		},
	}
}

// JSONCodec stores compact JSON text.
func JSONCodec[T any]() Codec[T] {
	return Codec[T]{
		Encode: func(v T) ([]byte, error) { return MarshalJSON(v) },
		Decode: func(b []byte) (T, error) {
			var v T
			err := json.Unmarshal(b, &v)
			return v, err
		},
	}
}

// Map is a named map with typed keys and values. It holds no data and may be
// used from several goroutines, each with its own transaction. Errors say that
// a key or value could not be encoded or that stored bytes are not of the
// type; a handler returns them as they are.
type Map[K, V any] struct {
	name   string
	keys   Codec[K]
	values Codec[V]
}

// MapOf names a map whose keys and values are stored in the usual way for
// their types: string and []byte as they are, uint64 as 8 bytes, any other
// type as JSON. A name that starts with "public:" is plain in the ledger.
func MapOf[K, V any](name string) Map[K, V] {
	return MapWith(name, codecFor[K](), codecFor[V]())
}

// MapWith is MapOf with the codecs given.
func MapWith[K, V any](name string, keys Codec[K], values Codec[V]) Map[K, V] {
	return Map[K, V]{name: name, keys: keys, values: values}
}

func codecFor[T any]() Codec[T] {
	for _, known := range []any{StringCodec(), BytesCodec(), Uint64Codec()} {
		if c, ok := known.(Codec[T]); ok {
			return c
		}
	}
	return JSONCodec[T]()
}

// Name is the map's name.
func (m Map[K, V]) Name() string { return m.name }

// Get returns the value and whether the key is present.
func (m Map[K, V]) Get(r Reader, key K) (value V, present bool, err error) {
	k, err := m.key(key)
	if err != nil {
		return value, false, err
	}
	b, present := r.Get(m.name, k)
	if !present {
		return value, false, nil
	}
	value, err = m.value(b)
	return value, err == nil, err
}

// Has says whether the key is present.
func (m Map[K, V]) Has(r Reader, key K) (bool, error) {
	k, err := m.key(key)
	if err != nil {
		return false, err
	}
	return r.Has(m.name, k), nil
}

// Put sets the value.
func (m Map[K, V]) Put(tx Tx, key K, value V) error {
	k, err := m.key(key)
	if err != nil {
		return err
	}
	v, err := m.values.Encode(value)
	if err != nil {
		return fmt.Errorf("encode value for map %s: %w", m.name, err)
	}
	tx.Put(m.name, k, v)
	return nil
}

// Delete removes the key, present or not.
func (m Map[K, V]) Delete(tx Tx, key K) error {
	k, err := m.key(key)
	if err != nil {
		return err
	}
	tx.Delete(m.name, k)
	return nil
}

// ForEach visits the map in ascending order of the stored keys until visit
// returns false or stored bytes are not of the type.
func (m Map[K, V]) ForEach(r Reader, visit func(key K, value V) bool) error {
	return m.each(visit, func(raw func(k, v []byte) bool) { r.ForEach(m.name, raw) })
}

// Range is ForEach over from <= key < to in the order of the stored keys: of
// strings their bytes, of other types mostly none that means anything.
func (m Map[K, V]) Range(r Reader, from, to K, visit func(key K, value V) bool) error {
	lo, err := m.key(from)
	if err != nil {
		return err
	}
	hi, err := m.key(to)
	if err != nil {
		return err
	}
	return m.each(visit, func(raw func(k, v []byte) bool) { r.Range(m.name, lo, hi, raw) })
}

func (m Map[K, V]) each(visit func(key K, value V) bool, walk func(func(k, v []byte) bool)) error {
	var failed error
	walk(func(k, v []byte) bool {
		key, err := m.keys.Decode(k)
		if err != nil {
			failed = fmt.Errorf("decode key of map %s: %w", m.name, err)
			return false
		}
		value, err := m.value(v)
		if err != nil {
			failed = err
			return false
		}
		return visit(key, value)
	})
	return failed
}

// VersionOfPreviousWrite returns the sequence number that wrote the key last,
// as of the transaction's snapshot.
func (m Map[K, V]) VersionOfPreviousWrite(r Reader, key K) (synod.SeqNo, bool, error) {
	k, err := m.key(key)
	if err != nil {
		return 0, false, err
	}
	seqno, ok := r.VersionOfPreviousWrite(m.name, k)
	return seqno, ok, nil
}

// Len returns the number of keys.
func (m Map[K, V]) Len(r Reader) int { return r.Len(m.name) }

// Change returns key and value of a committed write to the map; a deletion has
// no value.
func (m Map[K, V]) Change(w Write) (key K, value V, err error) {
	if key, err = m.keys.Decode(w.Key); err != nil {
		return key, value, fmt.Errorf("decode key of map %s: %w", m.name, err)
	}
	if !w.Deleted {
		value, err = m.value(w.Value)
	}
	return key, value, err
}

// Clear deletes every key.
func (m Map[K, V]) Clear(tx Tx) { tx.Clear(m.name) }

func (m Map[K, V]) key(key K) ([]byte, error) {
	k, err := m.keys.Encode(key)
	if err != nil {
		return nil, fmt.Errorf("encode key for map %s: %w", m.name, err)
	}
	return k, nil
}

func (m Map[K, V]) value(b []byte) (V, error) {
	v, err := m.values.Decode(b)
	if err != nil {
		return v, fmt.Errorf("decode value of map %s: %w", m.name, err)
	}
	return v, nil
}
