package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keptDir is the directory, below that of a network, with the committed ledger files
// of nodes that are gone. A node that joined from a snapshot has none from before it:
// when those that had them have all been replaced, these are the only ones.
const keptDir = "ledger"

// Kept implements provision.Driver.
func (d *Driver) Kept(network string) string {
	return filepath.Join(d.o.Dir, strings.ToLower(network), keptDir)
}

// DropKept implements provision.Driver.
func (d *Driver) DropKept(_ context.Context, network string) error {
	if _, err := d.network(network); err != nil {
		return err
	}
	return os.RemoveAll(d.Kept(network))
}

// keepLedger keeps the committed ledger files of a node that is about to be removed.
// They are the same on all nodes, so what is there already is not taken again.
func (d *Driver) keepLedger(network, home string) error {
	from := filepath.Join(home, "ledger")
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	kept := d.Kept(network)
	if err := os.MkdirAll(kept, 0o700); err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".committed") {
			continue
		}
		err := os.Link(filepath.Join(from, e.Name()), filepath.Join(kept, e.Name()))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := syncDir(kept); err != nil {
		return fmt.Errorf("sync %s: %w", keptDir, err)
	}
	return nil
}
