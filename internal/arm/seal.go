package arm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sealKeySize is the size of the key that seals columns of the store: AES-256.
const sealKeySize = 32

// OpenKey reads the key in the file at path, or makes one with mode 0600. The
// file is whole on disk before the key is used: a half-written one would lose
// what it seals.
func OpenKey(path string) ([sealKeySize]byte, error) {
	var key [sealKeySize]byte
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		rand.Read(key[:]) //nolint:errcheck // never fails
		text, err = key[:], writePrivate(path, key[:])
	}
	if err != nil {
		return key, fmt.Errorf("key file: %w", err)
	}
	if len(text) != sealKeySize {
		return key, fmt.Errorf("key file %s has %d bytes instead of %d: put back the one that belongs here", path, len(text), sealKeySize)
	}
	copy(key[:], text)
	return key, nil
}

func openSeal(path string) (cipher.AEAD, error) {
	key, err := OpenKey(path)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// writePrivate writes a new file that only its owner may read, whole or not at
// all.
func writePrivate(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// seal encrypts plain for the place that where names, so that sealed bytes
// cannot be moved to another.
func (s *Store) seal(where string, plain []byte) []byte {
	return s.aead.Seal(nil, nil, plain, []byte(where))
}

func (s *Store) unseal(where string, sealed []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(where))
	if err != nil {
		return nil, fmt.Errorf("unseal %s: the store's key is another's, or the store was changed: %w", where, err)
	}
	return plain, nil
}
