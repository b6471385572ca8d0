package provision

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"synod/client"
	"synod/internal/arm"
)

const (
	// lookTimeout bounds one question to a node.
	lookTimeout = 2 * time.Second
	// muteTimeout is the same for a node that did not answer the last one.
	muteTimeout = 200 * time.Millisecond
	// silentAfter is how long the primary may not have heard of a node that does not
	// answer us either.
	silentAfter = 10 * time.Second
	// certificatesEvery is between two looks at certificates, by the injected clock.
	certificatesEvery = time.Minute
)

// watcher looks at one network. One goroutine uses it.
type watcher struct {
	network   string
	clients   map[string]*client.Client // by address
	trusted   string                    // the certificate that they trust
	notAfter  map[string]time.Time      // of nodes' certificates, by node ID
	evidence  map[string]json.RawMessage
	certsSeen time.Time
	mute      map[int]int // how many questions in a row nodes have not answered
	operator  bool        // the operator was seen active in an open service
}

func newWatcher(network string) *watcher {
	return &watcher{network: network, clients: map[string]*client.Client{}, notAfter: map[string]time.Time{}, evidence: map[string]json.RawMessage{}, mute: map[int]int{}}
}

func (w *watcher) close() {
	for _, c := range w.clients {
		c.Close()
	}
	clear(w.clients)
}

// client is a connection to a node of the service with a certificate, whatever the
// dates: certificates that have run out must not keep us from renewing them.
func (w *watcher) client(address, certificate string) (*client.Client, error) {
	if w.trusted != certificate {
		w.close()
		w.trusted = certificate
	}
	if c := w.clients[address]; c != nil {
		return c, nil
	}
	c, err := client.Dial("https://"+address, client.WithServiceCertificate([]byte(certificate)),
		client.WithExpiredCertificates(), client.WithTimeout(lookTimeout), client.WithRetries(0))
	if err != nil {
		return nil, err
	}
	w.clients[address] = c
	return c, nil
}

// forget closes connections to nodes that are no more.
func (w *watcher) forget(nodes []Node) {
	maps.DeleteFunc(w.clients, func(address string, c *client.Client) bool {
		if slices.ContainsFunc(nodes, func(n Node) bool { return n.Alive && n.Address == address }) {
			return false
		}
		c.Close()
		return true
	})
	maps.DeleteFunc(w.mute, func(ordinal, _ int) bool {
		return !slices.ContainsFunc(nodes, func(n Node) bool { return n.Alive && n.Ordinal == ordinal })
	})
}

// consensus is what a node says of its part, as far as it matters here.
type consensus struct {
	Details struct {
		Acks map[string]struct {
			Seqno        uint64 `json:"seqno"`
			LastReceived int64  `json:"last_received_ms"`
		} `json:"acks"`
		Configs []struct {
			Nodes map[string]json.RawMessage `json:"nodes"`
		} `json:"configs"`
		View       uint64 `json:"current_view"`
		Leadership string `json:"leadership_state"`
	} `json:"details"`
}

// anchor is the certificate of the service that the running nodes are of: the one
// that the newest of those made which make one, or the one that was seen last.
func anchor(nodes []Node, known string) string {
	for _, n := range slices.Backward(nodes) {
		if n.Alive && n.ServiceCertificate != "" && (n.Kind == KindRecover || known == "") {
			return n.ServiceCertificate
		}
	}
	return known
}

