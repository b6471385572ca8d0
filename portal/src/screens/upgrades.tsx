import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'wouter'
import * as api from '../api/portal'
import { upgrade } from '../intents'
import { Facts, Field, Panel, Status, Time, Title } from '../ui/ui'
import { Act } from './act'
import { Crumb, type PageProps } from './network'

export function Upgrades({ n }: PageProps) {
  const [release, setRelease] = useState('')
  const ops = useQuery({ queryKey: ['network', n.name.toLowerCase(), 'operations'], queryFn: () => api.operations(n.name) })
  const past = (ops.data ?? []).filter(o => o.kind === 'upgrade')
  const nodes = (n.status.nodes ?? []).filter(s => s.role !== 'Retired')
  const kinds = [...new Set(nodes.map(s => s.release ?? ''))]
  return (
    <>
      <Title crumb={<Crumb n={n} />}>Upgrades</Title>
      <div className="cols">
        <Panel title="What runs">
          <Facts rows={[['Release', n.status.release ?? '–'], ['Votes', n.upgradeStrategy === 'Supervised' ? 'members allow each new release' : 'the operator allows it, if the constitution lets it'], ['Mixed', kinds.length > 1 ? 'yes, as it is while an upgrade runs' : 'no']]} />
          <table className="cards"><thead><tr><th>Node</th><th>Role</th><th>Release</th></tr></thead><tbody>{nodes.map(s => <tr key={s.ordinal}><td>{s.ordinal}</td><td>{s.role}</td><td className="mono">{s.release || '–'}</td></tr>)}</tbody></table>
        </Panel>
        <Panel title="Start an upgrade">
          <Field label="Release" value={release} onChange={setRelease} hint="A release that the server has" />
          <ol className="steps">
            {['Members allow the new code to join, by vote', 'A new node joins and catches up; an old one retires. The primary goes last', 'When all are new, the old code is no longer allowed: from here on there is no way back without a vote'].map((s, i) => <li key={s}><span aria-hidden="true">{i + 1}</span><span className="body">{s}</span><span /></li>)}
          </ol>
          <div className="row"><Act primary intent={upgrade(n, release)} why={!release ? 'Name a release.' : n.operation ? 'An operation is running.' : undefined} confirm={<p>Nodes are replaced one by one; clients see no more than retries.</p>} /></div>
        </Panel>
      </div>
      <Panel title="Past upgrades">
        {!past.length && <p className="muted">None.</p>}
        <ul className="steps">{past.map(o => <li key={o.id}><span aria-hidden="true">●</span><span className="body"><Link href={`/operations/${o.id}`}>Upgrade</Link> <Time at={o.startedAt} /></span><Status tone={o.status === 'Succeeded' ? 'healthy' : o.ended ? 'failed' : 'working'}>{o.status}</Status></li>)}</ul>
      </Panel>
    </>
  )
}
