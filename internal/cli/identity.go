package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"synod/client"
	"synod/internal/attest"
	"synod/internal/identity"
)

func newIdentity(env *Env) *cobra.Command {
	return newGroup("identity", "The certificate that a service is known by",
		newIdentityGet(env), newIdentityVerify(env), newIdentityHistory(env))
}

// fingerprint is the SHA-256 of a certificate in hex, as certificates are
// compared by eye.
func fingerprint(certPEM []byte) (string, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil || block.Type != "CERTIFICATE" {
		return "", fmt.Errorf("not a PEM certificate")
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:]), nil
}

// keyFingerprint is the SHA-256 of a certificate's key in hex: it outlives the
// certificate's renewal, and is what the portal pins.
func keyFingerprint(certPEM []byte) (string, error) {
	cert, err := identity.ParseCertPEM(certPEM)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:]), nil
}

func newIdentityGet(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "get [--out FILE]",
		Short: "Fetch a service's certificate from one of its nodes",
		Long: `Asks a node for its service's certificate and checks that the node's own
certificate is signed by it. That proves only that node and certificate belong
together: whoever answers at the address may be an impostor. Compare the
fingerprint with one that you got another way, from a member for instance, or
name it with --fingerprint. That of the key stays when the certificate is renewed;
it is the one that the portal shows.`,
		Example: "  synod identity get --url https://127.0.0.1:8000 --out service_cert.pem",
		Args:    args(cobra.NoArgs),
	}
	p := newPrinter(env, c)
	f := c.Flags()
	address := f.String("url", orDefault(env.Getenv("SYNOD_URL"), "https://127.0.0.1:8000"), "address of a node (SYNOD_URL)")
	timeout := f.Duration("timeout", 30*time.Second, "give up after so long")
	out := f.String("out", "", "where to write the certificate (default standard output)")
	want := f.String("fingerprint", "", "SHA-256 that the certificate, or its key, must have, in hex")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		id, err := client.FetchIdentity(cmd.Context(), *address, *timeout)
		if err != nil {
			return err
		}
		sum, err := fingerprint(id.ServiceCertificate)
		if err != nil {
			return err
		}
		key, err := keyFingerprint(id.ServiceCertificate)
		if err != nil {
			return err
		}
		if named := strings.ToLower(strings.ReplaceAll(*want, ":", "")); named != "" && named != sum && named != key {
			return &unverified{fmt.Errorf("the service at %s has the fingerprint %s (its key %s), not %s", *address, sum, key, *want)}
		}
		if *out == "" && p.format == formatTable {
			fmt.Fprintf(env.Stderr, "fingerprint %s\nkey fingerprint %s\n", sum, key)
			_, err := p.out.Write(id.ServiceCertificate)
			return err
		}
		if *out != "" {
			if err := writeFile(*out, id.ServiceCertificate); err != nil {
				return err
			}
		}
		return p.line(map[string]any{
			"fingerprint": sum, "key_fingerprint": key, "file": *out, "certificate": string(id.ServiceCertificate),
			"service_status": id.ServiceStatus, "recovery_count": id.RecoveryCount,
		}, "wrote %s: fingerprint %s (%s)\nkey fingerprint %s", *out, sum, id.ServiceStatus, key)
	}
	return c
}

// identityReport is what identity verify found.
type identityReport struct {
	Fingerprint   string `json:"fingerprint"`
	ServiceStatus string `json:"service_status"`
	RecoveryCount int    `json:"recovery_count"`
	NodeID        string `json:"node_id"`
	Format        string `json:"evidence_format"`
	Measurement   string `json:"measurement"`
	HostData      string `json:"host_data"`
	Hardware      bool   `json:"hardware"`
}

