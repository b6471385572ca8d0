package snapshot

import (
	"context"
	"errors"
	"fmt"

	"synod"
	"synod/internal/ledger"
	"synod/receipt"
)

// Pending is a snapshot that is on disk and waits for its receipt. It belongs
// to one goroutine. Either Complete succeeds or Discard must be called.
type Pending struct {
	Entry
	dir  *Dir
	file ledger.File // nil once closed
	path string      // "" once there is nothing to remove
	name ledger.SnapshotName
}

// Write writes the snapshot of a state, without receipt, under a temporary
// name, and makes it survive a crash. It takes as long as the state is large,
// without holding up those who write to the store. On an error, of the disk or
// of ctx, nothing is left.
func (d *Dir) Write(ctx context.Context, st State) (*Pending, error) {
	at := st.Tx.ReadVersion()
	if at.IsZero() || uint64(at.View) != uint64(len(st.ViewStarts)) {
		return nil, fmt.Errorf("%w: a view history of %d views at %s", ErrInconsistent, len(st.ViewStarts), at)
	}
	path := d.path(ledger.SnapshotName{SeqNo: at.SeqNo}.String() + partialSuffix)
	f, err := d.cfg.FS.Create(path)
	if err != nil {
		return nil, ioError("create", path, err)
	}
	p := &Pending{dir: d, file: f, path: path}
	if p.Entry, err = write(ctx, f, st); err != nil {
		err = fmt.Errorf("write %s: %w", path, err)
	} else if err = f.Sync(); err != nil {
		err = ioError("sync", path, err)
	}
	if err != nil {
		return nil, errors.Join(err, p.Discard())
	}
	return p, nil
}

// Recorded says that the transaction at evidence records the digest, and gives
// the file the name that goes with it. When that transaction was rolled back
// and another one made, it is called again.
func (p *Pending) Recorded(evidence synod.SeqNo) error {
	if evidence <= p.SeqNo {
		return fmt.Errorf("%w: %d is not after the snapshot at %d", ErrEvidence, evidence, p.SeqNo)
	}
	name := ledger.SnapshotName{SeqNo: p.SeqNo, Evidence: evidence}
	path := p.dir.path(name.String())
	if err := p.dir.cfg.FS.Rename(p.path, path); err != nil {
		return ioError("rename", p.path, err)
	}
	p.path, p.name = path, name
	return nil
}

// Complete appends the JSON receipt of the evidence transaction and gives the
// file its final name, once it is whole on disk. If there is a file of that
// name already, that one stays. On an error Discard is still to be called.
func (p *Pending) Complete(text []byte) (ledger.SnapshotName, error) {
	name := p.name
	name.Committed = true
	if err := p.vouches(text); err != nil {
		return name, err
	}
	if size, err := p.dir.size(p.dir.path(name.String())); err == nil && size > 0 {
		return name, p.Discard()
	}
	if _, err := p.file.WriteAt(text, p.Size); err != nil {
		return name, ioError("write", p.path, err)
	}
	if err := p.file.Sync(); err != nil {
		return name, ioError("sync", p.path, err)
	}
	if err := p.dir.publish(p.path, name); err != nil {
		return name, err
	}
	p.path = ""
	return name, p.Discard()
}

// vouches checks that a receipt is of the evidence of this snapshot. Who signed
// it is not checked: it is this node's own.
func (p *Pending) vouches(text []byte) error {
	rec, err := receipt.Parse(text)
	switch {
	case err != nil:
		return err
	case p.name.Evidence == 0:
		return fmt.Errorf("%w: it was not recorded yet", ErrEvidence)
	case rec.LeafComponents == nil:
		return ErrSignatureReceipt
	case rec.LeafComponents.ClaimsDigest != p.Digest:
		return ErrDigest
	}
	id, err := rec.LeafComponents.TxID()
	if err == nil && id.SeqNo != p.name.Evidence {
		err = fmt.Errorf("%w: the receipt is of %s, the evidence is at %d", ErrEvidence, id, p.name.Evidence)
	}
	return err
}

// Discard removes the file, if it is not complete. It may be called more than
// once.
func (p *Pending) Discard() error {
	var err error
	if p.file != nil {
		err = p.file.Close()
		p.file = nil
	}
	if p.path != "" {
		err = errors.Join(err, p.dir.remove(p.path))
		p.path = ""
	}
	return err
}

// publish gives a file that is whole on disk its final name.
func (d *Dir) publish(path string, name ledger.SnapshotName) error {
	if err := d.cfg.FS.Rename(path, d.path(name.String())); err != nil {
		return ioError("rename", path, err)
	}
	if err := d.cfg.FS.SyncDir(d.cfg.Main); err != nil {
		return ioError("sync", d.cfg.Main, err)
	}
	return nil
}
