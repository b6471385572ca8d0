import { useQuery } from '@tanstack/react-query'
import { useEffect, useMemo, useRef, useState } from 'react'
import { Link, useLocation, useSearch } from 'wouter'
import * as api from '../api/portal'
import * as db from '../crypto/db'
import { memberID, parsePEMCertificate } from '../crypto/x509'
import { createNetwork, type NewNetwork } from '../intents'
import { Button, Check, Choices, Cli, Drop, Facts, Field, Hash, Panel, ProblemView, Title, download } from '../ui/ui'
import { MakeKey } from './make_key'
import { run } from './act'

const steps = ['basics', 'members', 'app', 'constitution', 'nodes', 'backup', 'review'] as const
type StepName = (typeof steps)[number]
const titles: Record<StepName, string> = { basics: 'Basics', members: 'Members', app: 'App', constitution: 'Constitution', nodes: 'Nodes and zones', backup: 'Backup', review: 'Review + create' }

const fresh: NewNetwork = {
  subscription: api.SUBSCRIPTION, group: 'default', name: '', location: 'local', nodeCount: 3, zones: [], app: 'sample', constitution: '', members: [],
  backupTarget: '', backupEvery: '', deleteProtection: false,
}

const NAME = /^[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]$/

export function Wizard() {
  const [path, go] = useLocation()
  const search = new URLSearchParams(useSearch())
  const step = (steps.find(s => s === search.get('step')) ?? 'basics') as StepName
  const [n, setN] = useState<NewNetwork>(fresh)
  const [loaded, setLoaded] = useState(false)
  const [error, setError] = useState<unknown>()
  const [busy, setBusy] = useState(false)
  const [taken, setTaken] = useState('')
  const names = useQuery({ queryKey: ['summary'], queryFn: api.summary })
  const heading = useRef<HTMLHeadingElement>(null)
  const to = (s: StepName) => {
    go(`${path}?step=${s}`)
    setTimeout(() => heading.current?.focus(), 0)
  }
  const set = (part: Partial<NewNetwork>) => setN(old => ({ ...old, ...part }))

  useEffect(() => {
    void db.draft<NewNetwork>('network').then(d => d && setN({ ...fresh, ...d }), () => undefined).finally(() => setLoaded(true))
  }, [])
  useEffect(() => {
    if (loaded) void db.putDraft('network', n).catch(() => undefined)
  }, [n, loaded])

  const nameError = n.name && !NAME.test(n.name) ? '3 to 32 letters, digits and hyphens, a letter first, no hyphen last'
    : names.data?.networks.some(x => x.name.toLowerCase() === n.name.toLowerCase()) || (taken && taken === n.name) ? 'A network of this name exists' : ''
  const wrong: Partial<Record<StepName, string>> = {}
  if (!n.name || nameError) wrong.basics = nameError || 'Give the network a name'
  if (!n.members.length) wrong.members = 'At least one member is needed'
  const intent = useMemo(() => createNetwork(n), [n])
  const next = () => to(steps[steps.indexOf(step) + 1] ?? 'review')

  const create = async () => {
    setBusy(true)
    setError(undefined)
    try {
      const scope = `/subscriptions/${n.subscription}`
      await api.arm('POST', `${scope}/providers/Microsoft.ConfidentialLedger/register`)
      await api.arm('PUT', `${scope}/resourceGroups/${encodeURIComponent(n.group)}`, { location: n.location })
      const free = await api.arm<{ nameAvailable: boolean }>('POST', `${scope}/providers/Microsoft.ConfidentialLedger/checkNameAvailability`, { name: n.name, type: 'Microsoft.ConfidentialLedger/managedCCFs' })
      if (!free.body.nameAvailable) {
        setTaken(n.name)
        setBusy(false)
        return to('basics')
      }
      const held = await db.keys()
      for (const k of held) {
        for (const m of n.members) if (m.certificate === k.certificate && k.network !== n.name.toLowerCase()) await db.putKey({ ...k, network: n.name.toLowerCase() })
      }
      await db.dropPin(n.name) // of a network that had the name before
      await run(intent, go)
      await db.dropDraft('network')
    } catch (e) {
      setError(e)
    }
    setBusy(false)
  }

  return (
    <>
      <Title crumb={<Link href="/networks">Networks</Link>}>Create a network</Title>
      <div className="wizard">
        <nav aria-label="Steps">
          <ol>{steps.map((s, i) => <li key={s}><button type="button" aria-current={s === step ? 'step' : undefined} onClick={() => to(s)}>{i + 1}. {titles[s]}{wrong[s] && steps.indexOf(s) < steps.indexOf(step) ? <span className="error" aria-label={wrong[s]}> ■</span> : ''}</button></li>)}</ol>
        </nav>
        <StepBox form={step !== 'members'} onSubmit={() => {
          if (step !== 'review' && !wrong[step]) next()
        }}>
          <h2 ref={heading} tabIndex={-1}>{titles[step]}</h2>
          {step === 'basics' && (
            <>
              <Field label="Name" value={n.name} onChange={name => set({ name })} error={nameError} hint="Part of its address; unique on this control plane" autoFocus />
              <Field label="Resource group" value={n.group} onChange={group => set({ group })} />
              <Field label="Location" value={n.location} onChange={location => set({ location })} hint="A label; nodes of the process driver run on this machine" />
              <p className="prose muted">Nodes of this control plane are <b>virtual</b>: for development only, without protection by hardware.</p>
            </>
          )}
          {step === 'members' && <Members n={n} set={set} />}
          {step === 'app' && (
            <Choices label="Application" value={n.app} onChange={app => set({ app })} options={[
              { value: 'sample', name: 'Sample', text: 'A small ledger of messages, to try things' },
              { value: 'customImage', name: 'None yet', text: 'Members deploy a bundle later, by vote' },
            ]} />
          )}
          {step === 'constitution' && <ConstitutionStep n={n} set={set} />}
          {step === 'nodes' && (
            <>
              <Choices label="Nodes" value={String(n.nodeCount)} onChange={c => set({ nodeCount: Number(c) })} options={[1, 3, 5, 7, 9].map(c => ({
                value: String(c), name: String(c), text: c === 1 ? 'for development: survives no loss' : `survives the loss of ${(c - 1) / 2}`,
              }))} />
              <Field label="Zones" value={n.zones.join(', ')} onChange={v => set({ zones: v.split(',').map(s => s.trim()).filter(Boolean) })} hint="Labels, separated by commas; nodes are spread over them" />
              <Check value={n.deleteProtection} onChange={deleteProtection => set({ deleteProtection })}>Protect the network from deletion</Check>
            </>
          )}
          {step === 'backup' && (
            <>
              <Field label="Backup store" value={n.backupTarget} onChange={backupTarget => set({ backupTarget })} hint="file: or s3: address; empty is the server's own directory" />
              <Choices label="Schedule" value={n.backupEvery} onChange={backupEvery => set({ backupEvery })} options={[
                { value: '', name: 'None', text: 'only when asked' }, { value: '1h', name: 'Each hour' }, { value: '24h', name: 'Each day' },
              ]} />
            </>
          )}
          {step === 'review' && (
            <>
              {Object.entries(wrong).map(([s, why]) => <p key={s} className="error">{titles[s as StepName]}: {why}. <button type="button" className="link" onClick={() => to(s as StepName)}>Go there</button></p>)}
              <Facts rows={[
                ['Name', n.name || '–'], ['Resource group', n.group], ['Location', n.location], ['Nodes', `${n.nodeCount}${n.zones.length ? ` over ${n.zones.join(', ')}` : ''}`],
                ['Members', n.members.map(m => `${m.name}${m.encryptionKey ? ' (recovery)' : ''}`).join(', ') || '–'], ['Application', n.app === 'sample' ? 'sample' : 'none yet'],
                ['Constitution', n.constitution ? 'your own' : 'shipped: the operator runs nodes, members decide'], ['Backups', `${n.backupTarget || 'the server’s own directory'}, ${n.backupEvery ? `every ${n.backupEvery}` : 'when asked'}`],
              ]} />
              <details className="how"><summary>On the command line, and as a request</summary>
                <div className="stack">
                  <p className="small muted">Only certificates and public keys are in it.</p>
                  <Cli line={intent.cli} />
                  <div className="row"><Button onPress={() => download(`${n.name}.json`, JSON.stringify({ name: n.name, resourceGroup: n.group, ...(intent.body as object) }, null, 2), 'application/json')}>Download {n.name || 'network'}.json</Button></div>
                  <Cli label="The request" line={`${intent.method} ${intent.path}?api-version=${api.API_VERSION}\n${JSON.stringify(intent.body, null, 2)}`} />
                </div>
              </details>
              {error !== undefined && <ProblemView error={error} />}
            </>
          )}
          <div className="row end">
            {step !== 'basics' && <Button onPress={() => to(steps[steps.indexOf(step) - 1]!)}>Back</Button>}
            {step === 'members' ? <Button key="members" kind="primary" onPress={next} disabled={!!wrong.members}>Next</Button>
              : step !== 'review' ? <Button key="next" kind="primary" type="submit" disabled={!!wrong[step]}>Next</Button>
              : <Button key="create" kind="primary" disabled={busy || Object.keys(wrong).length > 0} onPress={() => void create()}>{busy ? 'Creating…' : 'Create'}</Button>}
          </div>
        </StepBox>
      </div>
    </>
  )
}

