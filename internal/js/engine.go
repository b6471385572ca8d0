package js

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"synod/app"
)

// Engine runs scripts.
type Engine struct{ cfg Config }

// NewEngine makes an engine.
func NewEngine(cfg Config) (*Engine, error) { return &Engine{cfg: cfg}, nil }

// Version is the engine's version, as in /node/version.
func (e *Engine) Version() string { return "0.17.0" }

// Close gives the engine's memory back. Calls must have ended.
func (e *Engine) Close() {}

// CallGov evaluates a module and calls one of its exports. It returns the
// JSON of the result, nil for undefined, and *Exception for what the script
// threw.
func (e *Engine) CallGov(ctx context.Context, c GovCall) (json.RawMessage, error) {
	return nil, errors.New("not built yet")
}

// NewApp returns the application "js", which serves the bundle that is in
// the tables.
func NewApp(e *Engine, host AppHost, log *slog.Logger) *app.App { return app.New("js") }
