package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"synod"
	"synod/internal/ledger"
)

const (
	manifestName  = "manifest.json"
	manifestLimit = 64 << 20 // bytes; about 400,000 files
	ledgerDir     = "ledger"
	snapshotDir   = "snapshots"
	formatVersion = 1
)

// Manifest is what a backup says of itself.
type Manifest struct {
	Format    int         `json:"format"` // 1
	Name      string      `json:"name"`
	Network   string      `json:"network"`
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"`
	Last      synod.SeqNo `json:"last"`                // last entry of the ledger files
	Service   string      `json:"service,omitempty"`   // certificate of the service then, PEM
	Region    string      `json:"region,omitempty"`    // where it may be restored, if that was said
	Release   string      `json:"release,omitempty"`   // that the nodes ran
	Continual bool        `json:"continual,omitempty"` // grows with the ledger
	Scheduled bool        `json:"scheduled,omitempty"` // made by a policy, which says how many are kept
	Files     []File      `json:"files"`
}

// File is one file of a backup.
type File struct {
	Path      string `json:"path"` // ledger/… or snapshots/…
	SizeBytes int64  `json:"size_bytes"`
	SHA256    string `json:"sha256"` // hex
}

// SizeBytes is the sum over the files.
func (m *Manifest) SizeBytes() (n int64) {
	for _, f := range m.Files {
		n += f.SizeBytes
	}
	return n
}

func (m *Manifest) find(p string) *File {
	for i := range m.Files {
		if m.Files[i].Path == p {
			return &m.Files[i]
		}
	}
	return nil
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// CheckName refuses what cannot be the name of a backup.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%q is no name of a backup: use letters, digits, dots, hyphens and underscores", name)
	}
	return nil
}

// parseManifest believes nothing: names are those of ledger and snapshot files,
// each once, and the ledger's follow each other.
func parseManifest(b []byte, name string) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("its manifest is not readable: %w", err)
	}
	if m.Format != formatVersion {
		return nil, fmt.Errorf("its manifest is of format %d: this release reads format %d", m.Format, formatVersion)
	}
	if m.Name != name {
		return nil, fmt.Errorf("its manifest is that of %q", m.Name)
	}
	next := synod.SeqNo(1)
	seen := map[string]bool{}
	for _, f := range m.Files {
		if seen[f.Path] || f.SizeBytes < 0 || len(f.SHA256) != 64 {
			return nil, fmt.Errorf("its manifest lists %q wrongly", f.Path)
		}
		seen[f.Path] = true
		dir, base := path.Split(f.Path)
		switch dir {
		case ledgerDir + "/":
			n, ok := committedChunk(base)
			if !ok {
				return nil, fmt.Errorf("%q is no file of a committed ledger", f.Path)
			}
			if n.Start != next {
				return nil, fmt.Errorf("its ledger lacks entries %d to %d", next, n.Start-1)
			}
			next = n.End + 1
		case snapshotDir + "/":
			n, ok := ledger.ParseSnapshotName(base)
			if !ok || !n.Committed {
				return nil, fmt.Errorf("%q is no committed snapshot", f.Path)
			}
		default:
			return nil, fmt.Errorf("%q does not belong in a backup", f.Path)
		}
	}
	if m.Last != next-1 {
		return nil, fmt.Errorf("its manifest says that it ends at %d, its files end at %d", m.Last, next-1)
	}
	return &m, nil
}

// Read returns the manifest of a backup. The error is ErrNotFound if there is
// no such backup, and wraps ErrDamaged if its manifest cannot be believed.
func Read(ctx context.Context, st Store, name string) (*Manifest, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	r, err := st.Get(ctx, name+"/"+manifestName)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, manifestLimit+1))
	if err != nil {
		return nil, err
	}
	if len(b) > manifestLimit {
		return nil, fmt.Errorf("backup %s: its manifest is larger than %d bytes", name, manifestLimit)
	}
	m, err := parseManifest(b, name)
	if err != nil {
		return nil, fmt.Errorf("backup %s: %w: %w", name, ErrDamaged, err)
	}
	return m, nil
}

// List returns the manifests of a store's backups, newest first, and what is
// wrong with those that cannot be read.
func List(ctx context.Context, st Store) (backups []*Manifest, broken []error, err error) {
	objects, err := st.List(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	for _, o := range objects {
		name, rest, _ := strings.Cut(o.Key, "/")
		if rest != manifestName {
			continue
		}
		m, err := Read(ctx, st, name)
		switch {
		case errors.Is(err, ErrNotFound): // deleted meanwhile
		case err != nil:
			broken = append(broken, err)
		default:
			backups = append(backups, m)
		}
	}
	slices.SortStableFunc(backups, func(a, b *Manifest) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return backups, broken, nil
}

// Delete removes a backup: its manifest first, so that no half of one is left
// that looks whole.
func Delete(ctx context.Context, st Store, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	objects, err := st.List(ctx, name+"/")
	if err != nil {
		return err
	}
	if len(objects) == 0 {
		return fmt.Errorf("backup %s: %w", name, ErrNotFound)
	}
	if err := st.Delete(ctx, name+"/"+manifestName); err != nil {
		return err
	}
	for _, o := range objects {
		if err := st.Delete(ctx, o.Key); err != nil {
			return err
		}
	}
	return nil
}
