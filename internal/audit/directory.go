package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"sync"

	"synod"
	"synod/internal/ledger"
)

// Chunk is one file of a ledger.
type Chunk struct {
	File      string      `json:"file"`
	First     synod.SeqNo `json:"first"`
	Last      synod.SeqNo `json:"last"` // 0 for an empty one
	SizeBytes int64       `json:"size_bytes"`
	Committed bool        `json:"committed"` // by its name
	Complete  bool        `json:"complete"`  // has its positions table
	Recovery  bool        `json:"recovery"`  // of a recovery that did not end
}

// Report is what Directory found.
type Report struct {
	Chunks  []Chunk  `json:"chunks"`
	Skipped []string `json:"skipped"` // files that are not part of the ledger

	Entries        uint64    `json:"entries"`
	SizeBytes      int64     `json:"size_bytes"` // of the entries
	Signatures     uint64    `json:"signatures"`
	COSESignatures uint64    `json:"cose_signatures"`
	Services       []Service `json:"services"`

	Last synod.TxID `json:"last"` // last readable entry
	// Good is the last signature that verified, with all before it, and that the
	// service's own key stands behind: see Check.Vouched.
	Good synod.TxID `json:"good"`
	Cut  *Cut       `json:"cut"` // nil if nothing verified
	Torn *Torn      `json:"torn,omitempty"`
}

// Cut is where a recovery from these files would continue.
type Cut struct {
	File    string `json:"file"`
	Offset  int64  `json:"offset"`  // bytes; the end of Good
	Dropped uint64 `json:"dropped"` // readable entries after it, which nothing that the service vouches for covers
}

// Torn is an entry that was not written to its end, as a crash leaves it.
type Torn struct {
	File      string `json:"file"`
	Offset    int64  `json:"offset"`     // bytes; where the readable entries end
	SizeBytes int64  `json:"size_bytes"` // of what follows
	Reason    string `json:"reason"`
}

// List finds the chunks in the directories, in order of their first entry; a
// file name that occurs in several counts once. It opens no file. Names that
// are not of a ledger, or are marked as ignored, are in skipped.
func List(dirs ...string) (chunks []Chunk, skipped []string, err error) {
	seen := map[string]bool{}
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil {
			return nil, nil, fmt.Errorf("list ledger: %w", err)
		}
		for _, f := range files {
			path := filepath.Join(dir, f.Name())
			name, ok := ledger.ParseName(f.Name())
			if !ok || name.Ignored || !f.Type().IsRegular() {
				skipped = append(skipped, path)
				continue
			}
			if seen[f.Name()] {
				continue
			}
			seen[f.Name()] = true
			info, err := f.Info()
			if err != nil {
				return nil, nil, fmt.Errorf("list ledger: %w", err)
			}
			chunks = append(chunks, Chunk{
				File: path, First: name.Start, Last: name.End, SizeBytes: info.Size(),
				Committed: name.Committed, Recovery: name.Recovery,
			})
		}
	}
	sort.SliceStable(chunks, func(i, j int) bool { return chunks[i].First < chunks[j].First })
	return chunks, skipped, nil
}

// Directory verifies the ledger in the directories. The report says how far it
// got also when the error is not nil. The error is an *Error when an entry
// cannot be believed, a *ledger.CorruptError when bytes are not in the format,
// or a failure to read.
func Directory(ctx context.Context, dirs ...string) (*Report, error) {
	return Replay(ctx, func(*ledger.Entry, *Verifier) error { return nil }, dirs...)
}

