package node

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

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

// partMax bounds what one answer carries of a snapshot, in bytes: anybody may
// ask, and the answer is held in memory. content-range says what is missing.
const partMax = 64 << 20

// apiSnapshot serves a part of a snapshot file. As in CCF the end of a range is
// the first byte that is not wanted, and so is that of content-range.
func (n *Node) apiSnapshot(c *app.Context) error {
	name := c.Path("snapshot_name")
	f, err := n.snapshots.Open(name)
	if errors.Is(err, snapshot.ErrNotFound) {
		return synod.Errorf(404, synod.CodeResourceNotFound, "This node does not have a snapshot named %s", name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	c.SetHeader("accept-ranges", "bytes")
	c.SetHeader("x-ms-ccf-snapshot-name", name)
	if c.Request.Method == "HEAD" {
		c.SetHeader("content-length", strconv.FormatInt(f.Size, 10))
		c.Status(200)
		return nil
	}
	start, end, err := byteRange(c.Request.Header.Get("range"), f.Size)
	if err != nil {
		return synod.Errorf(400, synod.CodeInvalidHeaderValue, "%s", err)
	}
	end = min(end, start+partMax)
	body := make([]byte, end-start)
	if _, err := f.ReadAt(body, start); err != nil && !(errors.Is(err, io.EOF) && len(body) == 0) {
		return fmt.Errorf("read %s: %w", name, err)
	}
	c.SetHeader("content-range", fmt.Sprintf("bytes %d-%d/%d", start, end, f.Size))
	c.Status(206)
	c.Bytes("application/octet-stream", body)
	return nil
}

// byteRange reads a range header: bytes=X-Y, bytes=X- or bytes=-N. Texts are
// CCF's, whose suites compare them (CCF: tests/e2e_operations.py,
// test_snapshot_access).
func byteRange(header string, size int64) (start, end int64, err error) {
	if header == "" {
		return 0, size, nil
	}
	unit, value, ok := strings.Cut(header, "=")
	if !ok || strings.TrimSpace(unit) != "bytes" {
		return 0, 0, fmt.Errorf("Only 'bytes' is supported as a Range header unit") //nolint:staticcheck // shown to clients
	}
	if strings.Contains(value, ",") {
		return 0, 0, fmt.Errorf("Multiple ranges are not supported") //nolint:staticcheck // shown to clients
	}
	from, to, ok := strings.Cut(value, "-")
	if !ok || strings.Contains(to, "-") {
		return 0, 0, fmt.Errorf("Invalid format, cannot parse range in %s", header) //nolint:staticcheck // shown to clients
	}
	if from == "" && to == "" {
		return 0, 0, fmt.Errorf("Invalid range: Must contain range-start, or range-end, or both") //nolint:staticcheck // shown to clients
	}
	if from == "" {
		n, err := strconv.ParseInt(to, 10, 64)
		if err != nil || n < 0 {
			return 0, 0, fmt.Errorf("Unable to parse end of range offset value %s in %s", to, header) //nolint:staticcheck // shown to clients
		}
		return max(size-n, 0), size, nil
	}
	if start, err = strconv.ParseInt(from, 10, 64); err != nil || start < 0 {
		return 0, 0, fmt.Errorf("Unable to parse start of range value %s in %s", from, header) //nolint:staticcheck // shown to clients
	}
	if start > size {
		return 0, 0, fmt.Errorf("Start of range %d is larger than total file size %d", start, size) //nolint:staticcheck // shown to clients
	}
	end = size
	if to != "" {
		if end, err = strconv.ParseInt(to, 10, 64); err != nil || end < 0 {
			return 0, 0, fmt.Errorf("Unable to parse end of range value %s in %s", to, header) //nolint:staticcheck // shown to clients
		}
		end = min(end, size)
		if end < start {
			return 0, 0, fmt.Errorf("Invalid range: Start (%d) and end (%d) out of order", start, end) //nolint:staticcheck // shown to clients
		}
	}
	return start, end, nil
}
