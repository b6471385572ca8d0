package cli

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"synod"
	"synod/client"
	"synod/internal/audit"
	"synod/internal/ledger"
	"synod/internal/verdict"
)

func newLedgerDownload(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "download DIR",
		Short: "Fetch a service's committed ledger files, and verify them",
		Long: `Fetches the committed chunks of a service's ledger that a directory lacks, from
whichever nodes hold them, and goes on with a chunk that was broken off. Asking
again later brings what has been completed meanwhile.

Each file must have the digest that the node names, hold the entries that its name
says, and follow the one before. With the first entry among them the whole
directory is then verified as synod ledger verify does, under the certificate of
--service-cert; with --from it is not, since signatures are checked from the first
entry on.

It takes a member's certificate, --as, or the address of an interface that has
LedgerChunkRead among its enabled_operator_features.`,
		Example: "  synod ledger download backup/ledger --as keys/member0 --service-cert service_cert.pem",
		Args:    args(cobra.ExactArgs(1)),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	n.endless(c)
	as := c.Flags().String("as", "", "use the client certificate NAME_cert.pem with NAME_privk.pem")
	from := c.Flags().Uint64("from", 1, "begin with the chunk that holds this entry, if the directory has none yet")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		opts, err := certificateOf(*as)
		if err != nil {
			return err
		}
		ctx, cl, done, err := n.dial(cmd.Context(), opts...)
		if err != nil {
			return err
		}
		defer done()
		d := &download{client: cl, dir: a[0], next: synod.SeqNo(*from)}
		if err := d.run(ctx); err != nil {
			return err
		}
		good, err := d.verify(ctx, cl.ServiceCertificate())
		if err != nil {
			return ledgerError(err)
		}
		verdict := "not verified from the first entry"
		if !good.IsZero() {
			verdict = "verified up to " + good.String()
		}
		return p.line(map[string]any{"fetched": d.fetched, "bytes": d.bytes, "to": d.next - 1, "verified_to": good},
			"fetched %d files, %d bytes; the directory ends at entry %d, %s", len(d.fetched), d.bytes, d.next-1, verdict)
	}
	return c
}

// partBytes is how much of a file is asked for at once.
const partBytes = 8 << 20

// chunkMax bounds a chunk that is fetched, in bytes: positions in it are 32 bits.
const chunkMax = 8 << 30

// download brings a directory up to date. What it has not got whole is in a
// subdirectory.
type download struct {
	client  *client.Client
	dir     string
	next    synod.SeqNo // the entry to fetch
	first   synod.SeqNo // of the directory
	fetched []string
	bytes   int64
}

const partsDir = ".download"

func (d *download) run(ctx context.Context) error {
	d.fetched = []string{}
	parts := filepath.Join(d.dir, partsDir)
	if err := os.MkdirAll(parts, 0o755); err != nil {
		return err
	}
	files, err := ledger.List(d.dir, ledger.WalkOptions{})
	if err != nil {
		return err
	}
	d.first = d.next
	if len(files) > 0 {
		d.first, d.next = files[0].Name.Start, files[len(files)-1].Name.End+1
	}
	for {
		name, err := d.chunk(ctx)
		if wire := (*synod.Error)(nil); errors.As(err, &wire) && wire.Status == http.StatusNotFound && wire.Code == synod.CodeResourceNotFound {
			break // that is all for now
		}
		if err != nil {
			return fmt.Errorf("fetch the chunk with entry %d: %w", d.next, err)
		}
		if len(files)+len(d.fetched) == 0 {
			d.first = name.Start
		}
		d.fetched, d.next = append(d.fetched, name.String()), name.End+1
	}
	if d.next == d.first {
		return withHint(fmt.Errorf("the service has no committed chunk with entry %d yet", d.next),
			"members complete one with the action trigger_ledger_chunk, and nodes do when they write a snapshot")
	}
	if err := os.Remove(parts); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(d.dir)
}

