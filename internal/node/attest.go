package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"

	"synod/internal/attest"
	"synod/internal/tables"
)

// attestation is this node's evidence and what it says.
type attestation struct {
	quote       tables.QuoteInfo
	measurement string
	hostData    string // hex
}

// findPlatform finds what makes evidence here, and seals.
func (n *Node) findPlatform() error {
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the executable to attest: %w", err)
	}
	if n.driver, err = attest.NewVirtual(executable, ".", os.Getpid()); err != nil {
		return fmt.Errorf("prepare attestation: %w", err)
	}
	return nil
}

// attest makes evidence over the node's key. The virtual platform proves
// nothing, and the log says so.
func (n *Node) attest() error {
	driver := n.driver
	data, err := attest.ReportDataOf(&n.id.key.PublicKey)
	if err != nil {
		return err
	}
	quote, err := driver.Attest(context.Background(), data)
	if err != nil {
		return fmt.Errorf("attest the node's key: %w", err)
	}
	claims, err := attest.Verify(quote, data)
	if err != nil {
		return fmt.Errorf("check the node's own evidence: %w", err)
	}
	n.attested = attestation{
		quote: tables.QuoteInfo{
			Format: string(quote.Format), Quote: quote.Evidence, Endorsements: quote.Endorsements,
			UVMEndorsements: quote.UVMEndorsements, EndorsedTCB: quote.EndorsedTCB,
		},
		measurement: string(claims.Measurement),
		hostData:    hex.EncodeToString(claims.HostData[:]),
	}
	n.info(context.Background(), "Initial node attestation ("+string(driver.Platform())+"): virtual evidence is for development and proves nothing")
	return nil
}
