package arm

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
)

// resourceGroupsMax bounds the resource groups of a server.
const resourceGroupsMax = 10_000

// DefaultSubscription is the subscription that every server has.
const DefaultSubscription = "00000000-0000-0000-0000-000000000001"

// group is a resource group.
type group struct {
	Subscription, Name, Location string
	Tags                         map[string]string
	Deleting                     bool
}

func (g group) id() string { return "/subscriptions/" + g.Subscription + "/resourceGroups/" + g.Name }

// subscription is an account of networks. Here it is only a name: it comes with
// its first resource group.
type subscription struct{ ID, Name string }

func (s *Store) addSubscription(ctx context.Context, id string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO subscriptions (id, name, created_at) VALUES (?, ?, ?)`, id, "Synod", formatTime(s.now()))
		return err
	})
}

func (s *Store) subscriptions(ctx context.Context) ([]subscription, error) {
	scan := func(row scanner) (one subscription, err error) {
		err = row.Scan(&one.ID, &one.Name)
		return one, err
	}
	return list(ctx, s, "list subscriptions", scan, `SELECT id, name FROM subscriptions ORDER BY created_at, id`)
}

// putGroup stores a group, and its subscription if that is new. It reports
// whether the group is new.
func (s *Store) putGroup(ctx context.Context, g group) (created bool, err error) {
	tags, err := json.Marshal(g.Tags)
	if err != nil {
		return false, err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO subscriptions (id, name, created_at) VALUES (?, ?, ?)`, g.Subscription, g.Subscription, formatTime(s.now())); err != nil {
			return err
		}
		old, err := scanGroup(tx.QueryRowContext(ctx, groupQuery+` WHERE subscription = ? AND name = ?`, g.Subscription, g.Name))
		created = errors.Is(err, sql.ErrNoRows)
		switch {
		case created:
			var count int
			if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM resource_groups`).Scan(&count); err != nil {
				return err
			}
			if count >= resourceGroupsMax {
				return errorf(http.StatusConflict, CodeQuotaExceeded, "", "This server has %d resource groups, and no room for more.", count)
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO resource_groups (subscription, name, location, tags, created_at) VALUES (?,?,?,?,?)`,
				g.Subscription, g.Name, g.Location, string(tags), formatTime(s.now()))
			return err
		case err != nil:
			return err
		case old.Deleting:
			return errorf(http.StatusConflict, CodeGroupBeingDeleted, "", "The resource group %q is being deleted.", old.Name)
		case old.Location != g.Location:
			return errorf(http.StatusConflict, CodeGroupLocation, "location",
				"The resource group %q exists in %q and cannot be made in %q.", old.Name, old.Location, g.Location)
		}
		_, err = tx.ExecContext(ctx, `UPDATE resource_groups SET tags = ? WHERE subscription = ? AND name = ?`, string(tags), g.Subscription, g.Name)
		return err
	})
	return created, err
}

const groupQuery = `SELECT subscription, name, location, tags, deleting FROM resource_groups`

func scanGroup(row scanner) (group, error) {
	var g group
	var tags string
	if err := row.Scan(&g.Subscription, &g.Name, &g.Location, &tags, &g.Deleting); err != nil {
		return group{}, err
	}
	return g, json.Unmarshal([]byte(tags), &g.Tags)
}

func (s *Store) group(ctx context.Context, subscription, name string) (group, error) {
	g, err := scanGroup(s.read.QueryRowContext(ctx, groupQuery+` WHERE subscription = ? AND name = ?`, subscription, name))
	if errors.Is(err, sql.ErrNoRows) {
		return group{}, ErrNotFound
	}
	return g, err
}

func (s *Store) groups(ctx context.Context, subscription string) ([]group, error) {
	return list(ctx, s, "list groups", scanGroup, groupQuery+` WHERE subscription = ? ORDER BY name`, subscription)
}

// markGroup says whether a group goes away with the last of its networks; an
// empty one goes at once.
func (s *Store) markGroup(ctx context.Context, g group, deleting bool) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE resource_groups SET deleting = ? WHERE subscription = ? AND name = ?`, deleting, g.Subscription, g.Name); err != nil {
			return err
		}
		return dropEmptyGroup(ctx, tx, g.Subscription, g.Name)
	})
}

func dropEmptyGroup(ctx context.Context, tx *sql.Tx, subscription, name string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM resource_groups WHERE subscription = ? AND name = ? AND deleting = 1
		AND NOT EXISTS (SELECT 1 FROM networks WHERE networks.subscription = resource_groups.subscription AND networks.grp = resource_groups.name)`,
		subscription, name)
	return err
}

// registered is the state of a provider or feature that nobody has asked about:
// nothing here needs to be registered first.
const registered, unregistered = "Registered", "Unregistered"

func (s *Store) registration(ctx context.Context, subscription, name string) (string, error) {
	state := registered
	err := s.read.QueryRowContext(ctx, `SELECT state FROM registrations WHERE subscription = ? AND name = ?`, subscription, name).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return state, err
}

func (s *Store) register(ctx context.Context, subscription, name, state string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO registrations (subscription, name, state) VALUES (?,?,?)`, subscription, name, state)
		return err
	})
}
