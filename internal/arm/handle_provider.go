package arm

import (
	"net/http"
	"strings"
)

// namespaces are the providers that clients ask about.
var namespaces = []string{providerName, "Microsoft.Features", "Microsoft.Resources"}

func (s *Server) namespace(c *call) (string, error) {
	for _, n := range namespaces {
		if strings.EqualFold(n, c.params["namespace"]) {
			return n, nil
		}
	}
	return "", errorf(http.StatusNotFound, CodeInvalidNamespace, "", "The resource namespace '%.60s' is invalid.", c.params["namespace"])
}

// checkRegistered refuses a write in a subscription that has unregistered the
// provider, with the code at which clients register it again by themselves.
func (s *Server) checkRegistered(c *call) error {
	state, err := s.Store.registration(c.r.Context(), c.params["subscription"], providerName)
	if err == nil && state != registered {
		err = errorf(http.StatusConflict, CodeMissingRegistration, "", "The subscription is not registered to use namespace '%s'.", providerName)
		err.(*Error).Details = []Error{{Code: CodeMissingRegistration, Target: providerName, Message: "Register the provider."}} //nolint:errorlint // made above
	}
	return err
}

type providerOutput struct {
	ID        string         `json:"id,omitempty"`
	Namespace string         `json:"namespace"`
	Policy    string         `json:"registrationPolicy,omitempty"`
	State     string         `json:"registrationState,omitempty"`
	Types     []resourceType `json:"resourceTypes"`
}

type resourceType struct {
	Name         string   `json:"resourceType"`
	Locations    []string `json:"locations"`
	Versions     []string `json:"apiVersions"`
	Default      string   `json:"defaultApiVersion,omitempty"`
	Capabilities string   `json:"capabilities,omitempty"`
}

func (s *Server) provider(c *call, namespace string) (providerOutput, error) {
	out := providerOutput{Namespace: namespace, Types: []resourceType{}}
	if namespace == providerName {
		out.Types = []resourceType{
			{"managedCCFs", s.locationList(), versions, versions[len(versions)-2], "SupportsTags, SupportsLocation"},
			{"checkNameAvailability", []string{}, versions, "", ""},
			{"operations", []string{}, versions, "", ""},
			{"locations/operationStatuses", s.locationList(), []string{statusVersion, OwnVersion}, "", ""},
			{"locations/operationResults", s.locationList(), []string{statusVersion, OwnVersion}, "", ""},
		}
	}
	sub, ok := c.params["subscription"]
	if !ok {
		return out, nil
	}
	if _, err := s.findSubscription(c); err != nil {
		return out, err
	}
	state, err := s.Store.registration(c.r.Context(), sub, namespace)
	out.ID, out.Policy, out.State = "/subscriptions/"+sub+"/providers/"+namespace, "RegistrationRequired", state
	return out, err
}

func (s *Server) getProvider(c *call) error {
	namespace, err := s.namespace(c)
	if err != nil {
		return err
	}
	out, err := s.provider(c, namespace)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) listProviders(c *call) error {
	list := page{Value: []any{}}
	for _, n := range namespaces {
		out, err := s.provider(c, n)
		if err != nil {
			return err
		}
		list.Value = append(list.Value, out)
	}
	return c.answer(http.StatusOK, list)
}

// newState is the state that the path's last word asks for.
func newState(c *call) string {
	if strings.HasSuffix(c.route.path, "/unregister") {
		return unregistered
	}
	return registered
}

func (s *Server) registerProvider(c *call) error {
	namespace, err := s.namespace(c)
	if err != nil {
		return err
	}
	if _, err := s.findSubscription(c); err != nil {
		return err
	}
	if err := s.Store.register(c.r.Context(), c.params["subscription"], namespace, newState(c)); err != nil {
		return err
	}
	return s.getProvider(c)
}

// features are those that Azure's pages have their readers register.
var features = []string{"ManagedCCF"}

type featureOutput struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Properties struct {
		State string `json:"state"`
	} `json:"properties"`
}

func (s *Server) feature(c *call, name string) (featureOutput, error) {
	sub := c.params["subscription"]
	out := featureOutput{
		ID:   "/subscriptions/" + sub + "/providers/Microsoft.Features/providers/" + providerName + "/features/" + name,
		Name: providerName + "/" + name, Type: "Microsoft.Features/providers/features",
	}
	state, err := s.Store.registration(c.r.Context(), sub, providerName+"/"+name)
	out.Properties.State = state
	return out, err
}

