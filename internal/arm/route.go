package arm

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one operation of the API.
type route struct {
	method  string
	path    string // lower-case segments; {name} takes any one
	version versionRule
	right   Right  // what the caller needs at the route's scope
	action  string // the name that roles, audit log and 403 use
	handle  func(*Server, *call) error

	segments []string
}

// versionRule says which api-versions a route takes.
type versionRule int

const (
	versionAny     versionRule = iota // any well-formed one: clients of these have their own
	versionNetwork                    // those of networks
	versionOwn                        // only ours: the operation is not Azure's
	versionNone                       // none is asked for
)

// open is the right of who has none: the route asks for no authentication.
const open Right = ""

const networkType = providerName + "/managedCCFs"

// routes are tried in order: what is spelled out stands before what takes any
// segment.
var routes = parseRoutes([]route{
	{"GET", "metadata/endpoints", versionNone, open, "", (*Server).endpoints, nil},
	{"GET", "healthz", versionNone, open, "", (*Server).health, nil},
	{"GET", "metrics", versionNone, Read, "metrics/read", (*Server).metrics, nil},
	{"GET", "ledgeridentity/{name}", versionNone, open, "", (*Server).identity, nil},

	{"GET", "tenants", versionAny, anywhere, "tenants/read", (*Server).tenants, nil},
	{"GET", "subscriptions", versionAny, anywhere, "subscriptions/read", (*Server).subscriptions, nil},
	{"GET", "subscriptions/{subscription}", versionAny, anywhere, "subscriptions/read", (*Server).subscription, nil},
	{"GET", "subscriptions/{subscription}/locations", versionAny, anywhere, "subscriptions/locations/read", (*Server).locations, nil},

	{"GET", "subscriptions/{subscription}/resourcegroups", versionAny, anywhere, "resourceGroups/read", (*Server).listGroups, nil},
	{"PUT", "subscriptions/{subscription}/resourcegroups/{group}", versionAny, Write, "resourceGroups/write", (*Server).putGroup, nil},
	{"PATCH", "subscriptions/{subscription}/resourcegroups/{group}", versionAny, Write, "resourceGroups/write", (*Server).patchGroup, nil},
	{"GET", "subscriptions/{subscription}/resourcegroups/{group}", versionAny, anywhere, "resourceGroups/read", (*Server).getGroup, nil},
	{"HEAD", "subscriptions/{subscription}/resourcegroups/{group}", versionAny, anywhere, "resourceGroups/read", (*Server).headGroup, nil},
	{"DELETE", "subscriptions/{subscription}/resourcegroups/{group}", versionAny, Delete, "resourceGroups/delete", (*Server).deleteGroup, nil},
	{"GET", "subscriptions/{subscription}/operationresults/{operation}", versionAny, anywhere, "resourceGroups/read", (*Server).groupResult, nil},
	{"GET", "subscriptions/{subscription}/resources", versionAny, anywhere, networkType + "/read", (*Server).listNetworks, nil},
	{"GET", "subscriptions/{subscription}/resourcegroups/{group}/resources", versionAny, anywhere, networkType + "/read", (*Server).listNetworks, nil},

	{"GET", "subscriptions/{subscription}/providers/microsoft.confidentialledger/managedccfs", versionNetwork, anywhere, networkType + "/read", (*Server).listNetworks, nil},
	{"POST", "subscriptions/{subscription}/providers/microsoft.confidentialledger/checknameavailability", versionNetwork, anywhere, providerName + "/checkNameAvailability/action", (*Server).checkName, nil},
	{"GET", "subscriptions/{subscription}/providers/microsoft.confidentialledger/backups", versionOwn, anywhere, networkType + "/backups/read", (*Server).listBackups, nil},
	{"GET", "providers/microsoft.confidentialledger/operations", versionNetwork, anywhere, providerName + "/operations/read", (*Server).listOperationNames, nil},
	{"GET", "providers/microsoft.confidentialledger/locations/{location}/operationstatuses/{operation}", versionAny, anywhere, networkType + "/read", (*Server).operationStatus, nil},
	{"GET", "providers/microsoft.confidentialledger/locations/{location}/operationresults/{operation}", versionAny, anywhere, networkType + "/read", (*Server).operationResult, nil},
	{"POST", "providers/microsoft.confidentialledger/locations/{location}/operationstatuses/{operation}/cancel", versionOwn, anywhere, networkType + "/cancel/action", (*Server).cancelOperation, nil},
	{"GET", "subscriptions/{subscription}/resourcegroups/{group}/providers/microsoft.confidentialledger/managedccfs", versionNetwork, anywhere, networkType + "/read", (*Server).listNetworks, nil},
	{"PUT", networkPath, versionNetwork, Write, networkType + "/write", (*Server).putNetwork, nil},
	{"GET", networkPath, versionNetwork, Read, networkType + "/read", (*Server).getNetwork, nil},
	{"HEAD", networkPath, versionNetwork, Read, networkType + "/read", (*Server).headNetwork, nil},
	{"PATCH", networkPath, versionNetwork, Operate, networkType + "/write", (*Server).patchNetwork, nil},
	{"DELETE", networkPath, versionNetwork, Delete, networkType + "/delete", (*Server).deleteNetwork, nil},
	{"POST", networkPath + "/backup", versionNetwork, Operate, networkType + "/backup/action", (*Server).backup, nil},
	{"POST", networkPath + "/restore", versionNetwork, Write, networkType + "/restore/action", (*Server).restore, nil},
	{"POST", networkPath + "/rehearse", versionOwn, Operate, networkType + "/rehearse/action", (*Server).rehearse, nil},
	{"POST", networkPath + "/upgrade", versionOwn, Operate, networkType + "/upgrade/action", (*Server).upgrade, nil},
	{"POST", networkPath + "/renew", versionOwn, Operate, networkType + "/renew/action", (*Server).renew, nil},
	{"POST", networkPath + "/recover", versionOwn, Operate, networkType + "/recover/action", (*Server).recover, nil},
	{"POST", networkPath + "/nodes/{ordinal}/replace", versionOwn, Operate, networkType + "/nodes/replace/action", (*Server).replaceNode, nil},
	{"GET", networkPath + "/operations", versionOwn, Read, networkType + "/operations/read", (*Server).listOperations, nil},
	{"GET", networkPath + "/logs", versionOwn, Read, networkType + "/logs/read", (*Server).listLogs, nil},
	{"GET", networkPath + "/metrics", versionOwn, Read, networkType + "/metrics/read", (*Server).measure, nil},
	{"GET", networkPath + "/audit", versionOwn, Read, networkType + "/audit/read", (*Server).listAudit, nil},

	{"GET", "subscriptions/{subscription}/providers/microsoft.features/features", versionAny, anywhere, "Microsoft.Features/features/read", (*Server).listFeatures, nil},
	{"GET", "subscriptions/{subscription}/providers/microsoft.features/providers/{namespace}/features", versionAny, anywhere, "Microsoft.Features/features/read", (*Server).listFeatures, nil},
	{"GET", "subscriptions/{subscription}/providers/microsoft.features/providers/{namespace}/features/{feature}", versionAny, anywhere, "Microsoft.Features/features/read", (*Server).getFeature, nil},
	{"POST", "subscriptions/{subscription}/providers/microsoft.features/providers/{namespace}/features/{feature}/register", versionAny, Write, "Microsoft.Features/features/register/action", (*Server).registerFeature, nil},
	{"POST", "subscriptions/{subscription}/providers/microsoft.features/providers/{namespace}/features/{feature}/unregister", versionAny, Write, "Microsoft.Features/features/unregister/action", (*Server).registerFeature, nil},
	{"GET", "subscriptions/{subscription}/providers", versionAny, anywhere, "providers/read", (*Server).listProviders, nil},
	{"GET", "subscriptions/{subscription}/providers/{namespace}", versionAny, anywhere, "providers/read", (*Server).getProvider, nil},
	{"POST", "subscriptions/{subscription}/providers/{namespace}/register", versionAny, Write, "register/action", (*Server).registerProvider, nil},
	{"POST", "subscriptions/{subscription}/providers/{namespace}/unregister", versionAny, Write, "unregister/action", (*Server).registerProvider, nil},
	{"GET", "providers/{namespace}", versionAny, anywhere, "providers/read", (*Server).getProvider, nil},
})

