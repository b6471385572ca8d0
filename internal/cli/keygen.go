package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"synod/internal/identity"
)

// curves are the names that --curve takes (CCF: python/utils/keygenerator.sh).
var curves = map[string]identity.Curve{
	"secp384r1": "Secp384R1",
	"secp256r1": "Secp256R1",
}

func newKeygen(env *Env, who string) *cobra.Command {
	c := &cobra.Command{
		Use:   "keygen --name NAME",
		Short: "Make a " + who + "'s key and certificate",
		Long: `Writes NAME_privk.pem and NAME_cert.pem, with --enc-key also the RSA key
NAME_enc_privk.pem and its public half NAME_enc_pubk.pem, which makes a member
a holder of a recovery share. Private keys are readable by their owner only;
existing files are never overwritten.`,
		Example: "  synod " + who + " keygen --name " + who + "0",
		Args:    args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	f := c.Flags()
	name := f.String("name", "", "name of the "+who+", and beginning of the files' names")
	dir := f.String("dir", ".", "where to write the files")
	curve := f.String("curve", "secp384r1", "secp384r1 or secp256r1")
	enc := f.Bool("enc-key", false, "also make an encryption key")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if *name == "" || filepath.Base(*name) != *name {
			return usagef(cmd, "--name: want a name without path")
		}
		cv, ok := curves[*curve]
		if !ok {
			return usagef(cmd, "--curve %q: want secp384r1 or secp256r1", *curve)
		}
		made, err := writeIdentity(*dir, *name, cv, *enc)
		if err != nil {
			return err
		}
		return p.line(made, "%s %s: wrote %s", who, made.ID, strings.Join(made.Files, ", "))
	}
	return c
}

// madeIdentity says what writeIdentity wrote.
type madeIdentity struct {
	ID    string   `json:"id"`
	Files []string `json:"files"`
}

// writeIdentity makes and writes an identity's files in dir. Members and users
// differ in nothing here; the certificate is valid for a year.
func writeIdentity(dir, name string, curve identity.Curve, enc bool) (*madeIdentity, error) {
	who, err := identity.NewMember(name, curve, time.Now())
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	files := []newFile{
		{name + "_privk.pem", who.KeyPEM, 0o600},
		{name + "_cert.pem", who.CertPEM, 0o644},
	}
	if enc {
		private, public, err := identity.NewEncryptionKey()
		if err != nil {
			return nil, fmt.Errorf("make encryption key: %w", err)
		}
		files = append(files, newFile{name + "_enc_privk.pem", private, 0o600}, newFile{name + "_enc_pubk.pem", public, 0o644})
	}
	made := &madeIdentity{ID: string(identity.MemberIDOf(who.CertDER))}
	if err := writeNew(dir, files, &made.Files); err != nil {
		return nil, err
	}
	return made, nil
}

type newFile struct {
	name, content string
	mode          os.FileMode
}

// writeNew writes files that must not exist yet; on an error it removes those
// that it wrote.
func writeNew(dir string, files []newFile, written *[]string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() {
		if err != nil {
			for _, name := range *written {
				os.Remove(name)
			}
		}
	}()
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
		if errors.Is(err, os.ErrExist) {
			return withHint(fmt.Errorf("%s exists already", path), "choose another --name or --dir, or move the old files away")
		}
		if err != nil {
			return fmt.Errorf("write key: %w", err)
		}
		*written = append(*written, path)
		_, err = out.WriteString(f.content)
		if cerr := out.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("write key: %w", err)
		}
	}
	return nil
}
