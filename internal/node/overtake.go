package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"synod"
	"synod/internal/config"
	"synod/internal/consensus"
	"synod/internal/kv"
	"synod/internal/secrets"
	"synod/internal/snapshot"
	"synod/internal/tables"
)

const (
	// offerLookEvery is how often a primary that has somebody to offer a snapshot to
	// looks what it has.
	offerLookEvery = time.Second
	// overtakeTimeout bounds how long a node that has a snapshot in memory waits for a
	// primary that it may go on under.
	overtakeTimeout = time.Minute
)

// offer is the newest snapshot of this node, for one that lacks what no log of the
// service has any more. The replica goroutine asks.
func (n *Node) offer(fresh bool) (synod.TxID, bool) {
	if fresh {
		select {
		case n.wantSnapshot <- struct{}{}:
		default:
		}
	}
	if now := time.Now(); fresh || now.Sub(n.offered.looked) >= offerLookEvery {
		n.offered.looked, n.offered.at = now, synod.TxID{}
		list, err := n.snapshots.List()
		if err == nil && len(list) > 0 {
			view, _ := n.replica.ViewOf(list[0].Name.SeqNo)
			n.offered.at = synod.TxID{View: view, SeqNo: list[0].Name.SeqNo}
		}
	}
	at := n.offered.at
	return at, at.View != 0 && uint64(at.SeqNo) >= n.origin.Load()
}

// offered is what offer saw last; the replica goroutine's.
type offered struct {
	looked time.Time
	at     synod.TxID
}

// askForSnapshot orders a transaction that asks for a snapshot. It says where this
// node's log begins, as is recorded already.
func (n *Node) askForSnapshot() error {
	return n.write(func(tx *kv.Tx) error {
		tx.SetFlag(kv.FlagSnapshot)
		return tables.PutJSON(tx, tables.NodeStarts, []byte(n.id.node), n.begins())
	})
}

// begins is after which transaction this node's log begins.
func (n *Node) begins() synod.SeqNo {
	return max(n.startup.SeqNo, synod.SeqNo(n.overtaken.Load()))
}

// fetchOffered notes that the node of a raft name offers a snapshot. The replica
// goroutine tells.
func (n *Node) fetchOffered(from uint64) {
	select {
	case n.toFetch <- from:
	default: // it is being fetched
	}
}

// keepUp goes on after a snapshot when this node was away for so long that nobody
// has the transactions that it missed.
func (n *Node) keepUp(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.wantSnapshot:
			if err := n.askForSnapshot(); err != nil && !errors.Is(err, consensus.ErrNotPrimary) && !errors.Is(err, consensus.ErrStopped) {
				n.log.LogAttrs(ctx, slog.LevelWarn, "no snapshot asked for", slog.String("err", err.Error()))
			}
		case from := <-n.toFetch:
			err := n.overtake(ctx, from)
			if err != nil && ctx.Err() == nil && !errors.Is(err, consensus.ErrNotNeeded) && !errors.Is(err, consensus.ErrStopped) {
				n.log.LogAttrs(ctx, slog.LevelWarn, "cannot go on after a snapshot, will retry", slog.String("err", err.Error()))
			}
		}
	}
}

