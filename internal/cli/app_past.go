package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"synod"
	"synod/client"
	"synod/internal/audit"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/tables"
	"synod/internal/verdict"
)

// deployment is an application that a service has had, or for a while none.
type deployment struct {
	TxID      synod.TxID `json:"transaction_id"` // that deployed it
	Digest    string     `json:"digest"`         // of endpoints and modules; "" if the application was removed
	SizeBytes int        `json:"size_bytes"`     // of the modules
	app       *appVersion
}

// deployments are those of a service, oldest first, from its ledger's files:
// as far as these are signed by the service that the caller trusts, which must
// be where the present application is.
func (n *conn) deployments(ctx context.Context, dirs []string) ([]*deployment, error) {
	if n.serviceCert == "" {
		return nil, client.ErrNoServiceCertificate
	}
	want, err := serviceCertificate(n.serviceCert)
	if err != nil {
		return nil, err
	}
	past, report, err := pastOf(ctx, dirs)
	if err != nil {
		return nil, ledgerError(err)
	}
	if err := verdict.SameService(report, want); err != nil {
		return nil, ledgerError(err)
	}
	for len(past) > 0 && past[len(past)-1].TxID.SeqNo > report.Good.SeqNo {
		past = past[:len(past)-1]
	}
	ctx, cl, done, err := n.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	now, err := deployed(ctx, cl)
	if err != nil {
		return nil, err
	}
	present := &appVersion{}
	if len(past) > 0 {
		present = past[len(past)-1].app
	}
	if !compareApps(present, now).Equal {
		return nil, withHint(fmt.Errorf("the service's application is not the newest in the ledger, which is signed up to %s", report.Good),
			"bring newer files of the ledger")
	}
	return past, nil
}

// pastOf replays the tables of the application.
func pastOf(ctx context.Context, dirs []string) ([]*deployment, *audit.Report, error) {
	var past []*deployment
	endpoints, modules := map[string]string{}, map[string]string{}
	report, err := audit.Replay(ctx, func(e *ledger.Entry, _ *audit.Verifier) error {
		written, err := kv.DecodeDomain(e.PublicMaps, true)
		if err != nil {
			return fmt.Errorf("public tables of %s: %w", e.TxID, err)
		}
		touched := false
		for _, m := range written {
			switch m.Name {
			case tables.Endpoints:
				replay(endpoints, m)
			case tables.Modules:
				replay(modules, m)
			default:
				continue
			}
			touched = true
		}
		if !touched {
			return nil
		}
		d, err := newDeployment(e.TxID, endpoints, modules)
		past = append(past, d)
		return err
	}, dirs...)
	if err != nil {
		return nil, nil, err
	}
	if report.Cut == nil {
		return nil, nil, &unverified{errors.New("no signature in the ledger verifies")}
	}
	return past, report, nil
}

func replay(rows map[string]string, m kv.MapWrites) {
	for _, w := range m.Writes {
		rows[string(w.Key)] = string(w.Value)
	}
	for _, key := range m.Removes {
		delete(rows, string(key))
	}
}

// newDeployment copies the rows, whose texts are shared by all deployments
// that have them.
func newDeployment(id synod.TxID, endpoints, modules map[string]string) (*deployment, error) {
	d := &deployment{TxID: id, app: &appVersion{endpoints: map[string]map[string]string{}, modules: map[string]string{}}}
	for name, row := range endpoints {
		var properties map[string]json.RawMessage
		if err := json.Unmarshal([]byte(row), &properties); err != nil {
			return nil, fmt.Errorf("endpoint %s of %s: %w", name, id, err)
		}
		d.app.endpoints[name] = shownProperties(properties)
	}
	for name, source := range modules {
		d.app.modules[strings.TrimPrefix(name, "/")] = source
		d.SizeBytes += len(source)
	}
	if len(endpoints)+len(modules) > 0 {
		h := sha256.New()
		enc := json.NewEncoder(h) // names in order
		if err := errors.Join(enc.Encode(d.app.endpoints), enc.Encode(d.app.modules)); err != nil {
			return nil, fmt.Errorf("digest of application %s: %w", id, err)
		}
		d.Digest = hex.EncodeToString(h.Sum(nil))
	}
	return d, nil
}
