package arm

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// id returns the network that the path names.
func (c *call) id() NetworkID {
	return NetworkID{c.params["subscription"], c.params["group"], c.params["name"]}
}

// network returns the network of the path, or ARM's words for what is missing.
func (s *Server) network(c *call) (Network, error) {
	id := c.id()
	n, err := s.Store.Network(c.r.Context(), id)
	if !errors.Is(err, ErrNotFound) {
		return n, err
	}
	if _, err := s.group(c); err != nil {
		return Network{}, err
	}
	return Network{}, errorf(http.StatusNotFound, CodeNotFound, "",
		"The Resource '%s/%s' under resource group '%s' was not found.", networkType, id.Name, id.Group)
}

// precondition reads If-Match and If-None-Match.
func (c *call) precondition() (Precondition, error) {
	var p Precondition
	p.Match = strings.TrimSpace(c.r.Header.Get("If-Match"))
	switch none := strings.TrimSpace(c.r.Header.Get("If-None-Match")); none {
	case "":
	case "*":
		p.NoneMatch = true
	default:
		return p, errorf(http.StatusBadRequest, CodeInvalidHeader, "If-None-Match", "If-None-Match may only be *.")
	}
	if p.Match != "" && p.Match != "*" && (len(p.Match) < 2 || p.Match[0] != '"' || p.Match[len(p.Match)-1] != '"' || strings.Contains(p.Match, ",")) {
		return p, errorf(http.StatusBadRequest, CodeInvalidHeader, "If-Match", "If-Match must be one ETag with its quotes, or *.")
	}
	return p, nil
}

func (s *Server) getNetwork(c *call) error {
	n, err := s.network(c)
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", n.ETag)
	return c.answer(http.StatusOK, s.output(n, c.own()))
}

func (s *Server) headNetwork(c *call) error {
	n, err := s.network(c)
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", n.ETag)
	return c.empty(http.StatusNoContent)
}

// place is the group that a network may be made in: its name can be one, and the
// subscription may have networks.
func (s *Server) place(c *call, id NetworkID) (group, error) {
	if err := checkID(id); err != nil {
		return group{}, err
	}
	g, err := s.group(c)
	if err != nil {
		return group{}, err
	}
	return g, s.checkRegistered(c)
}

// putNetwork creates a network or changes one. It answers 201 with an
// operation even if there is nothing to do, the one first answer that every
// client takes; a repeated request gets the operation that runs already.
func (s *Server) putNetwork(c *call) error {
	id := c.id()
	g, err := s.place(c, id)
	if err != nil {
		return err
	}
	cond, err := c.precondition()
	if err != nil {
		return err
	}
	var in networkInput
	if err := c.decode(&in); err != nil {
		return err
	}
	old, err := s.Store.Network(c.r.Context(), id)
	exists := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := cond.check(old, exists); err != nil {
		return err
	}
	if !exists && g.Deleting {
		return errorf(http.StatusConflict, CodeGroupBeingDeleted, "", "The resource group %q is being deleted.", g.Name)
	}
	if in.Location == nil || *in.Location == "" {
		return errorf(http.StatusBadRequest, CodeLocationRequired, "location", "The location property is required for this definition.")
	}
	n := old
	if !exists {
		n = Network{ID: NetworkID{id.Subscription, g.Name, id.Name}, Location: normalLocation(*in.Location), Desired: newDesired()}
		if err := s.checkLocation(n.Location, "location"); err != nil {
			return err
		}
	}
	return s.write(c, n, in, exists, cond)
}

// patchNetwork is a JSON merge patch (RFC 7396) of what may change.
func (s *Server) patchNetwork(c *call) error {
	cond, err := c.precondition()
	if err != nil {
		return err
	}
	n, err := s.network(c)
	if err != nil {
		return err
	}
	if err := cond.check(n, true); err != nil {
		return err
	}
	var in networkInput
	if err := c.decode(&in); err != nil {
		return err
	}
	return s.write(c, n, in, true, cond)
}

// triesMax is how often a write is made anew because another came first.
const triesMax = 5

