package jsapp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"synod"
	"synod/app"
	"synod/internal/js"
	"synod/internal/tables"
)

// Config is what a Registry is made of.
type Config struct {
	// Prefix begins the names of its tables. It must be public, so that
	// auditors see what was installed, and must not be CCF's or Synod's.
	Prefix string
	// Restrict takes permissions away from scripts: what they may do with a
	// table and, if that is not everything, why. nil takes nothing. What is
	// forbidden to all scripts stays forbidden.
	Restrict func(table string) (read, write bool, why string)
	// Globals are objects that every script finds.
	Globals []Global
}

// Global is an object of the application for its scripts.
type Global struct {
	Name      string
	Constants map[string]any // any JSON
	Functions map[string]Function
}

// Function is a function of Go for scripts. Arguments and result are JSON. An
// error is thrown in the script, with its text.
type Function struct {
	Arguments int // how many it takes, exactly
	// Call runs within the script's request: c's transaction is the script's.
	Call func(c *app.Context, arguments []json.RawMessage) (any, error)
}

// Registry is JavaScript endpoints that an application installs.
type Registry struct {
	space    js.Space
	engine   *js.Engine
	resolver app.Resolver
	log      atomic.Pointer[slog.Logger]
}

// New makes a registry. An application has its endpoints with
// a.Resolve(r.Resolver()).
func New(cfg Config) (*Registry, error) {
	if !strings.HasPrefix(cfg.Prefix, "public:") || tables.Access(cfg.Prefix+".modules").Category != tables.Application {
		return nil, fmt.Errorf("jsapp: prefix %q: want public: and a name of the application's", cfg.Prefix)
	}
	r := &Registry{space: js.Space{Prefix: cfg.Prefix, Restrict: cfg.Restrict}}
	log := slog.New(nodeLog{&r.log})
	engine, err := js.NewEngine(js.Config{Log: log})
	if err != nil {
		return nil, err
	}
	r.engine = engine
	for _, g := range cfg.Globals {
		functions := map[string]js.HostFunction{}
		for name, f := range g.Functions {
			functions[name] = js.HostFunction(f)
		}
		r.space.Globals = append(r.space.Globals, js.Global{Name: g.Name, Constants: g.Constants, Functions: functions})
	}
	r.resolver, err = js.NewResolver(engine, r.space, log)
	return r, err
}

// LogTo sends what scripts print to a logger, the node's for example; until
// then it is dropped. It may be called at any time.
func (r *Registry) LogTo(log *slog.Logger) { r.log.Store(log) }

// nodeLog passes records to a logger that comes later than scripts are set up.
type nodeLog struct{ to *atomic.Pointer[slog.Logger] }

// Enabled asks the logger.
func (h nodeLog) Enabled(ctx context.Context, l slog.Level) bool {
	log := h.to.Load()
	return log != nil && log.Enabled(ctx, l)
}

// Handle passes the record on.
func (h nodeLog) Handle(ctx context.Context, r slog.Record) error {
	return h.to.Load().Handler().Handle(ctx, r)
}

// WithAttrs is not used by engines.
func (h nodeLog) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup is not used by engines.
func (h nodeLog) WithGroup(string) slog.Handler { return h }

// Resolver serves what is installed.
func (r *Registry) Resolver() app.Resolver { return r.resolver }

// Options bound what scripts may use (CCF: include/ccf/service/tables/jsengine.h).
type Options = tables.JSRuntimeOptions

// Options returns the options in force: the defaults until they are set.
func (r *Registry) Options(tx app.Tx) (Options, error) {
	o, ok, err := tables.GetJSON[Options](tx, r.space.Tables().Options, tables.UnitKey())
	if err != nil || !ok {
		return tables.DefaultJSRuntimeOptions(), err
	}
	return o, nil
}

// SetOptions sets the options for the requests after this transaction.
func (r *Registry) SetOptions(tx app.Tx, o Options) error {
	return tables.PutJSON(tx, r.space.Tables().Options, tables.UnitKey(), o)
}

// Install replaces everything that is installed by a bundle. The error is 400
// InvalidInput for a bundle that cannot be served; then the transaction must
// not be kept.
func (r *Registry) Install(ctx context.Context, tx app.Tx, b *Bundle) error {
	rows, err := b.rows()
	if err != nil {
		return synod.Errorf(400, synod.CodeInvalidInput, "The bundle cannot be installed: %s", err)
	}
	t := r.space.Tables()
	tx.Clear(t.Endpoints)
	tx.Clear(t.Modules)
	for _, m := range b.Modules {
		tx.Put(t.Modules, []byte(slashed(m.Name)), []byte(m.Module))
	}
	for key, row := range rows {
		tx.Put(t.Endpoints, []byte(key), row)
	}
	if err := tables.PutJSON(tx, r.order(), tables.UnitKey(), b.names()); err != nil {
		return err
	}
	// Interpreters that are reused begin anew.
	tx.Put(t.Flush, tables.UnitKey(), []byte("true"))
	err = r.engine.RefreshSpace(ctx, tx, &r.space)
	if err != nil && ctx.Err() == nil {
		return synod.Errorf(400, synod.CodeInvalidInput, "The bundle cannot be installed: %s", err)
	}
	return err
}

// Bundle returns what is installed: names of modules begin with a slash and
// methods are upper case, whatever they were.
func (r *Registry) Bundle(tx app.Tx) (*Bundle, error) {
	b := &Bundle{Metadata: Metadata{Endpoints: map[string]map[string]json.RawMessage{}}, Modules: []Module{}}
	t := r.space.Tables()
	var failed error
	tx.ForEach(t.Endpoints, func(key, row []byte) bool {
		method, path, ok := strings.Cut(string(key), " ")
		if !ok {
			failed = fmt.Errorf("table %s: key %q", t.Endpoints, key)
			return false
		}
		if b.Metadata.Endpoints[path] == nil {
			b.Metadata.Endpoints[path] = map[string]json.RawMessage{}
		}
		b.Metadata.Endpoints[path][method] = json.RawMessage(string(row))
		return true
	})
	names, _, err := tables.GetJSON[[]string](tx, r.order(), tables.UnitKey())
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		source, _ := tx.Get(t.Modules, []byte(name))
		b.Modules = append(b.Modules, Module{Module: string(source), Name: name})
	}
	return b, failed
}

// order is the table that keeps in which order a bundle had its modules.
func (r *Registry) order() string { return r.space.Prefix + ".modules_order" }

// Module returns the source of a module, named with or without its slash.
func (r *Registry) Module(tx app.Tx, name string) (string, bool) {
	source, ok := tx.Get(r.space.Tables().Modules, []byte(slashed(name)))
	return string(source), ok
}

func slashed(name string) string { return "/" + strings.TrimPrefix(name, "/") }
