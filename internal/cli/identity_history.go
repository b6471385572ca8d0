package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/arm"
	"synod/internal/armclient"
)

// pastIdentity is one line of a network's identity history.
type pastIdentity struct {
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the certificate, hex
	Present     bool      `json:"present"`
	From        time.Time `json:"from,omitzero"`
	Until       time.Time `json:"until,omitzero"`
	Certificate string    `json:"certificate"` // PEM
}

func newIdentityHistory(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "history NETWORK",
		Short: "List the identities that a managed network has had, oldest first",
		Long: `Asks the managed service's identity service for the certificates that a network
has been known by: a recovery or a restore gives it a new one. With --out all are
written to one file, with which "synod receipt verify --service-cert" verifies
receipts of each of them. With --previous the one before the present is: members
name it when they open a recovered service (synod recovery open --previous-identity).

The identity service can lie about which network a name means: compare the
fingerprints with some that you got another way.`,
		Example: "  synod identity history bank --out identities.pem",
		Args:    args(cobra.ExactArgs(1)),
	}
	p := newPrinter(env, c)
	n := newControl(env, c)
	out := c.Flags().String("out", "", "write all certificates to this file, PEM")
	previous := c.Flags().String("previous", "", "write the certificate before the present one to this file, PEM")
	c.RunE = func(cmd *cobra.Command, argv []string) error {
		ctx, cl, done, err := n.dial(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		var answer struct {
			Certificate string         `json:"ledgerTlsCertificate"`
			Previous    []arm.Identity `json:"previousIdentities"`
		}
		if _, err := cl.Do(ctx, armclient.Call{Method: http.MethodGet, Path: "/ledgerIdentity/" + url.PathEscape(argv[0])}, &answer); err != nil {
			return err
		}
		var all []pastIdentity
		var rows [][]string
		var pems strings.Builder
		for _, id := range append(answer.Previous, arm.Identity{Certificate: answer.Certificate}) {
			sum, err := fingerprint([]byte(id.Certificate))
			if err != nil {
				return err
			}
			all = append(all, pastIdentity{Fingerprint: sum, From: id.From, Until: id.Until, Certificate: id.Certificate})
			rows = append(rows, []string{sum, momentOf(id.From), momentOf(id.Until)})
			pems.WriteString(strings.TrimSpace(id.Certificate) + "\n")
		}
		last := len(all) - 1
		all[last].Present, rows[last][2] = true, "present"
		if last > 0 {
			all[last].From, rows[last][1] = all[last-1].Until, momentOf(all[last-1].Until)
		}
		if *previous != "" {
			if last == 0 {
				return fmt.Errorf("the network %s has had no identity before its present one", argv[0])
			}
			if err := writeFile(*previous, []byte(all[last-1].Certificate)); err != nil {
				return err
			}
		}
		if *out != "" {
			if err := writeFile(*out, []byte(pems.String())); err != nil {
				return err
			}
		}
		return p.table(all, []string{"fingerprint", "from", "until"}, rows)
	}
	return c
}

// momentOf is a time as tables show it, or a dash if it is not known.
func momentOf(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}
