package sealing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"synod"
	"synod/internal/attest"
	"synod/internal/ledger"
	"synod/internal/secrets"
	"synod/internal/tables"
)

// fileMax bounds a sealed file, in bytes: one has 4 KB, and 150 bytes for each
// ledger secret.
const fileMax = 16 << 20

const (
	serviceFile  = "service.sealed.json"
	secretSuffix = ".sealed.json"
	tmpSuffix    = ".tmp"
)

// Sizes of a sealed text: tag ‖ IV ‖ ciphertext (CCF: GcmCipher).
const (
	tagSize = 16
	ivSize  = 12
)

// Platform is the platform's key, for a TCB version that an earlier one was for, or
// "" for a new one.
type Platform func(tcb string) (attest.SealingKey, error)

// Dir is a directory of sealed files.
type Dir struct {
	path     string
	fs       ledger.FS
	platform Platform
	written  map[synod.SeqNo]*secrets.Secret // of CCF's files, by this process
}

// NewDir names a directory; Write makes it. fs is the machine's if nil.
func NewDir(path string, fs ledger.FS, p Platform) *Dir {
	if fs == nil {
		fs = ledger.Disk()
	}
	return &Dir{path: path, fs: fs, platform: p, written: map[synod.SeqNo]*secrets.Secret{}}
}

// Path is the directory's.
func (d *Dir) Path() string { return d.path }

// envelope is a sealed file (CCF: src/node/local_sealing.h, SealedLedgerSecret).
type envelope struct {
	AADText    string       `json:"aad_text"`
	Ciphertext tables.Bytes `json:"ciphertext"`
}

func seal(key [32]byte, text []byte, header string) (envelope, error) {
	out := make([]byte, tagSize+ivSize, tagSize+ivSize+len(text)+tagSize)
	if _, err := rand.Read(out[tagSize:]); err != nil {
		return envelope{}, fmt.Errorf("make an IV: %w", err)
	}
	sealed := aead(key).Seal(nil, out[tagSize:], text, []byte(header))
	copy(out, sealed[len(text):])
	return envelope{header, append(out, sealed[:len(text)]...)}, nil
}

// errAuthentication says that a file is not what was sealed, or not with this key.
var errAuthentication = errors.New("it does not authenticate: it was changed, or sealed with another key")

func (e *envelope) open(key [32]byte) ([]byte, error) {
	b := e.Ciphertext
	if len(b) < tagSize+ivSize {
		return nil, errAuthentication
	}
	sealed := append(append([]byte{}, b[tagSize+ivSize:]...), b[:tagSize]...)
	text, err := aead(key).Open(nil, b[tagSize:tagSize+ivSize], sealed, []byte(e.AADText))
	if err != nil {
		return nil, errAuthentication
	}
	return text, nil
}

func aead(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key size is right
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block size is right
	}
	return a
}

// replace writes a file so that it is there whole, or what was there before.
func (d *Dir) replace(name string, e envelope) error {
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	path := filepath.Join(d.path, name)
	tmp := path + tmpSuffix
	if err := d.fs.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := d.fs.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := d.fs.Rename(tmp, path); err != nil {
		return err
	}
	return d.fs.SyncDir(d.path)
}

// read reads a file. The error wraps fs.ErrNotExist if there is none.
func (d *Dir) read(name string) (*envelope, error) {
	f, err := d.fs.Open(filepath.Join(d.path, name), false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > fileMax {
		return nil, fmt.Errorf("it has %d bytes, more than a sealed file can have", size)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) && err != io.EOF { //nolint:errorlint // ReadAt returns it bare
		return nil, err
	}
	e := &envelope{}
	if err := json.Unmarshal(b, e); err != nil {
		return nil, fmt.Errorf("it is no sealed file: %w", err)
	}
	return e, nil
}

// Remove removes every sealed file, and what a crash has left of one.
func (d *Dir) Remove() error {
	names, err := d.fs.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	removed := false
	clear(d.written)
	for _, name := range names {
		if !strings.HasSuffix(strings.TrimSuffix(name, tmpSuffix), secretSuffix) {
			continue
		}
		if err := d.fs.Remove(filepath.Join(d.path, name)); err != nil {
			return err
		}
		removed = true
	}
	if !removed {
		return nil
	}
	return d.fs.SyncDir(d.path)
}
