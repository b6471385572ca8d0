package kv

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// AppendDomain appends the map blocks of one domain of a ledger entry: the
// public maps, or all others. Maps without writes and removes are left out.
// Maps and keys keep the write set's order
// (CCF: src/kv/committable_tx.h, src/kv/generic_serialise_wrapper.h):
//
//	lp(name) u64 read_version=0 u64 read_count=0
//	u64 write_count  write_count × (lp(key) lp(value))
//	u64 remove_count remove_count × lp(key)
//
// where lp is a u64 length and the bytes, and integers are little-endian.
func AppendDomain(dst []byte, ws *WriteSet, public bool) []byte {
	for i := range ws.Maps {
		m := &ws.Maps[i]
		if len(m.Writes)+len(m.Removes) == 0 || isPublic(m.Name) != public {
			continue
		}
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(m.Name)))
		dst = append(dst, m.Name...)
		dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(m.Writes)))
		for j := range m.Writes {
			dst = appendBytes(dst, m.Writes[j].Key)
			dst = appendBytes(dst, m.Writes[j].Value)
		}
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(m.Removes)))
		for _, k := range m.Removes {
			dst = appendBytes(dst, k)
		}
	}
	return dst
}

func appendBytes(dst, b []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(b)))
	return append(dst, b...)
}

// DecodeDomain reads the map blocks of one domain to the end of b. It refuses,
// with an error that wraps ErrMalformed: lengths beyond the end, read versions
// and counts other than 0, a block that writes nothing, a name that is not
// UTF-8, repeats or belongs to the other domain. The result points into b,
// which must not change while it is in use.
func DecodeDomain(b []byte, public bool) ([]MapWrites, error) {
	d := decoder{rest: b}
	var maps []MapWrites
	for len(d.rest) > 0 && d.fault == "" {
		m := d.mapWrites()
		if d.fault == "" {
			d.checkName(m.Name, public, maps)
		}
		maps = append(maps, m)
	}
	if d.fault != "" {
		return nil, fmt.Errorf("%w at byte %d: %s", ErrMalformed, len(b)-len(d.rest), d.fault)
	}
	return maps, nil
}

// DomainStartsWith says whether the first map block of a domain is of the
// named map, without decoding it.
func DomainStartsWith(b []byte, mapName string) bool {
	d := decoder{rest: b}
	return string(d.bytes()) == mapName && d.fault == ""
}

// decoder reads from the front of rest until a fault.
type decoder struct {
	rest  []byte
	fault string
	seen  map[string]bool
}

func (d *decoder) u64() uint64 {
	if len(d.rest) < 8 {
		d.fail("integer beyond the end")
		return 0
	}
	v := binary.LittleEndian.Uint64(d.rest)
	d.rest = d.rest[8:]
	return v
}

func (d *decoder) bytes() []byte {
	n := d.u64()
	if n > uint64(len(d.rest)) {
		d.fail("length beyond the end")
		return nil
	}
	v := d.rest[:n:n]
	d.rest = d.rest[n:]
	return v
}

// count reads a number of elements of at least size bytes each, so that what
// is allocated for them is bounded by the input.
func (d *decoder) count(size int) int {
	n := d.u64()
	if n > uint64(len(d.rest)/size) {
		d.fail("count beyond the end")
		return 0
	}
	return int(n)
}

func (d *decoder) fail(fault string) {
	if d.fault == "" {
		d.fault = fault
	}
}

func (d *decoder) mapWrites() MapWrites {
	m := MapWrites{Name: string(d.bytes())}
	version, count := d.u64(), d.u64()
	if version != 0 || count != 0 {
		d.fail("reads in a ledger entry")
	}
	if n := d.count(16); n > 0 {
		m.Writes = make([]Write, n)
		for i := range m.Writes {
			m.Writes[i] = Write{Key: d.bytes(), Value: d.bytes()}
		}
	}
	if n := d.count(8); n > 0 {
		m.Removes = make([][]byte, n)
		for i := range m.Removes {
			m.Removes[i] = d.bytes()
		}
	}
	if len(m.Writes)+len(m.Removes) == 0 {
		d.fail("map block without writes")
	}
	return m
}

// checkName faults a name that is not allowed where it is. seen is filled once
// names stop rising, which those that CCF writes never do.
func (d *decoder) checkName(name string, public bool, before []MapWrites) {
	if !utf8.ValidString(name) {
		d.fail("map name is not UTF-8")
	}
	if isPublic(name) != public {
		d.fail("map of the other domain")
	}
	if d.seen == nil && len(before) > 0 && name <= before[len(before)-1].Name {
		d.seen = map[string]bool{}
		for i := range before {
			d.seen[before[i].Name] = true
		}
	}
	if d.seen != nil {
		if d.seen[name] {
			d.fail("map appears twice")
		}
		d.seen[name] = true
	}
}
