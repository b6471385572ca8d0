import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState, type ReactNode } from 'react'
import { Link, useLocation } from 'wouter'
import * as api from '../api/portal'
import { Button, Dialog } from '../ui/ui'
import { moveRow, shortcuts, useKeys } from './keys'
import { queries, useLostAt } from './live'
import { Palette } from './palette'

export const sections: [string, string][] = [
  ['', 'Overview'], ['nodes', 'Nodes'], ['members', 'Members'], ['proposals', 'Proposals'], ['app', 'App'], ['access', 'Access'],
  ['ledger', 'Ledger'], ['metrics', 'Metrics'], ['logs', 'Logs'], ['backups', 'Backups'], ['upgrades', 'Upgrades'], ['recovery', 'Recovery'], ['settings', 'Settings'],
]

const places: [string, string][] = [['/networks', 'Networks'], ['/activity', 'Activity'], ['/verify', 'Verify'], ['/keys', 'Keys'], ['/settings', 'Settings']]

function Rail({ network, signedIn }: { network?: string; signedIn: boolean }) {
  const [path] = useLocation()
  const [open, setOpen] = useState(false)
  useEffect(() => setOpen(false), [path])
  const shown = signedIn ? places : places.filter(([p]) => ['/verify', '/keys', '/settings'].includes(p))
  return (
    <div className={`rail ${open ? 'open' : ''}`}>
      <Link href="/" className="brand">Synod</Link>
      <button type="button" className="menu" aria-expanded={open} onClick={() => setOpen(!open)}>Menu</button>
      <nav aria-label="Sections">
        <ul>
          {shown.map(([to, name]) => (
            <li key={to}>
              <Link href={to} aria-current={path === to || (path.startsWith(to + '/') && !(to === '/networks' && network)) ? 'page' : undefined}>{name}</Link>
              {to === '/networks' && network && (
                <div className="inside">
                  <p className="network small">{network}</p>
                  <ul>
                    {sections.map(([s, title]) => {
                      const href = `/networks/${network}${s && `/${s}`}`
                      const here = s === '' ? path.toLowerCase() === href.toLowerCase() : path.toLowerCase().startsWith(href.toLowerCase())
                      return <li key={s}><Link href={href} aria-current={here ? 'page' : undefined}>{title}</Link></li>
                    })}
                  </ul>
                </div>
              )}
            </li>
          ))}
        </ul>
      </nav>
      <p className="foot small muted"><kbd>Ctrl+K</kbd> finds anything, <kbd>?</kbd> lists the keys</p>
    </div>
  )
}

export function Shell({ children, signedIn, shown }: { children: ReactNode; signedIn: boolean; shown?: boolean }) {
  const [path, go] = useLocation()
  const lost = useLostAt()
  const [palette, setPalette] = useState(false)
  const [help, setHelp] = useState(false)
  const main = useRef<HTMLElement>(null)
  const name = /^\/networks\/([^/]+)/.exec(path)?.[1]
  const network = name && name !== 'new' ? decodeURIComponent(name) : undefined

  // A new page begins at its heading, so that focus is never on nothing.
  const before = useRef(path)
  useEffect(() => {
    if (before.current === path) return
    before.current = path
    const t = setTimeout(() => {
      if (document.activeElement && document.activeElement !== document.body && main.current?.contains(document.activeElement)) return
      ;(main.current?.querySelector<HTMLElement>('h1') ?? main.current)?.focus()
    }, 30)
    return () => clearTimeout(t)
  }, [path])

  useKeys((keys, e) => {
    const inside = (s: string) => go(network ? `/networks/${network}/${s}` : '/networks')
    const walks: Record<string, () => void> = {
      'palette': () => setPalette(true), '?': () => setHelp(true), 'g n': () => go('/networks'), 'g v': () => go('/verify'), 'g a': () => go('/activity'),
      'g k': () => go('/keys'), 'g p': () => inside('proposals'), 'g l': () => inside('ledger'), 'g m': () => inside('metrics'),
      'j': () => moveRow(1), 'k': () => moveRow(-1), 'r': () => void queries.invalidateQueries(),
      'c': () => main.current?.querySelector<HTMLElement>('[data-create]')?.click(),
      '/': () => main.current?.querySelector<HTMLInputElement>('input[type=search]')?.focus(),
      '>': () => main.current?.querySelector<HTMLElement>('details.how > summary')?.click(),
    }
    if (walks[keys]) {
      e.preventDefault()
      walks[keys]()
    }
  })

  return (
    <div className="shell">
      <a className="skip" href="#main" onClick={e => {
        e.preventDefault()
        main.current?.focus()
      }}>Skip to content</a>
      <Rail network={network} signedIn={shown ?? signedIn} />
      <div>
        {lost > 0 && signedIn && <div className="bar" role="status">Not live since {new Date(lost).toLocaleTimeString()}, reconnecting. What you see may be old.</div>}
        {network && <Development name={network} />}
        <main id="main" className="page" ref={main} tabIndex={-1}>{children}</main>
      </div>
      {palette && <Palette onClose={() => setPalette(false)} signedIn={signedIn} network={network} />}
      <Dialog title="Keys" open={help} onClose={() => setHelp(false)}>
        <dl className="facts">{shortcuts.map(([k, what]) => <Shortcut key={k} k={k} what={what} />)}</dl>
        <p className="small muted">Single letters can be switched off under Settings.</p>
        <div className="row end"><Button onPress={() => setHelp(false)}>Close</Button></div>
      </Dialog>
    </div>
  )
}

const Shortcut = ({ k, what }: { k: string; what: string }) => <><dt><kbd>{k}</kbd></dt><dd>{what}</dd></>

// Development says of each virtual network what it is: nodes without hardware
// evidence are for development.
function Development({ name }: { name: string }) {
  const { data } = useQuery({ queryKey: ['network', name.toLowerCase(), 'version'], queryFn: () => api.node<{ platform?: string }>(name, 'node/version'), staleTime: 60e3 })
  if (data?.body.platform && data.body.platform !== 'virtual') return null
  return data ? <div className="bar plain">Virtual nodes, for development only: no hardware protects this network's data from whoever runs the machine.</div> : null
}
