import { useEffect, useRef, useState } from 'react'
import * as api from '../api/portal'
import { Cli, Panel, Title } from '../ui/ui'
import { Plot } from '../ui/plot'
import { Crumb, type PageProps } from './network'

interface Sample { t: number; view: number; seqno: number; committed: number; signatures: number; signing: number; sessions: number; uncommitted: number; waiting: number; submissions: number; primary: string }

const SAMPLES_MAX = 600
const EVERY = 2000 // milliseconds

export function Metrics({ n }: PageProps) {
  const [samples, set] = useState<Sample[]>([])
  const [problem, setProblem] = useState('')
  const alive = useRef(true)
  useEffect(() => {
    alive.current = true
    const ask = async () => {
      try {
        const [m, c] = await Promise.all([
          api.node<{ sessions: { active: number }; synod: Record<string, number> }>(n.name, 'node/metrics', 'primary'),
          api.node<{ details: { current_view: number; last_signable_seqno?: number; last_idx?: number; commit_idx?: number; primary_id?: string } }>(n.name, 'node/consensus', 'primary'),
        ])
        const commit = await api.node<{ transaction_id: string }>(n.name, 'node/commit', 'primary')
        const [view, seqno] = commit.body.transaction_id.split('.').map(Number) as [number, number]
        const s = m.body.synod
        const next: Sample = {
          t: Date.now() / 1000, view, seqno, committed: seqno, signatures: s.signatures ?? 0, signing: s.signing_us ?? 0, sessions: m.body.sessions.active,
          uncommitted: s.uncommitted ?? 0, waiting: s.waiting_for_commit ?? 0, submissions: s.submission_queue ?? 0, primary: c.body.details.primary_id ?? '',
        }
        if (alive.current) set(old => [...old, next].slice(-SAMPLES_MAX))
        setProblem('')
      } catch (e) {
        setProblem(e instanceof Error ? e.message : String(e))
      }
    }
    void ask()
    const t = setInterval(() => void ask(), EVERY)
    return () => {
      alive.current = false
      clearInterval(t)
    }
  }, [n.name])
  const times = samples.map(s => s.t)
  const rate = (f: (s: Sample) => number) => samples.map((s, i) => {
    const before = samples[i - 1]
    return before && s.primary === before.primary && f(s) >= f(before) ? (f(s) - f(before)) / (s.t - before.t) : null
  })
  const events = samples.flatMap((s, i) => (samples[i - 1] && samples[i - 1]!.view !== s.view ? [{ at: s.t, text: `view ${s.view}` }] : []))
  return (
    <>
      <Title crumb={<Crumb n={n} />}>Metrics</Title>
      <p className="prose muted">Of the primary, every two seconds while this page is open. {problem && <span className="error">{problem}</span>}</p>
      {samples.length > 0 && (
        <div className="cols">
          <Plot title="Committed transactions" unit="/s" times={times} events={events} series={[{ name: 'transactions', values: rate(s => s.committed) }]} />
          <Plot title="Signatures" unit="/s" times={times} events={events} series={[{ name: 'signatures', values: rate(s => s.signatures) }]} />
          <Plot title="Queues" unit="" times={times} events={events} series={[{ name: 'not yet committed', values: samples.map(s => s.uncommitted) }, { name: 'waiting for commit', values: samples.map(s => s.waiting) }, { name: 'submissions', values: samples.map(s => s.submissions) }]} />
          <Plot title="Sessions" unit="" times={times} events={events} series={[{ name: 'open', values: samples.map(s => s.sessions) }]} />
        </div>
      )}
      <Panel title="For longer times">
        <p className="prose">The control plane has all networks’ figures in Prometheus’s format, for a scraper with a token:</p>
        <Cli line={`curl --cacert ca.pem --header "Authorization: Bearer $(cat token)" ${location.origin}/metrics`} />
      </Panel>
    </>
  )
}
