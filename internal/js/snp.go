package js

import (
	"encoding/json"

	"synod/internal/attest/snp"
)

// verifySNPOp is snp_attestation.verifySnpAttestation
// (CCF: src/js/extensions/snp_attestation.cpp). Members of octets are returned
// as [from, to]; the prelude takes them out of the evidence.
var verifySNPOp = hostOp{"snp.verifySnpAttestation", 4, func(v *vm, _ *call, a args) (value, bool) {
	v.effect() // depends on the time
	if a.argc < 2 || a.argc > 4 {
		return v.throw(typeError, "Passed %d arguments, but expected between 2 and 4", a.argc)
	}
	evidence, ok := v.bufferArg(a.at(0))
	if !ok {
		return valExc, false
	}
	endorsements, ok := v.bufferArg(a.at(1))
	if !ok {
		return valExc, false
	}
	var uvm []byte
	if a.at(2) != valUndef {
		if uvm, ok = v.bufferArg(a.at(2)); !ok {
			return valExc, false
		}
	}
	var tcb *string
	if a.at(3) != valUndef {
		s, ok := v.text(a.at(3))
		if !ok {
			return valExc, false
		}
		tcb = &s
	}
	report, err := snp.Verify(evidence, endorsements, tcb, v.eng.now())
	if err != nil {
		return v.throw(rangeError, "%s", err)
	}
	result := snpResult{Attestation: attestationOf(report)}
	if a.at(2) != valUndef {
		u, err := snp.VerifyUVM(uvm, report.Bytes(snp.Measurement))
		if err != nil {
			return v.throw(rangeError, "%s", err)
		}
		result.UVM = &snpUVM{DID: u.DID, Feed: u.Feed, SVN: u.SVN}
	}
	text, err := json.Marshal(result)
	if err != nil {
		return v.throw(internalError, "%s", err)
	}
	return owned(v.parseJSON(bytesAsString(text), v.json))
}}

type snpResult struct {
	Attestation snpAttestation `json:"attestation"`
	UVM         *snpUVM        `json:"uvm_endorsements,omitempty"`
}

type snpUVM struct {
	DID  string `json:"did"`
	Feed string `json:"feed"`
	SVN  string `json:"svn"`
}

// octets is where a member lies in the evidence: from, to.
type octets [2]int

// snpAttestation has the members of CCF's object, in its order, with its
// misspelt one.
type snpAttestation struct {
	Version         uint32    `json:"version"`
	GuestSVN        uint32    `json:"guest_svn"`
	Policy          snpPolicy `json:"policy"`
	FamilyID        octets    `json:"family_id"`
	ImageID         octets    `json:"image_id"`
	VMPL            uint32    `json:"vmpl"`
	SignatureAlgo   uint32    `json:"signature_algo"`
	PlatformVersion string    `json:"platform_version"`
	PlatformInfo    struct {
		SMT  uint8 `json:"smt_en"`
		TSME uint8 `json:"tsme_en"`
	} `json:"plaform_info"`
	Flags struct {
		AuthorKey   uint8 `json:"author_key_en"`
		MaskChipKey uint8 `json:"mask_chip_key"`
		SigningKey  uint8 `json:"signing_key"`
	} `json:"flags"`
	ReportData      octets `json:"report_data"`
	Measurement     octets `json:"measurement"`
	HostData        octets `json:"host_data"`
	IDKeyDigest     octets `json:"id_key_digest"`
	AuthorKeyDigest octets `json:"author_key_digest"`
	ReportID        octets `json:"report_id"`
	ReportIDMA      octets `json:"report_id_ma"`
	ReportedTCB     string `json:"reported_tcb"`
	CPUFamily       uint8  `json:"cpuid_fam_id"`
	CPUModel        uint8  `json:"cpuid_mod_id"`
	CPUStepping     uint8  `json:"cpuid_step"`
	ChipID          octets `json:"chip_id"`
	CommittedTCB    string `json:"committed_tcb"`
	CurrentMinor    uint8  `json:"current_minor"`
	CurrentBuild    uint8  `json:"current_build"`
	CurrentMajor    uint8  `json:"current_major"`
	CommittedBuild  uint8  `json:"committed_build"`
	CommittedMinor  uint8  `json:"committed_minor"`
	CommittedMajor  uint8  `json:"committed_major"`
	LaunchTCB       string `json:"launch_tcb"`
	Signature       struct {
		R octets `json:"r"`
		S octets `json:"s"`
	} `json:"signature"`
}

type snpPolicy struct {
	ABIMinor     uint8 `json:"abi_minor"`
	ABIMajor     uint8 `json:"abi_major"`
	SMT          uint8 `json:"smt"`
	MigrateMA    uint8 `json:"migrate_ma"`
	Debug        uint8 `json:"debug"`
	SingleSocket uint8 `json:"single_socket"`
}

func attestationOf(r *snp.Report) snpAttestation {
	at := func(s snp.Span) octets { return octets{s.From, s.From + s.Size} }
	a := snpAttestation{
		Version: r.Version, GuestSVN: r.GuestSVN, VMPL: r.VMPL, SignatureAlgo: r.SignatureAlgo,
		Policy:   snpPolicy{r.ABIMinor, r.ABIMajor, r.SMT, r.MigrateMA, r.Debug, r.SingleSocket},
		FamilyID: at(snp.FamilyID), ImageID: at(snp.ImageID), ReportData: at(snp.ReportData), Measurement: at(snp.Measurement),
		HostData: at(snp.HostData), IDKeyDigest: at(snp.IDKeyDigest), AuthorKeyDigest: at(snp.AuthorKeyDigest),
		ReportID: at(snp.ReportID), ReportIDMA: at(snp.ReportIDMA), ChipID: at(snp.ChipID),
		PlatformVersion: r.Platform.String(), ReportedTCB: r.Reported.String(), CommittedTCB: r.Committed.String(), LaunchTCB: r.Launch.String(),
		CPUFamily: r.CPUFamily, CPUModel: r.CPUModel, CPUStepping: r.CPUStepping,
		CurrentMinor: r.CurrentMinor, CurrentBuild: r.CurrentBuild, CurrentMajor: r.CurrentMajor,
		CommittedBuild: r.CommittedBuild, CommittedMinor: r.CommittedMinor, CommittedMajor: r.CommittedMajor,
	}
	a.PlatformInfo.SMT, a.PlatformInfo.TSME = r.SMTEnabled, r.TSMEEnabled
	a.Flags.AuthorKey, a.Flags.MaskChipKey, a.Flags.SigningKey = r.AuthorKeyEnabled, r.MaskChipKey, r.SigningKey
	a.Signature.R, a.Signature.S = at(snp.SignatureR), at(snp.SignatureS)
	return a
}