// look asks everybody. What cannot be learnt is left out: it is no error.
func (w *watcher) look(ctx context.Context, nodes []Node, known string, o *Observed) *client.Client {
	for _, n := range nodes {
		o.Nodes = append(o.Nodes, NodeView{Node: n, CertificateNotAfter: w.notAfter[n.NodeID]})
	}
	w.forget(nodes)
	certificate := anchor(nodes, known)
	if certificate == "" {
		return nil
	}
	answers := w.askAll(ctx, nodes, certificate)
	ask, primary := w.best(nodes, answers)
	if ask == nil {
		return nil
	}
	c := w.clients[ask.Address]
	if err := w.readNetwork(ctx, c, o); err != nil {
		return nil
	}
	mine := answers[ask.Ordinal]
	for _, config := range mine.Details.Configs {
		o.Service.Voters = slices.Sorted(maps.Keys(config.Nodes))
	}
	if primary {
		o.Service.Primary = ask.NodeID
	}
	for i := range o.Nodes {
		n := &o.Nodes[i]
		n.View = mine.Details.View
		ack, heard := mine.Details.Acks[n.NodeID]
		n.Seqno = ack.Seqno
		_, answered := answers[n.Ordinal]
		// A primary that was elected just now has heard of nobody yet, hence both.
		n.Silent = primary && n.Alive && n.Address != "" && !answered && heard && ack.LastReceived > silentAfter.Milliseconds()
	}
	w.readTip(ctx, c, o)
	return c
}

// askAll asks every running node for its part in consensus.
func (w *watcher) askAll(ctx context.Context, nodes []Node, certificate string) map[int]consensus {
	var mu sync.Mutex
	var asking sync.WaitGroup
	answers := map[int]consensus{}
	for _, n := range nodes {
		if !n.Alive || n.Address == "" {
			continue
		}
		c, err := w.client(n.Address, certificate)
		if err != nil {
			continue
		}
		mu.Lock()
		patience := lookTimeout
		if w.mute[n.Ordinal] > 0 {
			patience = muteTimeout // it is not to hold the others up
		}
		mu.Unlock()
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			var out consensus
			_, err := c.Get(ctx, "/node/consensus", &out)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				answers[n.Ordinal], w.mute[n.Ordinal] = out, 0
			} else {
				w.mute[n.Ordinal]++
			}
		})
	}
	asking.Wait()
	return answers
}

// somebodyMute says whether a running node has not answered the last question.
func (w *watcher) somebodyMute() bool {
	for _, times := range w.mute {
		if times > 0 {
			return true
		}
	}
	return false
}

// best is whom to believe: the primary of the highest view, else any node that takes
// part.
func (w *watcher) best(nodes []Node, answers map[int]consensus) (ask *Node, primary bool) {
	view := uint64(0)
	for i, n := range nodes {
		a, ok := answers[n.Ordinal]
		if !ok || a.Details.Leadership == "None" {
			continue
		}
		leads := a.Details.Leadership == "Leader"
		if ask == nil || leads && (!primary || a.Details.View > view) {
			ask, primary, view = &nodes[i], leads, a.Details.View
		}
	}
	return ask, primary
}

type nodeRow struct {
	ID     string `json:"node_id"`
	Status string `json:"status"`
	Data   struct {
		Network string `json:"network"`
		Ordinal int    `json:"ordinal"`
		Zone    string `json:"zone"`
		Release string `json:"release"`
	} `json:"node_data"`
}

// rows decodes the rows of nodes; the data of those that are not ours may be
// anything.
func rows(ctx context.Context, c *client.Client, path string) ([]nodeRow, error) {
	var out struct {
		Nodes []json.RawMessage `json:"nodes"`
	}
	if _, err := c.Get(ctx, path, &out); err != nil {
		return nil, err
	}
	all := make([]nodeRow, 0, len(out.Nodes))
	for _, text := range out.Nodes {
		var row nodeRow
		if err := json.Unmarshal(text, &row); err != nil {
			row.Data.Network = ""
		}
		all = append(all, row)
	}
	return all, nil
}

