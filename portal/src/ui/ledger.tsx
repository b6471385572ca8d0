// Entries of a ledger as one long table, and one of them opened.
import { useVirtualizer } from '@tanstack/react-virtual'
import { useRef, useState } from 'react'
import { Button, Dialog, Facts, Hash, bytes, plain, download } from './ui'
import type { Entry, Row } from '../verify/verifier'

const short = (t: string) => t.replace(/^public:ccf\.(gov|internal)\./, '$1.').replace(/^public:/, '')

export function Entries({ rows, open }: { rows: Row[]; open: (r: Row) => void }) {
  const [filter, setFilter] = useState('')
  const box = useRef<HTMLDivElement>(null)
  const q = filter.toLowerCase()
  const shown = q ? rows.filter(r => r.tx.startsWith(q) || r.tables.some(t => t.toLowerCase().includes(q))) : rows
  const v = useVirtualizer({ count: shown.length, getScrollElement: () => box.current, estimateSize: () => 32, overscan: 12 })
  return (
    <>
      <div style={{ padding: '0 16px 12px' }}>
        <input type="search" aria-label="Filter by transaction or table" placeholder="Filter by transaction or table" value={filter} onChange={e => setFilter(e.target.value)} />
        <p className="small muted" aria-live="polite">{shown.length} of {rows.length} entries</p>
      </div>
      <div ref={box} tabIndex={0} role="table" aria-label="Entries" aria-rowcount={shown.length} style={{ maxHeight: '60vh', overflowY: 'auto', position: 'relative' }}>
        <div role="rowgroup" style={{ height: v.getTotalSize(), position: 'relative' }}>
          {v.getVirtualItems().map(i => {
            const r = shown[i.index]!
            return (
              <div key={r.tx} role="row" aria-rowindex={i.index + 1} className="ledger-row" style={{ position: 'absolute', top: 0, left: 0, right: 0, height: i.size, transform: `translateY(${i.start}px)` }}>
                <span role="cell"><button type="button" data-row className="link mono" onClick={() => open(r)}>{r.tx}</button></span>
                <span role="cell" className="muted">{r.sig ? 'signature' : bytes(r.size)}</span>
                <span role="cell" className="tables" title={r.tables.join('\n')}>{r.tables.map(short).join(', ') || <span className="muted">no public table</span>}{r.private > 0 && <span className="muted"> + {r.private} encrypted bytes</span>}</span>
              </div>
            )
          })}
        </div>
      </div>
    </>
  )
}

function show(v: unknown): string {
  return plain(typeof v === 'string' ? v : JSON.stringify(v, null, 2))
}

const SHOWN = 4000 // characters of a value

export function EntryView({ entry, onClose, receipt }: { entry: Entry; onClose: () => void; receipt?: React.ReactNode }) {
  return (
    <Dialog title={`Transaction ${entry.transaction_id}`} open onClose={onClose}>
      {entry.error ? <p className="error">{entry.error}</p> : (
        <>
          <Facts rows={[
            ['Kind', entry.signature ? 'Signature over all before it' : 'Write set'], ['Size', `${bytes(entry.size_bytes)}${entry.private_bytes ? `, of it ${bytes(entry.private_bytes)} encrypted` : ''}`],
            ['File', `${entry.file.split('/').pop()} at ${entry.offset}`], ['Write set', <Hash value={entry.write_set_digest} />], ['Claims', <Hash value={entry.claims_digest} />], ['Leaf', <Hash value={entry.leaf} />],
          ]} />
          {receipt}
          {entry.tables.map(t => (
            <div key={t.name} className="tight">
              <h3 className="mono">{t.name}</h3>
              {t.writes.map((w, i) => {
                const s = show(w.value)
                return <div key={i}><p className="small muted hash">{plain(w.key)}</p><pre>{s.slice(0, SHOWN)}{s.length > SHOWN && ` … ${s.length - SHOWN} characters more`}</pre></div>
              })}
              {t.removes.map(k => <p key={k} className="hash">{plain(k)} removed</p>)}
            </div>
          ))}
        </>
      )}
      <div className="row end">
        <Button onPress={() => download(`${entry.transaction_id}.json`, JSON.stringify(entry, null, 2), 'application/json')}>Download</Button>
        <Button onPress={onClose}>Close</Button>
      </div>
    </Dialog>
  )
}
