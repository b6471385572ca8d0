package receipt

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"synod"
)

// Bounds on what Parse accepts.
const (
	sizeMax         = 1 << 20 // bytes of a receipt
	stepsMax        = 64      // a tree of 2^64 leaves is no higher
	endorsementsMax = 1000    // recoveries of one service
	evidenceMax     = 1024    // bytes
)

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// Parse reads a JSON receipt, in CCF's form 1 or 2. It is strict: unknown and
// repeated fields, upper-case hex, bytes after it and other spellings of the
// same content are refused, with an error that wraps ErrMalformed.
func Parse(b []byte) (*Receipt, error) {
	if len(b) > sizeMax {
		return nil, malformed("%d bytes, more than %d", len(b), sizeMax)
	}
	if !utf8.Valid(b) {
		return nil, malformed("not UTF-8")
	}
	r := &Receipt{}
	seen := map[string]bool{}
	isSignature := false
	err := object(b, func(key string, value json.RawMessage) (err error) {
		seen[key] = true
		switch key {
		case "signature":
			r.Signature, err = parseBase64(value)
		case "node_id":
			var id [32]byte
			id, err = parseHex(value)
			r.NodeID = synod.NodeID(hex.EncodeToString(id[:]))
		case "cert":
			r.Cert, err = parsePEM(value)
		case "leaf":
			r.Leaf = new([32]byte)
			*r.Leaf, err = parseHex(value)
		case "leaf_components":
			r.LeafComponents, err = parseLeaf(value)
		case "proof":
			r.Proof, err = parseProof(value)
		case "service_endorsements":
			r.ServiceEndorsements, err = parseEndorsements(value)
		case "is_signature_transaction":
			isSignature, err = parseBool(value)
		default:
			err = errors.New("unknown field")
		}
		return err
	})
	if err != nil {
		return nil, malformed("%w", err)
	}
	for _, key := range []string{"signature", "node_id", "proof"} {
		if !seen[key] {
			return nil, malformed("no %s", key)
		}
	}
	if seen["leaf"] == seen["leaf_components"] {
		return nil, malformed("want either leaf or leaf_components")
	}
	if isSignature && !r.IsSignature() {
		return nil, malformed("said to be of a signature, but has a proof")
	}
	return r, nil
}

// object calls visit for each member of a JSON object, once per name.
func object(b []byte, visit func(key string, value json.RawMessage) error) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return errors.New("not JSON")
		}
		key := t.(string) // inside an object, More is followed by a name
		if seen[key] {
			return fmt.Errorf("%s: repeated field", key)
		}
		seen[key] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return errors.New("not JSON")
		}
		if err := visit(key, value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return errors.New("not JSON")
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("bytes follow the object")
	}
	return nil
}

func parseString(v json.RawMessage) (string, error) {
	var s *string
	if err := json.Unmarshal(v, &s); err != nil || s == nil {
		return "", errors.New("not a string")
	}
	return *s, nil
}

func parseBool(v json.RawMessage) (bool, error) {
	switch string(v) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("not a boolean")
}

func parseHex(v json.RawMessage) (h [32]byte, err error) {
	s, err := parseString(v)
	if err != nil {
		return h, err
	}
	if len(s) == 2*len(h) {
		_, err = hex.Decode(h[:], []byte(s))
	}
	if err != nil || hex.EncodeToString(h[:]) != s {
		return h, errors.New("not 64 lower-case hex characters")
	}
	return h, nil
}

func parseBase64(v json.RawMessage) ([]byte, error) {
	s, err := parseString(v)
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || base64.StdEncoding.EncodeToString(b) != s {
		return nil, errors.New("not base64")
	}
	return b, nil
}

// parsePEM reads one certificate's PEM text in the form that openssl writes.
func parsePEM(v json.RawMessage) (string, error) {
	s, err := parseString(v)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode([]byte(s))
	if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) != 0 ||
		string(pem.EncodeToMemory(block)) != s {
		return "", errors.New("not the PEM text of one certificate")
	}
	return s, nil
}