// write stores what in changes of n, and starts an operation if that is work.
// Who did not ask for an ETag does not hear of somebody else's write in between:
// it is read, and the change is made to it.
func (s *Server) write(c *call, n Network, in networkInput, exists bool, cond Precondition) error {
	for try := 1; ; try++ {
		err := s.tryWrite(c, n, in, exists, cond)
		var lost *Error
		if cond != (Precondition{}) || try == triesMax || !errors.As(err, &lost) || lost.Code != CodePreconditionFailed {
			return err
		}
		now, err := s.Store.Network(c.r.Context(), n.ID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if exists = err == nil; exists {
			n = now
		} else if c.r.Method == http.MethodPatch {
			_, err := s.network(c)
			return err
		}
	}
}

func (s *Server) tryWrite(c *call, n Network, in networkInput, exists bool, cond Precondition) error {
	if in.Location != nil && normalLocation(*in.Location) != n.Location {
		return errorf(http.StatusConflict, CodeInvalidLocation, "location",
			"The network is in %q. A location cannot be changed: back up, delete, and restore elsewhere.", n.Location)
	}
	if n.Desired.Deleted {
		return errorf(http.StatusConflict, CodeOperationNotAllowed, "", "The network %q is being deleted.", n.ID.Name)
	}
	before := n.Desired
	var f faults
	put := c.r.Method == http.MethodPut
	if put {
		n.Tags = nil // a PUT says all tags
	}
	n.Tags = applyTags(n.Tags, in.Tags, &f)
	s.apply(&n.Desired, in.Properties, c.own(), exists, n.everServed(), &f)
	if err := f.err(); err != nil {
		return err
	}
	// What is compared with must not change meanwhile.
	if exists && cond.Match == "" {
		cond.Match = n.ETag
	}
	if !exists {
		cond.NoneMatch, cond.NetworksMax = true, s.NetworksMax
	}
	n.ModifiedBy = c.principal.Name
	op := &Operation{Kind: KindUpdate, RequestedBy: c.principal.Name, RequestID: c.requestID}
	switch {
	case !exists || !n.everServed() && put:
		op.Kind = KindCreate
	case !work(before, n.Desired):
		op = nil
	}
	if exists && put {
		running, err := s.running(c, n.ID)
		if err != nil {
			return err
		}
		if running != nil && reflect.DeepEqual(before, n.Desired) { // the same request again
			stored, err := s.Store.PutDesired(c.r.Context(), n, cond, nil)
			if err != nil {
				return err
			}
			return s.accepted(c, stored, *running)
		}
	}
	stored, err := s.Store.PutDesired(c.r.Context(), n, cond, op)
	if err != nil {
		return err
	}
	if put && op == nil {
		op = &Operation{Kind: KindUpdate, Network: stored.ID, Status: OperationSucceeded, RequestedBy: c.principal.Name, RequestID: c.requestID}
		if err := s.Store.StartOperation(c.r.Context(), op); err != nil {
			return err
		}
	}
	if op == nil {
		c.w.Header().Set("ETag", stored.ETag)
		return c.answer(http.StatusOK, s.output(stored, c.own()))
	}
	return s.accepted(c, stored, *op)
}

// everServed reports whether n has come so far that it has an identity.
func (n Network) everServed() bool { return n.Status.ServiceCertificate != "" }

// work reports whether going from a to b takes work on the nodes. The rest the
// reconciler sees when it looks next.
func work(a, b Desired) bool {
	a.Backup, a.DeleteProtection, a.UpgradeStrategy = b.Backup, b.DeleteProtection, b.UpgradeStrategy
	return !reflect.DeepEqual(a, b)
}

// running returns the operation that runs on a network, or nil.
func (s *Server) running(c *call, id NetworkID) (*Operation, error) {
	ops, err := s.Store.operations(c.r.Context(), `WHERE network = ? AND ended_at = ''`, id.Key())
	if err != nil || len(ops) == 0 {
		return nil, err
	}
	return &ops[0], nil
}

// accepted answers a PUT with 201, and what else started an operation with 202.
func (s *Server) accepted(c *call, n Network, op Operation) error {
	s.follow(c, n, op)
	c.w.Header().Set("ETag", n.ETag)
	c.w.Header().Set("x-ms-async-operation-timeout", "PT10M")
	status := http.StatusAccepted
	if c.r.Method == http.MethodPut {
		status = http.StatusCreated
	}
	return c.answer(status, s.output(n, c.own()))
}

// deleteNetwork answers as the real service was recorded: 202, the body null,
// and both headers with one address.
func (s *Server) deleteNetwork(c *call) error {
	cond, err := c.precondition()
	if err != nil {
		return err
	}
	n, err := s.Store.Network(c.r.Context(), c.id())
	if errors.Is(err, ErrNotFound) {
		if cond.Match != "" {
			return cond.check(n, false)
		}
		return c.empty(http.StatusNoContent)
	}
	if err != nil {
		return err
	}
	if err := cond.check(n, true); err != nil {
		return err
	}
	op, err := s.startDelete(c, n)
	if err != nil {
		return err
	}
	s.follow(c, n, op)
	c.w.Header().Set("Location", c.w.Header().Get("Azure-AsyncOperation"))
	c.w.Header().Set("x-ms-async-operation-timeout", "PT5M")
	return c.answer(http.StatusAccepted, nil)
}

// startDelete asks for n's end, or returns the operation that brings it about
// already.
func (s *Server) startDelete(c *call, n Network) (Operation, error) {
	if n.Desired.DeleteProtection {
		return Operation{}, errorf(http.StatusConflict, CodeScopeLocked, "properties.deleteProtection",
			"The network %q is protected from deletion. Switch deleteProtection off first (synod network update %s --delete-protection=false).", n.ID.Name, n.ID.Name)
	}
	running, err := s.running(c, n.ID)
	if err != nil {
		return Operation{}, err
	}
	if running != nil && running.Kind == KindDelete {
		return *running, nil
	}
	n.Desired.Deleted, n.ModifiedBy = true, c.principal.Name
	op := Operation{Kind: KindDelete, RequestedBy: c.principal.Name, RequestID: c.requestID}
	_, err = s.Store.PutDesired(c.r.Context(), n, Precondition{Match: n.ETag}, &op)
	return op, err
}

// page is one page of a list.
type page struct {
	Value    []any  `json:"value"`
	NextLink string `json:"nextLink,omitempty"`
}

// listNetworks lists a group's networks, or a subscription's: those that the
// caller may read.
func (s *Server) listNetworks(c *call) error {
	f := Filter{Subscription: c.params["subscription"], Group: c.params["group"]}
	if f.Group != "" {
		if _, err := s.group(c); err != nil {
			return err
		}
	} else if _, err := s.findSubscription(c); err != nil {
		return err
	}
	size, err := c.pageSize(s.PageSize)
	if err != nil {
		return err
	}
	query := c.r.URL.Query()
	if token := query.Get("$skiptoken"); token != "" {
		after, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil || !networkName.Match(after) {
			return errorf(http.StatusBadRequest, CodeInvalidParameter, "$skiptoken", "It is not one that this server gave: follow nextLink as it is.")
		}
		f.After = string(after)
	}
	readable, err := s.readable(c.r.Context(), c.principal)
	if err != nil {
		return err
	}
	out := page{Value: []any{}}
	f.Limit = size + 1
	for {
		found, err := s.Store.Networks(c.r.Context(), f)
		if err != nil {
			return err
		}
		for _, n := range found {
			if !readable(n.ID.ResourceID()) {
				f.After = n.ID.Name
				continue
			}
			if len(out.Value) == size {
				out.NextLink = c.nextLink(query, f.After)
				return c.answer(http.StatusOK, out)
			}
			out.Value = append(out.Value, s.output(n, c.own()))
			f.After = n.ID.Name
		}
		if len(found) < f.Limit {
			return c.answer(http.StatusOK, out)
		}
	}
}

// pageSizeMax bounds what $top may ask for.
const pageSizeMax = 1000

func (c *call) pageSize(size int) (int, error) {
	top := c.r.URL.Query().Get("$top")
	if top == "" {
		return size, nil
	}
	n, err := strconv.Atoi(top)
	if err != nil || n < 1 || n > pageSizeMax {
		return 0, errorf(http.StatusBadRequest, CodeInvalidParameter, "$top", "It must be a number from 1 to %d.", pageSizeMax)
	}
	return n, nil
}

func (c *call) nextLink(query url.Values, after string) string {
	query.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(after)))
	return c.link(c.r.URL.EscapedPath()) + "?" + query.Encode()
}

