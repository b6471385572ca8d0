package archive

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// Policy says which stores a client of the managed service may name.
type Policy struct {
	Named map[string]Store // by "store:<name>"; "" names "default"
	Roots []string         // directories under which a file: address must be; none if empty
	S3    bool             // whether any s3: address may be named
}

// Open returns the store that an address names:
//
//	store:<name>
//	file:///<directory>
//	s3://<access key>:<secret key>@<bucket>/<prefix>?endpoint=<host>&region=<region>&insecure=true
//
// The error never repeats the address, which may hold a secret.
func (p Policy) Open(address string) (Store, error) {
	if address == "" {
		address = "store:default"
	}
	if name, ok := strings.CutPrefix(address, "store:"); ok {
		if st, ok := p.Named[name]; ok {
			return st, nil
		}
		return nil, fmt.Errorf("no backup store is called %q here: there are %s", name, p.names())
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the address of the backup store is not a URI")
	}
	switch u.Scheme {
	case "file":
		return p.openFile(u)
	case "s3":
		return p.openS3(u)
	}
	return nil, fmt.Errorf("a backup store's address begins with store:, file: or s3:, not with %q; named stores here are %s", u.Scheme, p.names())
}

func (p Policy) names() string {
	var names []string
	for n := range p.Named {
		names = append(names, "store:"+n)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (p Policy) openFile(u *url.URL) (Store, error) {
	if u.Host != "" && u.Host != "localhost" {
		return nil, errors.New("a file: address has three slashes and an absolute path: file:///backups/mine")
	}
	dir := filepath.Clean(filepath.FromSlash(u.Path))
	for _, root := range p.Roots {
		if within(dir, root) {
			return OpenDir(dir)
		}
	}
	return nil, errors.New("backups may not be kept in that directory: backup.roots in the server's configuration names those that may be used")
}

// within compares the places that both names lead to, so that a link cannot
// lead out.
func within(dir, root string) bool {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return false
	}
	rest := ""
	for {
		real, err := filepath.EvalSymlinks(dir)
		if err == nil {
			dir = filepath.Join(real, rest)
			break
		}
		if dir == filepath.Dir(dir) {
			return false
		}
		rest = filepath.Join(filepath.Base(dir), rest)
		dir = filepath.Dir(dir)
	}
	rel, err := filepath.Rel(root, dir)
	return err == nil && filepath.IsLocal(rel)
}

func (p Policy) openS3(u *url.URL) (Store, error) {
	if !p.S3 {
		return nil, fmt.Errorf("s3: addresses may not be used here; named stores are %s", p.names())
	}
	q := u.Query()
	cfg := S3{
		Endpoint: q.Get("endpoint"), Bucket: u.Host, Prefix: u.Path, Region: q.Get("region"),
		Plain: q.Get("insecure") == "true",
	}
	if cfg.Endpoint == "" {
		cfg.Endpoint = "s3.amazonaws.com"
	}
	if u.User != nil {
		cfg.AccessKey = u.User.Username()
		cfg.SecretKey, _ = u.User.Password()
	}
	return OpenS3(cfg)
}
