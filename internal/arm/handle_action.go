package arm

import (
	"encoding/json"
	"errors"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

// start begins an operation on a network and answers 202 with both addresses:
// Azure-AsyncOperation tells how it goes, Location gives its result.
func (s *Server) start(c *call, n Network, kind string, input any) error {
	b, err := json.Marshal(input)
	if err != nil {
		return err
	}
	if n.Desired.Deleted {
		return errorf(http.StatusConflict, CodeOperationNotAllowed, "", "The network %q is being deleted.", n.ID.Name)
	}
	op := Operation{Network: n.ID, Kind: kind, Input: b, RequestedBy: c.principal.Name, RequestID: c.requestID}
	if err := s.Store.StartOperation(c.r.Context(), &op); err != nil {
		return err
	}
	return s.started(c, n, op)
}

func (s *Server) started(c *call, n Network, op Operation) error {
	s.follow(c, n, op)
	c.w.Header().Set("Location", c.operationLink("operationResults", n.Location, op))
	return c.empty(http.StatusAccepted)
}

// ready returns the network of the path if it has come to life: nothing can be
// done with one that has not.
func (s *Server) ready(c *call) (Network, error) {
	n, err := s.network(c)
	if err == nil && !n.everServed() {
		todo := "wait until it is"
		if n.Status.ProvisioningState == StateFailed {
			todo = "create it again, or delete it"
		}
		err = errorf(http.StatusConflict, CodeResourceNotReady, "", "The network %q has not been created to its end (%s): %s.", n.ID.Name, n.Status.ProvisioningState, todo)
	}
	return n, err
}

func (s *Server) backup(c *call) error {
	n, err := s.ready(c)
	if err != nil {
		return err
	}
	var in struct {
		URI    *string `json:"uri"`
		Region *string `json:"restoreRegion"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var f faults
	var input BackupInput
	if (in.URI == nil || *in.URI == "") && !c.own() {
		f.add("uri", "The uri property is required: the address of the backup store (store:default, or one of its own).")
	} else if in.URI != nil {
		input.URI = *in.URI
		s.checkTarget(input.URI, "uri", &f)
	}
	if in.Region != nil {
		input.RestoreRegion = normalLocation(*in.Region)
	}
	if err := f.err(); err != nil {
		return err
	}
	return s.start(c, n, KindBackup, input)
}

// restoreBody is the body of restore and rehearse.
type restoreBody struct {
	URI     *string `json:"uri"`
	Share   *string `json:"fileShareName"`
	Region  *string `json:"restoreRegion"`
	InPlace bool    `json:"inPlace"`   // of OwnVersion
	Nodes   *int    `json:"nodeCount"` // of OwnVersion
}

// source reads where a backup is. Azure's api-versions want all three.
func (s *Server) source(c *call, in restoreBody, f *faults) RestoreSource {
	var from RestoreSource
	for _, p := range []struct {
		name string
		sent *string
		to   *string
		need bool
	}{
		{"fileShareName", in.Share, &from.Share, true}, {"uri", in.URI, &from.Target, !c.own()}, {"restoreRegion", in.Region, &from.Region, !c.own()},
	} {
		if p.sent != nil {
			*p.to = *p.sent
		}
		if p.need && *p.to == "" {
			f.add(p.name, "The %s property is required.", p.name)
		}
	}
	if from.Share != "" && !label.MatchString(from.Share) {
		f.add("fileShareName", "A backup's name has letters, digits, dots and hyphens, at most 63: backups are listed by synod backup list.")
	}
	if in.URI != nil && from.Target != "" {
		s.checkTarget(from.Target, "uri", f)
	}
	from.Region = normalLocation(from.Region)
	return from
}

// mayUse refuses a backup that there is not, and one of a network that the caller
// may not read: a restore would show its public part.
func (s *Server) mayUse(c *call, from RestoreSource) error {
	if s.FindBackup == nil {
		return nil
	}
	found, err := s.FindBackup(c.r.Context(), from.Target, from.Share)
	if errors.Is(err, ErrNotFound) {
		return errorf(http.StatusNotFound, CodeBackupNotFound, "fileShareName", "There is no backup %q in that store. See: synod backup list.", from.Share)
	}
	if err != nil {
		return err
	}
	if !strings.HasPrefix(found.Network, "/subscriptions/") {
		return nil // made elsewhere, by no network of ours
	}
	return s.Allow(c.r.Context(), c.principal, Read, c.route.action, found.Network)
}

// mayLookInto refuses an address that is not one of the server's own stores to who
// operates nothing: the server would go there for whoever may read one network.
func (s *Server) mayLookInto(c *call, address string) error {
	if address == "" || strings.HasPrefix(address, "store:") {
		return nil
	}
	roles, err := s.rolesOf(c.r.Context(), c.principal)
	if err != nil || slices.ContainsFunc(roles, func(r RoleAssignment) bool { return slices.Contains(Roles[r.Role], Operate) }) {
		return err
	}
	return errorf(http.StatusForbidden, CodeAuthorizationFailed, "uri",
		"You are seen as %s, by %s, which has no role operator or owner anywhere. Without one only the server's own stores can be listed (store:NAME).", c.principal.Name, c.principal.Via)
}

// listBackups lists the backups of a store, of one network if the query names one.
func (s *Server) listBackups(c *call) error {
	out := page{Value: []any{}}
	if s.ListBackups == nil {
		return c.answer(http.StatusOK, out)
	}
	query := c.r.URL.Query()
	address := query.Get("uri")
	if err := s.mayLookInto(c, address); err != nil {
		return err
	}
	var f faults
	s.checkTarget(address, "uri", &f)
	if err := f.err(); err != nil {
		return err
	}
	all, err := s.ListBackups(c.r.Context(), address)
	if err != nil {
		return err
	}
	readable, err := s.readable(c.r.Context(), c.principal)
	if err != nil {
		return err
	}
	name := query.Get("network")
	for _, b := range all {
		if !readable(b.Network) || name != "" && !strings.EqualFold(path.Base(b.Network), name) {
			continue
		}
		b.Target = redact(b.Target)
		out.Value = append(out.Value, b)
	}
	return c.answer(http.StatusOK, out)
}

// restore makes a network of a backup, under its old name or a new one. As
// with Azure, a network of that name must be gone, or never have come to life, as
// after a restore that failed; OwnVersion may restore in place.
func (s *Server) restore(c *call) error {
	id := c.id()
	g, err := s.place(c, id)
	if err != nil {
		return err
	}
	var in restoreBody
	if err := c.decode(&in); err != nil {
		return err
	}
	var f faults
	from := s.source(c, in, &f)
	if err := f.err(); err != nil {
		return err
	}
	if err := s.mayUse(c, from); err != nil {
		return err
	}
	old, err := s.Store.Network(c.r.Context(), id)
	switch {
	case err == nil && c.own() && in.InPlace:
		return s.restoreInPlace(c, old, from)
	case err == nil && old.Desired.Deleted:
		return errorf(http.StatusConflict, CodeOperationNotAllowed, "", "The network %q is being deleted.", old.ID.Name)
	case err == nil && old.everServed():
		return errorf(http.StatusConflict, CodeAlreadyExists, "",
			"The network %q exists. Delete it first, restore under another name, or restore in place (api-version %s, inPlace).", old.ID.Name, OwnVersion)
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	n, cond := old, Precondition{Match: old.ETag}
	if err != nil {
		cond = Precondition{NoneMatch: true, NetworksMax: s.NetworksMax}
		n, _, err = s.Store.DeletedNetwork(c.r.Context(), id)
	}
	if errors.Is(err, ErrNotFound) {
		n, err = Network{Location: from.Region, Desired: newDesired()}, nil
	}
	if err != nil {
		return err
	}
	n.ID = NetworkID{id.Subscription, g.Name, id.Name}
	if from.Region != "" {
		n.Location = from.Region
	}
	if n.Location == "" {
		n.Location = g.Location
	}
	if err := s.checkLocation(n.Location, "restoreRegion"); err != nil {
		return err
	}
	if c.own() {
		s.apply(&n.Desired, propertiesInput{NodeCount: in.Nodes}, true, true, true, &f)
		if err := f.err(); err != nil {
			return err
		}
	}
	n.Desired.Deleted, n.Desired.DeleteProtection, n.Desired.RunningState = false, false, RunningActive
	n.Desired.RestoreFrom = &from
	n.Status = Status{}
	return s.startWith(c, n, cond, KindRestore, RestoreInput{RestoreSource: from})
}

func (s *Server) restoreInPlace(c *call, n Network, from RestoreSource) error {
	if n.Desired.Deleted {
		return errorf(http.StatusConflict, CodeOperationNotAllowed, "", "The network %q is being deleted.", n.ID.Name)
	}
	n.Desired.RestoreFrom = &from
	return s.startWith(c, n, Precondition{Match: n.ETag}, KindRestore, RestoreInput{RestoreSource: from, InPlace: true})
}

// startWith stores what is wanted of a network and begins the operation that brings it
// about, in one.
func (s *Server) startWith(c *call, n Network, cond Precondition, kind string, input any) error {
	b, err := json.Marshal(input)
	if err != nil {
		return err
	}
	n.ModifiedBy = c.principal.Name
	op := Operation{Kind: kind, Input: b, RequestedBy: c.principal.Name, RequestID: c.requestID}
	stored, err := s.Store.PutDesired(c.r.Context(), n, cond, &op)
	if err != nil {
		return err
	}
	return s.started(c, stored, op)
}

// rehearse restores a backup beside the network, checks it and throws it away.
func (s *Server) rehearse(c *call) error {
	n, err := s.ready(c)
	if err != nil {
		return err
	}
	var in restoreBody
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Share == nil && n.Status.LastBackup != nil {
		in.Share = &n.Status.LastBackup.Share
	}
	if in.URI == nil {
		in.URI = &n.Desired.Backup.Target
	}
	var f faults
	from := s.source(c, in, &f)
	if err := f.err(); err != nil {
		return err
	}
	if err := s.mayUse(c, from); err != nil {
		return err
	}
	return s.start(c, n, KindRehearse, RestoreInput{RestoreSource: from})
}

func (s *Server) upgrade(c *call) error {
	n, err := s.ready(c)
	if err != nil {
		return err
	}
	cond, err := c.precondition()
	if err != nil {
		return err
	}
	var in ownInput
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Release == nil {
		return errorf(http.StatusBadRequest, CodeInvalidContent, "release", "The release property is required: the name of a release, or empty for the server's own.")
	}
	if n.Desired.Deleted {
		return errorf(http.StatusConflict, CodeOperationNotAllowed, "", "The network %q is being deleted.", n.ID.Name)
	}
	var f faults
	s.applyOwn(&n.Desired, ownInput{Release: in.Release, UpgradeStrategy: in.UpgradeStrategy}, true, &f)
	if err := f.err(); err != nil {
		return err
	}
	if cond.Match == "" {
		cond.Match = n.ETag
	}
	return s.startWith(c, n, cond, KindUpgrade, UpgradeInput{Release: n.Desired.Release})
}

// renew renews node and service certificates now.
func (s *Server) renew(c *call) error {
	n, err := s.ready(c)
	if err != nil {
		return err
	}
	return s.start(c, n, KindRenew, struct{}{})
}

// recover begins a disaster recovery of a network that has lost its majority;
// its members' shares end it.
func (s *Server) recover(c *call) error {
	n, err := s.ready(c)
	if err != nil {
		return err
	}
	return s.start(c, n, KindRecover, struct{}{})
}

func (s *Server) replaceNode(c *call) error {
	n, err := s.ready(c)
	if err != nil {
		return err
	}
	ordinal, err := strconv.Atoi(c.params["ordinal"])
	for _, node := range n.Status.Nodes {
		if err == nil && node.Ordinal == ordinal && node.Role != RoleRetired {
			return s.start(c, n, KindReplace, ReplaceInput{Ordinal: ordinal})
		}
	}
	return errorf(http.StatusNotFound, CodeNotFound, "ordinal", "The network %q has no running node %.20q.", n.ID.Name, c.params["ordinal"])
}
