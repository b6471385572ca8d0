import { useQuery } from '@tanstack/react-query'
import { Suspense, lazy } from 'react'
import { Link, Route, Switch } from 'wouter'
import * as api from '../api/portal'
import { Problem } from '../api/http'
import { Loading, ProblemView, Title } from '../ui/ui'
import { Overview } from './overview'
import { Changed, useTrust, type Trust } from './trust'

const page = <K extends string>(load: () => Promise<Record<K, React.ComponentType<never>>>, name: K) =>
  lazy(async () => ({ default: (await load())[name] as React.ComponentType<Record<string, unknown>> }))

const Nodes = page(() => import('./nodes'), 'Nodes')
const Members = page(() => import('./members'), 'Members')
const Proposals = page(() => import('./proposals'), 'Proposals')
const NewProposal = page(() => import('./proposals'), 'NewProposal')
const ProposalPage = page(() => import('./proposal'), 'ProposalPage')
const AppPage = page(() => import('./app'), 'AppPage')
const Access = page(() => import('./access'), 'Access')
const LedgerPage = page(() => import('./ledger'), 'LedgerPage')
const Metrics = page(() => import('./metrics'), 'Metrics')
const Logs = page(() => import('./logs'), 'Logs')
const Backups = page(() => import('./backups'), 'Backups')
const Upgrades = page(() => import('./upgrades'), 'Upgrades')
const Recovery = page(() => import('./recovery'), 'Recovery')
const NetworkSettings = page(() => import('./network_settings'), 'NetworkSettings')

export interface PageProps {
  n: api.Network
  trust: Trust
}

export const useNetwork = (name: string) =>
  useQuery({ queryKey: ['network', name.toLowerCase()], queryFn: () => api.network(name), refetchInterval: 5000 })

export function NetworkPages({ name }: { name: string }) {
  const q = useNetwork(name)
  const trust = useTrust(q.data)
  if (q.isLoading) return <Loading what={`network ${name}`} />
  if (!q.data) {
    const gone = q.error instanceof Problem && q.error.status === 404
    return gone
      ? <><Title crumb={<Link href="/networks">Networks</Link>}>{name}</Title><p>There is no network of this name, or it was deleted. <Link href="/activity">Activity</Link> says by whom; a backup can be <Link href="/networks">restored under its name</Link>.</p></>
      : <><Title>{name}</Title><ProblemView error={q.error} retry={() => void q.refetch()} /></>
  }
  const n = q.data
  if (trust.state === 'changed') {
    return <><Title crumb={<Link href="/networks">Networks</Link>}>{n.name}</Title><Changed n={n} trust={trust} /></>
  }
  const p: PageProps = { n, trust }
  const at = '/networks/:name'
  return (
    <Suspense fallback={<Loading what="the page" />}>
      {q.error ? <ProblemView error={q.error} retry={() => void q.refetch()} /> : null}
      <Switch>
        <Route path={at}><Overview {...p} /></Route>
        <Route path={`${at}/nodes`}><Nodes {...p} /></Route>
        <Route path={`${at}/members`}><Members {...p} /></Route>
        <Route path={`${at}/proposals`}><Proposals {...p} /></Route>
        <Route path={`${at}/proposals/new`}><NewProposal {...p} /></Route>
        <Route path={`${at}/proposals/:id`}>{r => <ProposalPage {...p} id={r.id} />}</Route>
        <Route path={`${at}/app`}><AppPage {...p} /></Route>
        <Route path={`${at}/access`}><Access {...p} /></Route>
        <Route path={`${at}/ledger/:txid?`}>{r => <LedgerPage {...p} txid={r.txid} />}</Route>
        <Route path={`${at}/metrics`}><Metrics {...p} /></Route>
        <Route path={`${at}/logs`}><Logs {...p} /></Route>
        <Route path={`${at}/backups`}><Backups {...p} /></Route>
        <Route path={`${at}/upgrades`}><Upgrades {...p} /></Route>
        <Route path={`${at}/recovery`}><Recovery {...p} /></Route>
        <Route path={`${at}/settings`}><NetworkSettings {...p} /></Route>
        <Route><Title>Nothing here</Title><p><Link href={`/networks/${n.name}`}>Back to {n.name}</Link></p></Route>
      </Switch>
    </Suspense>
  )
}

export function Crumb({ n }: { n: api.Network }) {
  return <><Link href="/networks">Networks</Link> / <Link href={`/networks/${n.name}`}>{n.name}</Link></>
}