func newIdentityVerify(env *Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "verify --service-cert FILE",
		Short: "Verify that a node is of the service, and what it runs",
		Long: `Checks, for a service certificate that you trust, that the node at the address
holds a key that this service endorsed, that the node names the same service,
and that the node's evidence binds that key. Says what the evidence proves:
nothing, for a development node without hardware. Exit code 3 means that
something does not verify.`,
		Example: "  synod identity verify --service-cert service_cert.pem",
		Args:    args(cobra.NoArgs),
	}
	p, n := newPrinter(env, c), newConn(env, c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		rep, err := n.verifyIdentity(cmd)
		if err != nil {
			return err
		}
		if p.format == formatJSON {
			return p.json(rep)
		}
		fmt.Fprintf(p.out, "verified: node %s is of the service %s (%s, %s)\n",
			short(rep.NodeID), short(rep.Fingerprint), rep.ServiceStatus, counted(rep.RecoveryCount, "recovery"))
		fmt.Fprintf(p.out, "evidence: %s binds the node's key; measurement %s, host data %s\n", rep.Format, rep.Measurement, rep.HostData)
		if !rep.Hardware {
			fmt.Fprintln(p.out, "warning:  this evidence is for development; it proves nothing about the machine or the code")
		}
		return nil
	}
	return c
}

func (n *conn) verifyIdentity(cmd *cobra.Command) (*identityReport, error) {
	ctx, cl, done, err := n.dial(cmd.Context())
	if err != nil {
		return nil, err
	}
	defer done()
	trusted, err := os.ReadFile(n.serviceCert)
	if err != nil {
		return nil, fmt.Errorf("read service certificate: %w", err)
	}
	sum, err := fingerprint(trusted)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.serviceCert, err)
	}
	// The pinned connection proves the endorsement; the other one shows which
	// certificate it was.
	network, err := cl.Network(ctx)
	if err != nil {
		return nil, err
	}
	id, err := client.FetchIdentity(ctx, n.url, n.timeout)
	if err != nil {
		return nil, &unverified{err}
	}
	if same := bytes.Equal(bytes.TrimSpace(id.ServiceCertificate), bytes.TrimSpace([]byte(network.ServiceCertificate))); !same {
		return nil, &unverified{fmt.Errorf("the node names different services in two answers")}
	}
	if err := signedBy(trusted, id.NodeCertificate); err != nil {
		return nil, &unverified{fmt.Errorf("the node's certificate is not of the service of %s: %w", n.serviceCert, err)}
	}
	rep := &identityReport{Fingerprint: sum, ServiceStatus: network.ServiceStatus, RecoveryCount: network.RecoveryCount}
	return rep, rep.addEvidence(ctx, cl, id.NodeCertificate)
}

func signedBy(servicePEM []byte, node *x509.Certificate) error {
	block, _ := pem.Decode(servicePEM)
	service, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	return service.CheckSignature(node.SignatureAlgorithm, node.RawTBSCertificate, node.Signature)
}

// addEvidence verifies the node's own evidence over its key.
func (rep *identityReport) addEvidence(ctx context.Context, cl *client.Client, node *x509.Certificate) error {
	var quote struct {
		Format       string `json:"format"`
		NodeID       string `json:"node_id"`
		Raw          string `json:"raw"`
		Endorsements string `json:"endorsements"`
	}
	if _, err := cl.Get(ctx, "/node/quotes/self", &quote); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	want, err := attest.ReportDataOf(node.PublicKey)
	if err != nil {
		return &unverified{err}
	}
	if quote.NodeID != hex.EncodeToString(want[:]) {
		return &unverified{fmt.Errorf("the node calls itself %s, but its key is that of %x", quote.NodeID, want)}
	}
	raw, err := base64.StdEncoding.DecodeString(quote.Raw)
	if err != nil {
		return &unverified{fmt.Errorf("evidence: %w", err)}
	}
	endorsements, err := base64.StdEncoding.DecodeString(quote.Endorsements)
	if err != nil {
		return &unverified{fmt.Errorf("evidence: %w", err)}
	}
	claims, err := attest.Verify(attest.Quote{Format: attest.Format(quote.Format), Evidence: raw, Endorsements: endorsements}, want)
	if err != nil {
		return &unverified{fmt.Errorf("evidence: %w", err)}
	}
	rep.NodeID, rep.Format = quote.NodeID, quote.Format
	rep.Measurement, rep.HostData = string(claims.Measurement), hex.EncodeToString(claims.HostData[:])
	rep.Hardware = claims.Platform != attest.PlatformVirtual
	return nil
}
