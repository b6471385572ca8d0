package cose

import "crypto/ecdsa"

// UserHeader is the protected header of a user's message, whose labels the
// application chooses. A value whose label is "" is left out.
type UserHeader struct {
	TypeLabel    string
	MsgType      string
	CreatedLabel string
	CreatedAt    uint64 // seconds since 1970
}

// SignUser makes a user's message with an attached payload. kid is the
// signer's ID.
func SignUser(key *ecdsa.PrivateKey, kid string, h UserHeader, payload []byte) ([]byte, error) {
	a, err := algorithmOf(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	n := 2
	for _, label := range []string{h.TypeLabel, h.CreatedLabel} {
		if label != "" {
			n++
		}
	}
	b := appendMap(nil, n)
	b = appendInt(b, labelAlg)
	b = appendInt(b, a.id)
	b = appendInt(b, labelKID)
	b = appendBytes(b, []byte(kid))
	if h.CreatedLabel != "" {
		b = appendText(b, h.CreatedLabel)
		b = appendHead(b, majorUint, h.CreatedAt)
	}
	if h.TypeLabel != "" {
		b = appendText(b, h.TypeLabel)
		b = appendText(b, h.MsgType)
	}
	sig, err := a.sign(key, b, payload)
	if err != nil {
		return nil, err
	}
	return appendMessage(nil, b, emptyMap(), attached(payload), sig), nil
}
