package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"synod"
	"synod/app"
	"synod/internal/consensus"
	"synod/internal/gov"
	"synod/internal/kv"
	"synod/internal/oidc"
	"synod/internal/tables"
)

const (
	// tokenKeysLeast is the shortest time between two looks at all issuers.
	tokenKeysLeast = time.Second
	// tokenIssuersAtOnce is how many issuers are asked at the same time.
	tokenIssuersAtOnce = 8
)

// tokenKeys is the refreshing of the keys that tokens are verified with.
type tokenKeys struct {
	due chan struct{} // the issuers have changed
	// What came of the answers that this node has had from issuers. One that
	// could not be reached gave none (CCF: src/node/jwt_key_auto_refresh.h).
	attempts, successes, failures atomic.Uint64
}

// onIssuers has the keys of issuers fetched that members have added.
func (n *Node) onIssuers(synod.TxID, kv.MapWrites) {
	select {
	case n.tokens.due <- struct{}{}:
	default:
	}
}

// keepTokenKeys fetches the keys of those issuers whose members want it, now and
// then and when issuers have changed, while this node leads.
func (n *Node) keepTokenKeys(ctx context.Context) error {
	ticker := time.NewTicker(max(n.cfg.JWT.KeyRefreshInterval, tokenKeysLeast))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-n.tokens.due:
		}
		if n.replica.Role().Leading {
			n.refreshTokenKeys(ctx)
		}
	}
}

// refreshTokenKeys asks all issuers that are to be asked.
func (n *Node) refreshTokenKeys(ctx context.Context) {
	bundles, err := n.issuersToAsk()
	if err != nil {
		n.log.LogAttrs(ctx, slog.LevelWarn, "JWT key auto-refresh: token issuers cannot be read", slog.String("err", err.Error()))
		return
	}
	var group errgroup.Group
	group.SetLimit(tokenIssuersAtOnce)
	for issuer, bundle := range bundles {
		group.Go(func() error {
			if err := n.refreshIssuer(ctx, issuer, bundle); err != nil && ctx.Err() == nil {
				n.log.LogAttrs(ctx, slog.LevelWarn, "JWT key auto-refresh: keys not refreshed", slog.String("issuer", issuer), slog.String("err", err.Error()))
			}
			return nil // each issuer for itself
		})
	}
	_ = group.Wait()
}

// issuersToAsk are the issuers whose keys nodes refresh, and the certificates that
// vouch for their servers; empty if there are none.
func (n *Node) issuersToAsk() (map[string]string, error) {
	tx := n.store.Begin()
	defer tx.Release()
	bundles := map[string]string{}
	var failed error
	err := tables.EachJSON(tx, tables.JWTIssuers, func(issuer string, row tables.JWTIssuer) bool {
		if !row.AutoRefresh {
			return true
		}
		bundle, _, err := tables.GetJSON[string](tx, tables.CACertBundles, []byte(row.CACertBundleName))
		bundles[issuer], failed = bundle, err
		return err == nil
	})
	return bundles, errors.Join(err, failed)
}

// refreshIssuer makes the service's keys of an issuer those that it publishes.
func (n *Node) refreshIssuer(ctx context.Context, issuer, bundle string) error {
	if bundle == "" {
		n.tokens.count(false)
		return errors.New("the CA certificate bundle is not there")
	}
	keys, err := oidc.Fetch(ctx, issuer, []byte(bundle))
	if errors.Is(err, oidc.ErrAnswer) {
		n.tokens.count(false)
	}
	if err != nil {
		return err
	}
	err = n.write(func(tx *kv.Tx) error { return gov.RefreshSigningKeys(tx, issuer, keys.Issuer, keys.Set) })
	if errors.Is(err, consensus.ErrNotPrimary) || errors.Is(err, consensus.ErrStopped) {
		return nil // another node's turn
	}
	n.tokens.count(err == nil)
	if err != nil {
		return fmt.Errorf("store signing keys: %w", err)
	}
	return nil
}

func (t *tokenKeys) count(success bool) {
	t.attempts.Add(1)
	if success {
		t.successes.Add(1)
	} else {
		t.failures.Add(1)
	}
}

// apiTokenKeys are the counts of this node alone, as in CCF.
func (n *Node) apiTokenKeys(c *app.Context) error {
	t := &n.tokens
	return c.JSON(map[string]any{"attempts": t.attempts.Load(), "successes": t.successes.Load(), "failures": t.failures.Load()})
}

// apiNodesAlone answers what CCF's nodes post to themselves with their own key. The
// nodes here write such things without a request, so nobody may.
func apiNodesAlone(*app.Context) error {
	return synod.Errorf(401, synod.CodeInvalidAuthenticationInfo, "Only a node may do this, and does it by itself")
}
