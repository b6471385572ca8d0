package propdiff

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"sort"
	"strings"

	"synod"
	"synod/internal/audit"
	"synod/internal/kv"
	"synod/internal/ledger"
	"synod/internal/tables"
)

// State is a copy of a service's tables of governance.
type State struct {
	store *kv.Store
	// Partial says that the copy was made of what a node tells: tables that
	// /gov does not show are empty, and rows of nodes lack some fields.
	Partial bool
}

// FromLedger reads the tables from a service's ledger files. The files' own
// signatures are verified on the way.
func FromLedger(ctx context.Context, dirs ...string) (*State, error) {
	s := &State{store: kv.New()}
	_, err := audit.Replay(ctx, func(e *ledger.Entry, _ *audit.Verifier) error {
		maps, err := kv.DecodeDomain(e.PublicMaps, true)
		if err != nil {
			return err
		}
		if e.TxID.SeqNo != s.store.Tip().SeqNo+1 {
			return fmt.Errorf("the ledger does not start at its beginning, but at %s", e.TxID)
		}
		defer s.store.Compact(e.TxID.SeqNo)
		return s.store.Commit(&kv.WriteSet{Maps: maps}, e.TxID)
	}, dirs...)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Reader asks a service for the document at a path below /gov: into a *[]byte
// as it is, into anything else as JSON.
type Reader func(ctx context.Context, path string, out any) error

// FromService asks a service for what it shows of its tables.
func FromService(ctx context.Context, read Reader) (*State, error) {
	s := &State{store: kv.New(), Partial: true}
	c := &copier{ctx: ctx, read: read, rows: map[string]map[string][]byte{}}
	for _, step := range []func() error{c.service, c.members, c.users, c.nodes, c.script, c.tokens} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	ws := &kv.WriteSet{}
	for name, rows := range c.rows {
		m := kv.MapWrites{Name: name}
		for key, value := range rows {
			m.Writes = append(m.Writes, kv.Write{Key: []byte(key), Value: value})
		}
		ws.Maps = append(ws.Maps, m)
	}
	sort.Slice(ws.Maps, func(i, j int) bool { return ws.Maps[i].Name < ws.Maps[j].Name })
	return s, s.store.Commit(ws, synod.TxID{View: 1, SeqNo: 1})
}

// copier collects rows from a service's answers.
type copier struct {
	ctx  context.Context
	read Reader
	rows map[string]map[string][]byte
}

func (c *copier) raw(table, key string, value []byte) {
	if c.rows[table] == nil {
		c.rows[table] = map[string][]byte{}
	}
	c.rows[table][key] = value
}

func (c *copier) json(table, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("row of %s: %w", table, err)
	}
	c.raw(table, key, b)
	return nil
}

func (c *copier) service() error {
	var text []byte
	if err := c.read(c.ctx, "service/constitution", &text); err != nil {
		return err
	}
	unit := string(tables.UnitKey())
	if err := c.json(tables.Constitution, unit, string(text)); err != nil {
		return err
	}
	var info struct {
		Status        tables.ServiceStatus `json:"status"`
		Certificate   string               `json:"certificate"`
		RecoveryCount *uint64              `json:"recoveryCount"`
		ServiceData   json.RawMessage      `json:"serviceData"`
		Configuration struct {
			RecoveryThreshold                     uint64  `json:"recoveryThreshold"`
			MaximumNodeCertificateValidityDays    *uint64 `json:"maximumNodeCertificateValidityDays"`
			MaximumServiceCertificateValidityDays *uint64 `json:"maximumServiceCertificateValidityDays"`
			RecentCoseProposalsWindowSize         *uint64 `json:"recentCoseProposalsWindowSize"`
		} `json:"configuration"`
	}
	if err := c.read(c.ctx, "service/info", &info); err != nil {
		return err
	}
	if err := c.json(tables.Service, unit, tables.ServiceInfo{
		Cert: info.Certificate, Status: info.Status, RecoveryCount: info.RecoveryCount, ServiceData: info.ServiceData,
	}); err != nil {
		return err
	}
	conf := info.Configuration
	return c.json(tables.ServiceConfiguration, unit, tables.ServiceConfig{
		RecoveryThreshold:                     conf.RecoveryThreshold,
		MaximumNodeCertificateValidityDays:    conf.MaximumNodeCertificateValidityDays,
		MaximumServiceCertificateValidityDays: conf.MaximumServiceCertificateValidityDays,
		RecentCOSEProposalsWindowSize:         conf.RecentCoseProposalsWindowSize,
	})
}

