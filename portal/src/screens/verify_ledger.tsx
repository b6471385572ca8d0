import { useRef, useState } from 'react'
import { verifyLedger as cliLine } from '../intents'
import { Button, Cli, Drop, Field, Panel, Title, bytes, download } from '../ui/ui'
import { Entries, EntryView } from '../ui/ledger'
import { Verifier, type Entry, type LedgerVerdict, type Row } from '../verify/verifier'

interface Named { name: string; blob: Blob; first: number; last: number; committed: boolean }

// named reads what the names of ledger files say.
export function named(files: { name: string; blob: Blob }[]): { chunks: Named[]; others: string[]; notes: string[] } {
  const chunks: Named[] = []
  const others: string[] = []
  for (const f of files) {
    const m = /^ledger_(\d+)(?:-(\d+))?(\.committed)?(\.recovery)?$/.exec(f.name)
    if (m) chunks.push({ ...f, first: +m[1]!, last: m[2] ? +m[2] : 0, committed: !!m[3] })
    else others.push(f.name)
  }
  chunks.sort((a, b) => a.first - b.first)
  const notes: string[] = []
  chunks.forEach((c, i) => {
    const before = chunks[i - 1]
    if (!before && c.first !== 1) notes.push(`The ledger begins at ${c.first}: the files from 1 on are missing.`)
    if (before?.last && c.first > before.last + 1) notes.push(`${before.last + 1} to ${c.first - 1} are missing between ${before.name} and ${c.name}.`)
    if (before?.last && c.first <= before.last) notes.push(`${before.name} and ${c.name} overlap.`)
    if (!c.committed) notes.push(`${c.name} is not committed: its end may still change.`)
  })
  return { chunks, others, notes }
}

export function VerifyLedger({ given, links }: { given?: { name: string; blob: Blob }[]; links?: React.ReactNode }) {
  const [files, setFiles] = useState(given ?? [])
  const [cert, setCert] = useState('')
  const [contains, setContains] = useState('')
  const [progress, setProgress] = useState<{ entries: number; bytes: number; rate: number }>()
  const [verdict, setVerdict] = useState<LedgerVerdict>()
  const [problem, setProblem] = useState('')
  const [entry, setEntry] = useState<Entry>()
  const [rows, setRows] = useState<Row[]>([])
  const run = useRef<Verifier>(undefined)
  const { chunks, others, notes } = named(files)
  const total = chunks.reduce((n, c) => n + c.blob.size, 0)

  const verify = async () => {
    run.current?.end()
    const v = (run.current = new Verifier())
    setVerdict(undefined)
    setEntry(undefined)
    setProblem('')
    const all: Row[] = []
    const began = performance.now()
    setProgress({ entries: 0, bytes: 0, rate: 0 })
    try {
      const got = await v.ledger(chunks, { serviceCert: cert.trim() || undefined, contains: contains.trim() || undefined }, (entries, done, some) => {
        all.push(...some)
        setProgress({ entries, bytes: done, rate: done / ((performance.now() - began) / 1000) })
      })
      setRows(all)
      setVerdict(got)
    } catch (e) {
      setProblem(e instanceof Error ? e.message : String(e))
    }
    setProgress(undefined)
  }

  return (
    <>
      <Title>Verify a ledger</Title>
      <p className="prose">Drop a ledger's folder or a backup here. The files are read in this page and go nowhere. {links}</p>
      <Panel title="Files">
        <div className="cols">
          <Drop label="Files or a folder, dropped or chosen" multiple onFiles={f => {
            setFiles(f.map(x => ({ name: x.name, blob: x })))
            setVerdict(undefined) // it was of other files
            setRows([])
            setEntry(undefined)
          }} />
          <div className="stack">
            <Field label="Transaction that must be in it (optional)" value={contains} onChange={setContains} hint="Files alone cannot tell that their end was taken away: name the newest transaction that you know of" />
          </div>
        </div>
        <Field label="Service certificate (optional)" rows={3} value={cert} onChange={setCert} hint="PEM. Without it the ledger is checked for itself: whose it is, is then not known" />
        {chunks.length > 0 && <p>{chunks.length} ledger files, {bytes(total)}, from {chunks[0]!.first} to {chunks.at(-1)!.last || 'an open end'}.{others.length > 0 && ` Not of a ledger: ${others.slice(0, 5).join(', ')}${others.length > 5 ? ' and more' : ''}.`}</p>}
        {files.length > 0 && !chunks.length && <p className="error">None of these files is of a ledger.</p>}
        {notes.map(n => <p key={n} className="s-attention">{n}</p>)}
        {total > 2e9 && <p className="s-attention">Above 2 GB the command line is many times faster.</p>}
        <div className="row">
          <Button kind="primary" onPress={verify} disabled={!chunks.length || !!progress}>Verify</Button>
          {progress && <Button onPress={() => run.current?.end()}>Stop</Button>}
        </div>
        {progress && (
          <div aria-live="polite">
            <progress max={total} value={progress.bytes} aria-label="Verified" />
            <p className="small muted">{progress.entries} entries, {bytes(progress.bytes)} of {bytes(total)}{progress.rate > 0 && `, ${bytes(progress.rate)}/s`}</p>
          </div>
        )}
      </Panel>
      <div aria-live="polite" className="stack">
        {problem && <Panel tone="red" title="Not finished"><p>{problem}</p></Panel>}
        {verdict && <LedgerResult v={verdict} />}
      </div>
      {rows.length > 0 && (
        <Panel title="Entries" flush>
          <Entries rows={rows} open={async r => setEntry(await run.current!.entry(Number(r.tx.split('.')[1])))} />
        </Panel>
      )}
      {entry && <EntryView entry={entry} onClose={() => setEntry(undefined)} />}
      <details className="how"><summary>On the command line</summary><Cli line={cliLine()} /><p className="small muted">With <code>--governance</code> it also replays every vote, which takes the whole JavaScript engine and is left to the command line.</p></details>
    </>
  )
}

export function LedgerResult({ v }: { v: LedgerVerdict }) {
  const services = v.services ?? []
  return (
    <Panel title={v.verified ? 'Intact' : 'Not verified'} tone={v.verified ? undefined : 'red'} actions={<Button onPress={() => download('ledger-verdict.json', JSON.stringify(v, null, 2), 'application/json')}>Download</Button>}>
      {v.error && <><p><b>{v.error}</b></p>{v.hint && <p>{v.hint}</p>}</>}
      <p className="prose">
        {v.entries} entries, {v.signatures} signatures{v.good !== '0.0' && <>: good up to <b>{v.good}</b></>}. {v.verified && 'Nothing is known after it.'}
      </p>
      {v.torn && <p className="s-attention">{v.torn.file}: {v.torn.size_bytes} bytes of an entry that was not written to its end, as a crash leaves it.</p>}
      {services.length > 0 && (
        <div className="table"><table><thead><tr><th>Service from</th><th>State</th><th>Key</th></tr></thead>
          <tbody>{services.map(s => <tr key={s.since}><td>{s.since}</td><td>{s.status}</td><td className="hash">{s.key_id.slice(0, 16)}…</td></tr>)}</tbody></table></div>
      )}
    </Panel>
  )
}
