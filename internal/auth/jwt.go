package auth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// token is a JSON Web Token in compact form (RFC 7515, RFC 7519) whose
// signature has not been looked at. Claims that no rule here reads stay in
// payload.
type token struct {
	header, payload json.RawMessage
	signed          string // the first two parts with the dot between
	signature       []byte

	alg, kid string
	iss      string
	tid      *string
	exp      int64 // seconds since the epoch, last valid
	nbf      *int64
}

// bearer takes the token out of an authorization header. The scheme is
// case-sensitive, as CCF has it.
func bearer(header string, present bool) (string, error) {
	if !present {
		return "", errors.New("Missing authorization header") //nolint:staticcheck // shown to clients as CCF words it
	}
	scheme, rest, ok := strings.Cut(header, " ")
	switch {
	case !ok:
		return "", errors.New("Authorization header only contains one field") //nolint:staticcheck // as above
	case scheme != "Bearer":
		return "", errors.New("Authorization header does not have Bearer scheme") //nolint:staticcheck // as above
	}
	return rest, nil
}

// parseToken reads the three parts. Its errors are reasons for the client, in
// CCF's words (CCF: src/http/http_jwt.h). Base64url is strict: no padding, no
// line breaks, no stray bits, so that one token has one text. Names of
// members match exactly.
func parseToken(text string) (*token, error) {
	head, rest, ok := strings.Cut(text, ".")
	body, sig, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(sig, ".") {
		return nil, errors.New("Malformed JWT: must contain exactly 3 parts") //nolint:staticcheck // shown to clients as CCF words it
	}
	t := &token{signed: text[:len(head)+1+len(body)]}
	for _, part := range []struct {
		name string
		text string
		into *[]byte
	}{
		{"header", head, (*[]byte)(&t.header)},
		{"payload", body, (*[]byte)(&t.payload)},
		{"signature", sig, &t.signature},
	} {
		b, err := decodeBase64URL(part.text)
		if err != nil {
			return nil, fmt.Errorf("Malformed JWT: %s is not base64url: %w", part.name, err) //nolint:staticcheck // as above
		}
		*part.into = b
	}
	if err := t.readHeader(); err != nil {
		return nil, err
	}
	if err := t.readPayload(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *token) readHeader() error {
	fields, err := object(t.header)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		into *string
	}{{"alg", &t.alg}, {"kid", &t.kid}} {
		s, err := optionalString(fields, f.name)
		if err == nil && s == nil {
			err = fmt.Errorf("missing %s", f.name)
		}
		if err != nil {
			return fmt.Errorf("JWT header does not follow schema: %w", err)
		}
		*f.into = *s
	}
	if t.alg != "RS256" && t.alg != "ES256" {
		return fmt.Errorf("JWT header does not follow schema: alg %q is neither RS256 nor ES256", t.alg)
	}
	return nil
}

func (t *token) readPayload() error {
	const prefix = "JWT payload is missing required field: %w"
	fields, err := object(t.payload)
	if err != nil {
		return err
	}
	iss, err := optionalString(fields, "iss")
	if err == nil && iss == nil {
		err = errors.New("iss")
	}
	if err != nil {
		return fmt.Errorf(prefix, err)
	}
	t.iss = *iss
	exp, err := optionalTime(fields, "exp")
	if err == nil && exp == nil {
		err = errors.New("exp")
	}
	if err != nil {
		return fmt.Errorf(prefix, err)
	}
	t.exp = *exp
	if t.nbf, err = optionalTime(fields, "nbf"); err != nil {
		return fmt.Errorf(prefix, err)
	}
	if t.tid, err = optionalString(fields, "tid"); err != nil {
		return fmt.Errorf(prefix, err)
	}
	return nil
}

func decodeBase64URL(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("it contains a line break")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

// object reads one JSON object; the last of several equal names counts.
func object(b []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("JWT header or payload is not valid JSON: it is not UTF-8")
	}
	if !json.Valid(b) {
		return nil, errors.New("JWT header or payload is not valid JSON")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil || fields == nil {
		return nil, errors.New("JWT header or payload is not an object")
	}
	return fields, nil
}

func optionalString(fields map[string]json.RawMessage, name string) (*string, error) {
	raw, ok := fields[name]
	if !ok {
		return nil, nil
	}
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return nil, fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// optionalTime reads a NumericDate (RFC 7519 §2), dropping fractions. CCF
// lets a negative one wrap around to the far future; here it is refused.
func optionalTime(fields map[string]json.RawMessage, name string) (*int64, error) {
	raw, ok := fields[name]
	if !ok {
		return nil, nil
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil && n >= 0 {
		return &n, nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f < 0 || f >= math.MaxInt64 {
		return nil, fmt.Errorf("%s is not a number of seconds since the epoch", name)
	}
	n := int64(f)
	return &n, nil
}
