package identity

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"filippo.io/bigmod"
)

// Presigner signs with a key of P-384 out of a stock: all that is slow of an ECDSA
// signature, k·G and the inverse of k for a secret k, does not depend on what is
// signed and is done before. Keys of other curves it uses as they are.
//
// Each k is drawn at random and used once: two signatures with one k give the key
// away. The stock is in memory only, as the key is, and a copy of a node's memory
// that ran on beside it would use the same k twice, as it would use the same
// initialisation vectors of ledger entries.
//
// It is a crypto.Signer. Its methods may be called from several goroutines.
type Presigner struct {
	key   *ecdsa.PrivateKey
	d     *bigmod.Nat // the key, if it is of P-384
	stock chan presignature
}

// presignature is a signature that lacks what is to be signed.
type presignature struct {
	r    *bigmod.Nat // of k·G the x, modulo n
	kInv *bigmod.Nat // the inverse of k modulo n
}

// Sizes of a stock.
const (
	// presignedMax bounds how many signatures a key has in stock.
	presignedMax = 32
	// presignedBatch is how many are made at once, for one inversion.
	presignedBatch = 8
	p384Size       = 48 // bytes of a number modulo n
)

// p384Order is n, the number of points of P-384.
var p384Order = func() *bigmod.Modulus {
	m, err := bigmod.NewModulus(elliptic.P384().Params().N.Bytes())
	if err != nil {
		panic("identity: the order of P-384: " + err.Error()) // it is odd
	}
	return m
}()

// p384Inverter is n-2: k to that power is the inverse of k, n being prime.
var p384Inverter = new(big.Int).Sub(elliptic.P384().Params().N, big.NewInt(2)).Bytes()

// NewPresigner makes a signer with an empty stock.
func NewPresigner(key *ecdsa.PrivateKey) *Presigner {
	p := &Presigner{key: key, stock: make(chan presignature, presignedMax)}
	if key.Curve != elliptic.P384() {
		return p
	}
	if d, err := key.Bytes(); err == nil {
		p.d, _ = bigmod.NewNat().SetBytes(d, p384Order)
	}
	return p
}

// Public implements crypto.Signer.
func (p *Presigner) Public() crypto.PublicKey { return &p.key.PublicKey }

// Quick says that the next Sign takes some microseconds: there is stock, or the
// curve is a quick one.
func (p *Presigner) Quick() bool { return len(p.stock) > 0 || p.key.Curve == elliptic.P256() }

// Prepare makes some signatures for the stock and says how many: none if it is full
// or the key is not of P-384.
func (p *Presigner) Prepare() (int, error) {
	if p.d == nil || len(p.stock) > presignedMax-presignedBatch {
		return 0, nil
	}
	made, err := presign(presignedBatch)
	if err != nil {
		return 0, fmt.Errorf("prepare signatures: %w", err)
	}
	for i, s := range made {
		select {
		case p.stock <- s:
		default:
			return i, nil
		}
	}
	return len(made), nil
}

// Sign implements crypto.Signer: ECDSA in ASN.1 over a digest. Without stock it
// signs as the key does.
func (p *Presigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	select {
	case s := <-p.stock:
		return s.sign(p.d, digest)
	default:
		return p.key.Sign(random, digest, opts)
	}
}

// presign makes n presignatures. The inverses cost one inversion and three
// multiplications each: that of the product of all k, times all k but one.
// (FIPS 186-5 §6.4.1, steps 2 to 6.)
func presign(n int) ([]presignature, error) {
	list := make([]presignature, n)
	ks := make([]*bigmod.Nat, n)
	products := make([]*bigmod.Nat, n) // of the first k, of the first two, …
	for i := range n {
		key, err := ecdh.P384().GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		if ks[i], err = bigmod.NewNat().SetBytes(key.Bytes(), p384Order); err != nil {
			return nil, err
		}
		x := key.PublicKey().Bytes()[1 : 1+p384Size] // 4, x, y
		if list[i].r, err = bigmod.NewNat().SetOverflowingBytes(x, p384Order); err != nil {
			return nil, err
		}
		if list[i].r.IsZero() == 1 {
			return nil, errNoSignature
		}
		products[i] = copyOf(ks[i])
		if i > 0 {
			products[i].Mul(products[i-1], p384Order)
		}
	}
	inverse := bigmod.NewNat().Exp(products[n-1], p384Inverter, p384Order) // of the product of those up to i
	for i := n - 1; i > 0; i-- {
		list[i].kInv = copyOf(inverse).Mul(products[i-1], p384Order)
		inverse.Mul(ks[i], p384Order)
	}
	list[0].kInv = inverse
	return list, nil
}

// errNoSignature happens to one signature in 2³⁸⁴.
var errNoSignature = errors.New("a signature that says nothing")

// sign completes a presignature: s = (e + r·d) / k (FIPS 186-5 §6.4.1, steps 7 to 9).
func (s presignature) sign(d *bigmod.Nat, digest []byte) ([]byte, error) {
	e, err := bigmod.NewNat().SetOverflowingBytes(digest[:min(len(digest), p384Size)], p384Order)
	if err != nil {
		return nil, err
	}
	e.Add(copyOf(s.r).Mul(d, p384Order), p384Order).Mul(s.kInv, p384Order)
	if e.IsZero() == 1 {
		return nil, errNoSignature
	}
	number := func(n *bigmod.Nat) *big.Int { return new(big.Int).SetBytes(n.Bytes(p384Order)) }
	return asn1.Marshal(struct{ R, S *big.Int }{number(s.r), number(e)})
}

func copyOf(n *bigmod.Nat) *bigmod.Nat {
	c, err := bigmod.NewNat().SetBytes(n.Bytes(p384Order), p384Order)
	if err != nil {
		panic("identity: a number beyond its modulus: " + err.Error())
	}
	return c
}