// readNetwork reads the service and its nodes.
func (w *watcher) readNetwork(ctx context.Context, c *client.Client, o *Observed) error {
	network, err := c.Network(ctx)
	if err != nil {
		return err
	}
	all, err := rows(ctx, c, "/node/network/nodes")
	if err != nil {
		return err
	}
	removable, err := rows(ctx, c, "/node/network/removable_nodes")
	if err != nil {
		return err
	}
	notAfter, err := endOf(network.ServiceCertificate)
	if err != nil {
		return err
	}
	o.Service.Known, o.Service.Status, o.Service.Certificate, o.Service.NotAfter = true, network.ServiceStatus, network.ServiceCertificate, notAfter
	for _, row := range all {
		gone := slices.ContainsFunc(removable, func(r nodeRow) bool { return r.ID == row.ID })
		i := slices.IndexFunc(o.Nodes, func(n NodeView) bool { return n.NodeID == row.ID })
		switch {
		case i >= 0:
			o.Nodes[i].Status, o.Nodes[i].Removable = row.Status, gone
		case strings.EqualFold(row.Data.Network, w.network):
			o.Lost = append(o.Lost, NodeView{
				Node:   Node{Ordinal: row.Data.Ordinal, NodeID: row.ID, Zone: row.Data.Zone, Release: row.Data.Release, Why: "nothing is left of it"},
				Status: row.Status, Removable: gone,
			})
		}
	}
	return nil
}

func endOf(certPEM string) (time.Time, error) {
	block, _ := pem.Decode([]byte(certPEM))
	if block == nil {
		return time.Time{}, errors.New("service certificate: not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}, fmt.Errorf("service certificate: %w", err)
	}
	return cert.NotAfter, nil
}

// readTip reads how far the node that is asked is.
func (w *watcher) readTip(ctx context.Context, c *client.Client, o *Observed) {
	resp, err := c.Get(ctx, "/node/commit", nil)
	if err != nil {
		return
	}
	var out struct {
		ID string `json:"transaction_id"`
	}
	var view, seqno uint64
	if json.Unmarshal(resp.Body, &out) != nil {
		return
	}
	if _, err := fmt.Sscanf(out.ID, "%d.%d", &view, &seqno); err != nil {
		return
	}
	for i := range o.Nodes {
		if o.Nodes[i].NodeID == o.Service.Primary {
			o.Nodes[i].Seqno = seqno
		}
	}
}

// readCertificates reads until when the nodes' certificates are valid, now and
// then, and the evidence of those that are new.
func (w *watcher) readCertificates(ctx context.Context, o *Observed) {
	now := o.Now
	missing := slices.ContainsFunc(o.Nodes, func(n NodeView) bool {
		return n.Alive && n.Status == "Trusted" && slices.Contains(o.Service.Voters, n.NodeID) && n.CertificateNotAfter.IsZero()
	})
	if since := now.Sub(w.certsSeen); !missing && since >= 0 && since < certificatesEvery {
		return
	}
	w.certsSeen = now
	for i := range o.Nodes {
		n := &o.Nodes[i]
		c := w.clients[n.Address]
		if c == nil || !n.Alive || n.Status != "Trusted" || n.Silent {
			continue
		}
		var out struct {
			Synod struct {
				Certificates struct {
					Node time.Time `json:"node_not_after"`
				} `json:"certificates"`
			} `json:"synod"`
		}
		if _, err := c.Get(ctx, "/node/metrics", &out); err == nil {
			w.notAfter[n.NodeID] = out.Synod.Certificates.Node
			n.CertificateNotAfter = out.Synod.Certificates.Node
		}
		if w.evidence[n.NodeID] == nil {
			if resp, err := c.Get(ctx, "/node/quotes/self", nil); err == nil {
				w.evidence[n.NodeID] = resp.Body
			}
		}
	}
}

// readMembers reads who is a member, as far as it decides something: until the
// service is open.
func (w *watcher) readMembers(ctx context.Context, c *client.Client, op *Operator, o *Observed) error {
	if o.Service.Status == "Open" && w.operator {
		o.Operator = "Active"
		return nil
	}
	all, err := c.Members(ctx)
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.ID == op.ID() {
			o.Operator = m.Status
		}
		if m.PublicEncryptionKey != "" && m.RecoveryRole != "NonParticipant" {
			o.Service.Holders++
			o.Service.OperatorHolds = o.Service.OperatorHolds || m.ID == op.ID()
			if m.Status == "Active" {
				o.Service.ActiveHolders++
			}
		}
	}
	w.operator = o.Service.Status == "Open" && o.Operator == "Active"
	var info struct {
		Configuration struct {
			Threshold int `json:"recoveryThreshold"`
		} `json:"configuration"`
	}
	if err := c.Governance(ctx, "service/info", &info); err != nil {
		return err
	}
	o.Service.Threshold = info.Configuration.Threshold
	if o.Service.Status != "WaitingForRecoveryShares" && o.Service.Status != "Recovering" {
		return nil
	}
	recovery, err := c.Recovery(ctx)
	if err != nil {
		return err
	}
	o.Service.ShareSent, o.Service.Resumes = recovery.Members[op.ID()], recovery.Resumed
	return nil
}

