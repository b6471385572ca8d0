package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"synod"
	"synod/client"
	"synod/constitutions"
	"synod/internal/arm"
)

const (
	// actTimeout bounds what the operator does in one step.
	actTimeout = 30 * time.Second
	// mutesMax is how many questions in a row a node may leave without an answer
	// before clients' connections to it are ended: they would wait in vain.
	mutesMax = 3
	// backdated is how long before now new certificates begin: clocks differ.
	backdated = 5 * time.Minute
)

// take takes one step. It may have been taken before, and cut short: each is safe to
// take again.
func (w *worker) take(ctx context.Context, s Step) error {
	switch s.Kind {
	case StepStart:
		return w.startNode(ctx, s)
	case StepDiscard:
		return w.m.o.Driver.Stop(ctx, w.name, s.Ordinal, false)
	case StepMark:
		return w.m.o.Driver.RequestReplacement(w.name, s.Ordinal)
	case StepForget:
		return w.forgetNode(ctx, s)
	case StepEndpoint:
		return w.openEndpoint(ctx)
	case StepPause:
		return w.stopNodes(ctx)
	case StepTakeDown:
		return w.takeDown(ctx)
	case StepFetch:
		return w.fetchBackup(ctx)
	case StepAdopt:
		return w.adopt(ctx)
	}
	c, err := w.actor()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	op := w.m.o.Operator
	node := map[string]any{"node_id": s.NodeID}
	validity := map[string]any{"valid_from": w.m.o.Now().Add(-backdated).UTC().Format("20060102150405Z"), "validity_period_days": w.net.Desired.CertificateDays}
	switch s.Kind {
	case StepActivate:
		tx, err := client.NewMember(c, op.signer).Activate(ctx)
		if err != nil {
			return err
		}
		return c.WaitCommitted(ctx, tx)
	case StepTrust:
		validity["node_id"] = s.NodeID
		return op.act(ctx, c, client.Action{Name: "transition_node_to_trusted", Args: validity})
	case StepRetire:
		return op.act(ctx, c, client.Action{Name: "remove_node", Args: node})
	case StepRenew:
		w.watcher.certsSeen = time.Time{} // look at them anew
		return op.act(ctx, c, client.Action{Name: "set_service_certificate_validity", Args: validity},
			client.Action{Name: "set_all_nodes_certificate_validity", Args: validity})
	case StepOpen:
		actions := []client.Action{{Name: "transition_service_to_open", Args: map[string]any{"next_service_identity": w.seen.Service.Certificate}}}
		if w.net.Desired.AppSourceURI == arm.AppSample {
			actions = append([]client.Action{{Name: sampleAction}}, actions...)
		}
		return op.act(ctx, c, actions...)
	case StepReopen:
		return w.reopen(ctx, c)
	case StepShare:
		return op.submitShare(ctx, c)
	case StepApprove:
		return w.proposeRelease(ctx, c)
	case StepDisallow:
		return w.disallow(ctx, c)
	}
	return fmt.Errorf("no such step: %s", s.Kind)
}

// actor is a connection for the operator: to the primary, or to whoever answers.
func (w *worker) actor() (*client.Client, error) {
	address := w.seen.primaryAddress()
	if address == "" {
		return nil, errors.New("the network has no primary")
	}
	return client.Dial("https://"+address, client.WithServiceCertificate([]byte(w.seen.Service.Certificate)), client.WithExpiredCertificates())
}

func (w *worker) startNode(ctx context.Context, s Step) error {
	release, ok := w.m.o.Releases.Get(s.Release)
	if !ok {
		return fmt.Errorf("this server has no release %q", s.Release)
	}
	spec := NodeSpec{
		Network: w.name, Zone: s.Zone, Release: release, Kind: s.NodeKind,
		CertificateDays: w.net.Desired.CertificateDays, Hosts: w.m.o.Hosts,
	}
	switch s.NodeKind {
	case KindStart:
		genesis, err := genesisOf(w.net.Desired, w.m.o.Operator)
		if err == nil && w.net.Desired.Constitution != "" {
			err = w.checkConstitution(ctx)
		}
		if err != nil {
			return err
		}
		spec.Genesis = genesis
	case KindJoin:
		spec.Join = Join{Target: w.seen.primaryAddress(), ServiceCertificate: w.seen.Service.Certificate}
	case KindRecover:
		from, err := w.recoverFrom(ctx)
		if err != nil {
			return err
		}
		spec.Recover = from
	}
	n, err := w.m.o.Driver.Start(ctx, spec)
	if err == nil {
		w.m.o.Log.InfoContext(ctx, "started a node", "network", w.name, "node", n.Ordinal, "kind", string(s.NodeKind), "reason", s.Reason)
	}
	return err
}

