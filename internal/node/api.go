package node

import (
	"crypto/x509"
	"fmt"
	"runtime/metrics"
	"slices"
	"time"

	"synod"
	"synod/app"
	"synod/internal/tables"
)

// api are the endpoints under /node (CCF: src/node/rpc/node_frontend.h).
func (n *Node) api() *app.App {
	a := app.New("node").Describe("CCF Public Node API",
		"This API provides public, uncredentialed access to service and node state.", "4.14.0")
	local := func(e *app.Endpoint) { e.Forward(app.ForwardNever) }
	local(a.Get("/state", n.apiState).ReadOnly())
	for _, name := range []string{"/quotes", "/attestations"} {
		local(a.Get(name+"/self", n.apiQuoteSelf).ReadOnly())
		a.Get(name, n.apiQuotes(name[1:])).ReadOnly()
	}
	a.Get("/network", n.apiNetwork).ReadOnly()
	a.Get("/network/nodes", n.apiNodes).ReadOnly()
	local(a.Get("/network/nodes/self", n.apiNodeSelf).ReadOnly())
	a.Get("/network/nodes/primary", n.apiNodePrimary).ReadOnly()
	a.Get("/network/nodes/{node_id}", n.apiNode).ReadOnly()
	a.Delete("/network/nodes/{node_id}", n.apiDeleteNode)
	a.Get("/network/removable_nodes", n.apiRemovable).ReadOnly()
	a.Get("/service/previous_identity", n.apiPreviousIdentity).ReadOnly()
	local(a.Get("/service/configuration", n.apiConfiguration).ReadOnly())
	local(a.Get("/self_signed_certificate", n.apiSelfSigned).NoTx())
	local(a.Head("/primary", n.apiPrimary).NoTx())
	local(a.Get("/primary", n.apiPrimary).NoTx())
	local(a.Get("/backup", n.apiBackup).NoTx())
	local(a.Get("/config", n.apiConfig).NoTx())
	local(a.Get("/consensus", n.apiConsensus).NoTx())
	local(a.Get("/memory", n.apiMemory).NoTx())
	local(a.Get("/metrics", n.apiMetrics).NoTx())
	a.Get("/js_metrics", n.apiJSMetrics).ReadOnly()
	local(a.Get("/version", n.apiVersion).NoTx())
	local(a.Get("/ready/app", n.apiReady(n.appOpen.Load, statePartOfNetwork)).NoTx())
	local(a.Get("/ready/gov", n.apiReady(n.govOpen.Load, takesPart...)).NoTx())
	local(a.Get("/index/strategies", n.apiStrategies).NoTx())
	a.Get("/changes", n.apiChanges, app.MemberCert, app.NoAuth).Historical()
	a.Get("/jwt_keys/refresh/metrics", n.apiTokenKeys).NoTx()
	for _, path := range []string{"/jwt_keys/refresh", "/network/nodes/set_retired_committed"} {
		local(a.Post(path, apiNodesAlone).NoTx().Hide())
	}
	a.Post("/create", n.apiCreate).Hide()
	local(a.Get("/recovery", n.apiRecovery).ReadOnly().Hide())
	local(a.Get("/sealing", n.apiSealing).ReadOnly().Hide())
	n.declareSnapshots(a)
	n.declareChunks(a)
	local(a.Post("/join", n.apiJoin, app.AnyCert).Hide())
	return a
}

func (n *Node) apiState(c *app.Context) error {
	rec, ok, err := tables.GetJSON[tables.SignatureRecord](c.Tx(), tables.Signatures, tables.UnitKey())
	if err != nil {
		return err
	}
	signed := synod.SeqNo(0)
	if ok {
		signed = rec.Seqno
	}
	out := map[string]any{
		"node_id": n.id.node, "state": *n.state.Load(), "last_signed_seqno": signed,
		"startup_seqno": n.startup.SeqNo, "stop_notice": n.stopNotice.Load(),
	}
	if p := n.private.Load(); p != nil {
		out["recovery_target_seqno"], out["last_recovered_seqno"] = p.target, p.At()
	}
	return c.JSON(out)
}

func (n *Node) apiNetwork(c *app.Context) error {
	info, ok, err := tables.GetJSON[tables.ServiceInfo](c.Tx(), tables.Service, tables.UnitKey())
	if err != nil {
		return err
	}
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "Service state not available.")
	}
	return c.JSON(map[string]any{
		"service_status": info.Status, "service_certificate": info.Cert, "current_view": n.replica.Role().View,
		"primary_id": n.primaryOrNil(), "recovery_count": info.RecoveryCount, "service_data": info.ServiceData,
		"current_service_create_txid": info.CurrentServiceCreateTxID,
	})
}

// primaryOrNil is who leads as JSON shows it: null if that is unknown.
func (n *Node) primaryOrNil() any {
	if id, ok := n.primary(); ok {
		return id
	}
	return nil
}

func (n *Node) apiPreviousIdentity(c *app.Context) error {
	pem, ok, err := tables.GetJSON[string](c.Tx(), tables.PreviousServiceIdentity, tables.UnitKey())
	if err != nil {
		return err
	}
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "This service is not a recovery of a previous service.")
	}
	return c.JSON(map[string]any{"previous_service_identity": pem})
}

