package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
)

const (
	// exportEvery is between two looks at the logs.
	exportEvery = time.Second
	// exportBackoff bounds the pause after a receiver has refused.
	exportBackoff = time.Minute
	// exportTimeout bounds one request to the receiver.
	exportTimeout = 10 * time.Second
)

// Sources returns the newest log files of all networks, by network and ordinal.
type Sources func(ctx context.Context) (map[string]map[int]string, error)

// Exporter sends nodes' log lines to a receiver of OTLP over HTTP.
type Exporter struct {
	Endpoint string            // https://host:port/v1/logs
	Headers  map[string]string // may hold secrets
	Sources  Sources
	State    string // file that says how far the export has come
	Log      *slog.Logger
}

// Run exports until the context ends.
func (e *Exporter) Run(ctx context.Context) error {
	exporter, err := otlploghttp.New(ctx, otlploghttp.WithEndpointURL(e.Endpoint), otlploghttp.WithHeaders(e.Headers),
		otlploghttp.WithTimeout(exportTimeout), otlploghttp.WithRetry(otlploghttp.RetryConfig{}))
	if err != nil {
		return fmt.Errorf("export of logs: %w", err)
	}
	batch := &batch{exporter: exporter}
	provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(batch), sdklog.WithResource(resource.NewSchemaless(attribute.String("service.name", "synod"))))
	defer exporter.Shutdown(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is held back that could be lost
	logger := provider.Logger("synod/node")
	state, err := e.read()
	if err != nil {
		return err
	}
	pause := exportEvery
	for sleep(ctx, pause) == nil {
		sent, err := e.round(ctx, logger, batch, state)
		switch {
		case err != nil && ctx.Err() == nil:
			e.Log.WarnContext(ctx, "logs wait to be exported", "err", err.Error())
			pause = min(2*pause, exportBackoff)
		case sent:
			pause = 0 // there may be more
		default:
			pause = exportEvery
		}
	}
	return nil
}

// round sends what came since, network by network.
func (e *Exporter) round(ctx context.Context, logger log.Logger, batch *batch, state map[string]Cursor) (sent bool, err error) {
	sources, err := e.Sources(ctx)
	if err != nil {
		return false, err
	}
	maps.DeleteFunc(state, func(network string, _ Cursor) bool { return sources[network] == nil })
	for _, network := range slices.Sorted(maps.Keys(sources)) {
		after := state[network]
		if after == nil {
			after = Cursor{} // everything that there is
		}
		lines, next, err := Read(sources[network], Query{After: after})
		if err != nil {
			return sent, err
		}
		if len(lines) == 0 {
			continue
		}
		for _, l := range lines {
			emit(ctx, logger, network, l)
		}
		if err := batch.send(ctx); err != nil {
			return sent, err
		}
		state[network], sent = next, true
		if err := e.write(state); err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// severities are OpenTelemetry's words for a node's levels.
var severities = map[string]log.Severity{
	"trace": log.SeverityTrace, "debug": log.SeverityDebug, "info": log.SeverityInfo, "fail": log.SeverityError, "fatal": log.SeverityFatal,
}

func emit(ctx context.Context, logger log.Logger, network string, l Line) {
	var r log.Record
	r.SetTimestamp(l.Time)
	r.SetSeverity(severities[l.Level])
	r.SetSeverityText(l.Level)
	r.SetBody(attribute.StringValue(l.Text))
	r.AddAttributes(attribute.String("synod.network", network), attribute.Int("synod.node", l.Node))
	if l.Tag != "" {
		r.AddAttributes(attribute.String("synod.tag", l.Tag))
	}
	if l.Source != "" {
		r.AddAttributes(attribute.String("code.filepath", l.Source))
	}
	logger.Emit(ctx, r)
}

// batch collects records until they are sent: the library's own batches drop what
// a receiver refuses.
type batch struct {
	exporter sdklog.Exporter
	records  []sdklog.Record
}

// OnEmit implements sdklog.Processor.
func (b *batch) OnEmit(_ context.Context, r *sdklog.Record) error {
	b.records = append(b.records, r.Clone())
	return nil
}

// Enabled implements sdklog.Processor.
func (b *batch) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

// Shutdown implements sdklog.Processor.
func (b *batch) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdklog.Processor.
func (b *batch) ForceFlush(context.Context) error { return nil }

// send exports what was collected; on an error the caller collects it again.
func (b *batch) send(ctx context.Context) error {
	records := b.records
	b.records = nil
	return b.exporter.Export(ctx, records)
}

func (e *Exporter) read() (map[string]Cursor, error) {
	state := map[string]Cursor{}
	text, err := os.ReadFile(e.State)
	if errors.Is(err, fs.ErrNotExist) {
		return state, nil
	}
	if err != nil {
		return nil, fmt.Errorf("export of logs: %w", err)
	}
	if err := json.Unmarshal(text, &state); err != nil {
		return nil, fmt.Errorf("export of logs: %s: %w", e.State, err)
	}
	return state, nil
}

func (e *Exporter) write(state map[string]Cursor) error {
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	if err := os.WriteFile(e.State+".tmp", text, 0o600); err != nil {
		return err
	}
	return os.Rename(e.State+".tmp", e.State)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
