package portal

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"synod"
	"synod/client"
	"synod/internal/arm"
)

// The way through to the nodes.
const (
	// bodyMax bounds what passes through, in bytes.
	bodyMax = 10 << 20
	// nodeTimeout bounds one request to a node.
	nodeTimeout = 12 * time.Second
	// nodeSegments are those of /portal/v1/networks/{name}/node/{which}/ before what passes.
	nodeSegments = 7
	// connsMax bounds the clients that are kept.
	connsMax = 256
)

// headerAbsent on a request says that a 404 of the node is an answer like any
// other, such as that a member has not voted: it becomes 204, which browsers do
// not report as a fault.
const headerAbsent = "X-Synod-Absent"

// conn is a client of one node, or of the endpoint, that trusts one service.
type conn struct {
	client *client.Client
	cert   string
}

// passed are the paths that pass. What an application answers is private to
// its users: it does not pass by itself.
var (
	passedGET = regexp.MustCompile(`^(gov|node)/[A-Za-z0-9_.~:/%-]+$|^app/(receipt|tx|commit|api)$`)
	// passedPOST are what members sign; the signature says who they are.
	passedPOST = regexp.MustCompile(`^gov/[A-Za-z0-9_.~:/%-]+$`)
)

// node passes a request to a node of a network: any, the primary, or one by its
// ID. No cookie, token or identity of ours goes with it.
func (p *Portal) node(w http.ResponseWriter, r *http.Request) error {
	n, err := p.named(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	// As it was sent: what is escaped in a segment stays in that segment.
	path := strings.SplitN(r.URL.EscapedPath(), "/", nodeSegments+1)[nodeSegments]
	get := r.Method == http.MethodGet && passedGET.MatchString(path)
	post := r.Method == http.MethodPost && passedPOST.MatchString(path) && r.Header.Get("Content-Type") == "application/cose"
	if strings.Contains(path, "..") || !get && !post {
		return &problem{http.StatusForbidden, "NotPassed", "The portal passes reads of /gov and /node and signed requests to /gov, nothing else."}
	}
	if post {
		if err := p.allow(r.Context(), arm.Govern, actionGovern, n.ID.ResourceID()); err != nil {
			return err
		}
	}
	address, err := addressOf(n, r.PathValue("which"))
	if err != nil {
		return err
	}
	c, err := p.dial(n, address)
	if err != nil {
		return err
	}
	out := client.Request{Method: r.Method, Path: "/" + path, Header: http.Header{}}
	if r.URL.RawQuery != "" {
		out.Path += "?" + r.URL.RawQuery
	}
	if post {
		out.Header.Set("Content-Type", "application/cose")
		if out.Body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax)); err != nil {
			return &problem{http.StatusRequestEntityTooLarge, "TooLarge", "At most 10 MB pass through the portal."}
		}
	}
	resp, err := c.Do(r.Context(), out)
	var refused *synod.Error
	if err != nil && !errors.As(err, &refused) || resp == nil {
		return &problem{http.StatusBadGateway, "NodeUnreachable", "The node at " + address + " does not answer, or is not of the service that this network had."}
	}
	for _, name := range []string{"Content-Type", "X-Ms-Ccf-Transaction-Id", "Retry-After", "Date"} {
		if v := resp.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.Header().Set("X-Synod-Node", address)
	w.Header().Set("X-Synod-Observed-At", p.c.Now().UTC().Format(time.RFC3339Nano))
	if resp.Status == http.StatusNotFound && r.Header.Get(headerAbsent) != "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.WriteHeader(resp.Status)
	_, _ = w.Write(resp.Body)
	return nil
}

// addressOf is where a node of the network answers.
func addressOf(n arm.Network, which string) (string, error) {
	anyNode, primary := "", ""
	for _, s := range n.Status.Nodes {
		if s.NodeID == which && which != "" && s.Address != "" {
			return s.Address, nil
		}
		if s.Address == "" || s.Health != arm.HealthOk {
			continue
		}
		if anyNode == "" || s.Role != arm.RolePending {
			anyNode = s.Address
		}
		if s.Role == arm.RolePrimary {
			primary = s.Address
		}
	}
	if primary == "" {
		primary = anyNode // it knows the primary
	}
	switch {
	case which != "any" && which != "primary":
		return "", &problem{http.StatusNotFound, "NodeNotFound", "The network has no such node."}
	case primary == "":
		return "", &problem{http.StatusServiceUnavailable, "NoNode", "No node of this network answers now."}
	case which == "primary":
		return primary, nil
	}
	return anyNode, nil
}

// dial is a client for an address that trusts the network's present service and
// nobody else.
func (p *Portal) dial(n arm.Network, address string) (*client.Client, error) {
	cert := n.Status.ServiceCertificate
	if cert == "" {
		return nil, &problem{http.StatusServiceUnavailable, "NoService", "The network has no service yet."}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := n.ID.Key() + " " + address
	if c := p.conns[key]; c != nil && c.cert == cert {
		return c.client, nil
	}
	c, err := client.Dial("https://"+address, client.WithServiceCertificate([]byte(cert)), client.WithTimeout(nodeTimeout), client.WithRetries(1))
	if err != nil {
		return nil, err
	}
	for old := range p.conns {
		if len(p.conns) < connsMax {
			break
		}
		p.conns[old].client.Close()
		delete(p.conns, old)
	}
	p.conns[key] = &conn{c, cert}
	return c, nil
}
