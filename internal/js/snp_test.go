package js

import (
	"encoding/base64"
	"os"
	"testing"
	"time"
)

// TestSNP: CCF's own cases (CCF: tests/npm_tests.py).
func TestSNP(t *testing.T) {
	text := "const V = {\n"
	for name, file := range map[string]string{"evidence": "milan.report", "endorsements": "milan.pem", "uvm": "milan_uvm.cose"} {
		b, err := os.ReadFile("../attest/snp/testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		text += name + `: "` + base64.StdEncoding.EncodeToString(b) + "\",\n"
	}
	text += `};
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
		const raw = (s) => { const out = []; let n = 0, bits = 0; for (const c of s.replace(/=+$/, "")) { n = (n << 6 | alphabet.indexOf(c)) & 0xffff; bits += 6; if (bits >= 8) { bits -= 8; out.push(n >> bits & 255); } } return new Uint8Array(out).buffer; };
		const E = raw(V.evidence), C = raw(V.endorsements), U = raw(V.uvm), verify = snp_attestation.verifySnpAttestation;
		const turned = (b) => { const u = new Uint8Array(b), n = u.length >> 1, out = new Uint8Array(u.length); out.set(u.subarray(n)); out.set(u.subarray(0, n), u.length - n); return out.buffer; };
		const fails = (f, start) => { try { f() } catch (e) { eq(String(e).slice(0, start.length), start); return } throw new Error("did not throw: " + start) };
	`
	cases := map[string]string{
		"valid": `const r = verify(E, C), a = r.attestation; eq("uvm_endorsements" in r, false); eq(hex(a.report_data), "7a6a68c0a2b85b8aae00ca04f644831680222f44167e5558a9e072b70c60e958" + "0".repeat(64));
			eq(hex(a.measurement), "5feee30d6d7e1a29f403d70a4198237ddfb13051a2d6976439487c609388ed7f98189887920ab2fa0096903a0c23fca1"); eq(hex(a.host_data), "4f4448c67f3c8dfc8de8a5e37125d807dadcc41f06cf23f615dbd52eec777d10");
			eq(Object.keys(a).join(), "version,guest_svn,policy,family_id,image_id,vmpl,signature_algo,platform_version,plaform_info,flags,report_data,measurement,host_data,id_key_digest,author_key_digest,report_id,report_id_ma,reported_tcb,cpuid_fam_id,cpuid_mod_id,cpuid_step,chip_id,committed_tcb,current_minor,current_build,current_major,committed_build,committed_minor,committed_major,launch_tcb,signature");
			eq(JSON.stringify([a.version, a.guest_svn, a.vmpl, a.signature_algo, a.policy, a.plaform_info, a.flags]), '[3,2,0,1,{"abi_minor":31,"abi_major":0,"smt":1,"migrate_ma":0,"debug":0,"single_socket":0},{"smt_en":1,"tsme_en":0},{"author_key_en":0,"mask_chip_key":0,"signing_key":0}]');
			eq([a.platform_version, a.reported_tcb, a.committed_tcb, a.launch_tcb].join(), "db18000000000004,db18000000000004,db18000000000004,db18000000000004");
			for (const [m, n] of [["family_id", 16], ["image_id", 16], ["id_key_digest", 48], ["author_key_digest", 48], ["report_id", 32], ["report_id_ma", 32], ["chip_id", 64]]) { eq(a[m] instanceof ArrayBuffer, true); eq(a[m].byteLength, n); }
			eq(a.signature.r.byteLength, 72); eq(a.signature.s.byteLength, 72); eq(hex(a.signature.s), hex(E.slice(0x2e8, 0x330))); eq(ccf.tcbHexToPolicy("00a00f11", a.reported_tcb).boot_loader, 4);`,
		"with endorsements of the utility VM": `const r = verify(E, C, U, "db18000000000004"); eq(JSON.stringify(r.uvm_endorsements), '{"did":"did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2","feed":"ContainerPlat-AMD-UVM","svn":"101"}'); verify(E, C, undefined, undefined);`,
		"refused": `throws(() => verify(E, C, U, "0000000000000000"), "RangeError: SEV-SNP: endorsed TCB 0000000000000000 does not match reported TCB db18000000000004");
			for (const b of [E.slice(10), S(""), new ArrayBuffer(1185)]) fails(() => verify(b, C), "RangeError: Input SEV-SNP attestation report is not of expected size 1184: "); fails(() => verify(turned(E), C), "RangeError: ");
			throws(() => verify(E, C.slice(0, -10)), "RangeError: Expected 3 endorsement certificates but got 2"); throws(() => verify(E, S(T(C) + "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----")), "RangeError: Expected 3 endorsement certificates but got 4");
			fails(() => verify(E, turned(C)), "RangeError: "); for (const b of [U.slice(0, -10), U.slice(1), turned(U), S("")]) fails(() => verify(E, C, b), "RangeError: ");`,
		"arguments": `throws(() => verify(), "TypeError: Passed 0 arguments, but expected between 2 and 4"); throws(() => verify(1, 2, 3, 4, 5), "TypeError: Passed 5 arguments, but expected between 2 and 4");
			for (const f of [() => verify(1, C), () => verify(E, "x"), () => verify(E, C, null), () => verify(new Uint8Array(E), C)]) throws(f, "TypeError: ArrayBuffer object expected");
			throws(() => verify(E, C, undefined, {toString() { throw new Error("mine") }}), "Error: mine"); eq(verify.length, 4); eq(verify.name, "verifySnpAttestation");`,
	}
	for name := range cases {
		cases[name] = text + cases[name]
	}
	onBackends(t, func(t *testing.T, s *service) {
		s.eng.now = func() time.Time { return time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC) }
		scripts(t, s, cases)
	})
}
