package provision

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// recoverFrom is what a network whose nodes are all gone is recovered from: the
// longest ledger that one of them has left, and the certificate of the service that
// it is of.
func (w *worker) recoverFrom(_ context.Context) (Recover, error) {
	if r, ok := w.fromStage(); ok {
		return r, nil
	}
	status := w.net.Status
	previous := status.ServiceCertificate
	if recovering := status.ServiceStatus == "Recovering" || status.ServiceStatus == "WaitingForRecoveryShares"; recovering && len(status.PreviousIdentities) > 0 {
		// The last recovery came to nothing: it is the service before that is lost.
		previous = status.PreviousIdentities[len(status.PreviousIdentities)-1].Certificate
	}
	var best NodeView
	var length [2]int64
	for _, n := range w.seen.Nodes {
		ledger, _ := w.m.o.Driver.Files(w.name, n.Ordinal)
		if l := lengthOf(ledger); slices.Compare(l[:], length[:]) > 0 {
			best, length = n, l
		}
	}
	if length[0] == 0 {
		return Recover{}, errors.New("no node has left a ledger: restore the network from a backup")
	}
	r := Recover{PreviousCertificate: previous}
	r.Ledger, r.Snapshots = w.m.o.Driver.Files(w.name, best.Ordinal)
	sealed := w.m.o.Driver.Sealed(w.name, best.Ordinal)
	if _, err := os.Stat(filepath.Join(sealed, sealedService)); err == nil && !triedSealed(w.seen.Nodes) {
		r.SealedSecrets = sealed
	}
	return r, nil
}

// sealedService is the file of a node's sealed directory from which a service goes on
// (docs/formats/sealed.md).
const sealedService = "service.sealed.json"

// triedSealed says whether a node has ended because what was sealed does not fit:
// then members' shares are needed after all.
func triedSealed(nodes []NodeView) bool {
	return slices.ContainsFunc(nodes, func(n NodeView) bool {
		return n.Kind == KindRecover && !n.Alive && strings.Contains(n.Why, "sealed resume")
	})
}

var chunkName = regexp.MustCompile(`^ledger_(\d+)(?:-(\d+))?(?:\.committed)?$`)

// lengthOf says how far a ledger directory reaches: the last transaction of its last
// whole file, and then how many bytes come after it.
func lengthOf(dir string) (length [2]int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return length
	}
	for _, e := range entries {
		m := chunkName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		first, _ := strconv.ParseInt(m[1], 10, 64)
		last, _ := strconv.ParseInt(m[2], 10, 64)
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		reach := [2]int64{cmp.Or(last, first), 0}
		if last == 0 {
			reach[1] = info.Size()
		}
		if slices.Compare(reach[:], length[:]) > 0 {
			length = reach
		}
	}
	return length
}
