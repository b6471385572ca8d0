import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useLocation } from 'wouter'
import * as api from '../api/portal'
import { propose, type Action } from '../intents'
import { Button, Cli, Empty, Field, Hash, Loading, Mark, Panel, ProblemView, Status, Title, type Tone } from '../ui/ui'
import { inWords } from '../words'
import { Crumb, type PageProps } from './network'
import { SignDialog, jsonPayload, memberName, useHeld } from './sign'

export const tones: Record<string, Tone> = { Open: 'attention', Accepted: 'healthy', Rejected: 'stopped', Failed: 'failed', Withdrawn: 'stopped', Dropped: 'stopped' }

export function Proposals({ n }: PageProps) {
  const q = useQuery({ queryKey: ['network', n.name.toLowerCase(), 'proposals'], queryFn: () => api.proposals(n.name), refetchInterval: 3000 })
  const { members } = useHeld(n.name)
  const all = [...(q.data ?? [])].sort((a, b) => Number(b.proposalState === 'Open') - Number(a.proposalState === 'Open'))
  return (
    <>
      <Title crumb={<Crumb n={n} />} actions={<Link data-create className="button primary" href={`/networks/${n.name}/proposals/new`}>New proposal</Link>}>Proposals</Title>
      {q.isLoading && <Loading what="the proposals" />}
      {q.error && <ProblemView error={q.error} retry={() => void q.refetch()} />}
      {q.data && (
        <Panel flush title={<>What members decide <Mark kind="reported" /></>}>
          {!all.length && <div style={{ padding: '0 16px 16px' }}><Empty cli="synod proposal list">No proposal is listed. Closed ones go from the node’s list when others close; they stay in the ledger.</Empty></div>}
          {all.length > 0 && (
            <table className="cards">
              <thead><tr><th>State</th><th>Proposal</th><th>By</th><th className="num">Votes</th></tr></thead>
              <tbody>
                {all.map(p => (
                  <tr key={p.proposalId}>
                    <td><Status tone={tones[p.proposalState] ?? 'unknown'}>{p.proposalState}</Status></td>
                    <td><Link data-row href={`/networks/${n.name}/proposals/${p.proposalId}`} className="mono">{p.proposalId.slice(0, 8)}…{p.proposalId.slice(-4)}</Link></td>
                    <td data-label="By">{memberName(members.find(m => m.memberId === p.proposerId), p.proposerId)}</td>
                    <td className="num" data-label="Votes">{p.ballotCount}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </Panel>
      )}
      <p className="small muted prose">A control plane that hides a proposal cannot be found out from here alone: compare with another member, or follow with <code>synod proposal watch</code> from elsewhere.</p>
    </>
  )
}

const templates = (n: api.Network): { name: string; title: string; args?: unknown }[] => [
  { name: 'trigger_snapshot', title: 'Make a snapshot' },
  { name: 'transition_service_to_open', title: 'Open the service', args: { next_service_identity: n.status.serviceCertificate } },
  { name: 'set_user', title: 'Add a user', args: { cert: '-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n', user_data: {} } },
  { name: 'set_recovery_threshold', title: 'Set the recovery threshold', args: { recovery_threshold: 2 } },
  { name: 'set_js_runtime_options', title: 'Limit the JavaScript runtime', args: { max_heap_bytes: 104857600, max_stack_bytes: 1048576, max_execution_time_ms: 1000, log_exception_details: false, return_exception_details: false } },
  { name: 'trigger_ledger_rekey', title: 'Make a new ledger secret' },
]

export function NewProposal({ n }: PageProps) {
  const [, go] = useLocation()
  const asked = new URLSearchParams(location.search).get('action')
  const known = templates(n)
  const first = known.find(t => t.name === asked) ?? known[0]!
  const text = (t: { name: string; args?: unknown }) => JSON.stringify({ actions: [{ name: t.name, ...(t.args ? { args: t.args } : {}) }] }, null, 2)
  const [body, setBody] = useState(text(first))
  const [signing, setSigning] = useState(false)
  let actions: Action[] = []
  let error = ''
  try {
    const parsed = JSON.parse(body) as { actions?: Action[] }
    if (!Array.isArray(parsed.actions) || !parsed.actions.length) throw new Error('A proposal is {"actions": [{"name": …, "args": …}]}.')
    actions = parsed.actions
  } catch (e) {
    error = e instanceof Error ? e.message : String(e)
  }
  const intent = propose(n.status.appUri ?? '', actions)
  return (
    <>
      <Title crumb={<Crumb n={n} />}>New proposal</Title>
      <div className="cols">
        <Panel title="Actions">
          <div className="row">{known.map(t => <Button key={t.name} onPress={() => setBody(text(t))}>{t.title}</Button>)}</div>
          <Field label="Proposal" rows={16} value={body} onChange={setBody} error={error} />
          <div className="row end"><Button kind="primary" disabled={!!error} onPress={() => setSigning(true)}>Propose</Button></div>
        </Panel>
        <Panel title="In words">
          <ul className="steps">{actions.map((a, i) => <li key={i}><span aria-hidden="true">{i + 1}</span><span className="body">{inWords(a) ?? <span className="error">{a.name}: this page does not know it</span>}</span><span /></li>)}</ul>
          <details className="how"><summary>On the command line</summary><Cli line={intent.cli} /></details>
        </Panel>
      </div>
      <SignDialog network={n.name} title="Sign the proposal" open={signing} onClose={() => setSigning(false)}
        make={() => ({ kind: 'proposal', path: intent.path, payload: jsonPayload({ actions }), cli: intent.cli })}
        onDone={r => go(`/networks/${n.name}/proposals/${(r.body as api.Proposal).proposalId}`)}>
        {actions.map((a, i) => <p key={i}>{inWords(a) ?? a.name}</p>)}
      </SignDialog>
    </>
  )
}

export { Hash }