// genesisOf is what a new network's service begins with.
func genesisOf(d arm.Desired, op *Operator) (Genesis, error) {
	g := Genesis{Constitution: d.Constitution, Threshold: 1}
	var err error
	switch {
	case g.Constitution != "" && d.AppSourceURI == arm.AppSample:
		return g, &arm.Error{
			Code: arm.CodeInvalidContent, Target: "properties.deploymentType.appSourceUri",
			Message: "The sample application comes with the shipped constitution only: leave out the constitution, or deploy an application by proposal.",
		}
	case g.Constitution != "":
	case d.AppSourceURI == arm.AppSample:
		if g.Constitution, err = sampleConstitution(); err != nil {
			return g, err
		}
	default:
		g.Constitution = constitutions.Managed()
	}
	holders := 0
	for i, m := range d.Members {
		if marked(m.Tags) {
			return g, &arm.Error{
				Code: arm.CodeInvalidContent, Target: fmt.Sprintf("properties.memberIdentityCertificates[%d].tags", i),
				Message: "The tag is_operator is the operator's, whose votes do not count: leave it out.",
			}
		}
		g.Members = append(g.Members, GenesisMember{Certificate: m.Certificate, EncryptionKey: m.EncryptionKey, Data: m.Tags})
		if m.EncryptionKey != "" {
			holders++
		}
	}
	if holders > 0 {
		g.Threshold = holders/2 + 1
	}
	own, err := op.genesisMember(holders == 0)
	g.Members = append(g.Members, own)
	return g, err
}

// marked says whether a member's data would make it an operator.
func marked(data json.RawMessage) bool {
	var mark struct {
		IsOperator any `json:"is_operator"`
	}
	// What is no object marks nobody.
	return json.Unmarshal(data, &mark) == nil && mark.IsOperator != nil && mark.IsOperator != false
}

// forgetNode removes the row of a node that has left, and what there is of it.
func (w *worker) forgetNode(ctx context.Context, s Step) error {
	c, err := w.actor()
	if err != nil {
		return err
	}
	defer c.Close()
	// A restored network knows nodes of the one that it was made of, whose ordinals
	// are those of others here.
	here := false
	for _, n := range w.seen.Nodes {
		if n.Ordinal != s.Ordinal || n.NodeID != s.NodeID {
			continue
		}
		here = true
		if n.Alive && !n.Silent && w.endpoint != nil {
			w.endpoint.leave(ctx, n.Address)
		}
	}
	if here {
		if err := w.m.o.Driver.Stop(ctx, w.name, s.Ordinal, true); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	resp, err := c.Do(ctx, client.Request{Method: http.MethodDelete, Path: "/node/network/nodes/" + s.NodeID})
	var refused *synod.Error
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
	case err != nil:
		return err
	default:
		if err := c.WaitCommitted(ctx, resp.TxID); err != nil {
			return err
		}
	}
	if !here {
		return nil
	}
	return w.m.o.Driver.Stop(ctx, w.name, s.Ordinal, false)
}

