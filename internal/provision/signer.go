package provision

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"synod"
	"synod/client"
)

const (
	// signCommandMax is how long a program may take for one signature.
	signCommandMax = time.Minute
	// handOffMax is how long a signature that somebody brings is waited for; the
	// step is tried again then, with a new digest.
	handOffMax = 10 * time.Minute
	// signatureMax bounds a signature, in bytes: the largest is 139 as DER.
	signatureMax = 1024
	handOffPoll  = 200 * time.Millisecond
)

// publicKey is what any signer says of its key.
type publicKey struct {
	id    synod.MemberID
	curve elliptic.Curve
}

// ID implements client.Signer.
func (k publicKey) ID() synod.MemberID { return k.id }

// Curve implements client.Signer.
func (k publicKey) Curve() elliptic.Curve { return k.curve }

func publicKeyOf(certPEM []byte) (publicKey, error) {
	id, key, err := client.MemberOf(certPEM)
	if err != nil {
		return publicKey{}, fmt.Errorf("operator: %w", err)
	}
	return publicKey{id, key.Curve}, nil
}

// commandSigner has a program sign, such as one that talks to a key store: it gets
// the digest on its standard input, as bytes, and answers with the signature on its
// standard output, as bytes: ASN.1 DER, or r followed by s.
type commandSigner struct {
	publicKey
	command []string
}

// SignDigest implements client.Signer.
func (s *commandSigner) SignDigest(digest []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signCommandMax)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.command[0], s.command[1:]...) //nolint:gosec // whoever runs the server says which
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(digest), &errs
	signature, err := cmd.Output()
	if err != nil {
		const shown = 200 // bytes
		return nil, fmt.Errorf("the operator's signing program: %w: %s", err, bytes.TrimSpace(errs.Bytes()[:min(errs.Len(), shown)]))
	}
	if len(signature) == 0 || len(signature) > signatureMax {
		return nil, fmt.Errorf("the operator's signing program answered %d bytes: want a signature", len(signature))
	}
	return signature, nil
}

// handOffSigner puts digests where somebody finds them, who brings signatures:
// <digest>.digest holds the digest as bytes, and its signature is to be put in
// <digest>.signature.
type handOffSigner struct {
	publicKey
	dir  string
	wait time.Duration
}

// SignDigest implements client.Signer.
func (s *handOffSigner) SignDigest(digest []byte) ([]byte, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("hand off a digest: %w", err)
	}
	name := filepath.Join(s.dir, hex.EncodeToString(digest))
	if err := writeFile(name+".digest", digest, 0o600); err != nil {
		return nil, err
	}
	defer func() {
		_ = os.Remove(name + ".digest") // what is left is signed in vain, nothing else
		_ = os.Remove(name + ".signature")
	}()
	for deadline := time.Now().Add(s.wait); time.Now().Before(deadline); time.Sleep(handOffPoll) {
		signature, err := os.ReadFile(name + ".signature")
		if err == nil && len(signature) > 0 && len(signature) <= signatureMax {
			return signature, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("take in a signature: %w", err)
		}
	}
	return nil, fmt.Errorf("nobody has signed %s.digest within %v", name, s.wait)
}
