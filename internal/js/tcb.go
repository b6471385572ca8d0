package js

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// tcbOp is ccf.tcbHexToPolicy(cpuid, tcb): the parts of an SEV-SNP TCB
// version, which lie differently in each family of processors
// (CCF: include/ccf/pal/attestation_sev_snp.h, sev_snp_cpuid.h; AMD 56860,
// table 3).
var tcbOp = hostOp{"ccf.tcbHexToPolicy", 2, func(v *vm, _ *call, a args) (value, bool) {
	if !a.want(2) {
		return valExc, false
	}
	cpuid, ok := v.text(a.at(0))
	if !ok {
		return valExc, false
	}
	tcb, ok := v.text(a.at(1))
	if !ok {
		return valExc, false
	}
	policy, err := tcbPolicy(cpuid, tcb)
	if err != nil {
		return v.throw(typeError, "%s", err)
	}
	return owned(v.parseJSON(policy, v.json))
}}

// tcbPolicy is the JSON of a TCB version. Both arguments are big-endian hex.
func tcbPolicy(cpuid, tcb string) (string, error) {
	id, err := hex.DecodeString(cpuid)
	if err != nil || len(id) != 4 {
		return "", errors.New("CPUID could not be parsed")
	}
	b, err := hex.DecodeString(tcb)
	if err != nil || len(b) != 8 {
		return "", errors.New("TCB could not be parsed from hex_str")
	}
	// CPUID Fn0000_0001_EAX, most significant byte first: extended family in
	// bits 20 to 27, extended model 16 to 19, family 8 to 11, model 4 to 7.
	family := id[2]&15 + id[0]<<4 + id[1]>>4
	model := id[1]<<4 | id[3]>>4
	common := fmt.Sprintf(`{"hexstring":"%x","microcode":%d`, b, b[0])
	switch {
	case family == 0x19 && (model == 0x01 || model == 0x11): // Milan, Genoa
		return fmt.Sprintf(`%s,"snp":%d,"tee":%d,"boot_loader":%d}`, common, b[1], b[6], b[7]), nil
	case family == 0x1a && model == 0x01: // Turin
		return fmt.Sprintf(`%s,"snp":%d,"tee":%d,"boot_loader":%d,"fmc":%d}`, common, b[4], b[5], b[6], b[7]), nil
	default:
		return "", fmt.Errorf("SEV-SNP: Unsupported CPUID family %d model %d", family, model)
	}
}