// checkName says whether a network may have a name.
func (s *Server) checkName(c *call) error {
	if _, err := s.findSubscription(c); err != nil {
		return err
	}
	var in struct {
		Name *string `json:"name"`
		Type *string `json:"type"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var out struct {
		Available bool   `json:"nameAvailable"`
		Reason    string `json:"reason,omitempty"`
		Message   string `json:"message,omitempty"`
	}
	switch {
	case in.Name == nil:
		return errorf(http.StatusBadRequest, CodeInvalidContent, "name", "The name to check is missing.")
	case in.Type != nil && !strings.EqualFold(*in.Type, networkType) && !strings.EqualFold(*in.Type, providerName+"/ledgers"):
		return errorf(http.StatusBadRequest, CodeInvalidContent, "type", "The type must be %s.", networkType)
	case checkID(NetworkID{"s", "", *in.Name}) != nil || *in.Name == "":
		out.Reason, out.Message = "Invalid", checkID(NetworkID{"s", "", "-"}).(*Error).Message //nolint:errorlint // checkID makes no other
	default:
		_, err := s.Store.NetworkNamed(c.r.Context(), *in.Name)
		switch {
		case err == nil:
			out.Reason, out.Message = "AlreadyExists", "A network has this name already. Names are unique on this server."
		case errors.Is(err, ErrNotFound):
			out.Available = true
		default:
			return err
		}
	}
	return c.answer(http.StatusOK, out)
}
