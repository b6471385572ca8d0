package jwk

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
)

// memberMax bounds one member of a JWK, in characters; a modulus of 8192 bits
// has 1366.
const memberMax = 2048

// PublicToPEM makes PEM of the JWK of a public key. Members that a public key
// does not have are not looked at.
func PublicToPEM(kind Kind, text []byte) (string, error) {
	j, err := parse(kind, text)
	if err != nil {
		return "", err
	}
	key, err := j.public(kind)
	if err != nil {
		return "", err
	}
	return WritePublic(key)
}

// PrivateToPEM makes PEM of the JWK of a private key. All its members are
// needed, and they have to fit one another.
func PrivateToPEM(kind Kind, text []byte) (string, error) {
	j, err := parse(kind, text)
	if err != nil {
		return "", err
	}
	key, err := j.private(kind)
	if err != nil {
		return "", err
	}
	return WritePrivate(key)
}

// jsonKey is a JWK as read: the first fault of its members is kept in err.
type jsonKey struct {
	members map[string]json.RawMessage
	err     error
}

// parse reads the members that all keys have.
func parse(kind Kind, text []byte) (*jsonKey, error) {
	j := &jsonKey{}
	if json.Unmarshal(text, &j.members) != nil || j.members == nil {
		return nil, errors.New("the key is not a JSON object")
	}
	kty := j.text("kty")
	if v, ok := j.members["kid"]; ok {
		j.decode("kid", v, new(string))
	}
	if v, ok := j.members["x5c"]; ok {
		j.decode("x5c", v, new([]string))
	}
	if j.err != nil {
		return nil, j.err
	}
	if want := [...]string{"EC", "RSA", "OKP"}[kind]; kty != want {
		return nil, fmt.Errorf("Cannot construct %s key from non-%s JWK", [...]string{"EC", "RSA", "EdDSA"}[kind], want)
	}
	return j, nil
}

func (j *jsonKey) fail(format string, args ...any) {
	if j.err == nil {
		j.err = fmt.Errorf(format, args...)
	}
}

func (j *jsonKey) decode(name string, v json.RawMessage, into any) {
	// "null" would be taken for anything.
	if v[0] == 'n' || json.Unmarshal(v, into) != nil {
		j.fail("field '%s' has the wrong type", name)
	}
}

// text is a member that is a string.
func (j *jsonKey) text(name string) (s string) {
	v, ok := j.members[name]
	if !ok {
		j.fail("Missing required field '%s'", name)
		return ""
	}
	j.decode(name, v, &s)
	return s
}

// octets is a member in base64url; the plain alphabet and padding are taken
// too, as in CCF.
func (j *jsonKey) octets(name string) []byte {
	s := j.text(name)
	if len(s) > memberMax {
		j.fail("field '%s' is too long", name)
		return nil
	}
	s = strings.NewReplacer("+", "-", "/", "_").Replace(s)
	if len(s)%4 == 0 {
		s = strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		j.fail("field '%s' is not base64url", name)
	}
	return b
}

// number is a member that is an unsigned integer.
func (j *jsonKey) number(name string) *big.Int { return new(big.Int).SetBytes(j.octets(name)) }

// sized is a number as exactly n octets.
func (j *jsonKey) sized(name string, n int) []byte {
	b := bytes.TrimLeft(j.octets(name), "\x00")
	if len(b) > n {
		j.fail("field '%s' is too large", name)
		return nil
	}
	return append(make([]byte, n-len(b), n), b...)
}

func (j *jsonKey) public(kind Kind) (crypto.PublicKey, error) {
	switch kind {
	case EC:
		return j.ecPublic()
	case RSA:
		return j.rsaPublic()
	default:
		return j.okpPublic()
	}
}

func (j *jsonKey) private(kind Kind) (crypto.PrivateKey, error) {
	switch kind {
	case EC:
		return j.ecPrivate()
	case RSA:
		return j.rsaPrivate()
	default:
		return j.okpPrivate()
	}
}

