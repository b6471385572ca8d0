package machine

import "synod"

// chunker decides where ledger chunks end (CCF: src/kv/ledger_chunker.h): at
// the first signature after a request, or once the entries since the last end
// add up to the threshold.
type chunker struct {
	threshold uint64 // bytes
	total     uint64 // bytes of the entries since the last chunk end
	lastEnd   synod.SeqNo
	forced    synod.SeqNo // newest request to end a chunk; served by an end at or above it
	reported  synod.SeqNo // newest chunk end that commit has told of
	undo      []chunkStep // one for each entry above the last commit, oldest first
}

// chunkStep is the chunker's state before an entry.
type chunkStep struct {
	seqno   synod.SeqNo
	total   uint64
	lastEnd synod.SeqNo
	forced  synod.SeqNo
}

// thresholdMax keeps a chunk, which ends only at the first signature past its
// threshold, below the 4 GiB that positions can express.
const thresholdMax = 2 << 30

// due says whether the next signature ends the chunk.
func (c *chunker) due() bool { return c.total >= c.threshold || c.forced > c.lastEnd }

// added records an entry of size bytes, header included. endsBefore and
// endsAfter are what its flags say, force that it asks for a chunk end.
func (c *chunker) added(seqno synod.SeqNo, size int, endsBefore, endsAfter, force bool) {
	c.undo = append(c.undo, chunkStep{seqno, c.total, c.lastEnd, c.forced})
	if endsBefore {
		c.total, c.lastEnd = 0, seqno-1
	}
	c.total += uint64(size)
	if force {
		c.forced = seqno
	}
	if endsAfter {
		c.total, c.lastEnd = 0, seqno
	}
}

// commit forgets how to undo the entries up to seqno, and says whether a
// chunk has ended there that was not told of before.
func (c *chunker) commit(seqno synod.SeqNo) bool {
	i := 0
	for i < len(c.undo) && c.undo[i].seqno <= seqno {
		i++
	}
	c.undo = append(c.undo[:0], c.undo[i:]...)
	// The newest end may be above seqno; then the step after seqno knows the
	// one before it.
	end := c.lastEnd
	if len(c.undo) > 0 {
		end = c.undo[0].lastEnd
	}
	if end <= c.reported {
		return false
	}
	c.reported = end
	return true
}

// rollback undoes the entries above seqno.
func (c *chunker) rollback(seqno synod.SeqNo) {
	for n := len(c.undo); n > 0 && c.undo[n-1].seqno > seqno; n = len(c.undo) {
		s := c.undo[n-1]
		c.total, c.lastEnd, c.forced = s.total, s.lastEnd, s.forced
		c.undo = c.undo[:n-1]
	}
}
