package js

import (
	"sync"

	"synod"
)

// reuseCache keeps interpreters between calls for endpoints that ask for it
// (CCF: src/js/interpreter_cache.h). Where CCF has one interpreter behind a
// lock for each key, a key here has as many as calls ran at the same time;
// the one used last is taken first, so that calls in sequence see what the
// one before left.
type reuseCache struct {
	mu     sync.Mutex
	marker flushMarker // guarded by mu, like all below
	clock  uint64
	keys   map[string]*reuseKey
}

// flushMarker tells one state of the flush row from another. The view comes
// along because a rolled back sequence number may be used again.
type flushMarker struct {
	view  synod.View
	seqno synod.SeqNo
}

type reuseKey struct {
	used uint64
	idle []*reused
}

// reused is a live interpreter: its globals last. It belongs to the call
// that took it.
type reused struct {
	vm     *vm
	key    string
	marker flushMarker
	loaded map[string]loadedModule // by js_module
	past   bool                    // it has a ccf.historicalState
}

type loadedModule struct {
	program   *program
	namespace value
}

// take returns an idle interpreter of a key, or nil. A marker that moved
// empties the cache first.
func (r *reuseCache) take(key string, marker flushMarker) *reused {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil || r.marker != marker {
		r.closeAll()
		r.keys, r.marker = map[string]*reuseKey{}, marker
	}
	k := r.keys[key]
	if k == nil || len(k.idle) == 0 {
		return nil
	}
	r.clock++
	k.used = r.clock
	last := len(k.idle) - 1
	i := k.idle[last]
	k.idle = k.idle[:last]
	return i
}

// put gives an interpreter back. At most keysMax keys are kept, the least
// recently used go first, and perKey interpreters of each.
func (r *reuseCache) put(i *reused, keysMax uint64, perKey int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i.vm.broken || r.marker != i.marker || keysMax == 0 {
		i.vm.g.Close()
		return
	}
	k := r.keys[i.key]
	if k == nil {
		k = &reuseKey{}
		r.keys[i.key] = k
	}
	r.clock++
	k.used = r.clock
	if len(k.idle) < perKey {
		k.idle = append(k.idle, i)
	} else {
		i.vm.g.Close()
	}
	for uint64(len(r.keys)) > keysMax {
		r.evict()
	}
}

func (r *reuseCache) evict() {
	var oldest string
	least := r.clock + 1
	for key, k := range r.keys {
		if k.used < least {
			oldest, least = key, k.used
		}
	}
	for _, i := range r.keys[oldest].idle {
		i.vm.g.Close()
	}
	delete(r.keys, oldest)
}

func (r *reuseCache) closeAll() {
	for _, k := range r.keys {
		for _, i := range k.idle {
			i.vm.g.Close()
		}
	}
}
