package js

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"synod/app"
)

// requestOps read the current request
// (CCF: src/js/extensions/ccf/request.cpp).
var requestOps = []hostOp{
	{"request.field", 1, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		name, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		return v.requestField(c.app, name)
	}},
	{"request.content", 1, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		policy, ok := v.text(a.at(0))
		if !ok {
			return valExc, false
		}
		who := c.app.Caller
		if policy != "" && who != nil {
			who = who.AllOf[policy]
		}
		if who == nil || who.COSE == nil {
			return valUndef, true
		}
		return owned(v.newBuffer(who.COSE.Content))
	}},
	bodyOp("text", func(v *vm, body []byte) value { return v.newString(bytesAsString(body)) }),
	bodyOp("json", func(v *vm, body []byte) value { return v.parseJSON(bytesAsString(body), v.body) }),
	bodyOp("arrayBuffer", func(v *vm, body []byte) value { return v.newBuffer(body) }),
}

func bodyOp(name string, read func(*vm, []byte) value) hostOp {
	return hostOp{"body." + name, 0, func(v *vm, c *call, a args) (value, bool) {
		v.effect()
		if a.argc != 0 {
			return v.throw(typeError, "Passed %d arguments, but expected none", a.argc)
		}
		return owned(read(v, c.app.Request.Body))
	}}
}

func (v *vm) requestField(c *app.Context, name string) (value, bool) {
	r := c.Request
	switch name {
	case "headers":
		return v.jsonObject(headerMembers(r.Header))
	case "query":
		return owned(v.newString(r.DecodedQuery()))
	case "path":
		return owned(v.newString(r.Path))
	case "method":
		return owned(v.newString(r.Method))
	case "hostname":
		if !r.Header.Has("host") {
			return valNull, true
		}
		return owned(v.newString(r.Header.Get("host")))
	case "route":
		return owned(v.newString(routeOf(c)))
	case "url":
		url := r.Path
		if q := r.DecodedQuery(); q != "" {
			url += "?" + q
		}
		return owned(v.newString(url))
	case "params":
		params := slices.Clone(c.Params())
		sort.SliceStable(params, func(i, j int) bool { return params[i].Name < params[j].Name })
		return v.jsonObject(params)
	case "caller":
		j, err := callerJSON(c.Caller)
		if err != nil {
			return v.throw(internalError, "Unable to convert caller info: %s", err)
		}
		return owned(v.parseJSON(bytesAsString(j), v.json))
	default:
		return v.throw(internalError, "unknown member of a request")
	}
}

// routeOf is the endpoint's template with its front end's prefix.
func routeOf(c *app.Context) string {
	prefix := c.Prefix
	if prefix == "" {
		prefix = "/app"
	}
	return prefix + c.Endpoint.Path
}

// headerMembers sorts fields by name; the last of several counts.
func headerMembers(h app.Header) []app.Param {
	out := make([]app.Param, 0, len(h))
	for _, f := range h {
		if i := slices.IndexFunc(out, func(p app.Param) bool { return p.Name == f.Name }); i >= 0 {
			out[i].Value = f.Value
			continue
		}
		out = append(out, app.Param(f))
	}
	slices.SortFunc(out, func(a, b app.Param) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// jsonObject makes an object of strings.
func (v *vm) jsonObject(members []app.Param) (value, bool) {
	b := make([]byte, 0, 256)
	b = append(b, '{')
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONString(b, m.Name)
		b = append(b, ':')
		b = appendJSONString(b, m.Value)
	}
	b = append(b, '}')
	return owned(v.parseJSON(bytesAsString(b), v.json))
}

// appendJSONString quotes s; bytes that are no UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// callerJSON is request.caller with an empty object for cose, whose content
// the prelude adds.
func callerJSON(c *app.Caller) ([]byte, error) {
	if c == nil {
		return []byte("null"), nil
	}
	return appendCaller(make([]byte, 0, 512+len(c.Data)+2*len(c.Cert)), c)
}

func appendCaller(b []byte, c *app.Caller) ([]byte, error) {
	o := object{b: append(b, '{')}
	switch {
	case c.AllOf != nil:
		names := slices.Sorted(maps.Keys(c.AllOf))
		for _, name := range names {
			o.name(name)
			sub, err := appendCaller(o.b, c.AllOf[name])
			if err != nil {
				return nil, err
			}
			o.b = sub
		}
		list, err := json.Marshal(names)
		if err != nil {
			return nil, err
		}
		o.raw("policy", list)
	case c.Policy == "jwt" && c.JWT != nil:
		o.text("policy", c.Policy)
		o.name("jwt")
		j := object{b: append(o.b, '{')}
		j.text("keyIssuer", c.JWT.KeyIssuer)
		j.raw("header", c.JWT.Header)
		j.raw("payload", c.JWT.Payload)
		o.b = j.end()
	case c.Policy == "no_auth":
		o.text("policy", c.Policy)
	case c.Policy == "any_cert":
		o.text("policy", c.Policy)
		o.certificate("cert", c.Cert)
	default:
		if c.COSE != nil {
			o.raw("cose", []byte("{}"))
		}
		o.text("policy", c.Policy)
		o.text("id", c.ID)
		o.raw("data", c.Data)
		o.certificate("cert", c.Cert)
	}
	return o.end(), nil
}

// object writes a JSON object whose members keep their order; b begins with
// its brace, or with what precedes it and the brace.
type object struct {
	b     []byte
	comma bool
}

func (o *object) name(name string) {
	if o.comma {
		o.b = append(o.b, ',')
	}
	o.comma = true
	o.b = append(appendJSONString(o.b, name), ':')
}

// raw writes a member that is JSON already; none means null.
func (o *object) raw(name string, v []byte) {
	o.name(name)
	if len(v) == 0 {
		v = []byte("null")
	}
	o.b = append(o.b, v...)
}

func (o *object) text(name, v string) {
	o.name(name)
	o.b = appendJSONString(o.b, v)
}

// certificate writes the PEM of a certificate.
func (o *object) certificate(name string, der []byte) {
	const line = 48 // bytes of DER for 64 characters
	o.name(name)
	o.b = append(o.b, `"-----BEGIN CERTIFICATE-----\n`...)
	for len(der) > 0 {
		n := min(line, len(der))
		o.b = base64.StdEncoding.AppendEncode(o.b, der[:n])
		o.b = append(o.b, `\n`...)
		der = der[n:]
	}
	o.b = append(o.b, `-----END CERTIFICATE-----\n"`...)
}

func (o *object) end() []byte { return append(o.b, '}') }
