package gov

import (
	"encoding/pem"

	"synod/app"
	"synod/internal/tables"
)

// issuerJSON and keyJSON are token issuers and their keys as the API shows
// them.
type issuerJSON struct {
	AutoRefresh      bool   `json:"autoRefresh"`
	CACertBundleName string `json:"caCertBundleName,omitempty"`
}

type keyJSON struct {
	Constraint *string `json:"constraint"`
	Issuer     string  `json:"issuer"`
	PublicKey  string  `json:"publicKey"` // PEM
}

// jwk lists whose tokens the service accepts, by which keys.
func (g *gov) jwk(c *app.Context) error {
	p := policyReader{tx: c.Tx()}
	issuers := map[string]issuerJSON{}
	for name, issuer := range rows[tables.JWTIssuer](&p, tables.JWTIssuers) {
		issuers[name] = issuerJSON{issuer.AutoRefresh, issuer.CACertBundleName}
	}
	keys := map[string][]keyJSON{}
	for kid, list := range rows[[]tables.JWTKey](&p, tables.JWTSigningKeys) {
		keys[kid] = []keyJSON{}
		for _, key := range list {
			shown := keyJSON{Issuer: key.Issuer, PublicKey: publicKeyPEM(key.PublicKey)}
			if key.Constraint != "" {
				shown.Constraint = &key.Constraint
			}
			keys[kid] = append(keys[kid], shown)
		}
	}
	bundles := rows[string](&p, tables.CACertBundles)
	if p.err != nil {
		return broken(p.err)
	}
	return c.JSON(map[string]any{"caCertBundles": bundles, "issuers": issuers, "keys": keys})
}

func publicKeyPEM(spki []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
}
