// The command palette: networks, their sections, actions, and what was pasted.
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useLocation } from 'wouter'
import * as api from '../api/portal'
import { Dialog } from '../ui/ui'
import { sections } from './shell'
import { handOver } from '../screens/verify'

interface Item { name: string; hint: string; act: () => void }

export function Palette({ onClose, signedIn, network }: { onClose: () => void; signedIn: boolean; network?: string }) {
  const [, go] = useLocation()
  const [q, setQ] = useState('')
  const [at, setAt] = useState(0)
  const { data } = useQuery({ queryKey: ['summary'], queryFn: api.summary, enabled: signedIn })
  const to = (name: string, hint: string, path: string): Item => ({ name, hint, act: () => go(path) })
  const items: Item[] = []
  const typed = q.trim()
  if (typed.startsWith('{') || typed.includes('BEGIN CERTIFICATE')) {
    items.push({ name: 'Verify what was pasted', hint: 'stays in this browser', act: () => {
      handOver(typed)
      go('/verify')
    } })
  }
  if (network && /^\d+\.\d+$/.test(typed)) items.push(to(`Transaction ${typed}`, network, `/networks/${network}/ledger/${typed}`))
  if (network && /^[0-9a-f]{64}$/i.test(typed)) {
    items.push(to('Proposal', typed.slice(0, 8), `/networks/${network}/proposals/${typed}`), to('Member', typed.slice(0, 8), `/networks/${network}/members#${typed}`), to('Node', typed.slice(0, 8), `/networks/${network}/nodes`))
  }
  if (signedIn) {
    items.push(to('Networks', 'all', '/networks'), to('Create a network', 'action', '/networks/new'), to('Activity', 'who did what', '/activity'))
    for (const n of data?.networks ?? []) items.push(to(n.name, 'network', `/networks/${n.name}`))
    if (network) for (const [s, title] of sections) items.push(to(`${title}`, network, `/networks/${network}${s && `/${s}`}`))
  }
  items.push(to('Verify a receipt', 'no sign-in', '/verify'), to('Verify a ledger', 'dropped files', '/verify/ledger'), to('Keys', 'in this browser', '/keys'), to('Settings', 'appearance', '/settings'))
  const match = items.filter(i => i.name.startsWith('Verify what') || /^\d+\.\d+$|^[0-9a-f]{64}$/i.test(typed) || `${i.name} ${i.hint}`.toLowerCase().includes(typed.toLowerCase()))
  const chosen = Math.min(at, match.length - 1)
  const act = (i: Item | undefined) => {
    onClose()
    i?.act()
  }
  return (
    <Dialog title="Find" open onClose={onClose} className="palette">
      <input autoFocus aria-label="Network, section, transaction, certificate or receipt" role="combobox" aria-expanded="true" aria-controls="palette" aria-activedescendant={match[chosen] ? `palette-${chosen}` : undefined}
        value={q} onChange={e => {
          setQ(e.target.value)
          setAt(0)
        }} onKeyDown={e => {
          if (e.key === 'ArrowDown') setAt(Math.min(chosen + 1, match.length - 1))
          else if (e.key === 'ArrowUp') setAt(Math.max(chosen - 1, 0))
          else if (e.key === 'Enter') act(match[chosen])
          else return
          e.preventDefault()
        }} />
      <ul id="palette" role="listbox" aria-label="Found">
        {match.slice(0, 40).map((i, n) => (
          <li key={n} id={`palette-${n}`} role="option" aria-selected={n === chosen} onClick={() => act(i)}><span>{i.name}</span><span className="muted">{i.hint}</span></li>
        ))}
      </ul>
      {!match.length && <p className="muted">Nothing has that name.</p>}
    </Dialog>
  )
}
