package node

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"synod"
	"synod/app"
	"synod/internal/ledger"
)

// readChunks is the operator feature of an interface that lets anybody who
// reaches it fetch ledger chunks. Elsewhere members may.
const readChunks = "LedgerChunkRead"

// declareChunks adds the endpoints that serve committed ledger chunks, with paths
// and headers of CCF 7 (CCF: doc/operations/ledger_snapshot.rst), which had
// ledger-chunk at first, and a list of them.
func (n *Node) declareChunks(a *app.App) {
	for _, base := range []string{"/ledger_chunk", "/ledger-chunk"} {
		for _, e := range []*app.Endpoint{
			a.Get(base, n.apiFindChunk, app.MemberCert, app.NoAuth), a.Head(base, n.apiFindChunk, app.MemberCert, app.NoAuth),
			a.Get(base+"/{chunk_name}", n.apiChunk, app.MemberCert, app.NoAuth), a.Head(base+"/{chunk_name}", n.apiChunk, app.MemberCert, app.NoAuth),
		} {
			e.Historical().Hide()
		}
	}
	a.Get("/ledger_chunks", n.apiChunks, app.MemberCert, app.NoAuth).Historical().Hide()
}

// mayReadChunks lets members read the ledger, who may audit it, and whoever
// reaches an interface that is there for that: public maps are in the clear in it,
// also an application's.
func (n *Node) mayReadChunks(c *app.Context) error {
	if c.Caller.Policy == app.MemberCert.Name() || slices.Contains(n.cfg.Network.RPCInterfaces[c.Request.Interface].OperatorFeatures, readChunks) {
		return nil
	}
	return synod.Errorf(403, synod.CodeAuthorizationFailed,
		"Ledger chunks are for members: show a member's certificate, or ask at an interface with %s among its enabled_operator_features.", readChunks)
}

// apiChunks lists the chunks that this node holds and has committed, and what it
// has committed beyond them.
func (n *Node) apiChunks(c *app.Context) error {
	if err := n.mayReadChunks(c); err != nil {
		return err
	}
	type chunk struct {
		Name  string      `json:"name"`
		Start synod.SeqNo `json:"start"`
		End   synod.SeqNo `json:"end"`
		Size  int64       `json:"size"`
	}
	out := struct {
		Chunks    []chunk    `json:"chunks"`
		Committed synod.TxID `json:"committed"`
	}{[]chunk{}, n.replica.Committed()}
	for _, name := range n.ledger.CommittedChunks() {
		f, err := n.openChunk(name.String())
		if errors.Is(err, ledger.ErrNotFound) {
			continue // an operator has moved it away
		}
		if err != nil {
			return err
		}
		out.Chunks = append(out.Chunks, chunk{f.name, name.Start, name.End, f.size})
	}
	return c.JSON(out)
}

// apiFindChunk redirects to the chunk that holds an entry, on this node if it has
// it. Otherwise those before this node's time may be with the next node, and those
// after with the primary, which completes chunks first.
func (n *Node) apiFindChunk(c *app.Context) error {
	if err := n.mayReadChunks(c); err != nil {
		return err
	}
	since, err := queryNumber(c, "since", true)
	if err != nil {
		return err
	}
	asked, err := queryNumber(c, "asked", false)
	if err != nil {
		return err
	}
	base := "/node/ledger_chunk"
	if strings.HasPrefix(c.Request.Path, "/node/ledger-chunk") {
		base = "/node/ledger-chunk"
	}
	chunks := n.ledger.CommittedChunks()
	for _, name := range chunks {
		if name.Start <= synod.SeqNo(since) && synod.SeqNo(since) <= name.End {
			return n.redirectToSelf(c, base+"/"+name.String())
		}
	}
	// Who was asked in vain is counted, so that a client is not sent around.
	path := fmt.Sprintf("%s?since=%d&asked=%d", base, since, asked+1)
	nodes := n.roster.trusted()
	before := len(chunks) > 0 && synod.SeqNo(since) < chunks[len(chunks)-1].Start || synod.SeqNo(since) <= n.begins()
	switch primary, known := n.primary(); {
	case since == 0 || asked >= uint64(len(nodes)):
	case before && len(nodes) > 1:
		i, _ := slices.BinarySearch(nodes, n.id.node+"\x00")
		return n.redirectToNode(c, nodes[i%len(nodes)], path, "Node does not have ledger chunk; redirecting to next node")
	case known && primary != n.id.node:
		return n.redirectToNode(c, primary, path, fmt.Sprintf("Ledger chunk including index %d not found locally; redirecting to primary", since))
	}
	return synod.Errorf(404, synod.CodeResourceNotFound, "This node has no ledger chunk including index %d", since)
}

