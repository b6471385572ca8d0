package node

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"synod"
	"synod/app"
)

// sentBytes is how much of a file is read and sent at once: what an answer holds
// in memory.
const sentBytes = 64 << 10

// file is an open file that is sent.
type file interface {
	io.ReaderAt
	io.Closer
}

// sentFile is a file of which clients fetch parts, under a name that always means
// the same bytes.
type sentFile struct {
	name    string
	size    int64
	open    func() (file, error) // again when the answer is written, so that nothing is left open without one
	digests *fileDigests
}

// sendBytes answers with the bytes from..end, read as they are sent.
func (f *sentFile) sendBytes(c *app.Context, status int, from, end int64) {
	resp := c.Response()
	c.SetHeader("content-type", "application/octet-stream")
	c.Status(status)
	if resp.Length = end - from; resp.Length == 0 {
		return
	}
	resp.Stream = func(ctx context.Context, send func([]byte) error) error {
		opened, err := f.open()
		if err != nil {
			return err
		}
		buf := make([]byte, min(sentBytes, end-from))
		for at := from; at < end && err == nil; {
			part := buf[:min(int64(len(buf)), end-at)]
			var n int
			if n, err = opened.ReadAt(part, at); n == len(part) {
				err = send(part)
			}
			at += int64(n)
			if err == nil {
				err = ctx.Err()
			}
		}
		return errors.Join(err, opened.Close())
	}
}

// head answers a HEAD request.
func (f *sentFile) head(c *app.Context) {
	c.SetHeader("content-length", strconv.FormatInt(f.size, 10))
	c.Status(200)
}

// setReprDigest answers the header want-repr-digest with the digest of the whole
// file, whatever part of it is asked for (RFC 9530). Unknown algorithms are
// answered with SHA-256, as the appendix allows.
func (f *sentFile) setReprDigest(c *app.Context) error {
	if !c.Request.Header.Has("want-repr-digest") {
		return nil
	}
	algorithm := wantedDigest(c.Request.Header.Get("want-repr-digest"))
	digest, err := f.digests.of(f, algorithm)
	if err != nil {
		return err
	}
	c.SetHeader("repr-digest", algorithm+"="+digest)
	return nil
}

// hashes are the algorithms of digests, by their names (RFC 9530 §7.2).
var hashes = map[string]func() hash.Hash{"sha-256": sha256.New, "sha-384": sha512.New384, "sha-512": sha512.New}

const defaultDigest = "sha-256"

// wantedDigest is the algorithm that a client prefers among those that we have.
// The header is a dictionary of preferences from 0, never, to 10.
func wantedDigest(header string) string {
	best, most := defaultDigest, 0
	for item := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		value, _, _ = strings.Cut(value, ";")
		weight, err := strconv.Atoi(strings.TrimSpace(value))
		if hashes[name] != nil && err == nil && weight > most {
			best, most = name, weight
		}
	}
	return best
}

const (
	// digestsMax bounds the digests that are remembered.
	digestsMax = 4096
	// digestKept is how long one is: an operator may have replaced a damaged file.
	digestKept = time.Minute
)

// fileDigests remembers the digests of files, each of which is read once a minute
// at most for all who ask, and one at a time.
type fileDigests struct {
	mu    sync.Mutex
	known map[[2]string]fileDigest // by algorithm and name; guarded by mu
}

type fileDigest struct {
	text string
	size int64
	at   time.Time
}

// of is a digest in the form of RFC 8941: base64 between colons.
func (d *fileDigests) of(f *sentFile, algorithm string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := [2]string{algorithm, f.name}
	if k, ok := d.known[key]; ok && k.size == f.size && time.Since(k.at) < digestKept {
		return k.text, nil
	}
	opened, err := f.open()
	if err != nil {
		return "", err
	}
	h := hashes[algorithm]()
	_, err = io.Copy(h, io.NewSectionReader(opened, 0, f.size))
	if err = errors.Join(err, opened.Close()); err != nil {
		return "", fmt.Errorf("read %s: %w", f.name, err)
	}
	if d.known == nil || len(d.known) == digestsMax {
		d.known = map[[2]string]fileDigest{}
	}
	text := ":" + base64.StdEncoding.EncodeToString(h.Sum(nil)) + ":"
	d.known[key] = fileDigest{text, f.size, time.Now()}
	return text, nil
}

// byteRange reads a range header: bytes=X-Y, bytes=X- or bytes=-N, of which
// it returns the first byte and the one that is past the last. In an inclusive
// range Y is the last byte, as HTTP has it. Texts are CCF's, whose suites compare
// them (CCF: tests/e2e_operations.py, test_snapshot_access).
func byteRange(header string, size int64, inclusive bool) (start, end int64, err error) {
	if header == "" {
		return 0, size, nil
	}
	unit, value, ok := strings.Cut(header, "=")
	if !ok || strings.TrimSpace(unit) != "bytes" {
		return 0, 0, badRange("Only 'bytes' is supported as a Range header unit")
	}
	if strings.Contains(value, ",") {
		return 0, 0, badRange("Multiple ranges are not supported")
	}
	from, to, ok := strings.Cut(value, "-")
	if !ok || strings.Contains(to, "-") {
		return 0, 0, badRange("Invalid format, cannot parse range in %s", header)
	}
	if from == "" && to == "" {
		return 0, 0, badRange("Invalid range: Must contain range-start, or range-end, or both")
	}
	if from == "" {
		n, err := strconv.ParseInt(to, 10, 64)
		if err != nil || n < 0 {
			return 0, 0, badRange("Unable to parse end of range offset value %s in %s", to, header)
		}
		return max(size-n, 0), size, nil
	}
	if start, err = strconv.ParseInt(from, 10, 64); err != nil || start < 0 {
		return 0, 0, badRange("Unable to parse start of range value %s in %s", from, header)
	}
	if start > size {
		return 0, 0, badRange("Start of range %d is larger than total file size %d", start, size)
	}
	end = size
	if to == "" {
		return start, end, nil
	}
	if end, err = strconv.ParseInt(to, 10, 64); err != nil || end < 0 {
		return 0, 0, badRange("Unable to parse end of range value %s in %s", to, header)
	}
	if inclusive && end < size {
		end++
	}
	if end = min(end, size); end < start {
		return 0, 0, badRange("Invalid range: Start (%d) and end (%d) out of order", start, end)
	}
	return start, end, nil
}

func badRange(format string, args ...any) error {
	return synod.Errorf(400, synod.CodeInvalidHeaderValue, format, args...)
}
