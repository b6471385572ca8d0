package arm

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Right is something that a role lets its holder do.
type Right string

// The rights.
const (
	Read    Right = "read"    // see a network, its logs, its operations
	Govern  Right = "govern"  // hand signed governance messages to a network's nodes
	Operate Right = "operate" // change, back up, upgrade, pause, replace nodes, cancel operations
	Write   Right = "write"   // create and restore networks and groups
	Delete  Right = "delete"
	Grant   Right = "grant" // give and take roles

	// anywhere is Read at the scope or at something below it; who asks for a
	// list then sees of it what they may read.
	anywhere Right = "anywhere"
)

// Roles are the roles that can be given, and the rights of each. Members vote
// with their keys: no role here adds to that or takes from it.
var Roles = map[string][]Right{
	"reader":   {Read},
	"member":   {Read, Govern},
	"operator": {Read, Operate, Write},
	"owner":    {Read, Govern, Operate, Write, Delete, Grant},
}

// RoleAssignment gives a role to a principal on a scope and what is below it.
type RoleAssignment struct {
	Principal string    `json:"principal"` // a name, or group, that authentication gives: see Principal
	Role      string    `json:"role"`
	Scope     string    `json:"scope"` // "/", or the resource id of a subscription, group or network
	AddedAt   time.Time `json:"addedAt,omitzero"`
	AddedBy   string    `json:"addedBy,omitempty"`
}

var scopeForm = regexp.MustCompile(`(?i)^(/|/subscriptions/[^/]+(/resourceGroups/[^/]+(/providers/Microsoft\.ConfidentialLedger/managedCCFs/[^/]+)?)?)$`)

var principalForm = regexp.MustCompile(`^(oidc|email|group|cert):[^\s]{1,250}$`)

// Check says what is wrong with an assignment.
func (a RoleAssignment) Check() error {
	switch {
	case Roles[a.Role] == nil:
		return fmt.Errorf("no role is called %q: there are owner, operator, member, reader", a.Role)
	case !scopeForm.MatchString(a.Scope):
		return fmt.Errorf("%q is no scope: use / or /subscriptions/ID[/resourceGroups/NAME[/providers/%s/NAME]]", a.Scope, networkType)
	case !principalForm.MatchString(a.Principal):
		return fmt.Errorf("%q is no principal: use oidc:ISSUER#SUBJECT, email:ADDRESS, group:NAME or cert:NAME, as a refusal names its caller", a.Principal)
	default:
		return nil
	}
}

// AddRole stores an assignment; one that is there stays as it was.
func (s *Store) AddRole(ctx context.Context, a RoleAssignment) error {
	if err := a.Check(); err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO role_assignments (principal, role, scope, added_at, added_by) VALUES (?,?,?,?,?)`,
			a.Principal, a.Role, a.Scope, formatTime(s.now()), a.AddedBy)
		return err
	})
}

// RemoveRole removes an assignment, or returns ErrNotFound.
func (s *Store) RemoveRole(ctx context.Context, a RoleAssignment) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		return wantOne(tx.ExecContext(ctx, `DELETE FROM role_assignments WHERE principal = ? AND role = ? AND scope = ?`, a.Principal, a.Role, a.Scope))
	})
}

// RoleAssignments returns the assignments of principals, or all without any.
func (s *Store) RoleAssignments(ctx context.Context, principals ...string) ([]RoleAssignment, error) {
	query, args := `SELECT principal, role, scope, added_at, added_by FROM role_assignments`, []any{}
	if len(principals) > 0 {
		query += ` WHERE principal IN (?` + strings.Repeat(",?", len(principals)-1) + `)`
		for _, p := range principals {
			args = append(args, p)
		}
	}
	return list(ctx, s, "list roles", scanRole, query+` ORDER BY principal, scope, role`, args...)
}

func scanRole(row scanner) (RoleAssignment, error) {
	var a RoleAssignment
	var added string
	err := row.Scan(&a.Principal, &a.Role, &a.Scope, &added, &a.AddedBy)
	if err == nil {
		a.AddedAt, err = parseTime(added)
	}
	return a, err
}

// within reports whether the resource id is scope or below it. Both are in any
// case.
func within(id, scope string) bool {
	id, scope = strings.ToLower(id), strings.ToLower(scope)
	return scope == "/" || id == scope || strings.HasPrefix(id, scope+"/")
}

// rolesOf returns what a principal has been given.
func (s *Server) rolesOf(ctx context.Context, p Principal) ([]RoleAssignment, error) {
	if p.all {
		return []RoleAssignment{{Principal: p.Name, Role: "owner", Scope: "/"}}, nil
	}
	return s.Store.RoleAssignments(ctx, p.names()...)
}

// Allow returns nil if a principal has a right at a scope, and an *Error with
// status 403 that says who was seen and what is missing otherwise. Action is
// what the caller wants, in ARM's words.
func (s *Server) Allow(ctx context.Context, p Principal, right Right, action, scope string) error {
	roles, err := s.rolesOf(ctx, p)
	if err != nil {
		return err
	}
	if holds(roles, right, scope) {
		return nil
	}
	var need []string
	for name, rights := range Roles {
		if right == anywhere || slices.Contains(rights, right) {
			need = append(need, name)
		}
	}
	slices.SortFunc(need, func(a, b string) int { // that which may least first: it is proposed
		return cmp.Or(cmp.Compare(len(Roles[a]), len(Roles[b])), strings.Compare(a, b))
	})
	has := "no role anywhere"
	if len(roles) > 0 {
		var list []string
		for _, r := range roles[:min(len(roles), 10)] {
			list = append(list, r.Role+" on "+r.Scope)
		}
		has = "only " + strings.Join(list, ", ")
	}
	return errorf(http.StatusForbidden, CodeAuthorizationFailed, "",
		"You are seen as %s, by %s, which has %s. For %s on %s it needs the role %s there or above. An owner can give it: synod server roles add %s %s --scope %s",
		p.Name, p.Via, has, action, scope, strings.Join(need, " or "), p.Name, need[0], scope)
}

func holds(roles []RoleAssignment, right Right, scope string) bool {
	return slices.ContainsFunc(roles, func(r RoleAssignment) bool {
		if right == anywhere {
			return within(scope, r.Scope) || scope == "/" || within(r.Scope, scope)
		}
		return slices.Contains(Roles[r.Role], right) && within(scope, r.Scope)
	})
}

// readable returns a function that says whether a principal may read the
// resource with an id.
func (s *Server) readable(ctx context.Context, p Principal) (func(id string) bool, error) {
	roles, err := s.rolesOf(ctx, p)
	return func(id string) bool { return holds(roles, Read, id) }, err
}
