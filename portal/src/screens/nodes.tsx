import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import * as api from '../api/portal'
import { replaceNode, scale } from '../intents'
import { Choices, Hash, Panel, Status, Time, Title, type Tone } from '../ui/ui'
import { Act } from './act'
import { Crumb, type PageProps } from './network'
import { ready } from './state'

const roles: Record<string, string> = { Primary: '★', Backup: '●', Learner: '◔', Pending: '○', Retired: '–', None: '–' }

// loss says why a node must not be replaced now, or ''.
export function loss(n: api.Network, s: api.NodeStatus): string {
  const voters = (n.status.nodes ?? []).filter(x => x.role === 'Primary' || x.role === 'Backup')
  const up = voters.filter(x => x.health === 'Ok').length
  const majority = Math.floor(voters.length / 2) + 1
  if (n.operation) return 'An operation is running.'
  if (s.health === 'Ok' && up - 1 < majority && voters.length > 1) return `Of ${voters.length} voters ${up} answer, and ${majority} must: first let the others come back.`
  return ''
}

export function Nodes({ n }: PageProps) {
  const [count, setCount] = useState(String(n.nodeCount))
  const up = ready(n) > 0
  const consensus = useQuery({
    queryKey: ['network', n.name.toLowerCase(), 'consensus'], enabled: up, refetchInterval: 3000,
    queryFn: async () => (await api.node<{ details: { current_view: number; last_signable?: number; service_commit?: number; last_seqno?: number; primary_id?: string; acks?: Record<string, { seqno: number; last_received_ms: number }> } }>(n.name, 'node/consensus', 'primary')).body.details,
  })
  const all = n.status.nodes ?? []
  const shown = all.filter(s => s.role !== 'Retired')
  const retired = all.filter(s => s.role === 'Retired')
  const tip = Math.max(0, ...all.map(s => s.seqno ?? 0))
  return (
    <>
      <Title crumb={<Crumb n={n} />}>Nodes</Title>
      <Panel flush title={`${ready(n)} of ${n.nodeCount} ready`}>
        <table className="cards">
          <thead><tr><th>Node</th><th>State</th><th>Role</th><th className="num">View</th><th className="num">Seqno</th><th>Zone</th><th>Address</th><th>Certificate</th><th><span className="sr">Actions</span></th></tr></thead>
          <tbody>
            {shown.map(s => {
              const tone: Tone = s.health === 'Ok' ? 'healthy' : s.health === 'NeedsReplacement' ? 'failed' : s.role === 'Pending' ? 'working' : 'unknown'
              const lag = tip - (s.seqno ?? 0)
              return (
                <tr key={s.ordinal}>
                  <td><b data-row tabIndex={-1}>{s.ordinal}</b> {s.nodeId && <Hash value={s.nodeId} label="the node ID" />}</td>
                  <td><Status tone={tone}>{s.health === 'Ok' ? 'Healthy' : s.health === 'NeedsReplacement' ? `To be replaced${s.reason ? `: ${s.reason}` : ''}` : s.reason || 'No answer'}</Status></td>
                  <td><span aria-hidden="true">{roles[s.role ?? 'None']}</span> {s.role ?? 'None'}</td>
                  <td className="num" data-label="View">{s.view ?? '–'}</td>
                  <td className="num" data-label="Seqno">{s.seqno ?? '–'}{lag > 0 && s.seqno ? <span className="muted"> −{lag}</span> : ''}</td>
                  <td data-label="Zone">{s.zone || '–'}</td>
                  <td data-label="Address" className="mono">{s.address || '–'}</td>
                  <td data-label="Certificate"><Time at={s.certificateNotAfter} /></td>
                  <td><Act intent={replaceNode(n, s.ordinal)} why={loss(n, s) || undefined} confirm={
                    <p>A new node is added first; when it has caught up, node {s.ordinal} retires and its directory goes. {s.role === 'Primary' && 'It is the primary: another node takes over.'}</p>
                  }>Replace</Act></td>
                </tr>
              )
            })}
          </tbody>
        </table>
        {retired.length > 0 && <details style={{ padding: '8px 16px' }}><summary>{retired.length} retired</summary><ul>{retired.map(s => <li key={s.ordinal}>{s.ordinal} <Hash value={s.nodeId} /></li>)}</ul></details>}
      </Panel>
      <div className="cols">
        <Panel title="How many">
          <Choices label="Nodes" value={count} onChange={setCount} options={[1, 3, 5, 7, 9].map(c => ({ value: String(c), name: String(c), text: c === 1 ? 'survives no loss' : `survives ${(c - 1) / 2} lost` }))} />
          <div className="row"><Act primary intent={scale(n, Number(count))} why={n.operation ? 'An operation is running.' : Number(count) === n.nodeCount ? `There are ${count} already.` : undefined}
            confirm={<p>From {n.nodeCount} to {count} nodes. {Number(count) < n.nodeCount ? 'The nodes that go retire in order, one after the other; no committed write is lost.' : 'Each new node joins with evidence, catches up, and votes from then on.'}</p>}>Scale</Act></div>
        </Panel>
        <Panel title="Consensus">
          {consensus.data ? <pre>{JSON.stringify(consensus.data, null, 2)}</pre> : <p className="muted">{up ? 'Asking the primary…' : 'No node answers.'}</p>}
        </Panel>
      </div>
    </>
  )
}
