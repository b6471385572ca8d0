package js

import (
	"slices"
	"strings"
	"testing"
)

// TestMembersOfEachContext is the matrix of javascript-apps.md, section 8.1:
// which member exists in which context.
func TestMembersOfEachContext(t *testing.T) {
	const look = `function look() { const of = (path) => { let o = globalThis; for (const p of path.split(".")) o = o === undefined ? o : o[p]; return o !== undefined };
  return names.filter(of).join(" ") }
const names = ["console.log", "ccf.strToBuf", "ccf.crypto.sign", "ccf.gov.validateConstitution", "snp_attestation.verifySnpAttestation", "ccf.kv", "ccf.rpc.setApplyWrites", "ccf.rpc.setClaimsDigest",
  "ccf.consensus.getLastCommittedTxId", "ccf.consensus.getStatusForTxId", "ccf.consensus.getViewForSeqno", "ccf.historical.getStateRange", "ccf.historical.dropCachedStates",
  "ccf.node.triggerLedgerRekey", "ccf.node.triggerLedgerChunk", "ccf.node.triggerSnapshot", "ccf.node.triggerRecoverySharesRefresh", "ccf.node.transitionServiceToOpen", "ccf.node.setSealedResume",
  "ccf.network.getLatestLedgerSecretSeqno", "ccf.network.generateEndorsedCertificate", "ccf.network.generateNetworkCertificate",
  "ccf.refreshAppBytecodeCache", "ccf.setJwtPublicSigningKeys", "ccf.removeJwtPublicSigningKeys", "ccf.historicalState", "ccf.host", "ccf.digest", "ccf.node.shuffleSealedShares"];
`
	const common = "console.log ccf.strToBuf ccf.crypto.sign ccf.gov.validateConstitution snp_attestation.verifySnpAttestation ccf.kv"
	const app = common + " ccf.rpc.setApplyWrites ccf.rpc.setClaimsDigest ccf.consensus.getLastCommittedTxId ccf.consensus.getStatusForTxId ccf.consensus.getViewForSeqno ccf.historical.getStateRange ccf.historical.dropCachedStates ccf.digest"
	const apply = common + " ccf.node.triggerLedgerRekey ccf.node.triggerLedgerChunk ccf.node.triggerSnapshot ccf.node.triggerRecoverySharesRefresh ccf.node.transitionServiceToOpen ccf.node.setSealedResume" +
		" ccf.network.getLatestLedgerSecretSeqno ccf.network.generateEndorsedCertificate ccf.network.generateNetworkCertificate ccf.refreshAppBytecodeCache ccf.setJwtPublicSigningKeys ccf.removeJwtPublicSigningKeys ccf.digest"
	p := newPair(t, differentialEngines(t))
	p.deploy(map[string]string{"m.js": look + `export function f() { return { body: look() } }`}, "POST /rw m.js f", `POST /ro m.js f {"mode":"readonly"}`)
	p.want("/rw", app)
	p.want("/ro", app)
	for access, want := range map[Access]string{GovReadOnly: common + " ccf.digest", GovReadWrite: apply} {
		got, x := p.gov(access, look+`export const f = look`)
		if x != nil || got != `"`+want+`"` {
			t.Errorf("%s\ngot  %s\nwant %s (%v)", access, got, want, x)
		}
	}
	// The sandbox of a proposed constitution has no global of CCF's: were one
	// there, validate would have a length that is refused.
	bare := "const kept = ['ccf', 'console', 'snp_attestation'].filter((n) => n in globalThis); const l = kept.length === 0 ? 1 : 2; export const validate = Object.defineProperty(() => {}, 'length', { value: l }); export function resolve(a, b, c) {} export function apply(a, b) {}"
	if got, x := p.gov(GovReadOnly, "export function f() { return ccf.gov.validateConstitution(`"+bare+"`) }"); x != nil || got != "true" {
		t.Errorf("the sandbox: %s %v", got, x)
	}
}

