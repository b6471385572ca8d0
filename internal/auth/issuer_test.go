package auth

import "testing"

func TestSplitURL(t *testing.T) {
	for url, want := range map[string][2]string{
		"https://a.b/c/d?x#y":    {"a.b", "/c/d"},
		"https://a.b:443/c":      {"a.b", "/c"},
		"https://a.b":            {"a.b", ""},
		"https://a.b?x/y":        {"a.b", ""},
		"https://[::1]:443/c":    {"[::1]", "/c"},
		"https://[::1]/c":        {"[::1]", "/c"},
		"//a.b/c":                {"a.b", "/c"},
		"issuer":                 {"", "issuer"},
		"a.b/c":                  {"", "a.b/c"},
		"urn:a:b":                {"", "a:b"},
		"":                       {"", ""},
		"https://a.b#//evil/c":   {"a.b", ""},
		"https://a.b@evil.com/c": {"a.b@evil.com", "/c"},
	} {
		host, path := splitURL(url)
		if host != want[0] || path != want[1] {
			t.Errorf("%s: %q %q, want %q", url, host, path, want)
		}
	}
}

func TestIssuerAllowed(t *testing.T) {
	tid := func(s string) *string { return &s }
	const multi = "https://login.microsoftonline.com/{tenantid}/v2.0"
	for name, tc := range map[string]struct {
		iss        string
		tid        *string
		constraint string
		want       bool
	}{
		"equal":                         {"https://a", nil, "https://a", true},
		"different":                     {"https://a/", nil, "https://a", false},
		"tid elsewhere":                 {"https://a", tid("t"), "https://a", false},
		"tenant":                        {"https://login.microsoftonline.com/t/v2.0", tid("t"), multi, true},
		"other tenant":                  {"https://login.microsoftonline.com/t/v2.0", tid("u"), multi, false},
		"no tenant":                     {"https://login.microsoftonline.com/t/v2.0", nil, multi, false},
		"one tenant":                    {"https://login.microsoftonline.com/t/v2.0", tid("t"), "https://login.microsoftonline.com/t/v2.0", true},
		"one tenant, token of another":  {"https://login.microsoftonline.com/t/v2.0", tid("u"), "https://login.microsoftonline.com/t/v2.0", false},
		"tenant that looks like a path": {"https://login.microsoftonline.com/t/x/v2.0", tid("t/x"), multi, false},
		"empty tenant":                  {"https://login.microsoftonline.com//v2.0", tid(""), multi, false},
	} {
		if got := issuerAllowed(tc.iss, tc.tid, tc.constraint); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
