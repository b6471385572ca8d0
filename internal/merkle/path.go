package merkle

import "crypto/sha256"

// Hash is a SHA-256 digest: a leaf, an inner node or a root.
type Hash = [sha256.Size]byte

// Step is one sibling on the way from a leaf to the root.
type Step struct {
	Left bool // the sibling is on the left: parent = H(Hash ‖ current)
	Hash Hash
}

// Path leads from a leaf to the root: first the leaf's sibling, last the child
// of the root. It is empty for a tree of one leaf.
type Path []Step

// Root returns the root that p leads to from leaf.
func (p Path) Root(leaf Hash) Hash {
	cur := leaf
	for i := range p {
		if p[i].Left {
			cur = join(&p[i].Hash, &cur)
		} else {
			cur = join(&cur, &p[i].Hash)
		}
	}
	return cur
}

// join is the hash of an inner node.
func join(left, right *Hash) Hash {
	var b [2 * sha256.Size]byte
	copy(b[:sha256.Size], left[:])
	copy(b[sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}
