import { useEffect, useRef, useState } from 'react'
import { useLocation, useSearch } from 'wouter'
import * as api from '../api/portal'
import { Button, Check, Cli, Panel, ProblemView, Title, plain } from '../ui/ui'
import { Crumb, type PageProps } from './network'

const LINES_MAX = 5000
interface Line { node: number; text: string; id: number }

export function Logs({ n }: PageProps) {
  const [path, go] = useLocation()
  const params = new URLSearchParams(useSearch())
  const node = params.get('node') ?? ''
  const q = params.get('q') ?? ''
  const level = params.get('level') ?? ''
  const [lines, setLines] = useState<Line[]>([])
  const [follow, setFollow] = useState(true)
  const [error, setError] = useState<unknown>()
  const box = useRef<HTMLDivElement>(null)
  const at = useRef(new Map<number, number>())
  const ids = useRef(0)
  const set = (k: string, v: string) => {
    const p = new URLSearchParams(params)
    if (v) p.set(k, v)
    else p.delete(k)
    go(`${path}${p.size ? `?${p}` : ''}`, { replace: true })
  }
  useEffect(() => {
    let live = true
    const known = (at.current = new Map())
    setLines([])
    const ask = async () => {
      try {
        const ordinals = (n.status.nodes ?? []).map(s => s.ordinal).filter(o => node === '' || String(o) === node)
        for (const o of ordinals) {
          const [log] = await api.logs(n.name, String(o), known.get(o) ?? 0)
          if (!live || !log) continue
          known.set(o, log.size)
          if (log.lines.length) setLines(old => [...old, ...log.lines.map(text => ({ node: o, text, id: ids.current++ }))].slice(-LINES_MAX))
        }
        setError(undefined)
      } catch (e) {
        setError(e)
      }
    }
    void ask()
    const t = setInterval(() => void ask(), 1500)
    return () => {
      live = false
      clearInterval(t)
    }
    // eslint-disable-next-line
  }, [n.name, node])
  const shown = lines.filter(l => (!q || l.text.toLowerCase().includes(q.toLowerCase())) && (!level || severity(l.text) >= ranks[level]!))
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight
  }, [shown.length, follow])
  return (
    <>
      <Title crumb={<Crumb n={n} />}>Logs</Title>
      {error !== undefined && <ProblemView error={error} />}
      <div className="row">
        <input className="grow filter" type="search" aria-label="Filter by text" placeholder="Filter by text" value={q} onChange={e => set('q', e.target.value)} />
        <select aria-label="Node" value={node} onChange={e => set('node', e.target.value)} style={{ width: 'auto' }}>
          <option value="">all nodes</option>{(n.status.nodes ?? []).map(s => <option key={s.ordinal} value={s.ordinal}>node {s.ordinal}</option>)}
        </select>
        <select aria-label="Level" value={level} onChange={e => set('level', e.target.value)} style={{ width: 'auto' }}>
          <option value="">all levels</option><option value="info">info and above</option><option value="fail">problems</option>
        </select>
        <Check value={follow} onChange={setFollow}>Follow</Check>
        <Button onPress={() => setLines([])}>Clear</Button>
      </div>
      <div className="log" ref={box} tabIndex={0} role="log" aria-label="Log lines" onWheel={e => e.deltaY < 0 && setFollow(false)}>
        {shown.slice(-1000).map(l => <div key={l.id} className={`line ${severity(l.text) >= 2 ? 'error' : ''}`}>{(n.status.nodes ?? []).length > 1 && <span className="muted">{l.node} </span>}{plain(l.text)}</div>)}
        {!shown.length && <p className="muted" style={{ padding: 8 }}>No line{lines.length ? ' matches' : ' yet, or the logs are not on the control plane’s machine'}.</p>}
      </div>
      <p className="small muted">{shown.length} of {lines.length} lines; at most {LINES_MAX} are kept here.</p>
      <Panel><Cli line={`synod logs ${n.name} --follow`} /></Panel>
    </>
  )
}

const ranks: Record<string, number> = { info: 1, fail: 2 }

function severity(line: string): number {
  return /\[(fail|fatal|error)/i.test(line) || /level=(ERROR|WARN)/.test(line) ? 2 : /\[(info)/i.test(line) || /level=INFO/.test(line) ? 1 : 0
}