// overtake fetches the newest snapshot from a node, verifies it as one that joins
// does, and goes on after it.
func (n *Node) overtake(ctx context.Context, from uint64) error {
	if n.hidden.Load() {
		return errors.New("the service is being recovered: this node does not have its private part yet")
	}
	addresses := n.roster.clientAddresses(from)
	if len(addresses) == 0 {
		return fmt.Errorf("the node that offers one, %d, has no address for clients", from)
	}
	client := n.joinClient()
	defer client.CloseIdleConnections()
	var failed error
	for _, address := range addresses {
		err := n.overtakeFrom(ctx, client, address)
		if err == nil || errors.Is(err, consensus.ErrNotNeeded) || errors.Is(err, consensus.ErrStopped) || ctx.Err() != nil {
			return err
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

func (n *Node) overtakeFrom(ctx context.Context, client *http.Client, address string) error {
	service := n.service.cert()
	sizeMax := n.cfg.Command.Join.FetchSnapshotSizeMax
	if sizeMax == 0 {
		sizeMax = config.DefaultFetchSnapshotSizeMax
	}
	name, err := n.tryFetch(ctx, client, "https://"+address+"/node/snapshot", sizeMax, func(in *snapshot.Incoming) error {
		_, err := in.Keep(snapshot.Trust{Service: []byte(service)})
		return err
	})
	if err != nil {
		return err
	}
	f, err := n.snapshots.Open(name.String())
	if err != nil {
		return err
	}
	defer f.Close()
	answer, next, err := n.askToJoin(ctx, client, address, f.Name.SeqNo)
	switch {
	case err != nil:
		return err
	case next != "" || answer.NetworkInfo == nil || answer.Synod == nil:
		return fmt.Errorf("%s does not tell this node the service's secrets: status %s", address, answerStatus(answer))
	}
	state, err := n.stateOf(f, service, answer)
	if err != nil {
		return fmt.Errorf("load %s: %w", f.Path, err)
	}
	n.info(ctx, "Going on after a snapshot: nobody has the transactions that this node lacks",
		slog.String("file", f.Path), slog.Uint64("seqno", uint64(f.Name.SeqNo)))
	ctx, cancel := context.WithTimeout(ctx, overtakeTimeout)
	defer cancel()
	return n.replica.Overtake(ctx, state)
}

func answerStatus(answer *joinResponse) tables.NodeStatus {
	if answer == nil {
		return "unknown"
	}
	return answer.NodeStatus
}

// stateOf loads a snapshot beside the store, with the secrets that the service gave.
func (n *Node) stateOf(f *snapshot.File, service string, answer *joinResponse) (*consensus.State, error) {
	given := secrets.NewChain()
	for _, s := range answer.NetworkInfo.LedgerSecrets {
		given.Add(s.entry())
	}
	store := kv.New()
	loaded, err := snapshot.Load(f, f.Size, snapshot.Trust{Service: []byte(service), Name: f.Name}, given, store)
	if err != nil {
		return nil, err
	}
	configuration, err := loadedConfiguration(store, loaded.TxID)
	if err != nil {
		return nil, err
	}
	return &consensus.State{
		Start: consensus.Start{After: loaded.TxID, ViewStarts: loaded.ViewStarts, Configuration: configuration},
		Install: func() {
			committed := n.replica.Committed().SeqNo
			n.secrets.Truncate(committed) // those above were given, or never were
			for _, e := range given.All() {
				n.secrets.Add(e)
			}
			n.history.Skip(committed, loaded.TxID.SeqNo)
			n.overtaken.Store(uint64(loaded.TxID.SeqNo))
			n.machine.Overtake(store, loaded.Tree)
		},
	}, nil
}

// clientAddresses are where a node of a raft name takes requests of clients.
func (r *roster) clientAddresses(name uint64) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	id := r.names[name]
	var list []string
	interfaces := r.nodes[id].RPCInterfaces
	for _, itf := range slices.Sorted(maps.Keys(interfaces)) {
		if address := interfaces[itf].PublishedAddress; address != "" {
			list = append(list, address)
		}
	}
	if s, ok := r.strangers[id]; ok && s.client != "" {
		list = append(list, s.client)
	}
	return list
}

// stranger is a node that the service has endorsed and this node was not told of.
type stranger struct{ node, client string }

// strangersMax bounds the strangers that are believed at a time.
const strangersMax = 16

// meet takes a node that this one was not told of for one that came while it was
// away, until the node table says what it is.
func (r *roster) meet(id synod.NodeID, node, client string) bool {
	name, err := consensus.RaftID(id)
	if err != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.strangers[id]; !there && len(r.strangers) >= strangersMax {
		return false
	}
	if other, taken := r.names[name]; taken && other != id {
		return false
	}
	r.strangers[id], r.names[name] = stranger{node, client}, id
	return true
}

// meetStranger says whether a node of the service that this one does not know may
// have a link with it: only as long as it follows nobody.
func (n *Node) meetStranger(id synod.NodeID, node, client string) bool {
	if n.replica.Role().Leader != 0 || !n.roster.meet(id, node, client) {
		return false
	}
	n.info(context.Background(), "A node that came while this one was away", slog.String("node", string(id)), slog.String("address", node))
	return true
}

// addresses are where this node listens for nodes and for clients.
func (n *Node) addresses() (node, client string) {
	n2n := n.cfg.Network.NodeToNode
	itf, err := netInterface(nil, n2n.BindAddress, n2n.PublishedAddress, n.n2nAddr)
	if err != nil {
		return "", ""
	}
	interfaces, err := n.rpcInterfaces()
	if err != nil {
		return "", ""
	}
	for _, name := range slices.Sorted(maps.Keys(interfaces)) {
		if n.cfg.Network.RPCInterfaces[name].Authority == config.AuthorityService {
			client = interfaces[name].PublishedAddress
			break
		}
	}
	return itf.PublishedAddress, client
}
