import { useQuery } from '@tanstack/react-query'
import { Link, useLocation, useSearch } from 'wouter'
import * as api from '../api/portal'
import { Button, Empty, Loading, ProblemView, Time, Title } from '../ui/ui'
import { NetworkState, attention, certificateDays, ready, stateOf } from './state'

const order = ['failed', 'attention', 'unknown', 'working', 'stopped', 'healthy']

export function Networks() {
  const q = useQuery({ queryKey: ['summary'], queryFn: api.summary, refetchInterval: 15e3 })
  const [, go] = useLocation()
  const filter = new URLSearchParams(useSearch()).get('q') ?? ''
  const all = q.data?.networks ?? []
  const shown = all.filter(n => `${n.name} ${n.group} ${stateOf(n)[1]}`.toLowerCase().includes(filter.toLowerCase()))
    .sort((a, b) => order.indexOf(stateOf(a)[0]) - order.indexOf(stateOf(b)[0]) || a.name.localeCompare(b.name))
  const waits = shown.flatMap(n => attention(n).map(a => ({ n, a })))
  return (
    <>
      <Title actions={<Link href="/networks/new" className="button primary" data-create>Create network</Link>}>Networks</Title>
      {q.isLoading && <Loading what="the list of networks" />}
      {q.error && <ProblemView error={q.error} retry={() => void q.refetch()} />}
      {q.data && !all.length && (
        <div className="panel">
          <Empty action={<Link href="/networks/new" className="button primary">Create a network</Link>} cli="synod network create bank --file network.json">
            A network is a set of nodes, three as a rule, that keep one ledger and answer as one service. There is none on this control plane yet.
          </Empty>
        </div>
      )}
      {waits.length > 0 && (
        <section className="panel" aria-label="What needs you">
          <h2>What needs you</h2>
          <ul className="steps">
            {waits.slice(0, 8).map(({ n, a }, i) => (
              <li key={i}><span aria-hidden="true" className={`s-${a.tone}`}>{a.tone === 'failed' ? '■' : '▲'}</span><span className="body"><b>{n.name}</b> {a.text}</span>{a.to && <Link href={a.to}>{a.action}</Link>}</li>
            ))}
          </ul>
        </section>
      )}
      {all.length > 0 && (
        <section className="panel flush" aria-label="All networks">
          <div style={{ padding: '12px 16px' }}>
            <input type="search" aria-label="Filter by name, group or state" placeholder="Filter by name, group or state" defaultValue={filter}
              onChange={e => go(`/networks${e.target.value ? `?q=${encodeURIComponent(e.target.value)}` : ''}`, { replace: true })} />
          </div>
          {!shown.length && <div style={{ padding: 16 }}><p className="muted">No network matches.</p><Button onPress={() => go('/networks')}>Clear filter</Button></div>}
          <table className="cards">
            <thead><tr><th>State</th><th>Name</th><th>Nodes</th><th>Certificate</th><th>Last backup</th><th>Release</th></tr></thead>
            <tbody>
              {shown.map(n => {
                const days = certificateDays(n)
                return (
                  <tr key={n.resourceId}>
                    <td><NetworkState n={n} /></td>
                    <td><Link data-row href={`/networks/${n.name}`}><b>{n.name}</b></Link> <span className="muted small">{n.group}</span></td>
                    <td data-label="Nodes">{ready(n)} of {n.nodeCount} ready</td>
                    <td data-label="Certificate">{days === undefined ? <span className="muted">none yet</span> : <span className={days < 8 ? 's-attention' : ''}>{days} days left</span>}</td>
                    <td data-label="Last backup"><Time at={n.status.lastBackup?.at} /></td>
                    <td data-label="Release">{n.status.release ?? <span className="muted">–</span>}</td>
                  </tr>
                )
              })}
            </tbody>
          </table>
        </section>
      )}
    </>
  )
}
