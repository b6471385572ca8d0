package auth

import "strings"

// The host of Microsoft Entra ID and the placeholder in the issuers of its
// multi-tenant keys.
const (
	entraHost   = "login.microsoftonline.com"
	tenantPlace = "{tenantid}"
)

// issuerAllowed says whether a token's iss and tid claims meet a key's
// constraint. Outside Entra iss must equal it and tid, a claim of Entra's
// own, must be absent. For Entra the tenant replaces the placeholder and must
// also be the first segment of iss's path
// (CCF: src/endpoints/authentication/jwt_auth.cpp, validate_issuer).
func issuerAllowed(iss string, tid *string, constraint string) bool {
	if host, _ := splitURL(constraint); host != entraHost {
		return tid == nil && iss == constraint
	}
	if tid == nil {
		return false
	}
	if iss != strings.Replace(constraint, tenantPlace, *tid, 1) {
		return false
	}
	_, path := splitURL(iss)
	for segment := range strings.SplitSeq(path, "/") {
		if segment != "" {
			return segment == *tid
		}
	}
	return false
}

// splitURL takes host and path out of a URL by the regular expression of RFC
// 3986, appendix B, which refuses nothing.
func splitURL(url string) (host, path string) {
	if i := strings.IndexAny(url, "?#"); i >= 0 {
		url = url[:i]
	}
	if i := strings.IndexAny(url, ":/"); i > 0 && url[i] == ':' {
		url = url[i+1:]
	}
	rest, ok := strings.CutPrefix(url, "//")
	if !ok {
		return "", url
	}
	host, path = rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	// A port follows the closing bracket of an IPv6 address.
	if i := strings.IndexByte(host[strings.LastIndexByte(host, ']')+1:], ':'); i >= 0 {
		host = host[:strings.LastIndexByte(host, ']')+1+i]
	}
	return host, path
}
