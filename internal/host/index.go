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

// index is one that is installed.
type index struct {
	stop func()
	upTo func() (synod.SeqNo, error)
}

// InstallIndexes begins to tell the indexes that an application declared.
func (h *Host) InstallIndexes(a *app.App) error {
	for _, ix := range a.Indexes() {
		if err := h.InstallIndex(ix); err != nil {
			return err
		}
	}
	return nil
}

// InstallIndex begins to tell an index. See app.Node.
func (h *Host) InstallIndex(ix app.Index) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, there := h.indexes[ix.Name]; there {
		return fmt.Errorf("index %q is installed already", ix.Name)
	}
	if len(h.indexes) == indexesMax {
		return fmt.Errorf("%d indexes are installed: uninstall one first", indexesMax)
	}
	if h.indexes == nil {
		h.indexes = map[string]index{}
	}
	apply := func(id synod.TxID, w kv.MapWrites) { ix.Apply(id, changes(w)) }
	if ix.FromStart {
		f := h.Past.Follow(ix.Map, apply)
		h.indexes[ix.Name] = index{f.Stop, f.UpTo}
		return nil
	}
	h.indexes[ix.Name] = index{
		stop: h.Store.Follow(ix.Map, apply),
		upTo: func() (synod.SeqNo, error) { return h.Committed().SeqNo, nil },
	}
	return nil
}

func changes(w kv.MapWrites) []app.Write {
	list := make([]app.Write, 0, len(w.Writes)+len(w.Removes))
	for _, x := range w.Writes {
		list = append(list, app.Write{Key: x.Key, Value: x.Value})
	}
	for _, key := range w.Removes {
		list = append(list, app.Write{Key: key, Deleted: true})
	}
	return list
}

// Indexed is how far an index has come. See app.Node.
func (h *Host) Indexed(name string) (synod.SeqNo, error) {
	h.mu.Lock()
	ix, ok := h.indexes[name]
	h.mu.Unlock()
	if !ok {
		return 0, fmt.Errorf("index %q is not installed on this node", name)
	}
	return ix.upTo()
}

// UninstallIndex says whether an index of that name was installed.
func (h *Host) UninstallIndex(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	ix, ok := h.indexes[name]
	if !ok {
		return false
	}
	ix.stop()
	delete(h.indexes, name)
	return true
}

// Indexes lists the names of what is installed, sorted.
func (h *Host) Indexes() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.indexes))
}
