// Package snp verifies AMD SEV-SNP attestation reports and the endorsements of
// utility VMs, as CCF does: src/pal/attestation.cpp, src/node/uvm_endorsements.cpp.
// Layouts are those of AMD's "SEV-SNP firmware ABI" (document 56860), and of
// its "VCEK certificate and KDS interface" (document 57230).
//
// It does not decide which code may run, and it asks nothing of hardware or of
// a network: all that it judges is given, with the time. AMD's root keys are
// pinned here; Turin's is not, as in CCF.
//
// Everything is from outside and bounded. It starts no goroutine; its
// functions may be called from several.
//
// Reading order: report.go, verify.go, uvm.go.
package snp
