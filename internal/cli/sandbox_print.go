package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"sort"
	"strings"
	"time"
)

// sandboxInfo is what sandbox prints as JSON, and writes to sandbox.json in
// its directory once the service is open.
type sandboxInfo struct {
	URL         string   `json:"url"`
	Dir         string   `json:"dir"`
	ServiceCert string   `json:"service_cert"`
	Members     []string `json:"members"` // for --as
	User        string   `json:"user"`    // user0_cert.pem and user0_privk.pem begin with this
	App         string   `json:"app"`
	OpenSeconds float64  `json:"open_seconds"`
	Commands    []string `json:"commands"`
	// Others are the nodes besides the first.
	Others []*otherNode `json:"others,omitempty"`
}

// announce says that the service is open, and what to type.
func (s *sandbox) announce(p *printer, r *sandboxNode, bundleJSON []byte, took time.Duration) error {
	info := sandboxInfo{
		URL: r.url, Dir: s.dir, ServiceCert: s.path("service_cert.pem"), User: s.path("user0"),
		Others: r.others, App: s.app, OpenSeconds: took.Round(time.Millisecond).Seconds(),
	}
	for i := range s.members {
		info.Members = append(info.Members, s.path(memberName(i)))
	}
	info.Commands = append([]string{info.curl("GET", "/node/network", nil, false)}, info.appCommands(bundleJSON)...)
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	// A script that waits for this file must not see half of it.
	if err := os.WriteFile(s.path("sandbox.json.new"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	if err := os.Rename(s.path("sandbox.json.new"), s.path("sandbox.json")); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	if p.format == formatJSON {
		return p.json(info)
	}
	size := "one node"
	if s.nodes > 1 {
		size = fmt.Sprintf("%d nodes", s.nodes)
	}
	fmt.Fprintf(p.out, "A service of %s and %s is open at %s (in %.2f s).\nKeys, ledger and log: %s\n\n", size, counted(s.members, "member"), info.URL, info.OpenSeconds, s.dir)
	for _, o := range info.Others {
		fmt.Fprintf(p.out, "Zone %s: %s, process %d, %s\n", o.Zone, o.URL, o.PID, o.Dir)
	}
	for _, command := range info.Commands {
		fmt.Fprintln(p.out, command)
	}
	fmt.Fprintf(p.out, "\nexport SYNOD_URL=%s SYNOD_SERVICE_CERT=%s\n", quote(info.URL), quote(info.ServiceCert))
	if bundleJSON == nil {
		as := ""
		for _, m := range info.Members {
			as += " --as " + quote(m)
		}
		fmt.Fprintf(p.out, "synod app deploy DIR%s   # there is no application yet\n", as)
	}
	fmt.Fprintf(p.out, "synod ledger verify %s\n\n", quote(s.path("ledger")))
	what := "Ctrl-C stops the service; " + s.dir + " is kept."
	if s.temp {
		what = "Ctrl-C stops the service and leaves nothing behind."
	}
	_, err = fmt.Fprintln(p.out, what)
	return err
}

// curl is a command that works as it is.
func (i *sandboxInfo) curl(method, path string, body []byte, asUser bool) string {
	parts := []string{"curl -sS --cacert", quote(i.ServiceCert)}
	if asUser {
		cert, key := keyFiles(i.User)
		parts = append(parts, "--cert", quote(cert), "--key", quote(key))
	}
	if method != "GET" {
		parts = append(parts, "-X", method)
	}
	if body != nil {
		parts = append(parts, "-H 'content-type: application/json' --data", quote(string(body)))
	}
	return strings.Join(append(parts, quote(i.URL+path)), " ")
}

// operation is the part of an endpoint's entry that a command is made of.
type operation struct {
	AuthnPolicies []json.RawMessage `json:"authn_policies"`
	OpenAPI       struct {
		Parameters []struct {
			Name     string `json:"name"`
			In       string `json:"in"`
			Required bool   `json:"required"`
			Example  any    `json:"example"`
		} `json:"parameters"`
		RequestBody *struct {
			Content map[string]struct {
				Example json.RawMessage `json:"example"`
			} `json:"content"`
		} `json:"requestBody"`
	} `json:"openapi"`
}

// appCommands makes a command for each endpoint whose OpenAPI examples say
// enough: first those that write, so that those that read find something.
func (i *sandboxInfo) appCommands(bundleJSON []byte) []string {
	var b struct {
		Metadata struct {
			Endpoints map[string]map[string]operation `json:"endpoints"`
		} `json:"metadata"`
	}
	if bundleJSON == nil || json.Unmarshal(bundleJSON, &b) != nil {
		return nil
	}
	paths := make([]string, 0, len(b.Metadata.Endpoints))
	for path := range b.Metadata.Endpoints {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	var out []string
	const shownMax = 8
	for _, method := range []string{"POST", "PUT", "GET"} {
		for _, path := range paths {
			for name, op := range b.Metadata.Endpoints[path] {
				if strings.ToUpper(name) != method || len(out) >= shownMax {
					continue
				}
				if target, body, ok := op.example(method, path); ok {
					out = append(out, i.curl(method, "/app"+target, body, !op.anybody()))
				}
			}
		}
	}
	return out
}

// anybody says that no client certificate is needed.
func (op *operation) anybody() bool {
	return len(op.AuthnPolicies) == 0 || slices.ContainsFunc(op.AuthnPolicies, func(p json.RawMessage) bool { return string(p) == `"no_auth"` })
}

// example fills in a path and a body; ok is false when something is missing.
func (op *operation) example(method, path string) (target string, body []byte, ok bool) {
	query := url.Values{}
	for _, p := range op.OpenAPI.Parameters {
		switch {
		case p.Example == nil && !p.Required:
		case p.Example == nil:
			return "", nil, false
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(fmt.Sprint(p.Example)))
		case p.In == "query":
			query.Set(p.Name, fmt.Sprint(p.Example))
		}
	}
	if strings.Contains(path, "{") {
		return "", nil, false
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	if method == "GET" {
		return path, nil, true
	}
	if op.OpenAPI.RequestBody == nil {
		return "", nil, false
	}
	example := op.OpenAPI.RequestBody.Content["application/json"].Example
	return path, example, example != nil
}

// quote makes a word of a POSIX shell.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
