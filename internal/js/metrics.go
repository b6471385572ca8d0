package js

import (
	"synod/app"
	"synod/internal/tables"
)

// Metrics is the body of GET /node/js_metrics
// (CCF: src/node/rpc/node_frontend.h).
type Metrics struct {
	BytecodeSize          uint64 `json:"bytecode_size"` // bytes
	BytecodeUsed          bool   `json:"bytecode_used"`
	MaxCachedInterpreters uint64 `json:"max_cached_interpreters"`
	MaxExecutionTime      uint64 `json:"max_execution_time"` // milliseconds
	MaxHeapSize           uint64 `json:"max_heap_size"`      // bytes
	MaxStackSize          uint64 `json:"max_stack_size"`     // bytes
}

// Metrics reads the tables as they are in tx.
func (e *Engine) Metrics(tx app.Tx) (Metrics, error) {
	opts, err := runtimeOptions(tx, tables.JSRuntime)
	if err != nil {
		return Metrics{}, err
	}
	m := Metrics{
		MaxCachedInterpreters: opts.MaxCachedInterpreters,
		MaxExecutionTime:      opts.MaxExecutionTimeMS,
		MaxHeapSize:           opts.MaxHeapBytes,
		MaxStackSize:          opts.MaxStackBytes,
	}
	tx.ForEach(tables.ModulesBytecode, func(_, value []byte) bool {
		m.BytecodeSize += uint64(len(value))
		return true
	})
	version, ok := tx.Get(tables.ModulesVersion, tables.UnitKey())
	m.BytecodeUsed = ok && string(version) == e.Version()
	return m, nil
}

// runtimeOptions reads the options of a table with their defaults.
func runtimeOptions(tx app.Tx, table string) (tables.JSRuntimeOptions, error) {
	opts, ok, err := tables.GetJSON[tables.JSRuntimeOptions](tx, table, tables.UnitKey())
	if err != nil || !ok {
		return tables.DefaultJSRuntimeOptions(), err
	}
	return opts, nil
}
