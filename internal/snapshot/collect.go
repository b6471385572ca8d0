package snapshot

import "time"

// idleMin is how long a snapshot is left alone after it was read: whoever
// fetches it asks for range after range.
const idleMin = 5 * time.Minute

// Collect removes from the main directory all committed snapshots but the
// newest keep ones and those that are being read, and returns their paths. It
// removes nothing else, and nothing at all if keep is 0.
func (d *Dir) Collect(keep int) (removed []string, err error) {
	found, err := d.list(d.cfg.Main, false)
	if err != nil || keep <= 0 {
		return nil, err
	}
	sortBest(found)
	for _, old := range found[min(keep, len(found)):] {
		ok, err := d.removeIdle(old.Path)
		if err != nil {
			return removed, err
		}
		if ok {
			removed = append(removed, old.Path)
		}
	}
	if len(removed) > 0 {
		if err := d.cfg.FS.SyncDir(d.cfg.Main); err != nil {
			return removed, ioError("sync", d.cfg.Main, err)
		}
	}
	return removed, nil
}

// removeIdle removes a file that nobody reads; see Dir.open.
func (d *Dir) removeIdle(path string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if u, known := d.use[path]; known && (u.open > 0 || d.cfg.Now().Sub(u.last) < idleMin) {
		return false, nil
	}
	delete(d.use, path)
	return true, d.remove(path)
}