func (j *jsonKey) ecPublic() (*ecdsa.PublicKey, error) {
	var curve elliptic.Curve
	switch crv := j.text("crv"); crv {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	default:
		j.fail("Unknown JWK curve %.20q, known: P-256, P-384", crv)
		return nil, j.err
	}
	n := curve.Params().BitSize / 8
	point := append(append([]byte{4}, j.sized("x", n)...), j.sized("y", n)...)
	if j.err != nil {
		return nil, j.err
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, errors.New("the point is not on the curve")
	}
	return key, nil
}

func (j *jsonKey) ecPrivate() (*ecdsa.PrivateKey, error) {
	public, err := j.ecPublic()
	if err != nil {
		return nil, err
	}
	d := j.sized("d", public.Params().BitSize/8)
	if j.err != nil {
		return nil, j.err
	}
	key, err := ecdsa.ParseRawPrivateKey(public.Curve, d)
	if err != nil {
		return nil, errors.New("field 'd' is not in the range of the curve")
	}
	if !key.PublicKey.Equal(public) {
		return nil, errMismatch
	}
	return key, nil
}

// errMismatch is a private key with another's public key: who signs with it
// would give something of it away.
var errMismatch = errors.New("field 'd' does not belong to the public key")

func (j *jsonKey) rsaPublic() (*rsa.PublicKey, error) {
	n, e := j.number("n"), j.number("e")
	if j.err != nil {
		return nil, j.err
	}
	switch {
	case n.Bit(0) == 0 || n.BitLen() > RSABitsMax:
		return nil, errRSA
	case e.Bit(0) == 0 || e.Cmp(big.NewInt(3)) < 0 || e.Cmp(big.NewInt(math.MaxInt32)) > 0:
		return nil, errRSA
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}

func (j *jsonKey) rsaPrivate() (*rsa.PrivateKey, error) {
	public, err := j.rsaPublic()
	if err != nil {
		return nil, err
	}
	d, p, q := j.number("d"), j.number("p"), j.number("q")
	dp, dq, qi := j.number("dp"), j.number("dq"), j.number("qi")
	if j.err != nil {
		return nil, j.err
	}
	// crypto/rsa divides by p-1 and q-1 before it looks at them.
	if p.BitLen() < 2 || q.BitLen() < 2 || d.Cmp(public.N) >= 0 || new(big.Int).Mul(p, q).Cmp(public.N) != 0 {
		return nil, errRSA
	}
	key := &rsa.PrivateKey{PublicKey: *public, D: d, Primes: []*big.Int{p, q}}
	key.Precompute()
	if key.Validate() != nil {
		return nil, errRSA
	}
	pre := key.Precomputed
	if dp.Cmp(pre.Dp) != 0 || dq.Cmp(pre.Dq) != 0 || qi.Cmp(pre.Qinv) != 0 {
		return nil, errRSA
	}
	return key, nil
}

// okpSize is the length of both curves' keys, in octets.
const okpSize = 32

// okpCurve says whether the key is of Ed25519; otherwise it is of X25519.
func (j *jsonKey) okpCurve() (signs bool) {
	switch crv := j.text("crv"); crv {
	case "Ed25519":
		return true
	case "X25519":
	default:
		j.fail("Cannot construct EdDSA key from JWK that is neither Ed25519 nor X25519")
	}
	return false
}

func (j *jsonKey) okpPublic() (crypto.PublicKey, error) {
	signs, x := j.okpCurve(), j.octets("x")
	switch {
	case j.err != nil:
		return nil, j.err
	case len(x) != okpSize:
		return nil, errors.New("Error constructing EdDSA public key from JWK")
	case signs:
		return ed25519.PublicKey(x), nil
	}
	return ecdh.X25519().NewPublicKey(x)
}

func (j *jsonKey) okpPrivate() (crypto.PrivateKey, error) {
	signs, x, d := j.okpCurve(), j.octets("x"), j.octets("d")
	switch {
	case j.err != nil:
		return nil, j.err
	case len(d) != okpSize:
		return nil, fmt.Errorf("field 'd' is not of %d octets", okpSize)
	case signs:
		key := ed25519.NewKeyFromSeed(d)
		if !bytes.Equal(key[okpSize:], x) {
			return nil, errMismatch
		}
		return key, nil
	}
	key, err := ecdh.X25519().NewPrivateKey(d)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(key.PublicKey().Bytes(), x) {
		return nil, errMismatch
	}
	return key, nil
}