// stopNodes stops all nodes in order: backups first, the primary last, so that their
// ledgers are as equal as can be, after a snapshot, so that they begin quickly.
func (w *worker) stopNodes(ctx context.Context) error {
	if c, err := w.actor(); err == nil && w.seen.Service.Status == "Open" {
		acting, cancel := context.WithTimeout(ctx, actTimeout)
		if err := w.m.o.Operator.act(acting, c, client.Action{Name: "trigger_snapshot"}); err != nil {
			w.complain(ctx, "no snapshot before a pause", err)
		}
		cancel()
		c.Close()
	}
	for _, primary := range []bool{false, true} {
		for _, n := range slices.Backward(w.seen.Nodes) {
			if n.Alive && (n.NodeID == w.seen.Service.Primary) == primary {
				if err := w.m.o.Driver.Stop(ctx, w.name, n.Ordinal, true); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// takeDown removes what is left of a network whose nodes are gone.
func (w *worker) takeDown(ctx context.Context) error {
	w.closeEndpoint()
	if err := w.m.o.Driver.Remove(ctx, w.name); err != nil {
		return err
	}
	w.m.forgetBackups(w.id)
	err := w.m.o.Store.DeleteNetwork(ctx, w.id)
	if errors.Is(err, arm.ErrNotFound) {
		return nil
	}
	return err
}

// reopen opens a recovered service whose only recovery share is the operator's.
func (w *worker) reopen(ctx context.Context, c *client.Client) error {
	var previous struct {
		Certificate string `json:"previous_service_identity"`
	}
	if _, err := c.Get(ctx, "/node/service/previous_identity", &previous); err != nil {
		return err
	}
	return w.m.o.Operator.act(ctx, c, client.Action{Name: "transition_service_to_open", Args: map[string]any{
		"previous_service_identity": previous.Certificate, "next_service_identity": w.seen.Service.Certificate,
	}})
}

// proposeRelease asks members to let a release join, in the place of those that may
// now. The action is the managed constitution's; another constitution has the one of
// the default one.
func (w *worker) proposeRelease(ctx context.Context, c *client.Client) error {
	host := func(list ...string) map[string]any { return map[string]any{"virtual_host_data": list} }
	action := client.Action{Name: approveAction, Args: map[string]any{
		"release": w.seen.Target, "allow": host(w.seen.TargetHostData), "disallow": host(w.seen.Service.HostData...),
	}}
	_, err := w.m.o.Operator.propose(ctx, c, action)
	return err
}

// disallow takes what was replaced out of the join policy, if members let it.
func (w *worker) disallow(ctx context.Context, c *client.Client) error {
	for _, code := range w.seen.Service.HostData {
		if code == w.seen.TargetHostData {
			continue
		}
		err := w.m.o.Operator.act(ctx, c, client.Action{Name: "remove_virtual_host_data", Args: map[string]any{"host_data": code}})
		if errors.Is(err, errNotAlone) {
			// Members let it join otherwise: so it may.
			w.keepPolicy = true
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// openEndpoint opens the network's endpoint where it was, or at a new place.
func (w *worker) openEndpoint(ctx context.Context) error {
	if w.endpoint == nil {
		port := w.port()
		if port == 0 {
			var err error
			if port, err = freePort(ctx, w.m.o.EndpointBind, w.m.o.PortsFrom, w.m.o.PortsTo, int(w.m.nextPort.Add(1))); err != nil {
				return err
			}
		}
		e, err := openEndpoint(w.m.running, net.JoinHostPort(w.m.o.EndpointBind, strconv.Itoa(port)), w.m.o.EndpointHost, w.wake)
		if err != nil {
			if w.net.Status.MadeAt.IsZero() {
				w.net.Status.AppURI = "" // another port will do
			}
			w.cannotOpen = fmt.Sprintf("the network's address %s is taken by another program: %v", trimScheme(w.net.Status.AppURI), err)
			return errors.New(w.cannotOpen)
		}
		w.endpoint, w.cannotOpen = e, ""
		// Clients are told of it from now on, whatever happens to this process.
		w.net.Status.AppURI = "https://" + e.address
		w.route()
		return w.m.o.Store.PutStatus(ctx, w.id, w.net.Status)
	}
	w.route()
	return nil
}

func (w *worker) route() {
	if w.endpoint == nil {
		return
	}
	var addresses []string
	if primary := w.seen.primaryAddress(); primary != "" {
		addresses = append(addresses, primary)
	}
	for _, n := range w.seen.Nodes {
		if w.watcher.mute[n.Ordinal] >= mutesMax {
			w.endpoint.drop(n.Address)
		}
		if n.Alive && !n.Silent && n.Status == "Trusted" && slices.Contains(w.seen.Service.Voters, n.NodeID) && !slices.Contains(addresses, n.Address) {
			addresses = append(addresses, n.Address)
		}
	}
	w.endpoint.route(addresses...)
}

// port is that of the network's endpoint, 0 if it never had one.
func (w *worker) port() int {
	_, text, err := net.SplitHostPort(trimScheme(w.net.Status.AppURI))
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return port
}
