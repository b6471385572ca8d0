package arm

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
)

// findSubscription returns the subscription of the path if there is one.
func (s *Server) findSubscription(c *call) (subscription, error) {
	all, err := s.Store.subscriptions(c.r.Context())
	if err != nil {
		return subscription{}, err
	}
	for _, one := range all {
		if strings.EqualFold(one.ID, c.params["subscription"]) {
			return one, nil
		}
	}
	return subscription{}, errorf(http.StatusNotFound, CodeSubscriptionNotFound, "",
		"The subscription '%s' could not be found. A subscription comes with its first resource group; this server's own is %s.", c.params["subscription"], DefaultSubscription)
}

// group returns the resource group of the path.
func (s *Server) group(c *call) (group, error) {
	g, err := s.Store.group(c.r.Context(), c.params["subscription"], c.params["group"])
	if !errors.Is(err, ErrNotFound) {
		return g, err
	}
	if _, err := s.findSubscription(c); err != nil {
		return group{}, err
	}
	return group{}, errorf(http.StatusNotFound, CodeGroupNotFound, "", "Resource group '%s' could not be found.", c.params["group"])
}

type subscriptionOutput struct {
	ID       string `json:"id"`
	Plain    string `json:"subscriptionId"`
	TenantID string `json:"tenantId"`
	Name     string `json:"displayName"`
	State    string `json:"state"`
	Policies struct {
		Placement string `json:"locationPlacementId"`
		Quota     string `json:"quotaId"`
		Spending  string `json:"spendingLimit"`
	} `json:"subscriptionPolicies"`
	Source string `json:"authorizationSource"`
}

func (one subscription) output() subscriptionOutput {
	out := subscriptionOutput{ID: "/subscriptions/" + one.ID, Plain: one.ID, TenantID: tenantID, Name: one.Name, State: "Enabled", Source: "RoleBased"}
	out.Policies.Spending = "Off"
	return out
}

// tenantID is the one tenant of a server.
const tenantID = "00000000-0000-0000-0000-000000000000"

func (s *Server) tenants(c *call) error {
	return c.answer(http.StatusOK, page{Value: []any{map[string]string{
		"id": "/tenants/" + tenantID, "tenantId": tenantID, "displayName": "Synod", "tenantCategory": "Home",
	}}})
}

