package gov

import (
	"synod/app"
	"synod/internal/tables"
)

// joinPolicy says what a node must show to join, for each platform
// (CCF: src/node/gov/handlers/service_state.h).
func (g *gov) joinPolicy(c *app.Context) error {
	p := policyReader{tx: c.Tx()}
	hostData := []string{}
	p.tx.ForEach(tables.VirtualHostData, func(key, _ []byte) bool {
		hostData = append(hostData, string(key))
		return true
	})
	body := map[string]any{
		"sgx": map[string]any{"measurements": p.measurements(tables.NodeCodeIDs)},
		"virtual": map[string]any{
			"hostData": hostData, "measurements": p.measurements(tables.VirtualMeasurements),
		},
		"snp": map[string]any{
			"hostData":        rows[string](&p, tables.SNPHostData),
			"measurements":    p.measurements(tables.SNPMeasurements),
			"tcbVersions":     rows[tables.TCBVersion](&p, tables.SNPTCBVersions),
			"uvmEndorsements": rows[tables.UVMEndorsements](&p, tables.SNPUVMEndorsements),
		},
	}
	if p.err != nil {
		return broken(p.err)
	}
	return c.JSON(body)
}

// policyReader reads several tables and keeps the first error.
type policyReader struct {
	tx  tables.Reader
	err error
}

// measurements are the keys whose value says that they may join.
func (p *policyReader) measurements(table string) []string {
	list := []string{}
	err := tables.EachJSON(p.tx, table, func(key, status string) bool {
		if status == tables.AllowedToJoin {
			list = append(list, key)
		}
		return true
	})
	p.keep(err)
	return list
}

// rows is a whole table by key.
func rows[T any](p *policyReader, table string) map[string]T {
	all := map[string]T{}
	p.keep(tables.EachJSON(p.tx, table, func(key string, v T) bool {
		all[key] = v
		return true
	}))
	return all
}

func (p *policyReader) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}