// Every member of the ccf object with the length of its functions, by the
// contexts that have it (CCF: src/js/extensions, the install functions; those
// directly on ccf that crypto has too are in the types of @microsoft/ccf-app).
const (
	membersOfAll = `
	bufToJsonCompatible/1 bufToStr/1 crypto crypto.digest/2 crypto.eddsaJwkToPem/1 crypto.eddsaPemToJwk/1
	crypto.generateAesKey/1 crypto.generateEcdsaKeyPair/1 crypto.generateEddsaKeyPair/1 crypto.generateRsaKeyPair/1
	crypto.isValidX509CertBundle/1 crypto.isValidX509CertChain/2 crypto.jwkToPem/1 crypto.pemToJwk/1
	crypto.pubEddsaJwkToPem/1 crypto.pubEddsaPemToJwk/1 crypto.pubJwkToPem/1 crypto.pubPemToJwk/1 crypto.pubRsaJwkToPem/1
	crypto.pubRsaPemToJwk/1 crypto.rsaJwkToPem/1 crypto.rsaPemToJwk/1 crypto.sign/3 crypto.unwrapKey/3
	crypto.verifySignature/4 crypto.wrapKey/3 digest/2 enableMetricsLogging/1 enableUntrustedDateTime/1 generateAesKey/1
	generateEcdsaKeyPair/1 generateRsaKeyPair/1 gov gov.validateConstitution/1 isValidX509CertBundle/1
	isValidX509CertChain/2 jsonCompatibleToBuf/1 kv pemToId/1 strToBuf/1 tcbHexToPolicy/2 wrapKey/3`
	membersOfApps = `
	consensus consensus.getLastCommittedTxId/0 consensus.getStatusForTxId/2 consensus.getViewForSeqno/1 historical
	historical.dropCachedStates/1 historical.getStateRange/4 rpc rpc.setApplyWrites/1 rpc.setClaimsDigest/1`
	membersOfApply = `
	network network.generateEndorsedCertificate/3 network.generateNetworkCertificate/2 network.getLatestLedgerSecretSeqno/0
	node node.setSealedResume/1 node.transitionServiceToOpen/2 node.triggerLedgerChunk/0 node.triggerLedgerRekey/0
	node.triggerRecoverySharesRefresh/0 node.triggerSnapshot/0 refreshAppBytecodeCache/0 removeJwtPublicSigningKeys/1
	setJwtPublicSigningKeys/3`
)

// TestEveryMember: each context has these members and no others.
func TestEveryMember(t *testing.T) {
	const look = `function look() {
  const out = [];
  const walk = (o, at) => {
    for (const k of Object.getOwnPropertyNames(o)) {
      const v = o[k];
      out.push(at + k + (typeof v === "function" ? "/" + v.length : ""));
      if (typeof v === "function" && v.name !== k) throw k + " calls itself " + v.name;
      if (typeof v === "object") walk(v, at + k + ".");
    }
  };
  walk(ccf, "");
  return out.sort().join(" ");
}
`
	want := func(lists ...string) string {
		names := strings.Fields(strings.Join(lists, " "))
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	p := newPair(t, differentialEngines(t))
	p.deploy(map[string]string{"m.js": look + `export function f() { return { body: look() } }`}, "POST /rw m.js f", `POST /ro m.js f {"mode":"readonly"}`)
	p.want("/rw", want(membersOfAll, membersOfApps))
	p.want("/ro", want(membersOfAll, membersOfApps))
	for access, names := range map[Access]string{GovReadOnly: want(membersOfAll), GovReadWrite: want(membersOfAll, membersOfApply)} {
		if got, x := p.gov(access, look+`export const f = look`); x != nil || got != `"`+names+`"` {
			t.Errorf("%s\ngot  %s\nwant %s (%v)", access, got, names, x)
		}
	}
}
