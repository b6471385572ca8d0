package js

import (
	"testing"
)

// TestMembersOfEachContext is the matrix of javascript-apps.md, section 8.1:
// which member exists in which context.
func TestMembersOfEachContext(t *testing.T) {
	const look = `function look() { const of = (path) => { let o = globalThis; for (const p of path.split(".")) o = o === undefined ? o : o[p]; return o !== undefined };
  return names.filter(of).join(" ") }
const names = ["console.log", "ccf.strToBuf", "ccf.crypto.sign", "ccf.gov.validateConstitution", "snp_attestation.verifySnpAttestation", "ccf.kv", "ccf.rpc.setApplyWrites", "ccf.rpc.setClaimsDigest",
  "ccf.consensus.getLastCommittedTxId", "ccf.consensus.getStatusForTxId", "ccf.consensus.getViewForSeqno", "ccf.historical.getStateRange", "ccf.historical.dropCachedStates",
  "ccf.node.triggerLedgerRekey", "ccf.node.triggerLedgerChunk", "ccf.node.triggerSnapshot", "ccf.node.triggerRecoverySharesRefresh", "ccf.node.transitionServiceToOpen",
  "ccf.network.getLatestLedgerSecretSeqno", "ccf.network.generateEndorsedCertificate", "ccf.network.generateNetworkCertificate",
  "ccf.refreshAppBytecodeCache", "ccf.setJwtPublicSigningKeys", "ccf.removeJwtPublicSigningKeys", "ccf.historicalState", "ccf.host", "ccf.digest", "ccf.node.shuffleSealedShares"];
`
	const common = "console.log ccf.strToBuf ccf.crypto.sign ccf.gov.validateConstitution snp_attestation.verifySnpAttestation ccf.kv"
	const app = common + " ccf.rpc.setApplyWrites ccf.rpc.setClaimsDigest ccf.consensus.getLastCommittedTxId ccf.consensus.getStatusForTxId ccf.consensus.getViewForSeqno ccf.historical.getStateRange ccf.historical.dropCachedStates ccf.digest"
	const apply = common + " ccf.node.triggerLedgerRekey ccf.node.triggerLedgerChunk ccf.node.triggerSnapshot ccf.node.triggerRecoverySharesRefresh ccf.node.transitionServiceToOpen" +
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
