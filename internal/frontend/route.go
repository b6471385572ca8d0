package frontend

import (
	"context"
	"math/rand/v2"

	"synod"
	"synod/app"
	"synod/internal/config"
	"synod/internal/kv"
)

// elsewhere answers a request that another node must serve: by a redirect if
// the interface redirects, else by what the primary says to it. nil means that
// the request is this node's. tx is not used afterwards if there is an answer.
func (x *execution) elsewhere(ctx context.Context, e *app.Endpoint, tx *kv.Tx) *app.Response {
	s := x.server
	leading := s.cfg.Replica.Role().Leading
	if x.forwarded {
		// Nobody forwards twice. A node that does not lead must not show its own
		// state either: the session has seen what the primary ordered.
		if leading {
			return nil
		}
		return retryLater(synod.Errorf(503, synod.CodeRequestAlreadyForwarded, "RPC was already forwarded."))
	}
	if r := s.cfg.Interfaces[x.session.Interface].Redirections; r != nil {
		return x.redirect(e, leading, r)
	}
	if leading || s.cfg.Cluster == nil {
		return nil
	}
	switch e.Forwarding {
	case app.ForwardAlways:
	case app.ForwardSometimes:
		// A linearizable read waits for what the session has seen.
		if !x.sess.forwarding || x.linearizable {
			return nil
		}
	default:
		return nil
	}
	if tx != nil {
		tx.Release() // not for as long as the primary takes
	}
	return x.forward(ctx)
}

// redirect sends the client to another node, if the endpoint asks for one
// that this node is not (CCF: src/node/rpc/frontend.h, check_redirect).
func (x *execution) redirect(e *app.Endpoint, leading bool, r *config.Redirections) *app.Response {
	var resolver *config.Resolver
	role, code := "primary", synod.CodePrimaryNotFound
	switch {
	case e.Redirection == app.RedirectToPrimary && !leading:
		resolver = r.ToPrimary
	case e.Redirection == app.RedirectToBackup && leading:
		role, code = "backup", synod.CodeBackupNotFound
		resolver = r.ToBackup
	default:
		return nil
	}
	address, ok := x.server.resolve(resolver, role, x.session.Interface)
	if !ok {
		text := "Request should be redirected to primary, but receiving node does not know current primary address"
		if role == "backup" {
			text = "Request should be redirected to backup, but receiving node does not know any current backup address"
		}
		return retryLater(synod.Errorf(503, code, "%s", text))
	}
	x.server.routing.redirected.Add(1)
	resp := &app.Response{Status: 307}
	resp.Header.Set("location", "https://"+address+x.req.URL)
	return resp
}

// resolve finds the address of a redirect. Without a resolver it is that of a
// node in the wanted role. Among several nodes one is taken at random.
func (s *Server) resolve(r *config.Resolver, role, iface string) (string, bool) {
	if r != nil && r.Kind == config.KindStaticAddress {
		return r.Address, true
	}
	if r != nil {
		role = r.Role
	}
	cluster := s.cfg.Cluster
	if cluster == nil {
		return "", false
	}
	primary, known := cluster.Primary()
	if role == "primary" {
		if !known {
			return "", false
		}
		return cluster.Address(primary, iface)
	}
	var found []string
	for _, id := range cluster.Backups() {
		if known && id == primary {
			continue
		}
		if address, ok := cluster.Address(id, iface); ok {
			found = append(found, address)
		}
	}
	if len(found) == 0 {
		return "", false
	}
	return found[rand.IntN(len(found))], true //nolint:gosec // spreads load, hides nothing
}
