import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'wouter'
import * as api from '../api/portal'
import { cancel } from '../intents'
import { Button, Cli, Facts, Loading, Panel, ProblemView, Status, Time, Title, ago, useNow } from '../ui/ui'

// stepWords reads the reconciler's names: StartNode (Join) is Start node (join).
export const stepWords = (s: string) => s.replace(/^Wait: /, 'Wait for: ').replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`).replace(/\(([A-Z])/g, (_, c: string) => `(${c.toLowerCase()}`)

const set = (t?: string) => !!t && !t.startsWith('0001')

export function OperationSteps({ op }: { op: api.Operation }) {
  const now = useNow(1000)
  return (
    <ol className="steps" aria-live="polite">
      {(op.steps ?? []).map((s, i) => {
        const ended = set(s.endedAt)
        const failed = s.status === 'Failed' || s.status === 'Canceled'
        const took = (ended ? Date.parse(s.endedAt!) : now) - Date.parse(s.startedAt)
        return (
          <li key={i}>
            <span aria-hidden="true" className={failed ? 'error' : ended ? 's-healthy' : 's-working'}>{failed ? '■' : ended ? '✓' : '◔'}</span>
            <div className="body"><b>{stepWords(s.name)}</b>{s.message && <div className={failed ? 'error' : 'muted'}>{s.message}</div>}</div>
            <span className="muted small">{ended ? `${(took / 1000).toFixed(took < 9950 ? 1 : 0)} s` : `running for ${ago(took).replace('in ', '')}`}</span>
          </li>
        )
      })}
      {!op.steps?.length && !op.ended && <li><span aria-hidden="true" className="s-working">◔</span><span className="body muted">Waiting for the reconciler to take it up</span><span /></li>}
    </ol>
  )
}

export function OperationPage({ id }: { id: string }) {
  const q = useQuery({ queryKey: ['operation', id], queryFn: () => api.operation(id), refetchInterval: s => (s.state.data?.ended ? false : 2000) })
  const [problem, setProblem] = useState<unknown>()
  if (q.isLoading) return <Loading what="the operation" />
  if (!q.data) return <><Title>Operation</Title><ProblemView error={q.error} retry={() => void q.refetch()} /></>
  const op = q.data
  const tone = !op.ended ? 'working' : op.status === 'Succeeded' ? 'healthy' : op.status === 'Canceled' ? 'stopped' : 'failed'
  const intent = cancel(op.id)
  return (
    <>
      <Title crumb={<Link href={`/networks/${op.network.name}`}>{op.network.name}</Link>}
        actions={!op.ended && <Button disabled={op.cancelRequested} onPress={() => void api.arm(intent.method, `${intent.path.replace('LOCAL', 'local')}`).then(() => q.refetch(), setProblem)}>{op.cancelRequested ? 'Cancelling…' : 'Cancel'}</Button>}>
        {op.kind[0]!.toUpperCase() + op.kind.slice(1)} {op.network.name}
      </Title>
      {problem !== undefined && <ProblemView error={problem} />}
      <Panel title={<Status tone={tone}>{op.status}</Status>}>
        {op.error && <div className="panel red" role="alert"><p><b>{op.error.message}</b></p><p className="small muted">{op.error.code}</p></div>}
        <OperationSteps op={op} />
        {op.message && <p className="prose">{op.message}</p>}
        {op.ended && op.status === 'Succeeded' && op.kind !== 'delete' && <div className="row"><Link className="button primary" href={`/networks/${op.network.name}`}>Open {op.network.name}</Link></div>}
      </Panel>
      <Facts rows={[['Started', <Time at={op.startedAt} />], ['Asked for by', op.requestedBy], ['Operation', <span className="hash">{op.id}</span>]]} />
      <details className="how"><summary>On the command line</summary><div className="stack"><Cli line={`synod operation show ${op.id}`} /><Cli line={intent.cli} /></div></details>
      <p className="small muted">This page can be closed: the work is the server's, and goes on after a restart of it.</p>
    </>
  )
}
