import { useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import * as api from '../api/portal'
import { remove, setDeleteProtection, setRunning } from '../intents'
import { Copy, Facts, Panel, Status, Time, Title } from '../ui/ui'
import { Act } from './act'
import { Crumb, type PageProps } from './network'

export function NetworkSettings({ n }: PageProps) {
  const ops = useQuery({ queryKey: ['network', n.name.toLowerCase(), 'operations'], queryFn: () => api.operations(n.name) })
  const paused = n.runningState === 'Paused'
  const busy = n.operation ? 'An operation is running.' : undefined
  return (
    <>
      <Title crumb={<Crumb n={n} />}>Settings</Title>
      <Panel title="What was asked for">
        <Facts rows={[
          ['Resource', <span className="copyable"><span className="hash">{n.resourceId}</span><Copy text={n.resourceId} label="the resource ID" /></span>], ['Location', n.location], ['Nodes', n.nodeCount], ['Zones', n.zones?.join(', ') || '–'],
          ['Certificates', `valid for ${n.certificateDays} days, renewed at two thirds`], ['Tags', Object.entries(n.tags ?? {}).map(([k, v]) => `${k}=${v}`).join(', ') || '–'],
          ['Created', <><Time at={n.createdAt} /> by {n.createdBy}</>], ['Changed', <Time at={n.modifiedAt} />],
        ]} />
      </Panel>
      <Panel title="Pause and delete">
        <div className="row">
          <Act intent={setRunning(n, paused ? 'Active' : 'Paused')} why={busy} confirm={<p>{paused
            ? 'Nodes start again from their ledgers. If members have allowed sealed resume, the service goes on as itself. Otherwise this is a recovery: the service gets a new identity, members vote to open it and submit their shares under Recovery.'
            : 'All nodes stop, and nobody can read or write until it is resumed. The ledger stays; keys that are in nodes’ memory alone go. Unless members have allowed sealed resume (set_sealed_resume), resuming is a recovery: a new service identity, members’ votes and their shares.'}</p>} />
          <Act intent={setDeleteProtection(n, !n.deleteProtection)} why={busy} confirm={<p>{n.deleteProtection ? 'After this the network can be deleted.' : 'The network can then not be deleted until this is undone.'}</p>} />
          <Act danger intent={remove(n)} type={n.name} why={n.deleteProtection ? 'Protected from deletion.' : undefined} confirm={<p>Stops all nodes and removes their ledgers. <b>What is not in a backup is gone.</b> {n.status.lastBackup ? <>The last backup is of <Time at={n.status.lastBackup.at} />.</> : 'There is no backup.'}</p>} />
        </div>
      </Panel>
      <Panel title="Operations">
        {!ops.data?.length && <p className="muted">None.</p>}
        <ul className="steps">{(ops.data ?? []).map(o => <li key={o.id}><span aria-hidden="true">●</span><span className="body"><Link data-row href={`/operations/${o.id}`}>{o.kind}</Link> <Time at={o.startedAt} /> by {o.requestedBy} {o.error && <span className="error">{o.error.message}</span>}</span><Status tone={o.status === 'Succeeded' ? 'healthy' : o.status === 'Canceled' ? 'stopped' : o.ended ? 'failed' : 'working'}>{o.status}</Status></li>)}</ul>
      </Panel>
    </>
  )
}
