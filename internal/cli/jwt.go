package cli

import (
	"encoding/json"
	"sort"
	"strconv"

	"github.com/spf13/cobra"

	"synod/client"
)

func newJWT(env *Env) *cobra.Command {
	return newGroup("jwt", "Issuers of bearer tokens that a service trusts",
		newJWTAdd(env), newJWTKeys(env), newJWTList(env), newJWTRemove(env))
}

func newJWTAdd(env *Env) *cobra.Command {
	var jwks, bundle string
	var refresh bool
	c := newAct(env, act{
		use: "add ISSUER", short: "Propose a token issuer, and vote for it",
		long: `Proposes set_jwt_issuer: tokens whose keys are in the JWKS of --jwks are accepted
where an endpoint's policy is jwt. ISSUER is the text of their iss claim.

With --auto-refresh the primary fetches the keys from the OpenID provider at the
URL ISSUER, at once and then every jwt.key_refresh_interval of its configuration.
The bundle of --ca-bundle, which set_ca_cert_bundle gave to the service, holds the
certificates of the authorities that vouch for the provider's server, or that
server's own.`,
		example: "  synod jwt add https://login.example.com --jwks keys.json --as keys/member0 --as keys/member1\n" +
			"  synod jwt add https://login.example.com --auto-refresh --ca-bundle login --as keys/member0 --as keys/member1",
		args: cobra.ExactArgs(1),
		action: func(c *cobra.Command, a []string) (client.Action, string, error) {
			act := map[string]any{"issuer": a[0], "auto_refresh": refresh}
			if bundle != "" {
				act["ca_cert_bundle_name"] = bundle
			}
			if jwks != "" {
				keys, err := jsonArgument(c, "--jwks", jwks)
				if err != nil {
					return client.Action{}, "", err
				}
				act["jwks"] = keys
			}
			return client.Action{Name: "set_jwt_issuer", Args: act}, "issuer " + a[0] + " added", nil
		},
	})
	c.Flags().StringVar(&jwks, "jwks", "", "JSON Web Key Set of the issuer: a file, or JSON")
	c.Flags().StringVar(&bundle, "ca-bundle", "", "name of a CA bundle that the service knows")
	c.Flags().BoolVar(&refresh, "auto-refresh", false, "let the primary fetch the issuer's keys")
	return c
}

func newJWTKeys(env *Env) *cobra.Command {
	return newAct(env, act{
		use: "keys ISSUER JWKS", short: "Propose other keys of a token issuer, and vote for it",
		long:    "Proposes set_jwt_public_signing_keys: the keys of the JWKS, a file or JSON, replace the issuer's.",
		example: "  synod jwt keys https://login.example.com keys.json --as keys/member0 --as keys/member1",
		args:    cobra.ExactArgs(2),
		action: func(c *cobra.Command, a []string) (client.Action, string, error) {
			keys, err := jsonArgument(c, "JWKS", a[1])
			return client.Action{Name: "set_jwt_public_signing_keys", Args: map[string]any{"issuer": a[0], "jwks": keys}},
				"keys of issuer " + a[0] + " set", err
		},
	})
}

func newJWTRemove(env *Env) *cobra.Command {
	return newAct(env, act{
		use: "remove ISSUER", short: "Propose to trust a token issuer no more, and vote for it",
		long:    "Proposes remove_jwt_issuer, which removes the issuer's keys as well.",
		example: "  synod jwt remove https://login.example.com --as keys/member0 --as keys/member1",
		args:    cobra.ExactArgs(1),
		action: func(_ *cobra.Command, a []string) (client.Action, string, error) {
			return client.Action{Name: "remove_jwt_issuer", Args: map[string]any{"issuer": a[0]}}, "issuer " + a[0] + " removed", nil
		},
	})
}

// jwtTrust is what /gov/service/jwk answers (CCF: doc/schemas/gov).
type jwtTrust struct {
	Issuers map[string]json.RawMessage `json:"issuers"`
	Keys    map[string][]struct {
		Issuer     string  `json:"issuer"`
		Constraint *string `json:"constraint"`
		PublicKey  string  `json:"publicKey"`
	} `json:"keys"`
	CABundles map[string]string `json:"caCertBundles"`
}

func newJWTList(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the token issuers that a service trusts, and their keys",
		Example: "  synod jwt list --service-cert service_cert.pem",
		Args:    args(cobra.NoArgs),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		var trust jwtTrust
		if err := cl.Governance(ctx, "service/jwk", &trust); err != nil {
			return err
		}
		keys := map[string]int{}
		for issuer := range trust.Issuers {
			keys[issuer] = 0
		}
		for _, of := range trust.Keys {
			for _, k := range of {
				keys[k.Issuer]++
			}
		}
		rows := [][]string{}
		for issuer, count := range keys {
			rows = append(rows, []string{issuer, strconv.Itoa(count)})
		}
		sort.Slice(rows, func(i, j int) bool { return rows[i][0] < rows[j][0] })
		return p.table(trust, []string{"issuer", "keys"}, rows)
	}
	return c
}
