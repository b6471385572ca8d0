import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'wouter'
import * as api from '../api/portal'
import { get } from '../api/http'
import { hex, sha256, utf8, text as decode } from '../crypto/bytes'
import * as cose from '../crypto/cose'
import { unbase64 } from '../crypto/bytes'
import { parsePEMCertificate } from '../crypto/x509'
import { acceptBallot, rejectBallot, vote, withdraw, type Action } from '../intents'
import { Button, Cli, Facts, Field, Hash, Loading, Mark, Panel, ProblemView, Status, Title, plain } from '../ui/ui'
import { DiffView } from '../ui/diffview'
import { inWords } from '../words'
import { Crumb, type PageProps } from './network'
import { tones } from './proposals'
import { SignDialog, isOperator, jsonPayload, memberName, useHeld } from './sign'
import { currentBundle, modulesOf, endpointsOf } from './bundle'

interface Checked { ok: boolean; why: string }

// checkEnvelope looks for the proposer's signed message in the ledger and
// verifies it here: signature, kind, and that it holds these very bytes.
async function checkEnvelope(n: string, p: api.Proposal, raw: string, members: api.Member[]): Promise<Checked> {
  const proposer = members.find(m => m.memberId === p.proposerId)
  if (!proposer) return { ok: false, why: 'the proposer is no member any more' }
  let before = 0
  for (let pages = 0; pages < 10; pages++) {
    const page = await api.ledger(n, before)
    for (const row of page.rows) {
      if (!row.tables.includes('public:ccf.gov.cose_history') || !row.tables.includes('public:ccf.gov.proposals')) continue
      const seqno = Number(row.tx.split('.')[1])
      const entry = await get<{ tables: { name: string; writes: { key: string; value: unknown }[] }[] }>(api.ledgerEntryURL(n, seqno))
      if (!entry.tables.some(t => t.name === 'public:ccf.gov.proposals' && t.writes.some(w => w.key.includes(p.proposalId)))) continue
      for (const w of entry.tables.find(t => t.name === 'public:ccf.gov.cose_history')?.writes ?? []) {
        const value = w.value as unknown
        const message = typeof value === 'string' ? unbase64(value) : undefined
        if (!message) continue
        const m = await cose.verify(message, parsePEMCertificate(proposer.certificate))
        if (m.memberId !== p.proposerId || m.kind !== 'proposal') return { ok: false, why: 'the signed message is of another kind or member' }
        if (decode(m.payload) !== raw) return { ok: false, why: 'the proposer signed another text than the one that is shown' }
        return { ok: true, why: `the proposer’s signature in transaction ${row.tx} is over this text` }
      }
    }
    const last = page.rows.at(-1)
    if (!last) break
    before = Number(last.tx.split('.')[1])
    if (before <= 1) break
  }
  return { ok: false, why: 'the signed message was not found in the ledger that the control plane has' }
}