// readPolicy reads what may join, if nodes are to run something else than they do.
func (w *watcher) readPolicy(ctx context.Context, c *client.Client, op *Operator, o *Observed) error {
	other := slices.ContainsFunc(o.Nodes, func(n NodeView) bool { return n.Status == "Trusted" && n.Release != o.Target })
	if !other && !o.Upgrading {
		return nil
	}
	var policy struct {
		Virtual struct {
			HostData []string `json:"hostData"`
		} `json:"virtual"`
	}
	if err := c.Governance(ctx, "service/join-policy", &policy); err != nil {
		return err
	}
	o.Service.HostData = policy.Virtual.HostData
	if slices.Contains(o.Service.HostData, o.TargetHostData) {
		return nil
	}
	open, err := op.open(ctx, c)
	if err != nil {
		return err
	}
	_, o.Approving = open[approveAction+" "+o.Target]
	return nil
}

// approveAction is the action of the managed constitution that lets a release join.
const approveAction = "approve_release"

// primaryAddress is where the primary listens, "" if there is none.
func (o *Observed) primaryAddress() string {
	for _, n := range o.Nodes {
		if n.NodeID == o.Service.Primary && n.Alive {
			return n.Address
		}
	}
	return ""
}

// statusOf is what is stored of the nodes.
func (w *watcher) statusOf(o *Observed) []arm.NodeStatus {
	var all []arm.NodeStatus
	for _, n := range o.Nodes {
		all = append(all, w.nodeStatus(o, n))
	}
	for _, n := range o.Lost {
		s := w.nodeStatus(o, n)
		s.Health, s.Reason = arm.HealthReplacement, n.Why
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b arm.NodeStatus) int { return a.Ordinal - b.Ordinal })
	return all
}

// restPaused says of nodes that do not run that they are not to.
func restPaused(nodes []arm.NodeStatus) {
	for i := range nodes {
		if nodes[i].PID == 0 {
			nodes[i].Health, nodes[i].Reason = arm.HealthUnknown, "paused"
		}
	}
}

func (w *watcher) nodeStatus(o *Observed, n NodeView) arm.NodeStatus {
	s := arm.NodeStatus{
		Ordinal: n.Ordinal, NodeID: n.NodeID, Zone: n.Zone, Address: n.Address, Release: n.Release, PID: n.PID,
		View: n.View, Seqno: n.Seqno, CertificateNotAfter: n.CertificateNotAfter, Evidence: w.evidence[n.NodeID],
		Role: arm.RoleNone, Health: arm.HealthOk,
	}
	votes := slices.Contains(o.Service.Voters, n.NodeID)
	switch {
	case n.Status == "Retired":
		s.Role = arm.RoleRetired
	case n.Status == "Pending":
		s.Role = arm.RolePending
	case n.Status == "Trusted" && n.NodeID == o.Service.Primary:
		s.Role = arm.RolePrimary
	case n.Status == "Trusted" && votes:
		s.Role = arm.RoleBackup
	case n.Status == "Trusted":
		s.Role = arm.RoleLearner
	}
	switch {
	case !n.Alive:
		s.Health, s.Reason, s.PID = arm.HealthReplacement, "ended: "+n.Why, 0
	case n.Silent:
		s.Health, s.Reason = arm.HealthReplacement, "does not answer"
	case n.Replace:
		s.Health, s.Reason = arm.HealthReplacement, "asked for"
	case !o.Service.Known || n.Status == "":
		s.Health, s.Reason = arm.HealthUnknown, "starting"
	}
	return s
}
