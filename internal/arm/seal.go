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

// openSeal reads the key in the file at path, or makes one. The key's file is
// whole on disk before it is used: a half-written one would lose what it seals.
func openSeal(path string) (cipher.AEAD, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, sealKeySize)
		rand.Read(key) //nolint:errcheck // never fails
		err = writePrivate(path, key)
	}
	if err != nil {
		return nil, fmt.Errorf("store key: %w", err)
	}
	if len(key) != sealKeySize {
		return nil, fmt.Errorf("store key %s has %d bytes instead of %d: put back the file that belongs to this store", path, len(key), sealKeySize)
	}
	block, err := aes.NewCipher(key)
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