const networkPath = "subscriptions/{subscription}/resourcegroups/{group}/providers/microsoft.confidentialledger/managedccfs/{name}"

func parseRoutes(all []route) []route {
	for i := range all {
		all[i].segments = strings.Split(all[i].path, "/")
	}
	return all
}

// IsPath reports whether a path is of this API: what is not may be another
// handler's.
func IsPath(path string) bool {
	first, _, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(path, "/")), "/")
	return slices.ContainsFunc(routes, func(r route) bool { return r.segments[0] == first })
}

// findRoute returns the route of a request and what its path says in the
// caller's own case. Without a route, allowed are the methods that the path
// has.
func findRoute(method, escapedPath string) (found *route, params map[string]string, allowed []string) {
	var segments, lower []string
	for s := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(escapedPath, "/"), "/"), "/") {
		plain, err := url.PathUnescape(s)
		if err != nil || plain == "" {
			return nil, nil, nil
		}
		segments, lower = append(segments, plain), append(lower, strings.ToLower(plain))
	}
	for i := range routes {
		r := &routes[i]
		p, ok := r.match(segments, lower)
		if !ok {
			continue
		}
		if r.method == method {
			return r, p, nil
		}
		allowed = append(allowed, r.method)
	}
	return nil, nil, allowed
}

func (r *route) match(segments, lower []string) (map[string]string, bool) {
	if len(r.segments) != len(segments) {
		return nil, false
	}
	params := map[string]string{}
	for i, s := range r.segments {
		if name, ok := strings.CutPrefix(s, "{"); ok {
			params[strings.TrimSuffix(name, "}")] = segments[i]
		} else if s != lower[i] {
			return nil, false
		}
	}
	return params, true
}

// writes reports whether a request of the route may change something.
func (r *route) writes() bool { return r.method != http.MethodGet && r.method != http.MethodHead }

// scope returns the resource id at which the caller of a route needs its right.
func scope(params map[string]string) string {
	var b strings.Builder
	if s, ok := params["subscription"]; ok {
		b.WriteString("/subscriptions/" + s)
	}
	if g, ok := params["group"]; ok {
		b.WriteString("/resourceGroups/" + g)
	}
	if n, ok := params["name"]; ok {
		b.WriteString("/providers/" + networkType + "/" + n)
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}
