package tables

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// Reader is what reading a table needs of a transaction; app.Tx has it.
type Reader interface {
	Get(mapName string, key []byte) ([]byte, bool)
	Has(mapName string, key []byte) bool
	ForEach(mapName string, visit func(key, value []byte) bool)
}

// Writer is what writing a table needs of a transaction; app.Tx has it.
type Writer interface {
	Reader
	Put(mapName string, key, value []byte)
	Delete(mapName string, key []byte)
	Clear(mapName string)
}

const unit = "\x00\x00\x00\x00\x00\x00\x00\x00"

// UnitKey returns 8 zero bytes, the key of a table that holds one value and
// the value of a table that is a set (CCF: include/ccf/kv/unit.h).
func UnitKey() []byte { return []byte(unit) }

// GetJSON reads a json value and says whether the key is present. A value
// that is not the JSON of a T is an error that names table and key.
func GetJSON[T any](tx Reader, name string, key []byte) (T, bool, error) {
	var v T
	b, ok := tx.Get(name, key)
	if !ok {
		return v, false, nil
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, true, fmt.Errorf("table %s key %q: %w", name, key, err)
	}
	return v, true, nil
}

// PutJSON writes v as compact JSON. It fails only for values that have no
// JSON form.
func PutJSON(tx Writer, name string, key []byte, v any) error {
	b, err := Marshal(v)
	if err != nil {
		return fmt.Errorf("table %s key %q: %w", name, key, err)
	}
	tx.Put(name, key, b)
	return nil
}

// EachJSON visits a table of json values in key order until visit returns
// false. It stops with an error at the first value that is not a T.
func EachJSON[T any](tx Reader, name string, visit func(key string, v T) bool) error {
	var err error
	tx.ForEach(name, func(key, value []byte) bool {
		var v T
		if e := json.Unmarshal(value, &v); e != nil {
			err = fmt.Errorf("table %s key %q: %w", name, key, e)
			return false
		}
		return visit(string(key), v)
	})
	return err
}

// Marshal encodes v as CCF prints JSON: compact and without HTML escapes.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Bytes is a byte string whose JSON form is standard base64 text, "" if it is
// empty. An array of numbers is accepted as well
// (CCF: include/ccf/ds/json.h).
type Bytes []byte

// MarshalJSON returns the base64 text.
func (b Bytes) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2)
	out = append(out, '"')
	out = base64.StdEncoding.AppendEncode(out, b)
	return append(out, '"'), nil
}

// UnmarshalJSON accepts base64 text or an array of numbers from 0 to 255.
func (b *Bytes) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		var nums []uint16
		if err := json.Unmarshal(text, &nums); err != nil {
			return err
		}
		out := make([]byte, len(nums))
		for i, n := range nums {
			if n > 255 {
				return fmt.Errorf("byte %d out of range: %d", i, n)
			}
			out[i] = byte(n)
		}
		*b = out
		return nil
	}
	var s *string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	if s == nil {
		return fmt.Errorf("null where bytes are expected")
	}
	if strings.ContainsAny(*s, "\r\n") { // which the decoder would skip
		return fmt.Errorf("line break in base64")
	}
	out, err := base64.StdEncoding.Strict().DecodeString(*s)
	if err != nil {
		return err
	}
	*b = out
	return nil
}

// dropNull makes an explicit null the same as an absent value.
func dropNull(v json.RawMessage) json.RawMessage {
	if string(v) == "null" {
		return nil
	}
	return v
}