func (c *copier) members() error {
	var list struct {
		Value []struct {
			ID            string              `json:"memberId"`
			Status        tables.MemberStatus `json:"status"`
			Data          json.RawMessage     `json:"memberData"`
			Certificate   string              `json:"certificate"`
			EncryptionKey string              `json:"publicEncryptionKey"`
			RecoveryRole  tables.RecoveryRole `json:"recoveryRole"`
		} `json:"value"`
	}
	if err := c.read(c.ctx, "service/members", &list); err != nil {
		return err
	}
	for _, m := range list.Value {
		c.raw(tables.MemberCerts, m.ID, []byte(m.Certificate))
		if m.EncryptionKey != "" {
			c.raw(tables.MemberEncryptionKeys, m.ID, []byte(m.EncryptionKey))
		}
		if err := c.json(tables.Members, m.ID, tables.MemberInfo{MemberData: m.Data, RecoveryRole: m.RecoveryRole, Status: m.Status}); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) users() error {
	var list struct {
		Value []struct {
			ID          string          `json:"userId"`
			Info        json.RawMessage `json:"userData"`
			Certificate string          `json:"certificate"`
		} `json:"value"`
	}
	if err := c.read(c.ctx, "service/users", &list); err != nil {
		return err
	}
	for _, u := range list.Value {
		c.raw(tables.UserCerts, u.ID, []byte(u.Certificate))
		if len(u.Info) > 0 && string(u.Info) != "null" {
			c.raw(tables.Users, u.ID, u.Info)
		}
	}
	return nil
}

func (c *copier) nodes() error {
	var list struct {
		Value []struct {
			ID     string          `json:"nodeId"`
			Status string          `json:"status"`
			Data   json.RawMessage `json:"nodeData"`
		} `json:"value"`
	}
	if err := c.read(c.ctx, "service/nodes", &list); err != nil {
		return err
	}
	for _, n := range list.Value {
		row := map[string]any{"status": n.Status}
		if len(n.Data) > 0 && string(n.Data) != "null" {
			row["node_data"] = n.Data
		}
		if err := c.json(tables.Nodes, n.ID, row); err != nil {
			return err
		}
	}
	return nil
}

// script copies the application's endpoints and modules.
func (c *copier) script() error {
	var endpoints struct {
		Endpoints map[string]map[string]json.RawMessage `json:"endpoints"`
	}
	if err := c.read(c.ctx, "service/javascript-app?case=original", &endpoints); err != nil {
		return err
	}
	for path, methods := range endpoints.Endpoints {
		for method, properties := range methods {
			c.raw(tables.Endpoints, strings.ToUpper(method)+" "+path, properties)
		}
	}
	var modules struct {
		Value []struct {
			Name string `json:"moduleName"`
		} `json:"value"`
	}
	if err := c.read(c.ctx, "service/javascript-modules", &modules); err != nil {
		return err
	}
	for _, m := range modules.Value {
		var text []byte
		if err := c.read(c.ctx, "service/javascript-modules/"+url.PathEscape(m.Name), &text); err != nil {
			return err
		}
		c.raw(tables.Modules, m.Name, text)
	}
	return nil
}

// tokens copies issuers, their keys and the CA bundles.
func (c *copier) tokens() error {
	var trust struct {
		Issuers map[string]struct {
			AutoRefresh bool    `json:"autoRefresh"`
			CABundle    *string `json:"caCertBundleName"`
		} `json:"issuers"`
		Keys map[string][]struct {
			PublicKey  string  `json:"publicKey"`
			Issuer     string  `json:"issuer"`
			Constraint *string `json:"constraint"`
		} `json:"keys"`
		CABundles map[string]string `json:"caCertBundles"`
	}
	if err := c.read(c.ctx, "service/jwk", &trust); err != nil {
		return err
	}
	for name, text := range trust.CABundles {
		if err := c.json(tables.CACertBundles, name, text); err != nil {
			return err
		}
	}
	for issuer, meta := range trust.Issuers {
		row := map[string]any{"auto_refresh": meta.AutoRefresh}
		if meta.CABundle != nil {
			row["ca_cert_bundle_name"] = *meta.CABundle
		}
		if err := c.json(tables.JWTIssuers, issuer, row); err != nil {
			return err
		}
	}
	for kid, keys := range trust.Keys {
		rows := []map[string]any{}
		for _, k := range keys {
			row := map[string]any{"issuer": k.Issuer}
			if block, _ := pem.Decode([]byte(k.PublicKey)); block != nil {
				row["public_key"] = base64.StdEncoding.EncodeToString(block.Bytes)
			}
			if k.Constraint != nil {
				row["constraint"] = *k.Constraint
			}
			rows = append(rows, row)
		}
		if err := c.json(tables.JWTSigningKeys, kid, rows); err != nil {
			return err
		}
	}
	return nil
}