// StepBox is a form, except where forms are inside it.
function StepBox({ form, onSubmit, children }: { form: boolean; onSubmit: () => void; children: React.ReactNode }) {
  if (!form) return <div className="panel">{children}</div>
  return <form className="panel" onSubmit={e => {
    e.preventDefault()
    onSubmit()
  }}>{children}</form>
}

function Members({ n, set }: { n: NewNetwork; set: (p: Partial<NewNetwork>) => void }) {
  const [adding, setAdding] = useState<'make' | 'paste' | ''>(n.members.length ? '' : 'make')
  const [pem, setPem] = useState('')
  const [enc, setEnc] = useState('')
  const [name, setName] = useState('')
  const [error, setError] = useState('')
  const recovery = n.members.filter(m => m.encryptionKey).length
  const add = (m: NewNetwork['members'][number]) => {
    if (n.members.some(x => x.certificate === m.certificate)) return setError('This member is in the list already.')
    set({ members: [...n.members, m] })
    setAdding('')
    setPem('')
    setEnc('')
    setName('')
    setError('')
    setTimeout(() => document.getElementById('another')?.focus(), 50)
  }
  const paste = () => {
    try {
      if (pem.includes('PRIVATE KEY')) throw new Error('This holds a private key. Give only the certificate: a key that was shown here is not secret any more.')
      const c = parsePEMCertificate(pem)
      if (!['P-256', 'P-384', 'P-521'].includes(c.algorithm)) throw new Error(`Its key is ${c.algorithm}: a member's is on P-256, P-384 or P-521.`)
      add({ name: name || c.subject.replace(/^CN=/, ''), certificate: pem.trim() + '\n', encryptionKey: enc.trim() || undefined })
    } catch (e) {
      setError(e instanceof Error ? e.message : 'This is no certificate.')
    }
  }
  return (
    <div className="stack">
      <p className="prose muted">Members govern the network: they vote on its code, its members and its rules. Their keys are made here or elsewhere, and only certificates leave this browser.</p>
      {n.members.length > 0 && (
        <ul className="steps">{n.members.map((m, i) => <MemberLine key={m.certificate} m={m} onRemove={() => set({ members: n.members.filter((_, j) => j !== i) })} />)}</ul>
      )}
      <p className="small">{recovery > 0
        ? `After a disaster ${recovery === 1 ? 'the one recovery member is' : `${Math.floor(recovery / 2) + 1} of the ${recovery} recovery members are`} needed to read the private data again.`
        : 'Without a recovery member the operator holds the only recovery share: whoever has its key and a node’s disk can read the private data.'}</p>
      {adding === '' && <div className="row"><button type="button" id="another" onClick={() => setAdding('make')}>Make another key here</button><Button onPress={() => setAdding('paste')}>Paste a certificate</Button></div>}
      {adding === 'make' && <Panel title="Make a key here" level={3} actions={<Button kind="quiet" onPress={() => setAdding('paste')}>Paste a certificate instead</Button>}>
        <MakeKey key={n.members.length} network={n.name.toLowerCase()} onDone={(m, who) => add({ name: who, certificate: m.certificate, encryptionKey: m.encryptionKey })} />
      </Panel>}
      {adding === 'paste' && (
        <Panel title="Paste or drop a certificate" level={3} actions={<Button kind="quiet" onPress={() => setAdding('make')}>Make a key here instead</Button>}>
          <Drop label="Certificate file" onFiles={async ([f]) => f && setPem(await f.text())} />
          <Field label="Certificate" rows={4} value={pem} onChange={setPem} error={error} hint="PEM" />
          <Field label="Encryption key (optional)" rows={3} value={enc} onChange={setEnc} hint="PEM of an RSA public key: makes a recovery member" />
          <Field label="Member name" value={name} onChange={setName} />
          <div className="row"><Button onPress={paste} disabled={!pem}>Add member</Button></div>
        </Panel>
      )}
    </div>
  )
}