// Replay is Directory with a visit of each entry in order, just before the
// verifier adds it: the verifier's roots are those of the entries before. An
// entry that is visited is to be believed only if it is not after the
// report's Good. An error of visit ends the run and is returned.
func Replay(ctx context.Context, visit func(*ledger.Entry, *Verifier) error, dirs ...string) (*Report, error) {
	chunks, skipped, err := List(dirs...)
	if err != nil {
		return nil, err
	}
	r := &Report{Chunks: chunks, Skipped: skipped}
	if len(chunks) == 0 {
		return r, fmt.Errorf("no ledger files in %s", dirs[0])
	}
	d := directory{ctx: ctx, visit: visit, report: r, verifier: NewVerifier()}
	d.start()
	err = d.chunks()
	if sigErr := d.finish(); sigErr != nil {
		err = sigErr // earlier in the ledger than where reading stopped
	}
	d.summarise(err)
	return r, err
}

// directory is one run of Directory.
type directory struct {
	ctx      context.Context
	visit    func(*ledger.Entry, *Verifier) error
	report   *Report
	verifier *Verifier

	signed []*signed // every signature, in order; owned by the reading goroutine

	jobs    chan job
	workers sync.WaitGroup
	mu      sync.Mutex
	first   *Error // guarded by mu: the failure with the lowest seqno
}

// signed is where a signature entry ends.
type signed struct {
	id      synod.TxID
	file    string
	offset  int64
	vouched bool // by the service's key; its worker sets it, finish waits for that
}

type job struct {
	check  *Check
	signed *signed
	file   string
	offset int64
}

func (d *directory) start() {
	n := runtime.GOMAXPROCS(0)
	d.jobs = make(chan job, 4*n)
	for range n {
		d.workers.Go(func() {
			for j := range d.jobs {
				err := j.check.Run()
				j.signed.vouched = err == nil && j.check.Vouched()
				d.fail(j, err)
			}
		})
	}
}

func (d *directory) fail(j job, err error) {
	var e *Error
	if !errors.As(err, &e) {
		return
	}
	e.File, e.Offset = j.file, j.offset
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.first == nil || e.TxID.SeqNo < d.first.TxID.SeqNo {
		d.first = e
	}
}

func (d *directory) finish() error {
	close(d.jobs)
	d.workers.Wait()
	if d.first == nil {
		return nil
	}
	return d.first
}

func (d *directory) chunks() error {
	for i := range d.report.Chunks {
		c := &d.report.Chunks[i]
		last := i == len(d.report.Chunks)-1
		if want := d.verifier.Last().SeqNo + 1; c.First != want {
			return &ledger.CorruptError{
				File: c.File, SeqNo: want, Reason: fmt.Sprintf("starts at entry %d, want %d", c.First, want),
				Hint: "files of the ledger are missing or overlap: bring the file that holds this entry, from a backup or another node",
			}
		}
		if c.Committed && i > 0 && !d.report.Chunks[i-1].Committed {
			return &ledger.CorruptError{
				File: c.File, SeqNo: c.First, Reason: "committed, but follows a file that is not",
				Hint: "these files are from different nodes or times: verify each copy on its own",
			}
		}
		if err := d.chunk(c, last); err != nil {
			return err
		}
	}
	return nil
}

func (d *directory) chunk(c *Chunk, last bool) error {
	f, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("open chunk: %w", err)
	}
	defer f.Close()
	s, err := ledger.NewScanner(f, c.SizeBytes, c.First)
	if err != nil {
		const headerBytes = 8
		if last && !c.Committed && c.SizeBytes < headerBytes {
			d.report.Torn = &Torn{File: c.File, SizeBytes: c.SizeBytes, Reason: "the file was created, but nothing was written"}
			return nil
		}
		return inFile(err, c.File)
	}
	c.Complete = s.Complete()
	if !c.Complete && (c.Committed || !last) {
		return &ledger.CorruptError{
			File: c.File, SeqNo: c.First, Reason: "has no positions table, but is not the ledger's last file",
			Hint: "the file was cut or is an older copy: take it from a backup or another node",
		}
	}
	for {
		at := s.Offset()
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return d.endOfChunk(c)
		}
		if err != nil {
			if d.torn(f, c, s, err) {
				return nil
			}
			return inFile(err, c.File)
		}
		if err := d.entry(c, at, s.Offset(), e); err != nil {
			return err
		}
	}
}

