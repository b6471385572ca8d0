import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useLocation } from 'wouter'
import * as api from '../api/portal'
import { get } from '../api/http'
import { hex, sha256, utf8 } from '../crypto/bytes'
import { propose } from '../intents'
import { Button, Cli, Drop, Hash, Loading, Mark, Panel, ProblemView, Title, bytes, plain } from '../ui/ui'
import { DiffView } from '../ui/diffview'
import { callOf, checkBundle, currentBundle, endpointsOf, modulesOf } from './bundle'
import { Crumb, type PageProps } from './network'
import { SignDialog, jsonPayload } from './sign'

interface Version { tx: string; bundle: unknown; digest: string }

// versions are the applications that proposals in the ledger held, newest first.
async function versions(n: string): Promise<Version[]> {
  const out: Version[] = []
  let before = 0
  for (let pages = 0; pages < 10 && out.length < 10; pages++) {
    const page = await api.ledger(n, before)
    for (const row of page.rows) {
      if (!row.tables.includes('public:ccf.gov.proposals')) continue
      const e = await get<{ tables: { name: string; writes: { value: unknown }[] }[] }>(api.ledgerEntryURL(n, Number(row.tx.split('.')[1])))
      for (const w of e.tables.find(t => t.name === 'public:ccf.gov.proposals')?.writes ?? []) {
        const body = (typeof w.value === 'string' ? JSON.parse(w.value) : w.value) as { actions?: { name: string; args?: { bundle?: unknown } }[] }
        const bundle = body.actions?.find(a => a.name === 'set_js_app')?.args?.bundle
        if (bundle) out.push({ tx: row.tx, bundle, digest: hex(await sha256(utf8(JSON.stringify(bundle)))) })
      }
    }
    const last = page.rows.at(-1)
    before = last ? Number(last.tx.split('.')[1]) : 0
    if (before <= 1) break
  }
  return out.filter((v, i) => out.findIndex(o => o.digest === v.digest) === i)
}

export function AppPage({ n }: PageProps) {
  const [, go] = useLocation()
  const key = ['network', n.name.toLowerCase()]
  const now = useQuery({ queryKey: [...key, 'bundle'], queryFn: () => currentBundle(n.name) })
  const past = useQuery({ queryKey: [...key, 'versions'], queryFn: () => versions(n.name) })
  const [bundle, setBundle] = useState<unknown>()
  const [problem, setProblem] = useState('')
  const [signing, setSigning] = useState(false)
  const checks = bundle ? checkBundle(bundle) : []
  const bad = checks.some(c => c.bad)
  const actions = [{ name: 'set_js_app', args: { bundle } }]
  const read = async (f: File | undefined) => {
    setProblem('')
    if (!f) return
    try {
      const parsed = JSON.parse(await f.text()) as { actions?: { args?: { bundle?: unknown } }[] }
      setBundle(parsed.actions?.[0]?.args?.bundle ?? parsed)
    } catch {
      setProblem('This file is not JSON. Make a bundle of a folder with: synod app build FOLDER --out bundle.json')
    }
  }
  return (
    <>
      <Title crumb={<Crumb n={n} />}>App</Title>
      <div className="cols">
        <Panel title="In force" actions={<Mark kind="reported" />}>
          {now.isLoading && <Loading what="the application" />}
          {now.error && <ProblemView error={now.error} retry={() => void now.refetch()} />}
          {now.data && !now.data.endpoints.length && <p className="muted">No application is deployed.</p>}
          {now.data && now.data.endpoints.length > 0 && (
            <>
              <ul className="tight">{now.data.endpoints.map(e => <li key={e} className="hash">{plain(e)}</li>)}</ul>
              {Object.entries(now.data.modules).map(([m, text]) => <details key={m}><summary className="mono">{plain(m)} <span className="muted">{bytes(text.length)}</span></summary><pre>{plain(text.slice(0, 20000))}</pre></details>)}
              <details className="how"><summary>Call it</summary><div className="stack">
                <p className="prose">{'{…}'} in a path stands for a value of yours. A user’s or a member’s certificate goes with its key, where the policy asks for one.</p>
                {now.data.endpoints.slice(0, 20).map(e => <Cli key={e} line={callOf(e, n.status.appUri ?? 'https://…')} />)}
              </div></details>
            </>
          )}
        </Panel>
        <Panel title="Deploy">
          <Drop label="Bundle" onFiles={([f]) => void read(f)}><p className="hint">JSON, as <code>synod app build</code> writes it</p></Drop>
          {problem && <p className="error" role="alert">{problem}</p>}
          {bundle !== undefined && (
            <>
              <ul className="tight">{checks.map(c => <li key={c.text} className={c.bad ? 'error' : 's-attention'}>{plain(c.text)}</li>)}</ul>
              {now.data && !bad && <><h3>What changes</h3><DiffView label="Endpoints" before={now.data.endpoints.join('\n')} after={endpointsOf(bundle).join('\n')} />
                {[...new Set([...Object.keys(now.data.modules), ...Object.keys(modulesOf(bundle))])].filter(m => now.data!.modules[m] !== modulesOf(bundle)[m]).map(m => <details key={m}><summary className="mono">{plain(m)}</summary><DiffView label={m} before={now.data!.modules[m] ?? ''} after={modulesOf(bundle)[m] ?? ''} /></details>)}</>}
            </>
          )}
          <div className="row"><Button kind="primary" disabled={!bundle || bad} onPress={() => setSigning(true)}>Propose this version</Button></div>
          <details className="how"><summary>On the command line</summary><Cli line={`synod app deploy app --as member0 --url ${n.status.appUri ?? 'https://…'} --service-cert service_cert.pem`} /></details>
        </Panel>
      </div>
      <Panel title="Versions in the ledger" actions={<Mark kind="reported" />}>
        {past.isLoading && <Loading what="the ledger" />}
        {past.error && <p className="muted">The ledger is not on the control plane’s machine: earlier versions are not listed.</p>}
        {past.data && now.data && !past.data.length && <p className="muted">{now.data.endpoints.length ? 'No member has deployed one yet: what is in force came with the network.' : 'No proposal has deployed an application yet.'}</p>}
        <ul className="steps">
          {past.data?.map(v => (
            <li key={v.digest}><span aria-hidden="true">●</span><div className="body">Proposed at <b>{v.tx}</b>, {endpointsOf(v.bundle).length} endpoints <Hash value={v.digest} label="the bundle's digest" /></div>
              <Button onPress={() => {
                setBundle(v.bundle)
                setSigning(true)
              }}>Roll back to {v.tx}</Button></li>
          ))}
        </ul>
      </Panel>
      <SignDialog network={n.name} title="Propose this version" open={signing} onClose={() => setSigning(false)}
        make={() => ({ kind: 'proposal', path: 'members/proposals:create', payload: jsonPayload({ actions }), cli: propose(n.status.appUri ?? '', actions).cli })}
        onDone={r => go(`/networks/${n.name}/proposals/${(r.body as api.Proposal).proposalId}`)}>
        <p className="prose">{endpointsOf(bundle).length} endpoints, {Object.keys(modulesOf(bundle)).length} modules. It serves once the members have accepted it.</p>
      </SignDialog>
    </>
  )
}
