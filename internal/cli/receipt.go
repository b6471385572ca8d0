package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"synod"
	"synod/client"
	"synod/internal/verdict"
	"synod/receipt"
)

func newReceipt(env *Env) *cobra.Command {
	return newGroup("receipt", "Fetch receipts, and verify them offline",
		newReceiptGet(env), newReceiptVerify(env))
}

func newReceiptGet(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "get TRANSACTION",
		Short: "Fetch the receipt of a transaction",
		Long: `Waits until the transaction is committed, fetches its receipt, verifies it
against the service's certificate and prints it as JSON, or writes it to --out.`,
		Example: "  synod receipt get 2.17 --service-cert service_cert.pem --out receipt.json",
		Args:    args(cobra.ExactArgs(1)),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	out := c.Flags().String("out", "", "write the receipt to this file")
	as := c.Flags().String("as", "", "use the client certificate NAME_cert.pem with NAME_privk.pem")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		id, err := synod.ParseTxID(a[0])
		if err != nil {
			return usagef(cmd, "%w", err)
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
		if err := cl.WaitCommitted(ctx, id); err != nil {
			return err
		}
		v, err := cl.Receipt(ctx, id, receipt.Options{})
		if err != nil {
			var refused *synod.Error
			if errors.As(err, &refused) || unreachable(err) {
				return err
			}
			return withHint(&unverified{err}, verdict.Hint(err))
		}
		body := append(bytes.TrimSpace(v.JSON), '\n')
		if *out == "" {
			_, err := p.out.Write(body)
			return err
		}
		if err := writeFile(*out, body); err != nil {
			return err
		}
		return p.line(map[string]string{"transaction_id": id.String(), "file": *out}, "wrote %s: the receipt of %s, verified", *out, id)
	}
	return c
}

func newReceiptVerify(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "verify RECEIPT --service-cert FILE",
		Short: "Verify a receipt offline",
		Long: `Verifies a receipt, JSON or COSE ("-" for standard input), against the
service's certificate, without asking anybody. With --claim, --claim-file or
--claim-digest it also checks what the application claimed; with --tx which
transaction it is of. The file of the service's certificate may hold several, as
"synod identity history" writes it: one that vouches for the receipt is enough.
Exit code 3 means that it does not verify.`,
		Example: "  synod receipt verify receipt.json --service-cert service_cert.pem --claim 'Hello'",
		Args:    args(cobra.ExactArgs(1)),
	}
	p := newPrinter(env, c)
	f := c.Flags()
	cert := f.String("service-cert", env.Getenv("SYNOD_SERVICE_CERT"), "the service's certificate, or all that it has had, PEM (SYNOD_SERVICE_CERT)")
	claim := f.String("claim", "", "text whose SHA-256 the application claimed")
	claimFile := f.String("claim-file", "", "file whose SHA-256 the application claimed")
	claimDigest := f.String("claim-digest", "", "claims digest, 64 hex digits")
	tx := f.String("tx", "", "transaction that the receipt must be of")
	entry := f.String("entry", "", "file with the ledger entry that the receipt must be of")
	endorsements := f.String("endorsements", "", "for COSE receipts from before a recovery: JSON with the service's endorsements")
	c.RunE = func(cmd *cobra.Command, a []string) error {
		if *cert == "" {
			return client.ErrNoServiceCertificate
		}
		opts := receipt.Options{}
		var err error
		if opts.ServiceCert, err = os.ReadFile(*cert); err != nil {
			return fmt.Errorf("read service certificate: %w", err)
		}
		if opts.Claims, err = claims(cmd, *claim, *claimFile, *claimDigest); err != nil {
			return err
		}
		if *entry != "" {
			if opts.Entry, err = os.ReadFile(*entry); err != nil {
				return fmt.Errorf("read entry: %w", err)
			}
		}
		if *tx != "" {
			if opts.TxID, err = synod.ParseTxID(*tx); err != nil {
				return usagef(cmd, "--tx: %w", err)
			}
		}
		if *endorsements != "" {
			if opts.Endorsements, err = readEndorsements(*endorsements); err != nil {
				return err
			}
		}
		body, err := readInput(env, a[0])
		if err != nil {
			return fmt.Errorf("read receipt: %w", err)
		}
		v, err := verifyByAny(body, opts)
		if errors.Is(err, receipt.ErrTrust) {
			return fmt.Errorf("%s: %w", *cert, err)
		}
		if err != nil {
			return withHint(&unverified{fmt.Errorf("%s: %w", a[0], err)}, v.Hint)
		}
		return p.line(v, "verified: %s", receiptText(v))
	}
	return c
}

// verifyByAny verifies a receipt against each certificate of opts.ServiceCert, the
// last one first, until one vouches for it. If none does, the verdict is of the last.
func verifyByAny(body []byte, opts receipt.Options) (verified *verdict.Receipt, err error) {
	var certs [][]byte
	for block, rest := pem.Decode(opts.ServiceCert); block != nil; block, rest = pem.Decode(rest) {
		certs = append(certs, pem.EncodeToMemory(block))
	}
	if len(certs) < 2 {
		return verdict.VerifyReceipt(body, opts)
	}
	for _, cert := range slices.Backward(certs) {
		opts.ServiceCert = cert
		v, vErr := verdict.VerifyReceipt(body, opts)
		if vErr == nil {
			return v, nil
		}
		if verified == nil {
			verified, err = v, vErr
		}
	}
	return verified, err
}

// claims is the digest that the flags ask for, or nil.
func claims(cmd *cobra.Command, text, file, digest string) (*[32]byte, error) {
	given := 0
	for _, s := range []string{text, file, digest} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		return nil, usagef(cmd, "--claim, --claim-file and --claim-digest exclude each other")
	}
	var d [32]byte
	switch {
	case text != "":
		d = sha256.Sum256([]byte(text))
	case file != "":
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read claim: %w", err)
		}
		d = sha256.Sum256(b)
	case digest != "":
		b, err := hex.DecodeString(strings.TrimSpace(digest))
		if err != nil || len(b) != len(d) {
			return nil, usagef(cmd, "--claim-digest: want 64 hex digits")
		}
		copy(d[:], b)
	default:
		return nil, nil
	}
	return &d, nil
}

// readEndorsements reads what services answer: {"endorsements":[base64, …]}.
func readEndorsements(file string) ([][]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read endorsements: %w", err)
	}
	var body struct {
		Endorsements [][]byte `json:"endorsements"`
	}
	if err := json.Unmarshal(b, &body); err != nil {
		return nil, fmt.Errorf("%s: not the JSON of endorsements: %w", file, err)
	}
	return body.Endorsements, nil
}

func receiptText(v *verdict.Receipt) string {
	if v.IsSignature {
		return fmt.Sprintf("%s receipt of a signature over root %s", v.Kind, v.Root)
	}
	return fmt.Sprintf("%s receipt of transaction %s", v.Kind, v.TransactionID)
}
