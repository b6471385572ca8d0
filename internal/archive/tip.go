package archive

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"

	"synod"
	"synod/internal/ledger"
)

// Furthest says which of several nodes' ledger directories a service is to be
// recovered from, -1 if none has a signature: that which was signed last, by view and
// then by number. It has everything that was committed and that one of them has; a
// longer one of an earlier view ends with what was not, or is from before a recovery.
// Nothing is verified.
func Furthest(dirs []string) int {
	best, tip := -1, synod.TxID{}
	for i, dir := range dirs {
		if at := tipOf(dir); at.View > tip.View || at.View == tip.View && at.SeqNo > tip.SeqNo {
			best, tip = i, at
		}
	}
	return best
}

// tipOf is the last signature in the files of a directory, as far as they can be read;
// zero if there is none.
func tipOf(dir string) (tip synod.TxID) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return tip
	}
	var names []ledger.Name
	for _, e := range entries {
		// What a recovery has left that came to nothing leads nowhere.
		if n, ok := ledger.ParseName(e.Name()); ok && !n.Recovery && !n.Ignored {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b ledger.Name) int { return cmp.Compare(b.Start, a.Start) })
	for _, n := range names {
		if tip = lastSignature(filepath.Join(dir, n.String()), n.Start); tip.SeqNo > 0 {
			return tip
		}
	}
	return tip
}

func lastSignature(file string, start synod.SeqNo) (last synod.TxID) {
	f, err := os.Open(file)
	if err != nil {
		return last
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return last
	}
	s, err := ledger.NewScanner(f, info.Size(), start)
	if err != nil {
		return last
	}
	for {
		e, err := s.Next()
		if err != nil { // the end, or what is torn
			return last
		}
		if e.IsSignature() {
			last = e.TxID
		}
	}
}
