import { useEffect, useRef, useState } from 'react'
import * as db from '../crypto/db'
import { base64, hex, sha256, text, unbase64, utf8 } from '../crypto/bytes'
import { parsePEMCertificate, keyFingerprint } from '../crypto/x509'
import { verifyReceipt as cliLine } from '../intents'
import { Button, Choices, Cli, Drop, Field, Hash, Panel, Title, download } from '../ui/ui'
import { Verifier, type ReceiptVerdict, type Step } from '../verify/verifier'

let handed = ''

// handOver gives a pasted receipt or certificate to the page that opens next.
export function handOver(s: string) {
  handed = s
}

let verifier: Verifier | undefined

export function Steps({ steps }: { steps: Step[] }) {
  const glyph = { 'ok': '✓', 'failed': '■', 'not reached': '○' }
  return (
    <ol className="steps">
      {steps.map(s => (
        <li key={s.name}>
          <span aria-hidden="true" className={s.result === 'failed' ? 'error' : s.result === 'ok' ? 's-healthy' : 'muted'}>{glyph[s.result]}</span>
          <div className="body"><b>{s.name}</b>{s.value && <div className="hash muted">{s.value}</div>}{s.text && <div className="error">{s.text}</div>}</div>
          <span className={s.result === 'failed' ? 'error' : 'muted'}>{s.result}</span>
        </li>
      ))}
    </ol>
  )
}

export function readReceipt(s: string): Uint8Array {
  const t = s.trim()
  return t.startsWith('{') ? utf8(t) : unbase64(t)
}

export function VerifyReceipt({ links }: { links?: React.ReactNode }) {
  const [receipt, setReceipt] = useState(handed.startsWith('{') ? handed : '')
  const [cert, setCert] = useState(handed.includes('BEGIN CERTIFICATE') ? handed : '')
  const [claim, setClaim] = useState('')
  const [tx, setTx] = useState('')
  const [pins, setPins] = useState<db.Pin[]>([])
  const [anchor, setAnchor] = useState('')
  const [verdict, setVerdict] = useState<ReceiptVerdict>()
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const [fingerprint, setFingerprint] = useState('')
  const result = useRef<HTMLDivElement>(null)
  useEffect(() => {
    handed = ''
    void db.pins().then(setPins, () => setPins([]))
  }, [])
  useEffect(() => {
    setFingerprint('')
    try {
      if (cert.includes('BEGIN')) void keyFingerprint(parsePEMCertificate(cert)).then(setFingerprint)
    } catch { /* said when it is used */ }
  }, [cert])

  const verify = async () => {
    setProblem('')
    setVerdict(undefined)
    setBusy(true)
    try {
      let body: Uint8Array
      try {
        body = readReceipt(receipt)
      } catch {
        throw new Error('A receipt is the JSON of /receipt, or a COSE message as base64.')
      }
      if (!cert.includes('BEGIN CERTIFICATE')) throw new Error('Say whom to trust: the certificate of the service, or a network that is pinned here.')
      verifier ??= new Verifier()
      setVerdict(await verifier.receipt(body, { serviceCert: cert, tx: tx.trim() || undefined, claimsDigest: claim ? hex(await sha256(utf8(claim))) : undefined }))
    } catch (e) {
      setProblem(e instanceof Error ? e.message : String(e))
    }
    setBusy(false)
    setTimeout(() => result.current?.focus(), 0)
  }

  return (
    <>
      <Title>Verify a receipt</Title>
      <p className="prose">Everything happens in this page: nothing is sent, no sign-in is needed. {links}</p>
      <div className="cols">
        <Panel title="What to verify">
          <Drop label="Receipt file, JSON or COSE" onFiles={async ([f]) => {
            if (!f) return
            const b = new Uint8Array(await f.arrayBuffer())
            try {
              setReceipt(text(b))
            } catch {
              setReceipt(base64(b))
            }
          }} />
          <Field label="Receipt" rows={8} value={receipt} onChange={setReceipt} hint="JSON, or a COSE message as base64" />
          {pins.length > 0 && (
            <Choices label="Trust" value={anchor} onChange={v => {
              setAnchor(v)
              setCert(pins.find(p => p.network === v)?.certificate ?? '')
            }} options={[...pins.map(p => ({ value: p.network, name: p.network, text: `pinned: ${p.how}` })), { value: '', name: 'A certificate', text: 'given below' }]} />
          )}
          <Field label="Service certificate" rows={4} value={cert} onChange={setCert} hint={fingerprint ? <>SHA-256 of its key: <span className="hash">{fingerprint.replace(/.{4}/g, '$& ')}</span></> : 'PEM, from somebody whom you trust'} />
          <details>
            <summary>What must be in it (optional)</summary>
            <div className="stack">
              <Field label="Transaction" value={tx} onChange={setTx} hint="such as 2.40" />
              <Field label="Claim" value={claim} onChange={setClaim} hint="text whose SHA-256 the application claimed; hashed here" />
            </div>
          </details>
          <div className="row"><Button kind="primary" onPress={verify} disabled={busy}>{busy ? 'Verifying…' : 'Verify'}</Button></div>
        </Panel>
        <div ref={result} tabIndex={-1} aria-live="polite" className="stack">
          {problem && <Panel tone="red" title="Cannot be verified"><p>{problem}</p></Panel>}
          {verdict && <Verdict v={verdict} anchor={fingerprint} />}
          {!problem && !verdict && <Panel title="Verdict"><p className="muted">Each step of the verification will be listed here with what was computed.</p></Panel>}
          <details className="how"><summary>On the command line</summary><Cli line={cliLine()} /></details>
        </div>
      </div>
    </>
  )
}

function Verdict({ v, anchor }: { v: ReceiptVerdict; anchor: string }) {
  return (
    <Panel title={v.verified ? 'Verified' : 'Not verified'} tone={v.verified ? undefined : 'red'} actions={<Button onPress={() => download('verdict.json', JSON.stringify(v, null, 2), 'application/json')}>Download</Button>}>
      {v.verified ? (
        <p className="prose">
          {v.is_signature ? 'This signature over the ledger’s root is' : <>Transaction <b>{v.transaction_id}</b> is in the ledger</>} of the service whose key hashes to <span className="hash">{anchor.slice(0, 8)}…{anchor.slice(-4)}</span>. This says nothing on when, nor on what its private data were.
        </p>
      ) : <><p><b>{v.error}</b></p>{v.hint && <p>{v.hint}</p>}</>}
      <Steps steps={v.steps ?? []} />
      {v.verified && v.claims_digest && <details><summary>Digests</summary><div className="tight">Root <Hash value={v.root} whole />Write set <Hash value={v.write_set_digest} whole />Claims <Hash value={v.claims_digest} whole /></div></details>}
    </Panel>
  )
}
