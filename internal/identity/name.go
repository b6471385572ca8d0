package identity

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"sort"
	"strings"
	"unicode/utf8"
)

// Prefixes of alternative names in configuration
// (CCF: include/ccf/crypto/san.h).
const (
	sanIP  = "iPAddress:"
	sanDNS = "dNSName:"
)

// SANOf returns the alternative name for a host, an address or a DNS name,
// with its prefix. A host whose last part after a dot is a number counts as an
// address.
func SANOf(host string) string {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	last := host[strings.LastIndexByte(host, '.')+1:]
	numeric := last != "" && strings.Trim(last, "0123456789") == ""
	if _, err := netip.ParseAddr(host); err == nil || numeric {
		return sanIP + host
	}
	return sanDNS + host
}

// attribute is one kind of part of a distinguished name.
type attribute struct {
	oid      asn1.ObjectIdentifier
	tag      int // the string type that openssl uses
	min, max int // characters (RFC 5280 appendix A.1)
}

func attributeOf(key string) (attribute, bool) {
	dir := func(last, maxLen int) (attribute, bool) {
		return attribute{asn1.ObjectIdentifier{2, 5, 4, last}, asn1.TagUTF8String, 1, maxLen}, true
	}
	switch key {
	case "CN":
		return dir(3, 64)
	case "SN":
		return dir(4, 64)
	case "C":
		return attribute{asn1.ObjectIdentifier{2, 5, 4, 6}, asn1.TagPrintableString, 2, 2}, true
	case "L":
		return dir(7, 128)
	case "ST":
		return dir(8, 128)
	case "street":
		return dir(9, 128)
	case "O":
		return dir(10, 64)
	case "OU":
		return dir(11, 64)
	case "title":
		return dir(12, 64)
	case "GN":
		return dir(42, 64)
	case "DC":
		return attribute{asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, asn1.TagIA5String, 1, 64}, true
	case "emailAddress":
		return attribute{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, asn1.TagIA5String, 1, 128}, true
	default:
		return attribute{}, false
	}
}

// rawName encodes "CN=…,O=…" as a DER distinguished name. As in CCF the parts
// are put in order of their keys and a value holds no comma.
func rawName(s string) ([]byte, error) {
	parts := map[string]string{}
	var keys []string
	for _, part := range strings.Split(s, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, dup := parts[key]; !ok || dup {
			return nil, fmt.Errorf("subject name %q: want KEY=value, each key once, separated by commas", s)
		}
		parts[key] = value
		keys = append(keys, key)
	}
	sort.Strings(keys)
	var rdns []asn1.RawValue
	for _, key := range keys {
		rdn, err := rawAttribute(key, parts[key])
		if err != nil {
			return nil, fmt.Errorf("subject name %q: %w", s, err)
		}
		rdns = append(rdns, rdn)
	}
	return asn1.Marshal(rdns)
}

func rawAttribute(key, value string) (asn1.RawValue, error) {
	a, ok := attributeOf(key)
	if !ok {
		return asn1.RawValue{}, fmt.Errorf("unknown attribute %q", key)
	}
	n := utf8.RuneCountInString(value)
	if !utf8.ValidString(value) || n < a.min || n > a.max {
		return asn1.RawValue{}, fmt.Errorf("%s must be text of %d to %d characters", key, a.min, a.max)
	}
	if a.tag != asn1.TagUTF8String {
		for _, c := range []byte(value) {
			if c < 0x20 || c > 0x7e {
				return asn1.RawValue{}, fmt.Errorf("%s must be ASCII", key)
			}
		}
	}
	der, err := asn1.Marshal(struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}{a.oid, asn1.RawValue{Tag: a.tag, Bytes: []byte(value)}})
	if err != nil {
		return asn1.RawValue{}, err
	}
	return asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: der}, nil
}

// sanExtension encodes alternative names, in the given order; ok is false
// without any.
func sanExtension(sans []string) (ext pkix.Extension, ok bool, err error) {
	if len(sans) == 0 {
		return ext, false, nil
	}
	var names []asn1.RawValue
	for _, s := range sans {
		var name asn1.RawValue
		if ip, isIP := strings.CutPrefix(s, sanIP); isIP {
			addr, err := netip.ParseAddr(ip)
			if err != nil || addr.Zone() != "" {
				return ext, false, fmt.Errorf("alternative name %q: not an IP address", s)
			}
			name = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 7, Bytes: addr.AsSlice()}
		} else if dns, isDNS := strings.CutPrefix(s, sanDNS); isDNS {
			if !isHostName(dns) {
				return ext, false, fmt.Errorf("alternative name %q: not a DNS name", s)
			}
			name = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(dns)}
		} else {
			return ext, false, fmt.Errorf("alternative name %q: must be (iPAddress|dNSName):VALUE", s)
		}
		names = append(names, name)
	}
	der, err := asn1.Marshal(names)
	return pkix.Extension{Id: oidSAN, Value: der}, true, err
}

func isHostName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for _, c := range []byte(s) {
		if c <= 0x20 || c >= 0x7f || c == ',' || c == ':' || c == '/' {
			return false
		}
	}
	return true
}
