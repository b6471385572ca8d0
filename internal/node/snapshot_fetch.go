package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"synod/internal/ledger"
	"synod/internal/snapshot"
)

const (
	// fetchPart is how much of a snapshot one request asks for, in bytes.
	fetchPart = 4 << 20
	// fetchRedirectsMax bounds the redirects from node to primary to file.
	fetchRedirectsMax = 20
	// identityMax bounds what a node believes of a service's identity, in bytes.
	identityMax = 1 << 20
	// fetchTimeout bounds one request.
	fetchTimeout = 30 * time.Second
)

// errNoSnapshot says that the service has none.
var errNoSnapshot = errors.New("the service has no newer snapshot")

// fetchSnapshot saves the service's newest snapshot, once it is verified
// (CCF: src/snapshots/fetch.h).
func (n *Node) fetchSnapshot(ctx context.Context) error {
	j := &n.cfg.Command.Join
	client := n.joinClient()
	defer client.CloseIdleConnections()
	keep := func(in *snapshot.Incoming) error {
		return n.vouched(ctx, func(service string) error {
			_, err := in.Keep(snapshot.Trust{Service: []byte(service)})
			return err
		})
	}
	var err error
	for range max(j.FetchSnapshotTries, 1) {
		_, err = n.tryFetch(ctx, client, "https://"+j.TargetRPCAddress+"/node/snapshot", j.FetchSnapshotSizeMax, keep)
		if err == nil || errors.Is(err, errNoSnapshot) || errors.Is(err, errForeign) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(j.FetchSnapshotWait):
		}
	}
	return err
}

// joinClient speaks with nodes of the service as one that joins it.
func (n *Node) joinClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: n.joinTLS()},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       fetchTimeout,
	}
}

// tryFetch saves the snapshot that a target has to give, if keep does.
func (n *Node) tryFetch(ctx context.Context, client *http.Client, target string, sizeMax int64, keep func(*snapshot.Incoming) error) (ledger.SnapshotName, error) {
	first, target, err := n.firstPart(ctx, client, target)
	if err != nil {
		return ledger.SnapshotName{}, err
	}
	if first.total > sizeMax {
		return first.name, fmt.Errorf("the snapshot has %d bytes, command.join.fetch_snapshot_max_size allows %d", first.total, sizeMax)
	}
	in, err := n.snapshots.Receive(first.name, first.total)
	if err != nil {
		return first.name, err
	}
	if err = n.receiveSnapshot(ctx, client, target, in, first); err == nil {
		err = keep(in)
	}
	return first.name, errors.Join(err, in.Discard())
}

func (n *Node) receiveSnapshot(ctx context.Context, client *http.Client, target string, in *snapshot.Incoming, p *part) error {
	for {
		if _, err := in.WriteAt(p.body, p.start); err != nil {
			return err
		}
		end := p.start + int64(len(p.body))
		if end == p.total {
			return nil
		}
		next, err := n.getPart(ctx, client, target, end)
		switch {
		case err != nil:
			return err
		case next.part == nil || next.part.start != end || len(next.part.body) == 0 || next.part.total != p.total:
			return fmt.Errorf("%s does not serve the snapshot from byte %d on", target, end)
		}
		p = next.part
	}
}

// previousIdentity asks the service whom it recovers, if anybody: its certificate
// in PEM.
func (n *Node) previousIdentity(ctx context.Context) (string, bool) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: n.joinTLS(), DisableKeepAlives: true}, Timeout: joinTryTimeout}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+n.cfg.Command.Join.TargetRPCAddress+"/node/service/previous_identity", nil)
	if err != nil {
		return "", false
	}
	resp, err := client.Do(req)
	if err != nil {
		n.log.LogAttrs(ctx, slog.LevelWarn, "cannot ask whom the service recovers", slog.String("err", err.Error()))
		return "", false
	}
	defer resp.Body.Close()
	var answer struct {
		Previous string `json:"previous_service_identity"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(resp.Body, identityMax)).Decode(&answer) != nil {
		return "", false
	}
	return answer.Previous, answer.Previous != ""
}

// part is a piece of a snapshot file.
type part struct {
	name  ledger.SnapshotName
	start int64
	total int64
	body  []byte
}

// reply is a part, or where to ask instead.
type reply struct {
	part     *part
	location string
}

// firstPart follows redirects to the file.
func (n *Node) firstPart(ctx context.Context, client *http.Client, target string) (*part, string, error) {
	for range fetchRedirectsMax {
		r, err := n.getPart(ctx, client, target, 0)
		if err != nil {
			return nil, "", err
		}
		if r.part != nil {
			return r.part, target, nil
		}
		base, err := url.Parse(target)
		if err != nil {
			return nil, "", err
		}
		next, err := base.Parse(r.location)
		if err != nil || next.Scheme != "https" {
			return nil, "", fmt.Errorf("redirected to %q", r.location)
		}
		target = next.String()
	}
	return nil, "", fmt.Errorf("more than %d redirects", fetchRedirectsMax)
}

func (n *Node) getPart(ctx context.Context, client *http.Client, target string, from int64) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("range", fmt.Sprintf("bytes=%d-%d", from, from+fetchPart))
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, fetchPart+1))
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusPermanentRedirect, http.StatusTemporaryRedirect:
		return &reply{location: resp.Header.Get("location")}, nil
	case http.StatusNotFound:
		return nil, errNoSnapshot
	case http.StatusPartialContent:
		p, err := readPart(resp.Header, body)
		return &reply{part: p}, err
	default:
		return nil, fmt.Errorf("%s: status %d: %.200s", target, resp.StatusCode, body)
	}
}

// readPart reads what a part says of itself: content-range is bytes
// start-end/total.
func readPart(h http.Header, body []byte) (*part, error) {
	name, ok := ledger.ParseSnapshotName(h.Get("x-ms-ccf-snapshot-name"))
	if !ok || !name.Committed {
		return nil, fmt.Errorf("%q is no name of a committed snapshot", h.Get("x-ms-ccf-snapshot-name"))
	}
	value, ok := strings.CutPrefix(h.Get("content-range"), "bytes ")
	span, size, ok2 := strings.Cut(value, "/")
	from, _, ok3 := strings.Cut(span, "-")
	start, err := strconv.ParseInt(from, 10, 64)
	total, err2 := strconv.ParseInt(size, 10, 64)
	if !ok || !ok2 || !ok3 || err != nil || err2 != nil || start < 0 || total <= 0 || start+int64(len(body)) > total {
		return nil, fmt.Errorf("content-range %q with %d bytes cannot be", h.Get("content-range"), len(body))
	}
	return &part{name: name, start: start, total: total, body: body}, nil
}
