package app

// Value is a map with one entry, for what there is one of: a configuration, a
// counter. Its key is that of CCF's own single values, eight zero bytes
// (CCF: include/ccf/kv/value.h).
type Value[V any] struct{ m Map[[]byte, V] }

// ValueOf names a single value, stored in the usual way for its type; see
// MapOf.
func ValueOf[V any](name string) Value[V] { return ValueWith(name, codecFor[V]()) }

// ValueWith is ValueOf with the codec given.
func ValueWith[V any](name string, values Codec[V]) Value[V] {
	return Value[V]{MapWith(name, BytesCodec(), values)}
}

// Name is the name of the map that holds the value.
func (v Value[V]) Name() string { return v.m.name }

func unit() []byte { return make([]byte, 8) }

// Get returns the value and whether it is set.
func (v Value[V]) Get(r Reader) (value V, present bool, err error) { return v.m.Get(r, unit()) }

// Put sets the value.
func (v Value[V]) Put(tx Tx, value V) error { return v.m.Put(tx, unit(), value) }

// Clear unsets the value.
func (v Value[V]) Clear(tx Tx) { v.m.Clear(tx) }

// Set is a map of keys alone, each stored with an eight-byte value of zeros
// (CCF: include/ccf/kv/set.h).
type Set[K any] struct{ m Map[K, []byte] }

// SetOf names a set whose keys are stored in the usual way for their type;
// see MapOf.
func SetOf[K any](name string) Set[K] { return SetWith(name, codecFor[K]()) }

// SetWith is SetOf with the codec given.
func SetWith[K any](name string, keys Codec[K]) Set[K] {
	return Set[K]{MapWith(name, keys, BytesCodec())}
}

// Name is the name of the map that holds the keys.
func (s Set[K]) Name() string { return s.m.name }

// Add puts the key into the set.
func (s Set[K]) Add(tx Tx, key K) error { return s.m.Put(tx, key, unit()) }

// Remove takes the key out of the set, present or not.
func (s Set[K]) Remove(tx Tx, key K) error { return s.m.Delete(tx, key) }

// Has says whether the key is in the set.
func (s Set[K]) Has(r Reader, key K) (bool, error) { return s.m.Has(r, key) }

// Len returns the number of keys.
func (s Set[K]) Len(r Reader) int { return s.m.Len(r) }

// Clear empties the set.
func (s Set[K]) Clear(tx Tx) { s.m.Clear(tx) }

// ForEach visits the set in ascending order of the stored keys until visit
// returns false or stored bytes are not of the type.
func (s Set[K]) ForEach(r Reader, visit func(key K) bool) error {
	return s.m.ForEach(r, func(key K, _ []byte) bool { return visit(key) })
}
