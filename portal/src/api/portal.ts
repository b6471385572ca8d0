// The portal's own views, the ARM API and the nodes, as the pages see them.
import { get, request, type Reply } from './http'

export interface Step { name: string; status: string; message?: string; startedAt: string; endedAt?: string }

export interface Operation {
  id: string
  network: { subscription: string; group: string; name: string }
  kind: string
  status: string
  ended: boolean
  steps: Step[] | null
  message?: string
  error?: { code: string; message: string }
  startedAt: string
  endedAt?: string
  requestedBy: string
  cancelRequested: boolean
}

export interface NodeStatus {
  ordinal: number; nodeId?: string; zone?: string; address?: string; release?: string; pid?: number
  role?: string; health?: string; reason?: string; view?: number; seqno?: number; certificateNotAfter?: string
}

export interface Condition { type: string; status: string; reason?: string; message?: string; since: string }

export interface Backup { share: string; at: string; view?: number; seqno?: number; sizeBytes?: number; verifiedAt?: string }

export interface Network {
  resourceId: string; subscription: string; group: string; name: string; location: string; tags: Record<string, string> | null; etag: string
  nodeCount: number; zones: string[] | null; members: number; runningState: string; deleteProtection: boolean
  upgradeStrategy: string; certificateDays: number; backupEverySeconds: number; backupTarget: boolean; backupContinuous: boolean
  status: {
    provisioningState?: string; runningState?: string; appUri?: string; identityServiceUri?: string; serviceCertificate?: string
    previousIdentities?: { certificate: string; from?: string; until?: string }[]; constitutionDigest?: string
    nodes?: NodeStatus[]; conditions?: Condition[]; release?: string; lastBackup?: Backup
  }
  operation: Operation | null
  createdAt: string; createdBy: string; modifiedAt: string
}

export const SUBSCRIPTION = '00000000-0000-0000-0000-000000000001'
export const API_VERSION = '2026-11-01-synod'

const v1 = '/portal/v1'
const name = encodeURIComponent

export const summary = () => get<{ networks: Network[]; now: string }>(`${v1}/summary`)
export const network = (n: string) => get<Network>(`${v1}/networks/${name(n)}`)
export const operation = (id: string) => get<Operation>(`${v1}/operations/${name(id)}`)
export const operations = async (n: string) => (await get<{ operations: Operation[] }>(`${v1}/networks/${name(n)}/operations`)).operations

export const backups = async (n: string) => (await get<{ backups: Backup[] }>(`${v1}/networks/${name(n)}/backups`)).backups

export interface Audit { seq: number; at: string; principal: string; action: string; target: string; result: string; requestId: string }
export const activity = async (before: number, target: string) =>
  (await get<{ entries: Audit[] }>(`${v1}/activity?before=${before}&target=${name(target)}`)).entries

export interface LedgerRow { tx: string; size: number; private: number; sig: boolean; tables: string[] }
export interface LedgerPage { rows: LedgerRow[]; chunks: { file: string; first: number; last: number; size_bytes: number; committed: boolean }[] }
export const ledger = (n: string, before: number) => get<LedgerPage>(`${v1}/networks/${name(n)}/ledger?before=${before}`)
export const chunkURL = (n: string, file: string) => `${v1}/networks/${name(n)}/chunks/${name(file)}`
export const ledgerEntryURL = (n: string, seqno: number) => `${v1}/networks/${name(n)}/ledger/${seqno}`

export interface NodeLog { ordinal: number; size: number; lines: string[]; cut: boolean }
export const logs = async (n: string, node: string, after: number) =>
  (await get<{ logs: NodeLog[] }>(`${v1}/networks/${name(n)}/logs?node=${name(node)}&after=${after}`)).logs

export interface Session { until?: string; version: string; now: string }
export const session = () => get<Session>(`${v1}/session`)
export const signIn = (how: { code?: string; token?: string }) => request<Session>('POST', `${v1}/session`, how)
export const signOut = () => request('DELETE', `${v1}/session`)

export const armPath = (n: { subscription: string; group: string; name: string }) =>
  `/subscriptions/${name(n.subscription)}/resourceGroups/${name(n.group)}/providers/Microsoft.ConfidentialLedger/managedCCFs/${name(n.name)}`

export function arm<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply<T>> {
  return request<T>(method, `${v1}/arm${path}${path.includes('?') ? '&' : '?'}api-version=${API_VERSION}`, body, headers)
}

// operationID finds the operation that an ARM answer started.
export function operationID(r: Reply<unknown>): string | undefined {
  const at = r.headers.get('azure-asyncoperation') ?? r.headers.get('location')
  return at ? decodeURIComponent(at.split('?')[0]!.split('/').pop()!).split('*')[0] : undefined
}

// GOV is the version of the governance API that the pages speak.
export const GOV = '2024-07-01'

export function node<T>(n: string, path: string, which = 'any'): Promise<Reply<T>> {
  const version = path.startsWith('gov/') ? `${path.includes('?') ? '&' : '?'}api-version=${GOV}` : ''
  return request<T>('GET', `${v1}/networks/${name(n)}/node/${which}/${path}${version}`)
}

// nodeOrNone is node for what may not be there: undefined then.
export async function nodeOrNone<T>(n: string, path: string): Promise<T | undefined> {
  const version = path.startsWith('gov/') ? `${path.includes('?') ? '&' : '?'}api-version=${GOV}` : ''
  const r = await request<T>('GET', `${v1}/networks/${name(n)}/node/any/${path}${version}`, undefined, { 'X-Synod-Absent': 'ok' })
  return r.status === 204 ? undefined : r.body
}

export function submit<T>(n: string, path: string, message: Uint8Array): Promise<Reply<T>> {
  return request<T>('POST', `${v1}/networks/${name(n)}/node/primary/gov/${path}?api-version=${GOV}`, message)
}

export interface Member {
  memberId: string; status: string; memberData?: unknown; certificate: string; publicEncryptionKey?: string; recoveryRole?: string
}
export const members = async (n: string) => (await node<{ value: Member[] }>(n, 'gov/service/members')).body.value

export interface Proposal {
  proposalId: string; proposerId: string; proposalState: string; ballotCount: number; finalVotes?: Record<string, boolean>
  failure?: { reason: string }; voteFailures?: Record<string, { reason: string }>
}
export const proposals = async (n: string) => (await node<{ value: Proposal[] }>(n, 'gov/members/proposals')).body.value
export const proposal = async (n: string, id: string) => (await node<Proposal>(n, `gov/members/proposals/${id}`)).body

// waitCommitted follows a transaction until the service has committed it.
export async function waitCommitted(n: string, txid: string): Promise<'Committed' | 'Invalid'> {
  for (let i = 0; i < 100; i++) {
    const { body } = await node<{ status: string }>(n, `node/tx?transaction_id=${txid}`).catch(() => ({ body: { status: 'Unknown' } }))
    if (body.status === 'Committed' || body.status === 'Invalid') return body.status
    await new Promise(ok => setTimeout(ok, 100))
  }
  throw new Error('The transaction was not committed within ten seconds.')
}
