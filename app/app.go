package app

import (
	"log/slog"
	"slices"
)

// App is a named set of endpoints. Declare everything before it is served;
// afterwards it is read-only and may be used from several goroutines.
type App struct {
	name      string
	title     string
	desc      string
	version   string
	endpoints []*Endpoint
	dynamic   Resolver
	common    []string // which of the common endpoints, nil for all
	genesis   func(Tx) ([32]byte, error)
	onStart   []func(*slog.Logger)
	indexes   []Index
}

// Resolver finds endpoints that are not declared in code, such as those of a
// JavaScript bundle in the tables.
type Resolver interface {
	// Resolve finds the endpoint for a request whose path is without the
	// front end's prefix. A nil Match means that the path is unknown; a Match
	// without Endpoint lists the methods that the path does have.
	Resolve(tx Tx, method, path string) (*Match, error)
	// List returns every endpoint there is in tx's snapshot, for /api.
	List(tx Tx) ([]*Endpoint, error)
}

// Match is the outcome of looking a path up.
type Match struct {
	Endpoint *Endpoint
	Params   []Param
	Allow    []string // methods that the path has, when Endpoint is nil
}

// Param is one value of a path template.
type Param struct{ Name, Value string }

// New makes an empty application.
func New(name string) *App { return &App{name: name, title: name, version: "1.0.0"} }

// Name is what New was given.
func (a *App) Name() string { return a.name }

// Describe sets title, description and version of the OpenAPI document.
func (a *App) Describe(title, description, version string) *App {
	a.title, a.desc, a.version = title, description, version
	return a
}

// Info returns what Describe was given.
func (a *App) Info() (title, description, version string) { return a.title, a.desc, a.version }

// OnlyCommonEndpoints leaves out the common endpoints (/commit, /tx, /receipt
// and /api) that are not among paths; without paths, all of them.
func (a *App) OnlyCommonEndpoints(paths ...string) *App {
	a.common = append([]string{}, paths...)
	return a
}

// HasCommonEndpoint says whether the front end adds the common endpoint of
// that path.
func (a *App) HasCommonEndpoint(path string) bool {
	return a.common == nil || slices.Contains(a.common, path)
}

// Resolve sets where endpoints that are not declared are looked up.
func (a *App) Resolve(r Resolver) *App { a.dynamic = r; return a }

// Resolver returns what Resolve was given, or nil.
func (a *App) Resolver() Resolver { return a.dynamic }

// ClaimAtGenesis sets what the first transaction of a service claims. claim
// reads that transaction: constitution, members, configuration. Receipts of
// it then prove the claim (CCF: src/node/rpc/node_frontend.h,
// get_create_tx_claims_digest).
func (a *App) ClaimAtGenesis(claim func(tx Tx) ([32]byte, error)) *App { a.genesis = claim; return a }

// OnStart has f run when a node starts that serves the application, with the
// node's logger: what an application logs goes there.
func (a *App) OnStart(f func(log *slog.Logger)) *App { a.onStart = append(a.onStart, f); return a }

// Started is for nodes: it runs what OnStart was given.
func (a *App) Started(log *slog.Logger) {
	for _, f := range a.onStart {
		f(log)
	}
}

// GenesisClaim is for nodes: the claim of the first transaction, zeros if
// ClaimAtGenesis was not called.
func (a *App) GenesisClaim(tx Tx) ([32]byte, error) {
	if a.genesis == nil {
		return [32]byte{}, nil
	}
	return a.genesis(tx)
}

// Endpoints returns the declared endpoints in declaration order.
func (a *App) Endpoints() []*Endpoint { return a.endpoints }

// Handle declares an endpoint: read-write and always run on the primary until
// its setters say otherwise.
func (a *App) Handle(method, path string, h Handler, policies ...Policy) *Endpoint {
	e := &Endpoint{
		Method: method, Path: path, Handler: h, Policies: policies,
		Mode: ReadWrite, Forwarding: ForwardAlways, Redirection: RedirectToPrimary,
	}
	a.endpoints = append(a.endpoints, e)
	return e
}

// Get declares a GET endpoint; see Handle.
func (a *App) Get(path string, h Handler, p ...Policy) *Endpoint {
	return a.Handle("GET", path, h, p...)
}

// Head declares a HEAD endpoint; see Handle.
func (a *App) Head(path string, h Handler, p ...Policy) *Endpoint {
	return a.Handle("HEAD", path, h, p...)
}

// Post declares a POST endpoint; see Handle.
func (a *App) Post(path string, h Handler, p ...Policy) *Endpoint {
	return a.Handle("POST", path, h, p...)
}

// Put declares a PUT endpoint; see Handle.
func (a *App) Put(path string, h Handler, p ...Policy) *Endpoint {
	return a.Handle("PUT", path, h, p...)
}

// Patch declares a PATCH endpoint; see Handle.
func (a *App) Patch(path string, h Handler, p ...Policy) *Endpoint {
	return a.Handle("PATCH", path, h, p...)
}

// Delete declares a DELETE endpoint; see Handle.
func (a *App) Delete(path string, h Handler, p ...Policy) *Endpoint {
	return a.Handle("DELETE", path, h, p...)
}
