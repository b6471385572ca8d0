package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Releases are the codes that nodes may run. Each binary is kept under its digest
// in a directory, so that networks of a release can be healed when the binary that
// it came from has been replaced.
type Releases struct {
	dir string

	mu      sync.Mutex
	all     map[string]Release // guarded by mu, by name
	current string             // guarded by mu: the name of the server's own
}

const releaseFile = "release.json"

// OpenReleases reads the releases that are kept in a directory, which is made if
// it is not there.
func OpenReleases(dir string) (*Releases, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("directory of releases: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of releases: %w", err)
	}
	r := &Releases{dir: dir, all: map[string]Release{}}
	files, err := filepath.Glob(filepath.Join(dir, "*", releaseFile))
	if err != nil {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	for _, file := range files {
		one, err := readRelease(file)
		if err != nil {
			return nil, err
		}
		r.all[one.Name] = one
	}
	return r, nil
}

func readRelease(file string) (Release, error) {
	var one Release
	err := readJSON(file, &one)
	one.Path = filepath.Join(filepath.Dir(file), filepath.Base(one.Path))
	return one, err
}

// digestShown is how many hex digits of a binary's digest are in names.
const digestShown = 12

// Add copies a binary and returns its release. args come before those of a node.
// Without a name it is called by version and digest. A name that another binary has
// is an error: what runs under a name does not change.
func (r *Releases) Add(name, version, path string, args ...string) (Release, error) {
	digest, err := digestOf(path)
	if err != nil {
		return Release{}, fmt.Errorf("release %s: %w", name, err)
	}
	if name == "" {
		name = version + "-" + digest[:digestShown]
	}
	if strings.ContainsAny(name, "/\\\x00 ") || len(name) > 64 {
		return Release{}, fmt.Errorf("release %q: want a name of up to 64 characters without spaces and slashes", name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.all[name]; ok {
		if known.HostData != digest || !slices.Equal(known.Args, args) {
			return Release{}, fmt.Errorf("release %s is another binary already: choose another name", name)
		}
		return known, nil
	}
	home := filepath.Join(r.dir, name)
	one := Release{Name: name, Path: filepath.Join(home, filepath.Base(path)), Args: args, HostData: digest}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return Release{}, fmt.Errorf("keep release %s: %w", name, err)
	}
	if err := copyBinary(one.Path, path); err != nil {
		return Release{}, fmt.Errorf("keep release %s: %w", name, err)
	}
	if copied, err := digestOf(one.Path); err != nil || copied != digest {
		return Release{}, errors.Join(fmt.Errorf("keep release %s: the binary changed while it was copied", name), err)
	}
	if err := writeJSON(filepath.Join(home, releaseFile), one); err != nil {
		return Release{}, err
	}
	r.all[name] = one
	return one, nil
}

// SetCurrent says which release new networks get.
func (r *Releases) SetCurrent(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = name
}

// Get returns a release by its name; that of an empty name is the current one.
func (r *Releases) Get(name string) (Release, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == "" {
		name = r.current
	}
	one, ok := r.all[name]
	if !ok && filepath.Base(name) == name && name != "" {
		// Somebody may have added it beside this process.
		found, err := readRelease(filepath.Join(r.dir, name, releaseFile))
		if err == nil && found.Name == name {
			r.all[name] = found
			return found, true
		}
	}
	return one, ok
}

// List returns all releases by name.
func (r *Releases) List() []Release {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := []Release{}
	for _, one := range r.all {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b Release) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func digestOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func copyBinary(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	tmp := to + ".tmp"
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o700)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Sync()
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, to)
}

// FindNode finds the binary of nodes: the one that is named, or synod-node beside
// the running program, or the running program itself, which is a node as its
// command "node".
func FindNode(named string) (path string, args []string, err error) {
	if named != "" {
		path, err = filepath.Abs(named)
		return path, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return "", nil, fmt.Errorf("find this program: %w", err)
	}
	beside := filepath.Join(filepath.Dir(self), "synod-node")
	if _, err := os.Stat(beside); err == nil {
		return beside, nil, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("find synod-node: %w", err)
	}
	return self, []string{"node"}, nil
}
