package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"synod"
	"synod/internal/audit"
)

// ErrDamaged is wrapped by the errors about a backup whose files are not what
// its manifest or its signatures say.
var ErrDamaged = errors.New("the backup is damaged")

// Check is what a verification of a backup found.
type Check struct {
	Manifest *Manifest
	Files    int
	Bytes    int64
	Entries  uint64     // of the ledger
	Good     synod.TxID // last transaction that the service signed: where a recovery would continue
	Services []audit.Service
}

// ServiceCertificate is the certificate of the service whose ledger it is, PEM: the
// last one that the ledger itself names.
func (c *Check) ServiceCertificate() string {
	if len(c.Services) == 0 {
		return ""
	}
	return c.Services[len(c.Services)-1].Certificate
}

// PreviousCertificates are those of the services before it that the ledger names,
// oldest first, PEM.
func (c *Check) PreviousCertificates() []string {
	var all []string
	for i := range len(c.Services) - 1 {
		all = append(all, c.Services[i].Certificate)
	}
	return all
}

// Fetch copies a backup to dir/ledger and dir/snapshots, which must not hold
// files yet, and verifies it: every file against the manifest, then every
// entry, root and signature of the ledger. The error wraps ErrDamaged, or
// ErrNotFound if there is no such backup or it lacks a file. On an error what
// was copied is removed.
func Fetch(ctx context.Context, st Store, name, dir string, progress Progress) (check *Check, err error) {
	m, err := Read(ctx, st, name)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{ledgerDir, snapshotDir} {
		d := filepath.Join(dir, sub)
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
		if entries, err := os.ReadDir(d); err != nil || len(entries) > 0 {
			return nil, errors.Join(err, fmt.Errorf("%s is not empty: a backup is fetched into a new directory", d))
		}
	}
	defer func() {
		if err != nil {
			os.RemoveAll(filepath.Join(dir, ledgerDir))
			os.RemoveAll(filepath.Join(dir, snapshotDir))
		}
	}()
	var done int64
	total := m.SizeBytes()
	for _, f := range m.Files {
		if err := fetchFile(ctx, st, name, f, dir); err != nil {
			return nil, err
		}
		done += f.SizeBytes
		if progress != nil {
			progress(done, total)
		}
	}
	report, err := audit.Directory(ctx, filepath.Join(dir, ledgerDir))
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w: %w", name, ErrDamaged, err)
	}
	return &Check{Manifest: m, Files: len(m.Files), Bytes: total, Entries: report.Entries, Good: report.Good, Services: report.Services}, nil
}

func fetchFile(ctx context.Context, st Store, name string, f File, dir string) error {
	r, err := st.Get(ctx, name+"/"+f.Path)
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("backup %s: %w: %s is missing: %w", name, ErrDamaged, f.Path, err)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	out, err := os.OpenFile(filepath.Join(dir, filepath.FromSlash(f.Path)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, h), io.LimitReader(&contextReader{ctx, r}, f.SizeBytes+1))
	if err != nil {
		return fmt.Errorf("fetch %s: %w", f.Path, err)
	}
	if n != f.SizeBytes || hex.EncodeToString(h.Sum(nil)) != f.SHA256 {
		return fmt.Errorf("backup %s: %w: %s is not the file that was stored (SHA-256 %s is in the manifest)", name, ErrDamaged, f.Path, f.SHA256)
	}
	return out.Sync()
}

// Verify fetches a backup into a temporary directory below scratch ("" for the
// system's), verifies it as Fetch does, and removes the copy.
func Verify(ctx context.Context, st Store, name, scratch string, progress Progress) (*Check, error) {
	dir, err := os.MkdirTemp(scratch, "synod-verify-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	return Fetch(ctx, st, name, dir, progress)
}