// queryNumber reads a number of the query, 0 if it is not there and need not be.
func queryNumber(c *app.Context, name string, required bool) (uint64, error) {
	text, ok := c.Query(name)
	if !ok && required {
		return 0, synod.Errorf(400, synod.CodeInvalidQueryParameterValue, "Missing required query parameter '%s'", name)
	}
	if !ok {
		return 0, nil
	}
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, synod.Errorf(400, synod.CodeInvalidQueryParameterValue, "Unable to parse value '%s' in parameter '%s'", text, name)
	}
	return value, nil
}

// openChunk finds a committed chunk by its name.
func (n *Node) openChunk(text string) (*sentFile, error) {
	name, ok := ledger.ParseName(text)
	if !ok {
		return nil, ledger.ErrNotFound
	}
	f, size, err := n.ledger.OpenCommitted(name)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return &sentFile{name: text, size: size, digests: &n.chunkDigests, open: func() (file, error) {
		f, _, err := n.ledger.OpenCommitted(name)
		return f, err
	}}, nil
}

// apiChunk serves a chunk or a range of it, by the rules of HTTP (RFC 9110 §8.8,
// §13, §14): the entity tag is the whole file's, so that what was broken off can be
// gone on with.
func (n *Node) apiChunk(c *app.Context) error {
	if err := n.mayReadChunks(c); err != nil {
		return err
	}
	f, err := n.openChunk(c.Path("chunk_name"))
	if errors.Is(err, ledger.ErrNotFound) {
		return synod.Errorf(404, synod.CodeResourceNotFound, "This node does not have a ledger chunk named %s", c.Path("chunk_name"))
	}
	if err != nil {
		return err
	}
	digest, err := f.digests.of(f, defaultDigest)
	if err != nil {
		return err
	}
	etag := `"` + defaultDigest + "=" + digest + `"`
	c.SetHeader("x-ms-ccf-ledger-chunk-name", f.name)
	c.SetHeader("accept-ranges", "bytes")
	c.SetHeader("etag", etag)
	if err := f.setReprDigest(c); err != nil {
		return err
	}
	header := c.Request.Header
	ranges := header.Get("range")
	switch {
	case matchesETag(header.Get("if-none-match"), etag):
		c.Status(304)
		return nil
	case c.Request.Method == "HEAD":
		f.head(c)
		return nil
	case header.Has("if-range") && header.Get("if-range") != etag:
		ranges = ""
	}
	if ranges == "" {
		f.sendBytes(c, 200, 0, f.size)
		return nil
	}
	start, end, err := byteRange(ranges, f.size, true)
	if err != nil {
		return err
	}
	if start == end {
		c.SetHeader("content-range", fmt.Sprintf("bytes */%d", f.size))
		return synod.Errorf(416, synod.CodeInvalidHeaderValue, "The range %s holds nothing of the %d bytes of %s", ranges, f.size, f.name)
	}
	c.SetHeader("content-range", fmt.Sprintf("bytes %d-%d/%d", start, end-1, f.size))
	f.sendBytes(c, 206, start, end)
	return nil
}

// matchesETag says whether a list of entity tags has one.
func matchesETag(list, etag string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}
