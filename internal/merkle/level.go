package merkle

// shrinkAbove is the capacity, in hashes, above which a level gives memory
// back after a flush.
const shrinkAbove = 4096

// level holds the hashes of consecutive complete subtrees of one size.
type level struct {
	first  uint64 // index, among the subtrees of this size, of hashes[head]
	head   int    // the hashes before it are dropped
	hashes []Hash
}

// at returns the subtree with index i, which must be held.
func (l *level) at(i uint64) *Hash { return &l.hashes[l.head+int(i-l.first)] }

// end is the index after the last subtree.
func (l *level) end() uint64 { return l.first + uint64(len(l.hashes)-l.head) }

// dropBefore forgets subtrees with an index below i. What is left moves to the
// front once no more remains than was dropped, so that the cost per dropped
// hash is constant.
func (l *level) dropBefore(i uint64) {
	if i <= l.first {
		return
	}
	i = min(i, l.end())
	l.head += int(i - l.first)
	l.first = i
	live := len(l.hashes) - l.head
	if live > l.head {
		return
	}
	if c := cap(l.hashes); c > shrinkAbove && live < c/8 {
		l.hashes = append(make([]Hash, 0, 2*live), l.hashes[l.head:]...)
	} else {
		copy(l.hashes, l.hashes[l.head:])
		l.hashes = l.hashes[:live]
	}
	l.head = 0
}

// cutFrom forgets subtrees with an index of i and above.
func (l *level) cutFrom(i uint64) {
	if i >= l.end() {
		return
	}
	l.hashes = l.hashes[:l.head+int(max(i, l.first)-l.first)]
}