func (s *Server) listFeatures(c *call) error {
	if _, err := s.findSubscription(c); err != nil {
		return err
	}
	list := page{Value: []any{}}
	for _, name := range features {
		if n, ok := c.params["namespace"]; ok && !strings.EqualFold(n, providerName) {
			break
		}
		out, err := s.feature(c, name)
		if err != nil {
			return err
		}
		list.Value = append(list.Value, out)
	}
	return c.answer(http.StatusOK, list)
}

// findFeature returns the feature of the path as it is spelled here.
func (s *Server) findFeature(c *call) (string, error) {
	if _, err := s.findSubscription(c); err != nil {
		return "", err
	}
	for _, name := range features {
		if strings.EqualFold(c.params["namespace"], providerName) && strings.EqualFold(c.params["feature"], name) {
			return name, nil
		}
	}
	return "", errorf(http.StatusNotFound, CodeFeatureNotFound, "", "There is no such feature; there is %s/%s.", providerName, features[0])
}

func (s *Server) getFeature(c *call) error {
	name, err := s.findFeature(c)
	if err != nil {
		return err
	}
	out, err := s.feature(c, name)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, out)
}

func (s *Server) registerFeature(c *call) error {
	name, err := s.findFeature(c)
	if err != nil {
		return err
	}
	if err := s.Store.register(c.r.Context(), c.params["subscription"], providerName+"/"+name, newState(c)); err != nil {
		return err
	}
	return s.getFeature(c)
}

// listOperationNames lists what can be done, for clients that build role
// definitions of it.
func (s *Server) listOperationNames(c *call) error {
	type display struct {
		Provider    string `json:"provider"`
		Resource    string `json:"resource"`
		Operation   string `json:"operation"`
		Description string `json:"description"`
	}
	type operationName struct {
		Name         string  `json:"name"`
		IsDataAction bool    `json:"isDataAction"`
		Display      display `json:"display"`
	}
	list := page{Value: []any{}}
	for _, o := range []struct{ name, verb, what string }{
		{"read", "Read", "Reads a network, or lists them"},
		{"write", "Write", "Creates a network or changes one"},
		{"delete", "Delete", "Deletes a network"},
		{"backup/action", "Back up", "Copies a network's ledger and snapshots to a backup store"},
		{"restore/action", "Restore", "Makes a network of a backup"},
	} {
		list.Value = append(list.Value, operationName{networkType + "/" + o.name, false, display{"Synod", "Managed CCF", o.verb, o.what}})
	}
	list.Value = append(list.Value, operationName{
		providerName + "/checkNameAvailability/action", false,
		display{"Synod", "Managed CCF", "Check name", "Says whether a network may have a name"},
	})
	return c.answer(http.StatusOK, list)
}

// endpoints is what a client asks first that was only given this server's
// address: where the rest is.
func (s *Server) endpoints(c *call) error {
	base := c.link("")
	authority := base
	if s.Auth.config.Issuer != "" {
		authority = s.Auth.config.Issuer
	}
	audience := base
	if s.Auth.config.Audience != "" {
		audience = s.Auth.config.Audience
	}
	type authentication struct {
		LoginEndpoint    string   `json:"loginEndpoint"`
		Audiences        []string `json:"audiences"`
		Tenant           string   `json:"tenant"`
		IdentityProvider string   `json:"identityProvider"`
	}
	out := struct {
		Name            string            `json:"name,omitempty"`
		Gallery         string            `json:"galleryEndpoint"`
		Graph           string            `json:"graphEndpoint"`
		Portal          string            `json:"portalEndpoint"`
		Portal2         string            `json:"portal,omitempty"`
		ResourceManager string            `json:"resourceManager,omitempty"`
		Authentication  authentication    `json:"authentication"`
		Suffixes        map[string]string `json:"suffixes,omitempty"`
	}{
		Gallery: base, Graph: base, Portal: base,
		Authentication: authentication{authority, []string{audience}, "common", "AAD"},
	}
	// Since 2019 the answer is a list of clouds with more in each.
	if v := c.r.URL.Query().Get("api-version"); v >= "2019" {
		out.Name, out.Portal2, out.ResourceManager, out.Suffixes = "Synod", base, base, map[string]string{}
		if v >= "2022" {
			return c.answer(http.StatusOK, []any{out})
		}
	}
	return c.answer(http.StatusOK, out)
}