func (d *directory) entry(c *Chunk, at, end int64, e *ledger.Entry) error {
	if err := d.ctx.Err(); err != nil {
		return err
	}
	if err := d.visit(e, d.verifier); err != nil {
		return err
	}
	check, err := d.verifier.Add(e)
	if err != nil {
		var bad *Error
		if errors.As(err, &bad) {
			bad.File, bad.Offset = c.File, at
		}
		return err
	}
	d.report.SizeBytes += end - at
	if check != nil {
		s := &signed{id: e.TxID, file: c.File, offset: end}
		d.signed = append(d.signed, s)
		d.jobs <- job{check, s, c.File, at}
	}
	return nil
}

func (d *directory) endOfChunk(c *Chunk) error {
	last := d.verifier.Last().SeqNo
	if c.Committed && c.Last != last {
		return &ledger.CorruptError{
			File: c.File, SeqNo: last, Reason: fmt.Sprintf("ends at entry %d, its name says %d", last, c.Last),
			Hint: "the file was cut or renamed: take it from a backup or another node",
		}
	}
	if last >= c.First {
		c.Last = last
	}
	return nil
}

// torn says whether what stopped the scanner is the end of an interrupted
// write: in the last file, which is open, and with no whole entry after it.
func (d *directory) torn(f *os.File, c *Chunk, s *ledger.Scanner, err error) bool {
	var bad *ledger.CorruptError
	if !errors.As(err, &bad) || s.Complete() || entryAfter(f, s.Offset(), c.SizeBytes, d.verifier.Last().SeqNo) {
		return false
	}
	if last := d.verifier.Last().SeqNo; last >= c.First {
		c.Last = last
	}
	d.report.Torn = &Torn{File: c.File, Offset: s.Offset(), SizeBytes: c.SizeBytes - s.Offset(), Reason: bad.Reason}
	return true
}

// tailMax bounds the part of a file that is searched for entries after one
// that cannot be read, in bytes.
const tailMax = 16 << 20

// entryAfter says whether a whole entry stands somewhere behind offset: then
// the file was not torn there but changed.
func entryAfter(f io.ReaderAt, offset, size int64, last synod.SeqNo) bool {
	b := make([]byte, min(size-offset, tailMax))
	n, err := f.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	b = b[:n]
	for i := 1; i+ledger.HeaderSize < len(b); i++ {
		const version = 1
		if b[i] != version {
			continue
		}
		size := int64(0)
		for j := ledger.HeaderSize - 1; j >= 2; j-- {
			size = size<<8 | int64(b[i+j])
		}
		if size > int64(len(b)-i-ledger.HeaderSize) {
			continue
		}
		e, err := ledger.ParseEntry(b[i : int64(i)+ledger.HeaderSize+size])
		if err == nil && e.TxID.SeqNo > last {
			return true
		}
	}
	return false
}

// inFile names the file in an error of a Scanner.
func inFile(err error, file string) error {
	var bad *ledger.CorruptError
	if !errors.As(err, &bad) {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if bad.File == "" {
		bad.File = file
	}
	if bad.Hint == "" {
		bad.Hint = "the bytes are not a ledger's: take this file from a backup or another node"
	}
	return bad
}

// summarise fills in what is known only at the end.
func (d *directory) summarise(err error) {
	r, v := d.report, d.verifier
	r.Entries, r.Signatures, r.COSESignatures = v.entries, v.signatures, v.coseSignatures
	r.Services, r.Last = v.state.services, v.Last()
	limit := r.Last.SeqNo
	var bad *Error
	if errors.As(err, &bad) {
		limit = bad.Since.SeqNo
	}
	for i := len(d.signed) - 1; i >= 0; i-- {
		if s := d.signed[i]; s.id.SeqNo <= limit && s.vouched {
			r.Good = s.id
			r.Cut = &Cut{File: s.file, Offset: s.offset, Dropped: uint64(r.Last.SeqNo - s.id.SeqNo)}
			return
		}
	}
}