// chunk fetches the chunk that holds the next entry, part by part, each from any
// node: committed chunks are the same on all.
func (d *download) chunk(ctx context.Context) (ledger.Name, error) {
	path := "/node/ledger_chunk?since=" + strconv.FormatUint(uint64(d.next), 10)
	head, err := d.client.Do(ctx, client.Request{Path: path, Header: http.Header{"Range": {"bytes=0-0"}, "Want-Repr-Digest": {"sha-256=10"}}})
	if err != nil {
		return ledger.Name{}, err
	}
	name, ok := ledger.ParseName(head.Header.Get("x-ms-ccf-ledger-chunk-name"))
	if !ok || !name.Committed || name.Recovery || name.Ignored || d.next < name.Start || d.next > name.End ||
		d.next > d.first && name.Start != d.next {
		return name, fmt.Errorf("the service offers %q", head.Header.Get("x-ms-ccf-ledger-chunk-name"))
	}
	length, _ := strings.CutPrefix(head.Header.Get("content-range"), "bytes 0-0/")
	size, err := strconv.ParseInt(length, 10, 64)
	if err != nil || size <= 0 || size > chunkMax {
		return name, fmt.Errorf("the content-range of %s is %q", name, head.Header.Get("content-range"))
	}
	digest, ok := strings.CutPrefix(head.Header.Get("repr-digest"), "sha-256=")
	if !ok {
		return name, fmt.Errorf("%s has no digest", name)
	}
	part := filepath.Join(d.dir, partsDir, name.String())
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return name, err
	}
	err = d.fill(ctx, f, path, name, size)
	if err == nil {
		err = checkChunk(f, name, size, digest)
	}
	if bad := (*unverified)(nil); errors.As(err, &bad) {
		err = errors.Join(err, os.Remove(part)) // begin anew next time
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return name, err
	}
	if err := os.Rename(part, filepath.Join(d.dir, name.String())); err != nil {
		return name, err
	}
	return name, syncDir(d.dir)
}

// fill fetches what a file lacks.
func (d *download) fill(ctx context.Context, f *os.File, path string, name ledger.Name, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	at := info.Size()
	if at > size {
		at = 0
	}
	for at < size {
		resp, err := d.client.Do(ctx, client.Request{Path: path, Header: http.Header{
			"Range": {fmt.Sprintf("bytes=%d-%d", at, min(at+partBytes, size)-1)},
		}})
		switch {
		case err != nil:
			return err
		case resp.Status != http.StatusPartialContent || len(resp.Body) == 0 || resp.Header.Get("x-ms-ccf-ledger-chunk-name") != name.String() ||
			resp.Header.Get("content-range") != fmt.Sprintf("bytes %d-%d/%d", at, at+int64(len(resp.Body))-1, size):
			return fmt.Errorf("status %d, content-range %q of %s where bytes from %d on of %d were asked for",
				resp.Status, resp.Header.Get("content-range"), resp.Header.Get("x-ms-ccf-ledger-chunk-name"), at, size)
		}
		if _, err := f.WriteAt(resp.Body, at); err != nil {
			return err
		}
		at += int64(len(resp.Body))
		d.bytes += int64(len(resp.Body))
	}
	return f.Sync()
}

// checkChunk wants a file to have its digest, and to hold what its name says.
func checkChunk(f *os.File, name ledger.Name, size int64, digest string) error {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, size)); err != nil {
		return err
	}
	if got := ":" + base64.StdEncoding.EncodeToString(h.Sum(nil)) + ":"; got != digest {
		return &unverified{fmt.Errorf("%s arrived with digest %s, the node says %s", name, got, digest)}
	}
	s, err := ledger.NewScanner(f, size, name.Start)
	if err != nil {
		return &unverified{fmt.Errorf("%s: %w", name, err)}
	}
	last := name.Start - 1
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return &unverified{fmt.Errorf("%s: %w", name, err)}
		}
		last = e.TxID.SeqNo
	}
	if last != name.End || !s.Complete() {
		return &unverified{fmt.Errorf("%s ends at entry %d", name, last)}
	}
	return nil
}

// verify replays the directory, if it begins with the first entry.
func (d *download) verify(ctx context.Context, cert []byte) (synod.TxID, error) {
	if d.first != 1 {
		return synod.TxID{}, nil
	}
	report, err := audit.Directory(ctx, d.dir)
	if err != nil {
		return synod.TxID{}, err
	}
	return report.Good, verdict.SameService(report, cert)
}

// syncDir makes the names in a directory survive a crash.
func syncDir(dir string) error { return ledger.Disk().SyncDir(dir) }