export function ProposalPage({ n, id }: PageProps & { id: string }) {
  const key = ['network', n.name.toLowerCase(), 'proposal', id]
  const q = useQuery({ queryKey: key, queryFn: () => api.proposal(n.name, id), refetchInterval: 2500 })
  const actions = useQuery({
    queryKey: [...key, 'actions'], staleTime: Infinity,
    queryFn: async () => {
      const r = await fetch(`/portal/v1/networks/${encodeURIComponent(n.name)}/node/any/gov/members/proposals/${id}/actions?api-version=${api.GOV}`, { credentials: 'same-origin' })
      if (!r.ok) throw new Error(`The proposal’s text could not be read (status ${r.status}).`)
      return decode(new Uint8Array(await r.arrayBuffer()))
    },
  })
  const { held, members } = useHeld(n.name)
  const raw = actions.data ?? ''
  const digest = useQuery({ queryKey: [...key, 'digest', raw.length], enabled: !!raw, queryFn: async () => hex(await sha256(utf8(raw))) })
  const check = useQuery({ queryKey: [...key, 'check', members.length], enabled: !!raw && !!q.data && members.length > 0, queryFn: () => checkEnvelope(n.name, q.data!, raw, members).catch(e => ({ ok: false, why: String(e instanceof Error ? e.message : e) })), staleTime: 60e3 })
  const votes = useQuery({
    queryKey: [...key, 'votes', q.data?.ballotCount, q.data?.proposalState], enabled: !!q.data,
    queryFn: async () => {
      const out: Record<string, string> = {}
      await Promise.all(members.filter(m => !isOperator(m)).map(async m => {
        const ballot = await api.nodeOrNone<string>(n.name, `gov/members/proposals/${id}/ballots/${m.memberId}`).catch(() => undefined)
        if (ballot !== undefined) out[m.memberId] = String(ballot)
      }))
      return out
    },
  })
  const [voting, setVoting] = useState<'accept' | 'reject' | 'own' | 'withdraw' | ''>('')
  const [own, setOwn] = useState(rejectBallot)
  const [done, setDone] = useState('')
  if (q.isLoading) return <Loading what="the proposal" />
  if (!q.data) return <><Title crumb={<Crumb n={n} />}>Proposal</Title><ProblemView error={q.error} retry={() => void q.refetch()} /><p>Closed proposals go from the node’s list when others close. They stay in the <Link href={`/networks/${n.name}/ledger`}>ledger</Link>.</p></>
  const p = q.data
  let parsed: Action[] = []
  try {
    parsed = (JSON.parse(raw || '{"actions":[]}') as { actions: Action[] }).actions
  } catch { /* shown raw */ }
  const voters = members.filter(m => m.status === 'Active' && !isOperator(m))
  const need = Math.floor(voters.length / 2) + 1
  const open = p.proposalState === 'Open'
  const mineVoted = held.filter(k => votes.data?.[k.memberId])
  const ballot = voting === 'accept' ? acceptBallot(digest.data ?? '') : voting === 'own' ? own : rejectBallot
  const url = n.status.appUri ?? ''
  return (
    <>
      <Title crumb={<><Crumb n={n} /> / <Link href={`/networks/${n.name}/proposals`}>Proposals</Link></>} actions={<Status tone={tones[p.proposalState] ?? 'unknown'}>{p.proposalState}</Status>}>Proposal {id.slice(0, 8)}…</Title>
      {done && <p role="status"><Status tone="healthy">{done}</Status></p>}
      {check.data && !check.data.ok && <Panel tone="amber" title="Shown by the control plane, not verified here"><p className="prose">This browser could not verify the proposal: {check.data.why}.</p></Panel>}
      {p.failure && <Panel tone="red" title="It failed"><pre>{plain(p.failure.reason)}</pre></Panel>}
      <Panel title="What it does" actions={check.data ? <Mark kind={check.data.ok ? 'verified' : 'reported'} text={check.data.why} /> : undefined}>
        <Facts rows={[
          ['Proposed by', <span>{memberName(members.find(m => m.memberId === p.proposerId), p.proposerId)} <Hash value={p.proposerId} /></span>],
          ['Text', <Hash value={digest.data} label="the SHA-256 of the text" />],
        ]} />
        <ol className="steps">{parsed.map((a, i) => <li key={i}><span aria-hidden="true">{i + 1}</span><div className="body">{inWords(a) ? <b>{inWords(a)}</b> : <b className="error">{plain(a.name)}: this page does not know this action</b>}<ActionDiff n={n} action={a} /></div><span /></li>)}</ol>
        <details><summary>The whole text</summary><pre>{plain(raw.slice(0, 20000))}{raw.length > 20000 && ` … ${raw.length - 20000} characters more`}</pre></details>
      </Panel>
      <Panel title="Votes" actions={<Mark kind="reported" />}>
        <ul className="steps">
          {voters.map(m => {
            const b = votes.data?.[m.memberId]
            const final = p.finalVotes?.[m.memberId]
            return <li key={m.memberId}><span aria-hidden="true">{b ? '●' : '○'}</span><div className="body"><b>{memberName(m, m.memberId)}</b> {held.some(k => k.memberId === m.memberId) && <span className="tag">key here</span>}{b && <details><summary>Ballot</summary><pre>{plain(b)}</pre></details>}</div><span className="muted">{final !== undefined ? (final ? 'for' : 'against') : b ? 'voted' : 'has not voted'}</span></li>
          })}
        </ul>
        {open && <p>{p.ballotCount} of {voters.length} members have voted; {need} votes for it carry it by the shipped constitution.</p>}
        {open && (
          <div className="row">
            <Button kind="primary" onPress={() => setVoting('accept')} disabled={!digest.data}>Accept</Button>
            <Button onPress={() => setVoting('reject')}>Reject</Button>
            <Button onPress={() => setVoting('own')}>Write a ballot</Button>
            {held.some(k => k.memberId === p.proposerId) && <Button kind="quiet" onPress={() => setVoting('withdraw')}>Withdraw</Button>}
            {mineVoted.length > 0 && <span className="muted">Voted here: {mineVoted.map(k => k.label).join(', ')}</span>}
          </div>
        )}
      </Panel>
      <details className="how"><summary>On the command line</summary><div className="stack"><Cli line={`synod proposal diff ${id} --url ${url} --service-cert service_cert.pem`} /><Cli line={vote(url, id, '', '').cli} /></div></details>
      <SignDialog network={n.name} open={voting !== ''} onClose={() => setVoting('')} only={voting === 'withdraw' ? p.proposerId : undefined}
        title={voting === 'withdraw' ? 'Withdraw the proposal' : voting === 'accept' ? 'Vote for it' : voting === 'reject' ? 'Vote against it' : 'Vote with a ballot of your own'}
        make={member => voting === 'withdraw'
          ? { kind: 'withdrawal', path: withdraw(url, id).path, payload: utf8(''), proposalId: id, cli: withdraw(url, id).cli }
          : { kind: 'ballot', path: vote(url, id, member, ballot).path, payload: jsonPayload({ ballot }), proposalId: id, cli: vote(url, id, member, ballot).cli }}
        onDone={(r, member) => {
          const now = r.body as api.Proposal | undefined
          setDone(voting === 'withdraw' ? 'Withdrawn.' : `The vote of ${memberName(members.find(m => m.memberId === member), member)} is in the ledger${r.txid ? ` at ${r.txid}` : ''}. The proposal is ${now?.proposalState ?? 'counted'}.`)
          setVoting('')
          void q.refetch()
        }}>
        {check.data && !check.data.ok && <p className="s-attention">This browser could not verify the proposal’s text: {check.data.why}.</p>}
        {voting === 'own' && <Field label="Ballot" rows={8} value={own} onChange={setOwn} />}
        {voting !== 'own' && voting !== 'withdraw' && voting !== '' && <details><summary>The ballot</summary><pre>{ballot}</pre></details>}
      </SignDialog>
    </>
  )
}

