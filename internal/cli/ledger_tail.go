package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"synod"
	"synod/client"
	"synod/internal/verdict"
)

func newLedgerTail(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "tail MAP...",
		Short: "Follow what is committed to public maps",
		Long: `Prints each committed transaction that writes to one of the maps, as it is
committed, until Ctrl-C or --count transactions. It goes on by itself when the
connection breaks.

Maps of governance, public:ccf.gov.…, anybody may follow; those of an application
take a member's certificate: --as. An application's own feed is followed with
--path, with whatever certificate it wants.`,
		Example: `  synod ledger tail public:records --as keys/member0 --service-cert service_cert.pem
  synod ledger tail public:ccf.gov.members.info --since 2.17 -o json`,
		Args: args(cobra.ArbitraryArgs),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	n.endless(c)
	as := c.Flags().String("as", "", "use the client certificate NAME_cert.pem with NAME_privk.pem")
	since := c.Flags().String("since", "", "begin after this transaction, <view>.<seqno>, or with the first: start")
	count := c.Flags().Int("count", 0, "end after so many transactions; 0 goes on")
	path := c.Flags().String("path", "", "follow the feed at this path instead, such as /app/changes")
	c.RunE = func(cmd *cobra.Command, maps []string) error {
		f := client.Feed{Path: *path}
		switch {
		case (len(maps) == 0) == (*path == ""):
			return usagef(cmd, "name maps, or a feed with --path")
		case *path == "":
			f.Path = "/node/changes?maps=" + url.QueryEscape(strings.Join(maps, ","))
		}
		var err error
		if f.FromStart = *since == "start"; *since != "" && !f.FromStart {
			if f.Since, err = synod.ParseTxID(*since); err != nil {
				return usagef(cmd, "--since: %w", err)
			}
		}
		opts, err := certificateOf(*as)
		if err != nil {
			return err
		}
		ctx, cl, done, err := n.dial(cmd.Context(), opts...)
		if err != nil {
			return err
		}
		defer done()
		enough := errors.New("enough")
		told := 0
		err = cl.Follow(ctx, f, func(e client.Event) error {
			if err := printEvent(p, e); err != nil {
				return err
			}
			if told++; told == *count {
				return enough
			}
			return nil
		})
		if errors.Is(err, enough) || ctx.Err() != nil {
			return nil
		}
		return err
	}
	return c
}

// certificateOf reads the client certificate of a name, if there is one.
func certificateOf(name string) ([]client.Option, error) {
	if name == "" {
		return nil, nil
	}
	certFile, keyFile := keyFiles(name)
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	return []client.Option{client.WithClientCertificate(cert, key)}, nil
}

// printEvent prints one event: a line for each write, or its JSON on one line.
func printEvent(p *printer, e client.Event) error {
	if p.format == formatJSON {
		_, err := fmt.Fprintf(p.out, "%s\n", e.Data)
		return err
	}
	var change client.Change
	if err := json.Unmarshal(e.Data, &change); err != nil || change.TransactionID != e.ID {
		_, err := fmt.Fprintf(p.out, "%s  %s\n", e.ID, oneLine(verdict.Printable(e.Data)))
		return err
	}
	for _, w := range change.Writes {
		text := "= " + oneLine(verdict.Printable(w.Value))
		if w.Deleted {
			text = "removed"
		}
		if _, err := fmt.Fprintf(p.out, "%s  %s  %s %s\n", e.ID, w.Map, verdict.Printable(w.Key), text); err != nil {
			return err
		}
	}
	return nil
}
