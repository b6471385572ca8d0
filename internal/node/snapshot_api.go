package node

import (
	"errors"
	"fmt"
	"strconv"

	"synod"
	"synod/app"
	"synod/internal/snapshot"
)

// declareSnapshots adds the endpoints that joining nodes fetch snapshots from
// (CCF: src/node/rpc/file_serving_handlers.h).
func (n *Node) declareSnapshots(a *app.App) {
	for _, e := range []*app.Endpoint{
		a.Get("/snapshot", n.apiNewestSnapshot), a.Head("/snapshot", n.apiNewestSnapshot),
		a.Get("/snapshot/{snapshot_name}", n.apiSnapshot), a.Head("/snapshot/{snapshot_name}", n.apiSnapshot),
	} {
		e.NoTx().Forward(app.ForwardNever).Hide()
	}
}

// apiNewestSnapshot redirects to the newest snapshot after since, or to the
// primary, which has the newest.
func (n *Node) apiNewestSnapshot(c *app.Context) error {
	since := uint64(0)
	if text, ok := c.Query("since"); ok {
		var err error
		if since, err = strconv.ParseUint(text, 10, 64); err != nil {
			return synod.Errorf(400, synod.CodeInvalidQueryParameterValue, "Unable to parse value '%s' in parameter 'since'", text)
		}
	}
	if primary, ok := n.primary(); ok && primary != n.id.node {
		path := "/node/snapshot"
		if since != 0 {
			path += "?since=" + strconv.FormatUint(since, 10)
		}
		return n.redirectToPrimary(c, path)
	}
	list, err := n.snapshots.List()
	if err != nil {
		return err
	}
	if len(list) == 0 || uint64(list[0].Name.SeqNo) <= since {
		return synod.Errorf(404, synod.CodeResourceNotFound, "This node has no committed snapshots since %d", since)
	}
	return n.redirectToSelf(c, "/node/snapshot/"+list[0].Name.String())
}

func (n *Node) redirectToSelf(c *app.Context, path string) error {
	interfaces, err := n.rpcInterfaces()
	if err != nil {
		return err
	}
	c.SetHeader("location", "https://"+interfaces[c.Request.Interface].PublishedAddress+path)
	c.Status(308)
	return nil
}

// apiSnapshot serves a part of a snapshot file. As in CCF the end of a range is
// the first byte that is not wanted, and so is that of content-range.
func (n *Node) apiSnapshot(c *app.Context) error {
	name := c.Path("snapshot_name")
	opened, err := n.snapshots.Open(name)
	if errors.Is(err, snapshot.ErrNotFound) {
		return synod.Errorf(404, synod.CodeResourceNotFound, "This node does not have a snapshot named %s", name)
	}
	if err != nil {
		return err
	}
	f := &sentFile{name: name, size: opened.Size, digests: &n.snapshotDigests, open: func() (file, error) { return n.snapshots.Open(name) }}
	if err := opened.Close(); err != nil {
		return err
	}
	c.SetHeader("accept-ranges", "bytes")
	c.SetHeader("x-ms-ccf-snapshot-name", name)
	if err := f.setReprDigest(c); err != nil {
		return err
	}
	if c.Request.Method == "HEAD" {
		f.head(c)
		return nil
	}
	start, end, err := byteRange(c.Request.Header.Get("range"), f.size, false)
	if err != nil {
		return err
	}
	c.SetHeader("content-range", fmt.Sprintf("bytes %d-%d/%d", start, end, f.size))
	f.sendBytes(c, 206, start, end)
	return nil
}
