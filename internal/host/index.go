package host

import (
	"fmt"
	"maps"
	"slices"

	"synod"
	"synod/app"
	"synod/internal/kv"
)

// indexesMax bounds the indexes of a node: each costs at every commit.
const indexesMax = 64

// InstallIndex has ix told of what is ordered from now on and then committed.
func (h *Host) InstallIndex(ix app.Index) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.indexes[ix.Name] != nil {
		return fmt.Errorf("index %q is installed already", ix.Name)
	}
	if len(h.indexes) == indexesMax {
		return fmt.Errorf("%d indexes are installed: uninstall one first", indexesMax)
	}
	if h.indexes == nil {
		h.indexes = map[string]func(){}
	}
	h.indexes[ix.Name] = h.Store.Follow(ix.Map, func(id synod.TxID, w kv.MapWrites) {
		changes := make([]app.Write, 0, len(w.Writes)+len(w.Removes))
		for _, x := range w.Writes {
			changes = append(changes, app.Write{Key: x.Key, Value: x.Value})
		}
		for _, key := range w.Removes {
			changes = append(changes, app.Write{Key: key, Deleted: true})
		}
		ix.Apply(id, changes)
	})
	return nil
}

// UninstallIndex says whether an index of that name was installed.
func (h *Host) UninstallIndex(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	stop := h.indexes[name]
	if stop == nil {
		return false
	}
	stop()
	delete(h.indexes, name)
	return true
}

// Indexes lists the names of what is installed, sorted.
func (h *Host) Indexes() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.indexes))
}
