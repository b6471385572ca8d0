package app

import (
	"encoding/json"
	"reflect"
)

// Handler answers one request. An error that is (or wraps) a *synod.Error is
// answered as that, any other as 500 InternalError; writes are kept only for
// a 2xx status unless SetApplyWrites decided otherwise.
type Handler func(*Context) error

// Mode says which state a handler works on.
type Mode string

// The modes, as in a bundle's metadata.
const (
	ReadWrite  Mode = "readwrite"
	ReadOnly   Mode = "readonly"
	Historical Mode = "historical"
)

// Forwarding says what a backup does with a request.
type Forwarding string

// The forwarding rules, as in a bundle's metadata.
const (
	ForwardNever     Forwarding = "never"
	ForwardSometimes Forwarding = "sometimes"
	ForwardAlways    Forwarding = "always"
)

// Redirection says where a request is redirected if its interface redirects
// instead of forwarding.
type Redirection string

// The redirection strategies, as in a bundle's metadata.
const (
	RedirectNone      Redirection = "none"
	RedirectToPrimary Redirection = "to_primary"
	RedirectToBackup  Redirection = "to_backup"
)

// Endpoint is one path and method with the code behind it. The setters return
// the endpoint, so that a declaration reads as one line.
type Endpoint struct {
	Method      string // upper case
	Path        string // template, e.g. /records/{id}
	Handler     Handler
	Policies    []Policy
	Mode        Mode
	Forwarding  Forwarding
	Redirection Redirection
	OpenAPI     json.RawMessage // operation object, or nil
	Hidden      bool            // left out of /api
	// Command marks an endpoint that touches no table: it runs without a
	// transaction and answers without a transaction ID.
	Command bool

	in, out              reflect.Type // for /api; nil if unknown
	summary, description string       // for /api; "" for none
	success              int          // status that /api documents, 0 for the usual one
}

// ReadOnly makes the endpoint unable to write; backups answer it themselves.
func (e *Endpoint) ReadOnly() *Endpoint {
	e.Mode, e.Forwarding, e.Redirection = ReadOnly, ForwardSometimes, RedirectNone
	return e
}

// NoTx marks a command: no transaction, no forwarding.
func (e *Endpoint) NoTx() *Endpoint {
	e.Command, e.Mode = true, ReadOnly
	e.Forwarding, e.Redirection = ForwardNever, RedirectNone
	return e
}

// Forward sets the forwarding rule, and with it the redirection: never means
// none, the others to_primary.
func (e *Endpoint) Forward(f Forwarding) *Endpoint {
	e.Forwarding, e.Redirection = f, RedirectToPrimary
	if f == ForwardNever {
		e.Redirection = RedirectNone
	}
	return e
}

// Redirect sets the redirection strategy alone.
func (e *Endpoint) Redirect(r Redirection) *Endpoint { e.Redirection = r; return e }

// Hide leaves the endpoint out of /api.
func (e *Endpoint) Hide() *Endpoint { e.Hidden = true; return e }

// Document sets the OpenAPI operation object.
func (e *Endpoint) Document(operation string) *Endpoint {
	e.OpenAPI = json.RawMessage(operation)
	return e
}

// Summary sets what /api says of the endpoint; "" leaves a part out.
func (e *Endpoint) Summary(summary, description string) *Endpoint {
	e.summary, e.description = summary, description
	return e
}
