package tables

// AllowedToJoin is the value of every measurement that may join
// (CCF: include/ccf/service/code_status.h).
const AllowedToJoin = "AllowedToJoin"

// UVMEndorsements is one row of SNPUVMEndorsements: by feed, the least
// security version accepted
// (CCF: include/ccf/service/tables/uvm_endorsements.h).
type UVMEndorsements map[string]UVMEndorsement

// UVMEndorsement holds a security version number in decimal.
type UVMEndorsement struct {
	SVN string `json:"svn"`
}

// TCBVersion is one row of SNPTCBVersions: the least version accepted of each
// part; nil where the row says nothing
// (CCF: include/ccf/pal/attestation_sev_snp.h, TcbVersionPolicy).
type TCBVersion struct {
	BootLoader *uint32 `json:"boot_loader,omitempty"`
	FMC        *uint32 `json:"fmc,omitempty"`
	Hexstring  *string `json:"hexstring,omitempty"`
	Microcode  *uint32 `json:"microcode,omitempty"`
	SNP        *uint32 `json:"snp,omitempty"`
	TEE        *uint32 `json:"tee,omitempty"`
}