function MemberLine({ m, onRemove }: { m: NewNetwork['members'][number]; onRemove: () => void }) {
  const [id, setID] = useState('')
  useEffect(() => {
    void memberID(parsePEMCertificate(m.certificate).der).then(setID, () => undefined)
  }, [m.certificate])
  return <li><span aria-hidden="true">●</span><div className="body"><b>{m.name}</b> <span className="tag">{m.encryptionKey ? 'recovery' : 'no recovery'}</span><Hash value={id} label="the member ID" /></div><Button kind="quiet" onPress={onRemove}>Remove {m.name}</Button></li>
}

function ConstitutionStep({ n, set }: { n: NewNetwork; set: (p: Partial<NewNetwork>) => void }) {
  const [own, setOwn] = useState(n.constitution !== '')
  return (
    <>
      <Choices label="Constitution" value={own ? 'own' : 'shipped'} onChange={v => {
        setOwn(v === 'own')
        if (v !== 'own') set({ constitution: '' })
      }} options={[
        { value: 'shipped', name: 'Shipped', text: 'A majority of members decides. The operator alone may only run nodes: admit, replace, renew, snapshot' },
        { value: 'own', name: 'Your own', text: 'JavaScript with the same functions; it must let the operator run nodes' },
      ]} />
      {own && (
        <>
          <Drop label="Constitution file" onFiles={async ([f]) => f && set({ constitution: await f.text() })} />
          <Field label="Text" rows={10} value={n.constitution} onChange={constitution => set({ constitution })} />
          <Cli line="synod constitution lint constitution.js" />
        </>
      )}
    </>
  )
}
