package keywrap

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// TargetMax bounds what is wrapped, in bytes: far more than any key, and well
// under a second of work.
const TargetMax = 16 << 20

const (
	semiblock = 8
	// prefix is the first half of the alternative initial value (RFC 5649,
	// section 3); the length follows.
	prefix = 0xa65959a6
	rounds = 6
)

var errIntegrity = errors.New("the wrapped key is not intact, or the key is another")

// newAES takes the first 32, 24 or 16 bytes of key, as CCF does.
func newAES(key []byte) (cipher.Block, error) {
	switch n := len(key); {
	case n >= 32:
		return aes.NewCipher(key[:32])
	case n >= 24:
		return aes.NewCipher(key[:24])
	case n >= 16:
		return aes.NewCipher(key[:16])
	default:
		return nil, fmt.Errorf("Need at least 128 bits, only have %d", 8*n)
	}
}

// WrapAES wraps target, which has 1 byte or more (RFC 5649, section 4.1).
func WrapAES(key, target []byte) ([]byte, error) {
	block, err := newAES(key)
	if err != nil {
		return nil, err
	}
	if len(target) == 0 || len(target) > TargetMax {
		return nil, fmt.Errorf("the key to be wrapped has %d bytes, not 1 to %d", len(target), TargetMax)
	}
	padded := (len(target) + semiblock - 1) / semiblock * semiblock
	out := make([]byte, semiblock+padded)
	binary.BigEndian.PutUint32(out, prefix)
	binary.BigEndian.PutUint32(out[4:], uint32(len(target)))
	copy(out[semiblock:], target)
	if padded == semiblock {
		block.Encrypt(out, out)
		return out, nil
	}
	var b [2 * semiblock]byte
	copy(b[:semiblock], out)
	for t := uint64(1); t <= uint64(rounds*padded/semiblock); t++ {
		r := out[semiblock+int(t-1)*semiblock%padded:][:semiblock]
		copy(b[semiblock:], r)
		block.Encrypt(b[:], b[:])
		xorCounter(b[:semiblock], t)
		copy(r, b[semiblock:])
	}
	copy(out, b[:semiblock])
	return out, nil
}

// UnwrapAES undoes WrapAES (RFC 5649, section 4.2). All that is wrong with the
// contents is one error, found in one go.
func UnwrapAES(key, wrapped []byte) ([]byte, error) {
	block, err := newAES(key)
	if err != nil {
		return nil, err
	}
	padded := len(wrapped) - semiblock
	if padded < semiblock || padded%semiblock != 0 || padded > TargetMax {
		return nil, fmt.Errorf("the wrapped key has %d bytes, not a multiple of 8 from 16 to %d", len(wrapped), TargetMax+semiblock)
	}
	out := append([]byte(nil), wrapped...)
	if padded == semiblock {
		block.Decrypt(out, out)
	} else {
		var b [2 * semiblock]byte
		copy(b[:semiblock], out)
		for t := uint64(rounds * padded / semiblock); t > 0; t-- {
			r := out[semiblock+int(t-1)*semiblock%padded:][:semiblock]
			xorCounter(b[:semiblock], t)
			copy(b[semiblock:], r)
			block.Decrypt(b[:], b[:])
			copy(r, b[semiblock:])
		}
		copy(out, b[:semiblock])
	}
	n, ok := targetSize(out[:semiblock], out[semiblock:])
	if !ok {
		clear(out)
		return nil, errIntegrity
	}
	return out[semiblock : semiblock+n], nil
}

// targetSize checks the initial value and the padding, in a time that does not
// depend on them. The length has to end within the last semiblock.
func targetSize(initial, target []byte) (int, bool) {
	var want [semiblock / 2]byte
	binary.BigEndian.PutUint32(want[:], prefix)
	ok := subtle.ConstantTimeCompare(initial[:semiblock/2], want[:])
	length := binary.BigEndian.Uint32(initial[semiblock/2:])
	pad := uint64(len(target)) - uint64(length) // wraps if the length is too large
	excess := pad / semiblock
	ok &= 1 ^ int((excess|-excess)>>63)
	var rest byte
	for i, c := range target[len(target)-semiblock:] {
		isPad := subtle.ConstantTimeLessOrEq(semiblock-int(pad%semiblock), i)
		rest |= c & byte(-isPad)
	}
	ok &= subtle.ConstantTimeByteEq(rest, 0)
	return int(length), ok == 1
}

func xorCounter(a []byte, t uint64) {
	binary.BigEndian.PutUint64(a, binary.BigEndian.Uint64(a)^t)
}
