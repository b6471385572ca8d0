package jwk

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
)

// RSABitsMax bounds the modulus of an RSA key: larger ones cost seconds of
// computing.
const RSABitsMax = 8192

// derMax bounds the DER of one key, in bytes; the largest RSA key has about 4.7 KB.
const derMax = 8 << 10

var (
	errNotPEM = errors.New("PEM constructed with non-PEM data")
	errParse  = errors.New("could not parse PEM")
	errRSA    = errors.New("invalid RSA key")
)

// ReadPublic reads the first public key of PEM text; other blocks are skipped.
// It returns *ecdsa.PublicKey, *rsa.PublicKey, ed25519.PublicKey or
// *ecdh.PublicKey.
func ReadPublic(text string) (crypto.PublicKey, error) {
	return read(text, func(b *pem.Block) (any, error) {
		switch b.Type {
		case "PUBLIC KEY":
			return x509.ParsePKIXPublicKey(b.Bytes)
		case "RSA PUBLIC KEY":
			return x509.ParsePKCS1PublicKey(b.Bytes)
		default:
			return nil, nil
		}
	})
}

// ReadPrivate reads the first private key of PEM text, in PKCS #8 or in the
// older forms of EC and RSA keys; other blocks are skipped, and encrypted keys
// are refused. It returns *ecdsa.PrivateKey, *rsa.PrivateKey,
// ed25519.PrivateKey or *ecdh.PrivateKey.
func ReadPrivate(text string) (crypto.PrivateKey, error) {
	return read(text, func(b *pem.Block) (any, error) {
		switch b.Type {
		case "PRIVATE KEY":
			return x509.ParsePKCS8PrivateKey(b.Bytes)
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(b.Bytes)
		case "RSA PRIVATE KEY":
			return x509.ParsePKCS1PrivateKey(b.Bytes)
		default:
			return nil, nil
		}
	})
}

// ReadRSAPublic is ReadPublic for keys that have to be of RSA. All faults of a
// block are one error, as in CCF.
func ReadRSAPublic(text string) (*rsa.PublicKey, error) {
	key, err := ReadPublic(text)
	if errors.Is(err, errNotPEM) {
		return nil, err
	}
	if k, ok := key.(*rsa.PublicKey); ok {
		return k, nil
	}
	return nil, errRSA
}

// ReadRSAPrivate is ReadPrivate for keys that have to be of RSA.
func ReadRSAPrivate(text string) (*rsa.PrivateKey, error) {
	key, err := ReadPrivate(text)
	if err != nil {
		return nil, err
	}
	if k, ok := key.(*rsa.PrivateKey); ok {
		return k, nil
	}
	return nil, errRSA
}

// read tries the blocks of text until parse knows one.
func read(text string, parse func(*pem.Block) (any, error)) (any, error) {
	if !strings.Contains(text, "-----BEGIN") {
		return nil, errNotPEM
	}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errParse
		}
		if len(block.Bytes) > derMax {
			return nil, errParse
		}
		key, err := parse(block)
		switch {
		case err != nil:
			return nil, errParse
		case key == nil:
			continue
		case modulusBits(key) > RSABitsMax:
			return nil, errRSA
		}
		return key, nil
	}
}

// modulusBits is the length of an RSA key's modulus, 0 for other keys.
func modulusBits(key any) int {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen()
	case *rsa.PrivateKey:
		return k.N.BitLen()
	default:
		return 0
	}
}

// WritePublic is the PEM of a public key.
func WritePublic(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// WritePrivate is the PEM of a private key, PKCS #8 without encryption.
func WritePrivate(key crypto.PrivateKey) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}
