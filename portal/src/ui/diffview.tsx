import { diffLines, fold } from './diff'
import { plain } from './ui'

const LINES_MAX = 2000

export function DiffView({ before, after, label }: { before: string; after: string; label: string }) {
  const lines = fold(diffLines(before, after))
  if (!lines.length) return <p className="muted">No difference.</p>
  return (
    <div className="diff" tabIndex={0} role="group" aria-label={label}>
      {lines.slice(0, LINES_MAX).map((l, i) => l.kind === '+' ? <ins key={i}>{plain(l.text) || ' '}</ins> : l.kind === '-' ? <del key={i}>{plain(l.text) || ' '}</del>
        : <span key={i} className={l.kind === '…' ? 'muted' : ''}>{l.kind === '…' ? `… ${l.text} …` : plain(l.text) || ' '}</span>)}
      {lines.length > LINES_MAX && <span className="muted">… {lines.length - LINES_MAX} lines more: see the raw proposal</span>}
    </div>
  )
}