func parseLeaf(v json.RawMessage) (*LeafComponents, error) {
	l := &LeafComponents{WithoutClaims: true}
	wsd, ce := false, false
	err := object(v, func(key string, value json.RawMessage) (err error) {
		switch key {
		case "write_set_digest":
			wsd = true
			l.WriteSetDigest, err = parseHex(value)
		case "commit_evidence":
			ce = true
			l.CommitEvidence, err = parseString(value)
		case "claims_digest":
			l.WithoutClaims = false
			l.ClaimsDigest, err = parseHex(value)
		default:
			err = errors.New("unknown field")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if !wsd || !ce {
		return nil, errors.New("want write_set_digest and commit_evidence")
	}
	if len(l.CommitEvidence) > evidenceMax {
		return nil, fmt.Errorf("commit_evidence of %d bytes", len(l.CommitEvidence))
	}
	if _, err := l.TxID(); err != nil {
		return nil, errors.New("commit_evidence: not ce:<view>.<seqno>:<hex>")
	}
	return l, nil
}

func parseProof(v json.RawMessage) ([]Step, error) {
	list, err := parseArray(v, stepsMax)
	if err != nil {
		return nil, err
	}
	proof := make([]Step, len(list))
	for i, item := range list {
		n := 0
		err := object(item, func(key string, value json.RawMessage) (err error) {
			n++
			if key != "left" && key != "right" {
				return errors.New("unknown field")
			}
			proof[i].Left = key == "left"
			proof[i].Hash, err = parseHex(value)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i, err)
		}
		if n != 1 {
			return nil, fmt.Errorf("step %d: want either left or right", i)
		}
	}
	return proof, nil
}

func parseEndorsements(v json.RawMessage) ([]string, error) {
	list, err := parseArray(v, endorsementsMax)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(list))
	for i, item := range list {
		if out[i], err = parsePEM(item); err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
	}
	return out, nil
}

func parseArray(v json.RawMessage, most int) ([]json.RawMessage, error) {
	var list []json.RawMessage
	if err := json.Unmarshal(v, &list); err != nil || list == nil {
		return nil, errors.New("not an array")
	}
	if len(list) > most {
		return nil, fmt.Errorf("%d items, more than %d", len(list), most)
	}
	return list, nil
}

// MarshalJSON writes CCF's form 1: members in ascending order, no space.
func (r *Receipt) MarshalJSON() ([]byte, error) {
	if (r.Leaf == nil) == (r.LeafComponents == nil) {
		return nil, malformed("want either a leaf or its components")
	}
	type components struct {
		ClaimsDigest   string `json:"claims_digest,omitempty"`
		CommitEvidence string `json:"commit_evidence"`
		WriteSetDigest string `json:"write_set_digest"`
	}
	type wire struct {
		Cert                string              `json:"cert,omitempty"`
		Leaf                string              `json:"leaf,omitempty"`
		LeafComponents      *components         `json:"leaf_components,omitempty"`
		NodeID              synod.NodeID        `json:"node_id"`
		Proof               []map[string]string `json:"proof"`
		ServiceEndorsements []string            `json:"service_endorsements,omitempty"`
		Signature           []byte              `json:"signature"`
	}
	w := wire{
		Cert: r.Cert, NodeID: r.NodeID, Signature: r.Signature,
		ServiceEndorsements: r.ServiceEndorsements, Proof: make([]map[string]string, len(r.Proof)),
	}
	if w.Signature == nil {
		w.Signature = []byte{}
	}
	for i, s := range r.Proof {
		side := "right"
		if s.Left {
			side = "left"
		}
		w.Proof[i] = map[string]string{side: hex.EncodeToString(s.Hash[:])}
	}
	if l := r.LeafComponents; l != nil {
		w.LeafComponents = &components{
			CommitEvidence: l.CommitEvidence, WriteSetDigest: hex.EncodeToString(l.WriteSetDigest[:]),
		}
		if !l.WithoutClaims {
			w.LeafComponents.ClaimsDigest = hex.EncodeToString(l.ClaimsDigest[:])
		}
	} else {
		w.Leaf = hex.EncodeToString(r.Leaf[:])
	}
	return json.Marshal(w)
}