func (n *Node) apiConfiguration(c *app.Context) error {
	conf, ok, err := tables.GetJSON[tables.ServiceConfig](c.Tx(), tables.ServiceConfiguration, tables.UnitKey())
	if err != nil {
		return err
	}
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "Service state not available.")
	}
	return c.JSON(conf)
}

func (n *Node) apiSelfSigned(c *app.Context) error {
	return c.JSON(map[string]any{"self_signed_certificate": n.id.selfSigned()})
}

func (n *Node) apiPrimary(c *app.Context) error {
	if !n.replica.Role().Leading {
		if c.Request.Method == "HEAD" {
			return n.redirectToPrimary(c, "/node/primary")
		}
		return synod.Errorf(404, synod.CodeResourceNotFound, "Node is not primary")
	}
	c.Status(200)
	return nil
}

func (n *Node) apiBackup(c *app.Context) error {
	if n.replica.Role().Leading {
		return synod.Errorf(404, synod.CodeResourceNotFound, "Node is not backup")
	}
	c.Status(200)
	return nil
}

func (n *Node) peerAddress() string {
	n2n := n.cfg.Network.NodeToNode
	address := n2n.PublishedAddress
	if address == "" {
		address = n2n.BindAddress
	}
	return withPort(address, n.n2nAddr)
}

func (n *Node) apiMemory(c *app.Context) error {
	// Not runtime.ReadMemStats, which stops the world: anybody may ask.
	m := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(m)
	return c.JSON(map[string]any{
		"current_allocated_heap_size": m[0].Value.Uint64(), "max_total_heap_size": m[1].Value.Uint64(),
		"peak_allocated_heap_size": m[1].Value.Uint64(),
	})
}

func (n *Node) apiMetrics(c *app.Context) error {
	interfaces := map[string]any{}
	active, peak := n.sessions.Read()
	for name, l := range n.rpc {
		m := l.Metrics()
		interfaces[name] = map[string]any{
			"active": m.Active, "peak": m.Peak, "soft_cap": m.SoftCap, "hard_cap": m.HardCap,
			"errors": map[string]any{
				"parsing": m.Errors.Parsing, "request_payload_too_large": m.Errors.RequestPayloadTooLarge,
				"request_header_too_large": m.Errors.RequestHeaderTooLarge,
			},
		}
	}
	peers := map[string]any{}
	for _, s := range n.links.Stats() {
		peers[string(s.Peer)] = map[string]any{
			"connected": s.Connected, "accepted": s.Accepted, "queued": s.Queued, "queued_bytes": s.QueuedBytes,
			"dropped": s.Dropped, "calls": s.Calls, "serving": s.Serving,
		}
	}
	queues := n.replica.Queues()
	signatures, cost := n.replica.Signatures()
	return c.JSON(map[string]any{
		"sessions": map[string]any{"active": active, "peak": peak, "interfaces": interfaces},
		// Synod's own: how full every bounded queue is, what signing costs, how the
		// links with other nodes stand, and when certificates end.
		"synod": map[string]any{
			"disk_queue": queues.Disk, "disk_queue_max": queues.DiskMax,
			"signatures": signatures, "signing_us": cost.Microseconds(),
			"certificates": n.validities(), "peers": peers, "refused_peers": n.links.Refused(),
			"submission_queue": queues.Submissions, "submission_queue_max": queues.SubmissionsMax,
			"uncommitted": n.replica.Uncommitted(), "waiting_for_commit": queues.Waiters,
		},
	})
}

// validities are until when the certificates are valid that clients see.
func (n *Node) validities() map[string]any {
	until := map[string]any{}
	if c := n.service.current.Load(); c != nil {
		until["service_not_after"] = c.cert.NotAfter.UTC().Format(time.RFC3339)
	}
	if c := n.id.endorsed.Load(); c != nil {
		if leaf, err := x509.ParseCertificate(c.tls.Certificate[0]); err == nil {
			until["node_not_after"] = leaf.NotAfter.UTC().Format(time.RFC3339)
		}
	}
	return until
}

func (n *Node) apiJSMetrics(c *app.Context) error {
	m, err := n.engine.Metrics(c.Tx())
	if err != nil {
		return err
	}
	return c.JSON(m)
}

func (n *Node) apiVersion(c *app.Context) error {
	return c.JSON(map[string]any{"ccf_version": n.opts.Version, "quickjs_version": n.engine.Version(), "unsafe": false, "sealing_key": n.sealingSource()})
}

func (n *Node) apiReady(open func() bool, states ...startupState) app.Handler {
	return func(c *app.Context) error {
		c.Status(503)
		if open() && !n.stopNotice.Load() && slices.Contains(states, *n.state.Load()) {
			c.Status(204)
		}
		return nil
	}
}

func (n *Node) apiStrategies(c *app.Context) error {
	list := []any{}
	for _, name := range n.host.Indexes() {
		list = append(list, map[string]string{"name": name})
	}
	return c.JSON(list)
}

func (n *Node) apiCreate(*app.Context) error {
	return synod.Errorf(403, synod.CodeInternalError, "Node is not in initial state.")
}

func errNodeNotFound() error {
	return synod.Errorf(404, synod.CodeResourceNotFound, "Node not found")
}

func errBadStatus(text string) error {
	return synod.Errorf(400, synod.CodeInvalidQueryParameterValue, "%s", fmt.Sprintf("Query parameter '%s' is not a valid node status", text))
}
