// Every action as a pure function from what a form holds to what would be done:
// the request, and the line that does the same. Pages show and run the same
// value, so the two cannot drift; a test has the real command line parse them.

export interface Intent {
  title: string
  cli: string
  method: string
  path: string // of the ARM API, without api-version; of /gov for governance
  body?: unknown
}

export interface NetworkRef { subscription: string; group: string; name: string }

// quote writes a word as a shell takes it.
export const quote = (s: string) => (/^[A-Za-z0-9_./:@=+-]+$/.test(s) ? s : `'${s.replaceAll("'", `'\\''`)}'`)

const at = (n: NetworkRef) =>
  `/subscriptions/${encodeURIComponent(n.subscription)}/resourceGroups/${encodeURIComponent(n.group)}/providers/Microsoft.ConfidentialLedger/managedCCFs/${encodeURIComponent(n.name)}`
const ref = (n: NetworkRef) => `${quote(n.name)} --resource-group ${quote(n.group)}`

export interface NewNetwork extends NetworkRef {
  location: string
  nodeCount: number
  zones: string[]
  app: 'sample' | 'customImage'
  constitution: string // '' is the shipped one
  members: { name: string; certificate: string; encryptionKey?: string }[]
  backupTarget: string
  backupEvery: string // '' is none
  deleteProtection: boolean
}

export function createNetwork(n: NewNetwork): Intent {
  const properties: Record<string, unknown> = {
    deploymentType: { languageRuntime: 'JS', appSourceUri: n.app },
    nodeCount: n.nodeCount,
    memberIdentityCertificates: n.members.map(m => ({
      certificate: m.certificate, ...(m.encryptionKey ? { encryptionkey: m.encryptionKey } : {}), tags: { identifier: m.name },
    })),
  }
  if (n.zones.length) properties.zones = n.zones
  if (n.constitution) properties.constitution = n.constitution
  if (n.deleteProtection) properties.deleteProtection = true
  if (n.backupTarget || n.backupEvery) {
    properties.backupPolicy = { ...(n.backupTarget ? { target: n.backupTarget } : {}), ...(n.backupEvery ? { every: n.backupEvery } : {}) }
  }
  return {
    title: 'Create network', cli: `synod network create ${ref(n)} --file ${quote(`${n.name}.json`)}`, method: 'PUT', path: at(n),
    body: { location: n.location, properties },
  }
}

export function scale(n: NetworkRef, nodeCount: number): Intent {
  return { title: 'Scale', cli: `synod network update ${ref(n)} --node-count ${nodeCount}`, method: 'PATCH', path: at(n), body: { properties: { nodeCount } } }
}

export function setRunning(n: NetworkRef, runningState: 'Active' | 'Paused'): Intent {
  return {
    title: runningState === 'Paused' ? 'Pause network' : 'Resume network',
    cli: `synod network update ${ref(n)} --running-state ${runningState}`, method: 'PATCH', path: at(n), body: { properties: { runningState } },
  }
}

export function setDeleteProtection(n: NetworkRef, deleteProtection: boolean): Intent {
  return {
    title: deleteProtection ? 'Protect from deletion' : 'Allow deletion',
    cli: `synod network update ${ref(n)} --delete-protection=${deleteProtection}`, method: 'PATCH', path: at(n), body: { properties: { deleteProtection } },
  }
}

export function remove(n: NetworkRef): Intent {
  return { title: 'Delete network', cli: `synod network delete ${ref(n)} --yes`, method: 'DELETE', path: at(n) }
}

export function replaceNode(n: NetworkRef, ordinal: number): Intent {
  return { title: 'Replace node', cli: `synod network nodes replace ${quote(n.name)} ${ordinal} --resource-group ${quote(n.group)}`, method: 'POST', path: `${at(n)}/nodes/${ordinal}/replace` }
}

export function backup(n: NetworkRef): Intent {
  return { title: 'Back up now', cli: `synod backup create ${ref(n)}`, method: 'POST', path: `${at(n)}/backup`, body: {} }
}

export function restore(n: NetworkRef, share: string, inPlace: boolean): Intent {
  return {
    title: inPlace ? 'Restore in place' : 'Restore to a new name',
    cli: `synod backup restore ${quote(n.name)} ${quote(share)} --resource-group ${quote(n.group)}${inPlace ? ' --in-place' : ''}`, method: 'POST', path: `${at(n)}/restore`,
    body: { fileShareName: share, ...(inPlace ? { inPlace: true } : {}) },
  }
}

export function rehearse(n: NetworkRef, share: string): Intent {
  return { title: 'Rehearse a restore', cli: `synod backup test ${quote(n.name)} ${quote(share)} --resource-group ${quote(n.group)}`, method: 'POST', path: `${at(n)}/rehearse`, body: { fileShareName: share } }
}

export function upgrade(n: NetworkRef, release: string): Intent {
  return { title: 'Start upgrade', cli: `synod upgrade start ${quote(n.name)} ${quote(release)} --resource-group ${quote(n.group)}`, method: 'POST', path: `${at(n)}/upgrade`, body: { release } }
}

export function cancel(id: string): Intent {
  return { title: 'Cancel operation', cli: `synod operation cancel ${quote(id)}`, method: 'POST', path: `/providers/Microsoft.ConfidentialLedger/locations/LOCAL/operationStatuses/${id}/cancel` }
}

// Governance: what a member signs.

export interface Action { name: string; args?: unknown }

const signed = (url: string) => `--url ${quote(url)} --service-cert service_cert.pem`

export function propose(url: string, actions: Action[]): Intent {
  return {
    title: 'Propose', cli: `synod proposal create proposal.json --as member0 ${signed(url)}`, method: 'POST', path: 'members/proposals:create',
    body: { actions },
  }
}

export function vote(url: string, proposalId: string, memberId: string, ballot: string): Intent {
  return {
    title: 'Vote', cli: `synod proposal vote ${quote(proposalId)} --ballot ballot.js --as member0 ${signed(url)}`, method: 'POST',
    path: `members/proposals/${proposalId}/ballots/${memberId}:submit`, body: { ballot },
  }
}

export function withdraw(url: string, proposalId: string): Intent {
  return {
    title: 'Withdraw', cli: `synod proposal withdraw ${quote(proposalId)} --as member0 ${signed(url)}`, method: 'POST',
    path: `members/proposals/${proposalId}:withdraw`,
  }
}

export function activate(url: string, memberId: string, stateDigest: string): Intent {
  return {
    title: 'Activate', cli: `synod member activate --as member0 ${signed(url)}`, method: 'POST',
    path: `members/state-digests/${memberId}:ack`, body: { stateDigest },
  }
}

export function verifyReceipt(): string {
  return 'synod receipt verify receipt.json --service-cert service_cert.pem -o json'
}

export function verifyLedger(): string {
  return 'synod ledger verify ledger --service-cert service_cert.pem -o json'
}

// acceptBallot accepts the text with this SHA-256 and no other: whoever mixes up
// two proposals has voted for neither.
export function acceptBallot(digest: string): string {
  return `export function vote(proposal, proposerId) {
  // accepts the proposal whose SHA-256 this is, and no other
  const digest = new Uint8Array(ccf.crypto.digest("SHA-256", ccf.strToBuf(proposal)));
  return Array.from(digest, b => b.toString(16).padStart(2, "0")).join("") ===
    "${digest}";
}`
}

export const rejectBallot = 'export function vote(proposal, proposerId) {\n  return false;\n}'
