package cli

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"synod"
	"synod/internal/audit"
	"synod/internal/ledger"
	"synod/internal/snapshot"
)

func newLedgerPrune(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "prune DIR --snapshots DIR --copy DIR",
		Short: "Remove ledger files that a snapshot and a copy stand in for",
		Long: `Removes the committed files of a ledger directory that end before a snapshot, if
the snapshot verifies under the service's certificate and if the copy holds the
same bytes of each of them; otherwise it removes nothing and says why. What is
pruned is needed for history and receipts: name the copy in
ledger.read_only_directories of the node, so that it goes on serving them.

A running node reads its files: prune while it is stopped, or once it has the copy
as a read-only directory.`,
		Example: "  synod ledger prune ledger --snapshots snapshots --copy backup --service-cert service_cert.pem --dry-run",
		Args:    args(cobra.ExactArgs(1)),
	}
	p := newPrinter(env, c)
	cert := c.Flags().String("service-cert", env.Getenv("SYNOD_SERVICE_CERT"), "certificate of the service that made the snapshot, PEM (SYNOD_SERVICE_CERT)")
	snapshots := c.Flags().String("snapshots", "", "directory of the snapshots")
	copied := c.Flags().String("copy", "", "directory that holds copies of the files")
	dry := c.Flags().Bool("dry-run", false, "say what would be removed, and remove nothing")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		if *snapshots == "" || *copied == "" || *cert == "" {
			return usagef(cmd, "name --snapshots, --copy and --service-cert")
		}
		service, err := os.ReadFile(*cert)
		if err != nil {
			return err
		}
		from, err := newestSnapshot(*snapshots, service)
		if err != nil {
			return err
		}
		files, err := prunable(a[0], *copied, from)
		if err != nil {
			return err
		}
		if !*dry {
			for _, name := range files {
				if err := os.Remove(filepath.Join(a[0], name)); err != nil {
					return err
				}
			}
		}
		verb := "removed"
		if *dry {
			verb = "would remove"
		}
		if files == nil {
			files = []string{}
		}
		return p.line(map[string]any{"snapshot": from, "files": files, "removed": !*dry},
			"%s %s before the snapshot of entry %d", verb, counted(len(files), "file"), from)
	}
	return c
}

// newestSnapshot is the entry of the newest snapshot that the service vouches for.
func newestSnapshot(dir string, service []byte) (synod.SeqNo, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var newest synod.SeqNo
	var refused error
	for _, file := range files {
		name, ok := ledger.ParseSnapshotName(file.Name())
		if !ok || !name.Committed || name.SeqNo <= newest {
			continue
		}
		if err := verifySnapshot(filepath.Join(dir, file.Name()), name, service); err != nil {
			refused = errors.Join(refused, fmt.Errorf("%s: %w", file.Name(), err))
			continue
		}
		newest = name.SeqNo
	}
	if newest == 0 {
		return 0, errors.Join(fmt.Errorf("no snapshot in %s can be used", dir), refused)
	}
	return newest, nil
}

func verifySnapshot(path string, name ledger.SnapshotName, service []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	_, err = snapshot.Verify(f, info.Size(), snapshot.Trust{Service: service, Name: name})
	return err
}

// prunable are the names of the committed files that end before an entry, each of
// which has a copy.
func prunable(dir, copied string, before synod.SeqNo) ([]string, error) {
	chunks, _, err := audit.List(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range chunks {
		if !c.Committed || c.Recovery || c.Last >= before {
			continue
		}
		name := filepath.Base(c.File)
		own, err := digestOf(c.File)
		if err != nil {
			return nil, err
		}
		other, err := digestOf(filepath.Join(copied, name))
		if err != nil {
			return nil, fmt.Errorf("nothing was removed: %s has no copy: %w", name, err)
		}
		if own != other {
			return nil, fmt.Errorf("nothing was removed: the copy of %s is another file", name)
		}
		names = append(names, name)
	}
	return names, nil
}

func digestOf(name string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}