func (s *Server) subscriptions(c *call) error {
	all, err := s.Store.subscriptions(c.r.Context())
	if err != nil {
		return err
	}
	roles, err := s.rolesOf(c.r.Context(), c.principal)
	if err != nil {
		return err
	}
	out := page{Value: []any{}}
	for _, one := range all {
		if holds(roles, anywhere, "/subscriptions/"+one.ID) {
			out.Value = append(out.Value, one.output())
		}
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) subscription(c *call) error {
	one, err := s.findSubscription(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, one.output())
}

func (s *Server) locations(c *call) error {
	one, err := s.findSubscription(c)
	if err != nil {
		return err
	}
	out := page{Value: []any{}}
	for _, l := range s.locationList() {
		out.Value = append(out.Value, map[string]string{
			"id": "/subscriptions/" + one.ID + "/locations/" + normalLocation(l), "name": normalLocation(l), "displayName": l, "regionalDisplayName": l, "type": "Region",
		})
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) locationList() []string {
	if len(s.Locations) == 0 {
		return []string{"local", "southcentralus", "westeurope"}
	}
	return s.Locations
}

type groupOutput struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties struct {
		State string `json:"provisioningState"`
	} `json:"properties"`
}

func (g group) output() groupOutput {
	out := groupOutput{ID: g.id(), Name: g.Name, Type: "Microsoft.Resources/resourceGroups", Location: g.Location, Tags: g.Tags}
	out.Properties.State = StateSucceeded
	if g.Deleting {
		out.Properties.State = StateDeleting
	}
	return out
}

type groupInput struct {
	Location *string            `json:"location"`
	Tags     map[string]*string `json:"tags"`
}

func (s *Server) putGroup(c *call) error {
	g := group{Subscription: c.params["subscription"], Name: c.params["group"]}
	if err := checkID(NetworkID{g.Subscription, g.Name, ""}); err != nil {
		return err
	}
	var in groupInput
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.Location == nil || *in.Location == "" {
		return errorf(http.StatusBadRequest, CodeLocationRequired, "location", "The location property is required for this definition.")
	}
	g.Location = normalLocation(*in.Location)
	if err := s.checkLocation(g.Location, "location"); err != nil {
		return err
	}
	var f faults
	g.Tags = applyTags(nil, in.Tags, &f)
	if err := f.err(); err != nil {
		return err
	}
	created, err := s.Store.putGroup(c.r.Context(), g)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return c.answer(status, g.output())
}

func (s *Server) patchGroup(c *call) error {
	g, err := s.group(c)
	if err != nil {
		return err
	}
	var in groupInput
	if err := c.decode(&in); err != nil {
		return err
	}
	var f faults
	g.Tags = applyTags(g.Tags, in.Tags, &f)
	if err := f.err(); err != nil {
		return err
	}
	if _, err := s.Store.putGroup(c.r.Context(), g); err != nil {
		return err
	}
	return c.answer(http.StatusOK, g.output())
}

func (s *Server) getGroup(c *call) error {
	g, err := s.group(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, g.output())
}

func (s *Server) headGroup(c *call) error {
	if _, err := s.group(c); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}

func (s *Server) listGroups(c *call) error {
	if _, err := s.findSubscription(c); err != nil {
		return err
	}
	all, err := s.Store.groups(c.r.Context(), c.params["subscription"])
	if err != nil {
		return err
	}
	roles, err := s.rolesOf(c.r.Context(), c.principal)
	if err != nil {
		return err
	}
	out := page{Value: []any{}}
	for _, g := range all {
		if holds(roles, anywhere, g.id()) {
			out.Value = append(out.Value, g.output())
		}
	}
	return c.answer(http.StatusOK, out)
}

// deleteGroup deletes a group's networks, and the group with the last of them.
// One that is protected keeps all of them.
func (s *Server) deleteGroup(c *call) error {
	g, err := s.group(c)
	if err != nil {
		return err
	}
	inside, err := s.Store.Networks(c.r.Context(), Filter{Subscription: g.Subscription, Group: g.Name})
	if err != nil {
		return err
	}
	for _, n := range inside {
		if n.Desired.DeleteProtection {
			return errorf(http.StatusConflict, CodeScopeLocked, "", "The network %q in this group is protected from deletion.", n.ID.Name)
		}
	}
	if err := s.Store.markGroup(c.r.Context(), g, true); err != nil {
		return err
	}
	for _, n := range inside {
		if _, err := s.startDelete(c, n); err != nil {
			return err
		}
	}
	c.w.Header().Set("Location", c.groupResultLink(g))
	c.w.Header().Set("Retry-After", "1")
	return c.empty(http.StatusAccepted)
}

func (c *call) groupResultLink(g group) string {
	return c.link("/subscriptions/"+g.Subscription+"/operationresults/"+base64.RawURLEncoding.EncodeToString([]byte(g.Name))) + "?api-version=" + c.version
}

// groupResult is where a group's deletion leads: 202 until it is gone.
func (s *Server) groupResult(c *call) error {
	name, err := base64.RawURLEncoding.DecodeString(c.params["operation"])
	if err != nil {
		return errorf(http.StatusNotFound, CodeOperationNotFound, "", "There is no such operation.")
	}
	g, err := s.Store.group(c.r.Context(), c.params["subscription"], string(name))
	if errors.Is(err, ErrNotFound) {
		return c.empty(http.StatusOK)
	}
	if err != nil {
		return err
	}
	inside, err := s.Store.Networks(c.r.Context(), Filter{Subscription: g.Subscription, Group: g.Name})
	if err != nil {
		return err
	}
	for _, n := range inside {
		last, err := s.Store.Operations(c.r.Context(), n.ID, 1)
		if err != nil {
			return err
		}
		if len(last) > 0 && last[0].Kind == KindDelete && last[0].Error != nil {
			failure := *last[0].Error
			failure.Status = http.StatusConflict
			return errors.Join(s.Store.markGroup(c.r.Context(), g, false), &failure)
		}
	}
	if !g.Deleting {
		return errorf(http.StatusNotFound, CodeOperationNotFound, "", "The resource group %q is not being deleted.", g.Name)
	}
	c.w.Header().Set("Location", c.groupResultLink(g))
	c.w.Header().Set("Retry-After", "1")
	return c.empty(http.StatusAccepted)
}