function ActionDiff({ n, action }: { n: api.Network; action: Action }) {
  const args = (action.args ?? {}) as Record<string, unknown>
  const isApp = action.name === 'set_js_app'
  const isConstitution = action.name === 'set_constitution'
  const now = useQuery({
    queryKey: ['network', n.name.toLowerCase(), 'now', action.name], enabled: isApp || isConstitution,
    queryFn: async () => isApp ? currentBundle(n.name) : { text: String((await api.node<string>(n.name, 'gov/service/constitution')).body) },
  })
  if (isConstitution && now.data && 'text' in now.data) return <DiffView label="Constitution, now and proposed" before={now.data.text} after={String(args.constitution ?? '')} />
  if (isApp && now.data && 'modules' in now.data) {
    const next = { modules: modulesOf(args.bundle), endpoints: endpointsOf(args.bundle) }
    const names = [...new Set([...Object.keys(now.data.modules), ...Object.keys(next.modules)])].sort()
    const changed = names.filter(m => now.data && 'modules' in now.data && now.data.modules[m] !== next.modules[m])
    return (
      <div className="stack">
        <DiffView label="Endpoints" before={now.data.endpoints.join('\n')} after={next.endpoints.join('\n')} />
        {changed.map(m => <details key={m}><summary className="mono">{plain(m)}</summary><DiffView label={m} before={'modules' in now.data! ? now.data.modules[m] ?? '' : ''} after={next.modules[m] ?? ''} /></details>)}
      </div>
    )
  }
  return action.args && !isApp ? <details><summary>Arguments</summary><pre>{plain(JSON.stringify(action.args, null, 2))}</pre></details> : null
}
