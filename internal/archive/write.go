package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"synod"
	"synod/internal/ledger"
)

// Source is where the files of a network are: directories of its nodes, which
// may hold the same files.
type Source struct {
	Ledgers   []string
	Snapshots []string
}

// About is what a manifest says beside the files.
type About struct {
	Network   string
	Service   string // PEM
	Region    string
	Release   string
	Continual bool
	Scheduled bool
	Now       time.Time
}

// Progress is told how many bytes of how many have been copied.
type Progress func(done, total int64)

// ErrNothing says that a network has no committed ledger file yet: an open one
// is not copied, because its last entries can still be taken back.
var ErrNothing = errors.New("there is no committed ledger file yet: ask the network for a ledger chunk first")

// Append makes a backup, or brings it up to what the source has: the committed
// ledger files and the newest committed snapshot. Files that the backup has
// are not sent again. The manifest is written when all is stored and read back.
// On an error the backup is what it was before.
func Append(ctx context.Context, st Store, name string, src Source, about About, progress Progress) (*Manifest, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	m, err := Read(ctx, st, name)
	if errors.Is(err, ErrNotFound) {
		m, err = &Manifest{Format: formatVersion, Name: name, CreatedAt: about.Now.UTC()}, nil
	}
	if err != nil {
		return nil, err
	}
	chunks, err := chunksAfter(m.Last, src.Ledgers)
	if err != nil {
		return nil, err
	}
	if m.Last == 0 && len(chunks) == 0 {
		return nil, ErrNothing
	}
	snapshot, err := newestSnapshot(src.Snapshots)
	if err != nil {
		return nil, err
	}
	files := make([]local, 0, len(chunks)+1)
	last := m.Last
	for _, c := range chunks {
		files = append(files, local{key: ledgerDir + "/" + c.name.String(), path: c.path, size: c.size})
		last = c.name.End
	}
	if snapshot != nil && snapshot.seqno <= last && m.find(snapshot.key) == nil {
		files = append(files, snapshot.local)
	}
	if len(files) == 0 {
		return m, nil
	}
	if err := copyAll(ctx, st, m, files, progress); err != nil {
		return nil, err
	}
	m.Last, m.UpdatedAt = last, about.Now.UTC()
	m.Network, m.Service, m.Region, m.Release, m.Continual = about.Network, about.Service, about.Region, about.Release, about.Continual
	m.Scheduled = about.Scheduled
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := st.Put(ctx, name+"/"+manifestName, bytes.NewReader(b), int64(len(b))); err != nil {
		return nil, err
	}
	return m, nil
}

// local is a file that will be copied.
type local struct {
	key  string // below the backup
	path string
	size int64
}

type chunk struct {
	name ledger.Name
	path string
	size int64
}

// chunksAfter finds the committed chunks that follow an entry without a gap.
func chunksAfter(last synod.SeqNo, dirs []string) ([]chunk, error) {
	byStart := map[synod.SeqNo]chunk{}
	highest := last
	err := eachFile(dirs, func(dir string, e os.DirEntry) error {
		n, ok := committedChunk(e.Name())
		if !ok {
			return nil
		}
		if _, ok := byStart[n.Start]; ok { // directories that are named first win
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		byStart[n.Start] = chunk{n, filepath.Join(dir, e.Name()), info.Size()}
		highest = max(highest, n.End)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var found []chunk
	for {
		c, ok := byStart[last+1]
		if !ok {
			break
		}
		found = append(found, c)
		last = c.name.End
	}
	if last < highest {
		return nil, fmt.Errorf("entry %d is in no committed ledger file of these nodes, though later ones are: a backup needs all of them (a node that joined from a snapshot has none from before it)", last+1)
	}
	return found, nil
}

type foundSnapshot struct {
	local
	seqno synod.SeqNo
}

func newestSnapshot(dirs []string) (*foundSnapshot, error) {
	var best *foundSnapshot
	err := eachFile(dirs, func(dir string, e os.DirEntry) error {
		n, ok := ledger.ParseSnapshotName(e.Name())
		if !ok || !n.Committed || best != nil && n.SeqNo <= best.seqno {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Size() > 0 {
			best = &foundSnapshot{local{snapshotDir + "/" + e.Name(), filepath.Join(dir, e.Name()), info.Size()}, n.SeqNo}
		}
		return nil
	})
	return best, err
}

// eachFile visits what is in the directories, as far as they are there.
func eachFile(dirs []string, visit func(dir string, e os.DirEntry) error) error {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := visit(dir, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// committedChunk reads the name of a ledger file that changes no more.
func committedChunk(name string) (ledger.Name, bool) {
	n, ok := ledger.ParseName(name)
	return n, ok && n.Committed && !n.Recovery && !n.Ignored
}

// copyAll stores the files and adds them to the manifest, which stays as it
// was on an error.
func copyAll(ctx context.Context, st Store, m *Manifest, files []local, progress Progress) error {
	var done, total int64
	for _, f := range files {
		total += f.size
	}
	added := make([]File, 0, len(files))
	for _, f := range files {
		sum, err := put(ctx, st, path.Join(m.Name, f.key), f)
		if err != nil {
			return fmt.Errorf("copy %s: %w", f.key, err)
		}
		added = append(added, File{Path: f.key, SizeBytes: f.size, SHA256: sum})
		done += f.size
		if progress != nil {
			progress(done, total)
		}
	}
	m.Files = slices.Concat(m.Files, added)
	return nil
}

// put stores a file and reads it back.
func put(ctx context.Context, st Store, key string, file local) (sum string, err error) {
	f, err := os.Open(file.path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sent := sha256.New()
	if err := st.Put(ctx, key, io.TeeReader(f, sent), file.size); err != nil {
		return "", err
	}
	back, n, err := hashOf(ctx, st, key)
	if err != nil {
		return "", err
	}
	if n != file.size || !bytes.Equal(back.Sum(nil), sent.Sum(nil)) {
		return "", fmt.Errorf("%s gave back other bytes than were sent: its disk or the way to it is faulty", st)
	}
	return hex.EncodeToString(sent.Sum(nil)), nil
}

func hashOf(ctx context.Context, st Store, key string) (hash.Hash, int64, error) {
	r, err := st.Get(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(h, &contextReader{ctx, r})
	return h, n, err
}

// LedgerReach is the last entry of a source's committed ledger files, 0 if it has
// none.
func LedgerReach(src Source) (last synod.SeqNo) {
	for _, dir := range src.Ledgers {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // a node that is gone meanwhile has none
		}
		for _, e := range entries {
			if n, ok := committedChunk(e.Name()); ok {
				last = max(last, n.End)
			}
		}
	}
	return last
}

// SnapshotReach is the entry of a source's newest committed snapshot, 0 if it has
// none.
func SnapshotReach(src Source) synod.SeqNo {
	found, err := newestSnapshot(src.Snapshots)
	if err != nil || found == nil {
		return 0
	}
	return found.seqno
}
