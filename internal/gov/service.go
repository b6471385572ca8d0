package gov

import (
	"synod"
	"synod/app"
	"synod/internal/tables"
)

const contentTypeJavaScript = "text/javascript"

// constitution returns the text in force.
func (g *gov) constitution(c *app.Context) error {
	text, ok, err := tables.GetJSON[string](c.Tx(), tables.Constitution, tables.UnitKey())
	if err != nil {
		return broken(err)
	}
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "Constitution not found")
	}
	c.Bytes(contentTypeJavaScript, []byte(text))
	return nil
}

// serviceInfo says what the service is and how it is configured
// (CCF: src/node/gov/handlers/service_state.h).
func (g *gov) serviceInfo(c *app.Context) error {
	info, ok, err := tables.GetJSON[tables.ServiceInfo](c.Tx(), tables.Service, tables.UnitKey())
	if err != nil {
		return broken(err)
	}
	if !ok {
		return synod.Errorf(404, synod.CodeResourceNotFound, "Service info not yet available")
	}
	data, err := canonical(info.ServiceData)
	if err != nil {
		return internal("service data: %s", err)
	}
	body := map[string]any{
		"certificate":   info.Cert,
		"recoveryCount": orDefault(info.RecoveryCount, 0),
		"serviceData":   data,
		"status":        info.Status,
	}
	if info.CurrentServiceCreateTxID != nil {
		body["creationTransactionId"] = info.CurrentServiceCreateTxID
	}
	if info.PreviousServiceIdentityVersion != nil {
		id := synod.TxID{SeqNo: synod.SeqNo(*info.PreviousServiceIdentityVersion)}
		// An unknown view stays 0: one odd field is better than no answer.
		if v, ok := g.node.(viewer); ok {
			id.View, _ = v.ViewOf(id.SeqNo)
		}
		body["previousServiceCreationTransactionId"] = id
	}
	config, ok, err := tables.GetJSON[tables.ServiceConfig](c.Tx(), tables.ServiceConfiguration, tables.UnitKey())
	if err != nil {
		return broken(err)
	}
	if ok {
		body["configuration"] = map[string]uint64{
			"maximumNodeCertificateValidityDays":    orDefault(config.MaximumNodeCertificateValidityDays, tables.DefaultNodeCertDays),
			"maximumServiceCertificateValidityDays": orDefault(config.MaximumServiceCertificateValidityDays, tables.DefaultServiceCertDays),
			"recentCoseProposalsWindowSize":         orDefault(config.RecentCOSEProposalsWindowSize, tables.DefaultRecentProposalsWindow),
			"recoveryThreshold":                     config.RecoveryThreshold,
		}
	}
	return c.JSON(body)
}

func orDefault(v *uint64, d uint64) uint64 {
	if v != nil {
		return *v
	}
	return d
}
