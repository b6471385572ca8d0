// What a network's state is in words, and what to do about it.
import type { Network } from '../api/portal'
import { Status, type Tone } from '../ui/ui'

export interface Attention { tone: Tone; text: string; to?: string; action?: string }

const days = (at?: string) => (at && !at.startsWith('0001') ? Math.floor((Date.parse(at) - Date.now()) / 86400e3) : undefined)

export const ready = (n: Network) => (n.status.nodes ?? []).filter(s => s.health === 'Ok' && (s.role === 'Primary' || s.role === 'Backup')).length

export function certificateDays(n: Network): number | undefined {
  const all = (n.status.nodes ?? []).filter(s => s.role !== 'Retired').map(s => days(s.certificateNotAfter)).filter(d => d !== undefined)
  return all.length ? Math.min(...all) : undefined
}

// attention lists what is wrong or waits for somebody, worst first.
export function attention(n: Network): Attention[] {
  const out: Attention[] = []
  const at = `/networks/${n.name}`
  const s = n.status
  if (s.provisioningState === 'Failed') out.push({ tone: 'failed', text: 'The last change failed.', to: `${at}/settings`, action: 'See operations' })
  const waits = s.conditions?.some(c => c.type === 'WaitingForMembers' && c.status === 'True')
  for (const c of s.conditions ?? []) {
    const bad = { QuorumAtRisk: 'True', Degraded: 'True', CertsValid: 'False', Available: 'False', WaitingForMembers: 'True', UpgradeAvailable: 'True', BackupRecent: 'False' }[c.type]
    if (c.status !== bad) continue
    if (c.type === 'Available' && ['ServiceOpening', 'ServiceRecovering'].includes(c.reason ?? '') && waits) continue // what it waits for says it
    const [tone, text, to, action]: [Tone, string, string, string] = ({
      QuorumAtRisk: ['failed', 'One more loss stops writes', 'nodes', 'Nodes'],
      Degraded: ['attention', 'Degraded', 'nodes', 'Nodes'],
      CertsValid: ['failed', 'A certificate runs out', 'nodes', 'Nodes'],
      Available: n.status.provisioningState === 'Creating' || n.status.runningState === 'Paused' ? ['stopped', 'Not available now', '', 'Overview'] : ['failed', 'Not available', 'nodes', 'Nodes'],
      WaitingForMembers: ['attention', 'Waits for members', ...(
        c.reason?.startsWith('Recovery') ? ['recovery', 'Recovery'] : c.reason === 'ReleaseApproval' ? ['proposals', 'Proposals'] : ['members', 'Members']) as [string, string]],
      UpgradeAvailable: ['attention', 'A newer release is there', 'upgrades', 'Plan'],
      BackupRecent: ['attention', 'No recent backup', 'backups', 'Back up'],
    } as Record<string, [Tone, string, string, string]>)[c.type]!
    out.push({ tone, text: [text, c.message || c.reason].filter(Boolean).join(': '), to: `${at}/${to}`, action })
  }
  for (const node of s.nodes ?? []) {
    if (node.health === 'NeedsReplacement') out.push({ tone: 'attention', text: `Node ${node.ordinal} is being given up${node.reason ? `: ${node.reason}` : ''}`, to: `${at}/nodes`, action: 'Nodes' })
    if (node.health === 'Unknown' && node.role !== 'Retired' && s.runningState !== 'Paused') out.push({ tone: 'unknown', text: `Node ${node.ordinal} does not answer${node.reason ? `: ${node.reason}` : ''}`, to: `${at}/nodes`, action: 'Nodes' })
  }
  const rank: Record<string, number> = { failed: 0, attention: 1, unknown: 2, working: 3, stopped: 4, healthy: 5 }
  return out.sort((a, b) => rank[a.tone]! - rank[b.tone]!)
}

export function stateOf(n: Network): [Tone, string] {
  if (n.operation) {
    const steps = n.operation.steps ?? []
    const done = steps.filter(s => s.endedAt && !s.endedAt.startsWith('0001')).length
    const verb = ({ create: 'Creating', delete: 'Deleting', update: 'Updating', backup: 'Backing up', restore: 'Restoring', upgrade: 'Upgrading', renew: 'Renewing', recover: 'Recovering', rehearse: 'Rehearsing' } as Record<string, string>)[n.operation.kind] ?? 'Working'
    return ['working', steps.length ? `${verb}, step ${Math.min(done + 1, steps.length)}` : verb]
  }
  if (n.status.runningState === 'Paused' || n.runningState === 'Paused') return ['stopped', 'Paused']
  const worst = attention(n)[0]
  if (n.status.provisioningState === 'Failed') return ['failed', 'Failed']
  if (!worst) return n.status.provisioningState === 'Succeeded' ? ['healthy', 'Healthy'] : ['working', n.status.provisioningState ?? 'Accepted']
  return [worst.tone, worst.tone === 'failed' ? 'Needs you' : worst.tone === 'unknown' ? 'No answer' : 'Attention']
}

export function NetworkState({ n }: { n: Network }) {
  const [tone, text] = stateOf(n)
  return <Status tone={tone}>{text}</Status>
}
