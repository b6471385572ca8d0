package kv

import "bytes"

// order keeps a table's cells in ascending order of their keys: a B+ tree of
// cell numbers. Keys are not copied into it; each inner node knows the first
// cell of each child.
type order struct {
	root *treeNode
	size int
}

const (
	treeWidth = 64
	treeLow   = treeWidth / 4     // a node below this is merged if it can be
	treeMerge = treeWidth * 3 / 4 // the most that a merge may leave in a node
)

type treeNode struct {
	n    int
	ids  [treeWidth]uint32     // cells; in an inner node the first cell of each child
	kids *[treeWidth]*treeNode // nil in a leaf
}

// search returns the first position whose key is not below key.
func (nd *treeNode) search(cells *slab[cell], key []byte) (int, bool) {
	lo, hi := 0, nd.n
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch c := cells.at(nd.ids[mid]); bytes.Compare(c.data[:c.klen], key) {
		case 0:
			return mid, true
		case -1:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false
}

// child returns which child covers key.
func (nd *treeNode) child(cells *slab[cell], key []byte) int {
	i, found := nd.search(cells, key)
	if !found && i > 0 {
		i--
	}
	return i
}

// insert adds a cell whose key is not in the tree.
func (o *order) insert(cells *slab[cell], id uint32) {
	if o.root == nil {
		o.root = &treeNode{}
	}
	o.size++
	key := cells.at(id).key()
	if split := o.root.insert(cells, id, key, true); split != nil {
		root := &treeNode{n: 2, kids: new([treeWidth]*treeNode)}
		root.ids[0], root.ids[1] = o.root.ids[0], split.ids[0]
		root.kids[0], root.kids[1] = o.root, split
		o.root = root
	}
}

// insert returns the new right neighbour if the node had to be split.
// rightmost says that no node of this level is to the right.
func (nd *treeNode) insert(cells *slab[cell], id uint32, key []byte, rightmost bool) *treeNode {
	if nd.kids == nil {
		i, _ := nd.search(cells, key)
		return nd.put(i, id, nil, rightmost)
	}
	i := nd.child(cells, key)
	split := nd.kids[i].insert(cells, id, key, rightmost && i == nd.n-1)
	nd.ids[i] = nd.kids[i].ids[0]
	if split == nil {
		return nil
	}
	return nd.put(i+1, split.ids[0], split, rightmost)
}

func (nd *treeNode) put(i int, id uint32, kid *treeNode, rightmost bool) *treeNode {
	if nd.n < treeWidth {
		nd.putAt(i, id, kid)
		return nil
	}
	right := &treeNode{}
	if nd.kids != nil {
		right.kids = new([treeWidth]*treeNode)
	}
	if rightmost && i == nd.n {
		// Keys that rise leave full nodes behind, not half-full ones.
		right.putAt(0, id, kid)
		return right
	}
	half := treeWidth / 2
	right.take(nd, half)
	if i <= half {
		nd.putAt(i, id, kid)
	} else {
		right.putAt(i-half, id, kid)
	}
	return right
}

func (nd *treeNode) putAt(i int, id uint32, kid *treeNode) {
	copy(nd.ids[i+1:nd.n+1], nd.ids[i:nd.n])
	nd.ids[i] = id
	if nd.kids != nil {
		copy(nd.kids[i+1:nd.n+1], nd.kids[i:nd.n])
		nd.kids[i] = kid
	}
	nd.n++
}

// take appends what from has at and after position i.
func (nd *treeNode) take(from *treeNode, i int) {
	k := copy(nd.ids[nd.n:], from.ids[i:from.n])
	if nd.kids != nil {
		copy(nd.kids[nd.n:], from.kids[i:from.n])
		clear(from.kids[i:from.n])
	}
	nd.n += k
	from.n = i
}

// remove takes out the cell with key, which must be there.
func (o *order) remove(cells *slab[cell], key []byte) {
	o.size--
	o.root.remove(cells, key)
	for o.root.kids != nil && o.root.n == 1 {
		o.root = o.root.kids[0]
	}
}

func (nd *treeNode) remove(cells *slab[cell], key []byte) {
	if nd.kids == nil {
		i, found := nd.search(cells, key)
		if !found {
			panic("kv: a cell is missing from the order")
		}
		nd.removeAt(i)
		return
	}
	i := nd.child(cells, key)
	kid := nd.kids[i]
	kid.remove(cells, key)
	switch {
	case kid.n == 0:
		nd.removeAt(i)
		return
	case kid.n < treeLow:
		if i+1 < nd.n && kid.n+nd.kids[i+1].n <= treeMerge {
			kid.take(nd.kids[i+1], 0)
			nd.removeAt(i + 1)
		} else if i > 0 && nd.kids[i-1].n+kid.n <= treeMerge {
			nd.kids[i-1].take(kid, 0)
			nd.removeAt(i)
			return
		}
	}
	nd.ids[i] = kid.ids[0]
}

func (nd *treeNode) removeAt(i int) {
	copy(nd.ids[i:], nd.ids[i+1:nd.n])
	if nd.kids != nil {
		copy(nd.kids[i:], nd.kids[i+1:nd.n])
		nd.kids[nd.n-1] = nil
	}
	nd.n--
}

// scan visits cells in order from the first whose key is not below from (nil
// for the very first) until visit returns false.
func (o *order) scan(cells *slab[cell], from []byte, visit func(id uint32) bool) {
	if o.root != nil {
		o.root.scan(cells, from, visit)
	}
}

func (nd *treeNode) scan(cells *slab[cell], from []byte, visit func(id uint32) bool) bool {
	i := 0
	if nd.kids == nil {
		if from != nil {
			i, _ = nd.search(cells, from)
		}
		for ; i < nd.n; i++ {
			if !visit(nd.ids[i]) {
				return false
			}
		}
		return true
	}
	if from != nil {
		i = nd.child(cells, from)
	}
	for ; i < nd.n; i++ {
		if !nd.kids[i].scan(cells, from, visit) {
			return false
		}
		from = nil
	}
	return true
}
