package provision

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"synod/internal/archive"
)

// recoverFrom is what a network whose nodes are all gone is recovered from: of the
// ledgers that they have left the one that was signed last, by view first, and the
// certificate of the service that it is of. The longest may be that of a node which
// led nobody any more, or of the service before the last recovery.
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
	ledgers := make([]string, len(w.seen.Nodes))
	for i, n := range w.seen.Nodes {
		ledgers[i], _ = w.m.o.Driver.Files(w.name, n.Ordinal)
	}
	best := archive.Furthest(ledgers)
	if best < 0 {
		return Recover{}, errors.New("no node has left a ledger: restore the network from a backup")
	}
	ordinal := w.seen.Nodes[best].Ordinal
	r := Recover{PreviousCertificate: previous}
	r.Ledger, r.Snapshots = w.m.o.Driver.Files(w.name, ordinal)
	sealed := w.m.o.Driver.Sealed(w.name, ordinal)
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
