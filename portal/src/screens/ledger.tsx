import { useInfiniteQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { useLocation } from 'wouter'
import * as api from '../api/portal'
import { get } from '../api/http'
import { utf8 } from '../crypto/bytes'
import { Button, Cli, Loading, Mark, Panel, ProblemView, Title, bytes, download } from '../ui/ui'
import { EntryView, Entries } from '../ui/ledger'
import { Verifier, type Entry, type LedgerVerdict, type ReceiptVerdict } from '../verify/verifier'
import { LedgerResult, named } from './verify_ledger'
import { Steps } from './verify'
import { Crumb, type PageProps } from './network'

export function LedgerPage({ n, trust, txid }: PageProps & { txid?: string }) {
  const [, go] = useLocation()
  const q = useInfiniteQuery({
    queryKey: ['network', n.name.toLowerCase(), 'ledger'], initialPageParam: 0, queryFn: ({ pageParam }) => api.ledger(n.name, pageParam),
    getNextPageParam: last => {
      const seqno = Number(last.rows.at(-1)?.tx.split('.')[1] ?? 1)
      return seqno > 1 ? seqno : undefined
    },
  })
  const rows = q.data?.pages.flatMap(p => p.rows) ?? []
  const chunks = q.data?.pages[0]?.chunks ?? []
  const [entry, setEntry] = useState<Entry>()
  const at = `/networks/${n.name}/ledger`
  useEffect(() => {
    setEntry(undefined)
    if (!txid) return
    void get<Entry>(api.ledgerEntryURL(n.name, Number(txid.split('.').pop()))).then(setEntry, e => setEntry({ error: String(e instanceof Error ? e.message : e), transaction_id: txid } as Entry))
  }, [txid, n.name])
  return (
    <>
      <Title crumb={<Crumb n={n} />}>Ledger</Title>
      {q.isLoading && <Loading what="the ledger" />}
      {q.error && <ProblemView error={q.error} retry={() => void q.refetch()} />}
      {q.data && (
        <>
          <VerifyAll n={n} trust={trust} chunks={chunks} />
          <Panel flush title={<>Entries, newest first <Mark kind="reported" /></>} actions={<><Button onPress={() => void q.refetch()}>Read again</Button>{q.hasNextPage && <Button onPress={() => void q.fetchNextPage()} disabled={q.isFetchingNextPage}>Older entries</Button>}</>}>
            <Entries rows={rows} open={r => go(`${at}/${r.tx}`)} />
          </Panel>
          <Panel title="Files">
            <div className="table"><table className="cards"><thead><tr><th>File</th><th className="num">From</th><th className="num">To</th><th className="num">Size</th><th>State</th></tr></thead>
              <tbody>{chunks.map(c => <tr key={c.file}><td><a href={api.chunkURL(n.name, c.file)} download={c.file} className="mono">{c.file}</a></td><td className="num" data-label="From">{c.first}</td><td className="num" data-label="To">{c.last || '…'}</td><td className="num" data-label="Size">{bytes(c.size_bytes)}</td><td>{c.committed ? 'committed' : 'open'}</td></tr>)}</tbody></table></div>
          </Panel>
        </>
      )}
      {entry && <EntryView entry={entry} onClose={() => go(at)} receipt={entry.error ? undefined : <ReceiptOf n={n.name} trust={trust} entry={entry} />} />}
      <details className="how"><summary>On the command line</summary><div className="stack"><Cli line="synod ledger verify ledger --service-cert service_cert.pem" /><Cli line={`synod ledger show ledger ${txid ?? '2.1'}`} /></div></details>
    </>
  )
}

// VerifyAll fetches the files and verifies them here.
function VerifyAll({ n, trust, chunks }: { n: api.Network; trust: PageProps['trust']; chunks: api.LedgerPage['chunks'] }) {
  const [busy, setBusy] = useState('')
  const [verdict, setVerdict] = useState<LedgerVerdict>()
  const [error, setError] = useState<unknown>()
  const total = chunks.reduce((s, c) => s + c.size_bytes, 0)
  const verify = async () => {
    setError(undefined)
    setVerdict(undefined)
    const v = new Verifier()
    try {
      const files: { name: string; blob: Blob }[] = []
      for (const c of chunks) {
        setBusy(`Fetching ${c.file}…`)
        const r = await fetch(api.chunkURL(n.name, c.file), { credentials: 'same-origin' })
        if (!r.ok) throw new Error(`${c.file} could not be fetched; it may have been renamed meanwhile. Try again.`)
        files.push({ name: c.file, blob: await r.blob() })
      }
      setBusy('Verifying…')
      setVerdict(await v.ledger(named(files).chunks, { serviceCert: trust.pin?.certificate }, (e, b) => setBusy(`Verifying, ${e} entries, ${bytes(b)}…`)))
    } catch (e) {
      setError(e)
    }
    v.end()
    setBusy('')
  }
  return (
    <Panel title="Verify in this browser" actions={<Button kind="primary" onPress={() => void verify()} disabled={!!busy || total > 200e6}>{busy ? 'Verifying…' : `Verify all ${bytes(total)}`}</Button>}>
      <p className="prose muted">Fetches the ledger’s files and checks every entry, root and signature here, against the identity that this browser pinned{total > 200e6 && '. Above 200 MB use the command line'}.</p>
      {busy && <p aria-live="polite">{busy}</p>}
      {error !== undefined && <ProblemView error={error} />}
      {verdict && <LedgerResult v={verdict} />}
    </Panel>
  )
}

export function ReceiptOf({ n, trust, entry }: { n: string; trust: PageProps['trust']; entry: { transaction_id: string } }) {
  const [verdict, setVerdict] = useState<ReceiptVerdict>()
  const [raw, setRaw] = useState('')
  const [busy, setBusy] = useState('')
  const [error, setError] = useState<unknown>()
  const fetchIt = async () => {
    setError(undefined)
    setBusy('Being fetched…')
    try {
      let text = ''
      for (let i = 0; i < 20 && !text; i++) {
        const r = await api.node<unknown>(n, `node/receipt?transaction_id=${entry.transaction_id}`)
        if (r.status === 200) text = JSON.stringify(r.body)
        else await new Promise(ok => setTimeout(ok, 500))
      }
      if (!text) throw new Error('The receipt is not ready yet. Try again.')
      setRaw(text)
      const v = new Verifier()
      setVerdict(await v.receipt(utf8(text), { serviceCert: trust.pin?.certificate ?? '', tx: undefined }))
      v.end()
    } catch (e) {
      setError(e)
    }
    setBusy('')
  }
  return (
    <div className="stack">
      <div className="row"><Button onPress={() => void fetchIt()} disabled={!!busy}>{busy || 'Fetch and verify its receipt'}</Button>{raw && <Button onPress={() => download(`receipt-${entry.transaction_id}.json`, raw, 'application/json')}>Download receipt</Button>}</div>
      {error !== undefined && <ProblemView error={error} />}
      {verdict && <div><p><b>{verdict.verified ? `Verified: ${verdict.is_signature ? 'a signature' : `transaction ${verdict.transaction_id}`} of the pinned service` : `Not verified: ${verdict.error}`}</b></p><Steps steps={verdict.steps} /></div>}
    </div>
  )
}
