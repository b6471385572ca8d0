// The parts that every screen is made of.
import { useEffect, useId, useState, type ReactNode } from 'react'
import { Button as AriaButton, Dialog as AriaDialog, Heading, Input, Label, Modal, ModalOverlay, Text, TextArea, TextField, FieldError } from 'react-aria-components'
import { Link } from 'wouter'
import { Problem } from '../api/http'

export function Button({ children, onPress, kind, danger, disabled, why, type }: {
  children: ReactNode; onPress?: () => void; kind?: 'primary' | 'quiet' | 'link'; danger?: boolean; disabled?: boolean
  why?: string // says why it cannot be used: the button stays reachable
  type?: 'submit'
}) {
  const id = useId()
  const classes = [kind ?? '', danger ? 'danger' : ''].join(' ').trim()
  if (why) {
    return (
      <span className="row">
        <button type="button" aria-disabled="true" aria-describedby={id} className={classes}>{children}</button>
        <span id={id} className="small muted">{why}</span>
      </span>
    )
  }
  return <AriaButton type={type} onPress={onPress} isDisabled={disabled} className={classes}>{children}</AriaButton>
}

export function Field({ label, value, onChange, hint, error, kind, rows, autoFocus, required }: {
  label: string; value: string; onChange: (v: string) => void; hint?: ReactNode; error?: string
  kind?: 'password' | 'search' | 'number'; rows?: number; autoFocus?: boolean; required?: boolean
}) {
  return (
    <TextField value={value} onChange={onChange} isInvalid={!!error} type={kind ?? 'text'} isRequired={required} validationBehavior="aria" autoFocus={autoFocus}>
      <Label>{label}</Label>
      {rows ? <TextArea rows={rows} spellCheck={false} /> : <Input spellCheck={false} autoComplete={kind === 'password' ? 'new-password' : 'off'} />}
      {hint && <Text slot="description" className="hint">{hint}</Text>}
      <FieldError>{error}</FieldError>
    </TextField>
  )
}

export function Choices<T extends string>({ label, value, onChange, options }: {
  label: string; value: T; onChange: (v: T) => void; options: { value: T; name: string; text?: ReactNode }[]
}) {
  const name = useId()
  return (
    <fieldset className="stack">
      <legend>{label}</legend>
      <div className="choices">
        {options.map(o => (
          <label key={o.value} className="choice">
            <input type="radio" name={name} checked={o.value === value} onChange={() => onChange(o.value)} />
            <span><b>{o.name}</b>{o.text && <span className="hint"><br />{o.text}</span>}</span>
          </label>
        ))}
      </div>
    </fieldset>
  )
}

export function Check({ children, value, onChange }: { children: ReactNode; value: boolean; onChange: (v: boolean) => void }) {
  return (
    <label className="check">
      <input type="checkbox" checked={value} onChange={e => onChange(e.target.checked)} />
      <span>{children}</span>
    </label>
  )
}

export type Tone = 'healthy' | 'working' | 'attention' | 'failed' | 'stopped' | 'unknown'
const glyphs: Record<Tone, string> = { healthy: '●', working: '◔', attention: '▲', failed: '■', stopped: '○', unknown: '?' }

// Status is a glyph, a colour and always a word.
export function Status({ tone, children }: { tone: Tone; children: ReactNode }) {
  return <span className={`status s-${tone}`}><i aria-hidden="true" className={tone === 'working' ? 'turn' : ''}>{glyphs[tone]}</i><span>{children}</span></span>
}

export type Provenance = 'verified' | 'reported' | 'unverifiable'
const marks: Record<Provenance, [string, string]> = {
  verified: ['✓', 'Verified in this browser'],
  reported: ['↗', 'Reported by the control plane, not verified here'],
  unverifiable: ['–', 'Cannot be verified'],
}

// Mark says where a fact comes from.
export function Mark({ kind, text }: { kind: Provenance; text?: string }) {
  const [glyph, words] = marks[kind]
  const full = text ? `${words}: ${text}` : words
  return <span role="img" tabIndex={0} className={`mark ${kind === 'verified' ? 'v' : ''}`} title={full} aria-label={full}>{glyph}</span>
}

export function Copy({ text, label }: { text: string; label?: string }) {
  const [state, setState] = useState('Copy')
  return (
    <button type="button" className="quiet copy" aria-label={label ? `Copy ${label}` : undefined} onClick={() => {
      const clipboard = navigator.clipboard as Clipboard | undefined
      void clipboard?.writeText(text).then(() => setState('Copied'), () => setState('Select it by hand'))
      if (!clipboard) setState('Select it by hand')
    }}>{state}</button>
  )
}

// Hash shows the ends of a digest and holds all of it.
export function Hash({ value, label, whole }: { value?: string; label?: string; whole?: boolean }) {
  if (!value) return <span className="muted">unknown</span>
  const shown = whole || value.length <= 16 ? value : `${value.slice(0, 8)}…${value.slice(-4)}`
  return <span className="copyable"><span className="hash" title={value}>{shown}</span><Copy text={value} label={label ?? 'the whole value'} /></span>
}

export function Time({ at }: { at?: string | number }) {
  const now = useNow()
  if (!at || String(at).startsWith('0001')) return <span className="muted">never</span>
  const t = new Date(at)
  return <time dateTime={t.toISOString()} title={t.toISOString()}>{ago(t.getTime() - now)}</time>
}

export function ago(ms: number): string {
  const s = Math.round(Math.abs(ms) / 1000)
  const [n, unit] = s < 60 ? [s, 's'] : s < 3600 ? [Math.round(s / 60), 'min'] : s < 86400 ? [Math.round(s / 3600), 'h'] : [Math.round(s / 86400), s < 129600 ? 'day' : 'days']
  if (s < 3) return 'now'
  return ms < 0 ? `${n} ${unit} ago` : `in ${n} ${unit}`
}

export function useNow(every = 5000): number {
  const [now, set] = useState(Date.now())
  useEffect(() => {
    const t = setInterval(() => set(Date.now()), every)
    return () => clearInterval(t)
  }, [every])
  return now
}

export function bytes(n: number): string {
  if (n < 1000) return `${n} B`
  return n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(2)} GB`
}

export function Panel({ title, children, actions, tone, flush, level }: {
  title?: ReactNode; children: ReactNode; actions?: ReactNode; tone?: 'red' | 'amber'; flush?: boolean; level?: 3
}) {
  const H = level === 3 ? 'h3' : 'h2'
  return (
    <section className={`panel ${tone ?? ''} ${flush ? 'flush' : ''}`}>
      {(title || actions) && <header><H>{title}</H>{actions && <div className="row">{actions}</div>}</header>}
      {children}
    </section>
  )
}

export function Facts({ rows }: { rows: [ReactNode, ReactNode][] }) {
  return <dl className="facts">{rows.map(([k, v], i) => <FactRow key={i} k={k} v={v} />)}</dl>
}
const FactRow = ({ k, v }: { k: ReactNode; v: ReactNode }) => <><dt>{k}</dt><dd>{v}</dd></>

// Cli shows what to type instead.
export function Cli({ line, label }: { line: string; label?: string }) {
  return (
    <div className="cli">
      <pre aria-label={label ?? 'The same on the command line'}>{line}</pre>
      <Copy text={line} label="the command" />
    </div>
  )
}

export function ProblemView({ error, retry }: { error: unknown; retry?: () => void }) {
  const p = error instanceof Problem ? error : new Problem(0, 'Failed', error instanceof Error ? error.message : String(error))
  return (
    <div className="panel red" role="alert">
      <p><b>{p.message}</b></p>
      <p className="small muted">{[p.code, p.status ? `status ${p.status}` : '', p.requestId ? `request ${p.requestId}` : ''].filter(Boolean).join(' · ')}</p>
      {p.status === 401 && <p><Link href="/">Sign in again</Link>. What you typed stays here if you do so in another tab.</p>}
      {retry && <div><Button onPress={retry}>Try again</Button></div>}
    </div>
  )
}

// Loading shows nothing for a moment, then what is awaited.
export function Loading({ what }: { what: string }) {
  const [step, set] = useState(0)
  useEffect(() => {
    const ts = [150, 1000, 10000].map((ms, i) => setTimeout(() => set(i + 1), ms))
    return () => ts.forEach(clearTimeout)
  }, [])
  return (
    <div aria-live="polite" className="stack">
      {step > 0 && <div className="skeleton" />}
      {step > 1 && <p className="muted">Waiting for {what}…</p>}
      {step > 2 && <p>It takes long. Is the control plane still running?</p>}
    </div>
  )
}

export function Empty({ children, action, cli }: { children: ReactNode; action?: ReactNode; cli?: string }) {
  return <div className="stack"><p className="muted prose">{children}</p>{action && <div className="row">{action}</div>}{cli && <Cli line={cli} />}</div>
}

export function Dialog({ title, open, onClose, children, className }: {
  title: string; open: boolean; onClose: () => void; children: ReactNode; className?: string
}) {
  return (
    <ModalOverlay isOpen={open} onOpenChange={o => !o && onClose()} isDismissable>
      <Modal className={`react-aria-Modal ${className ?? ''}`}>
        <AriaDialog>
          <Heading slot="title" level={2}>{title}</Heading>
          {children}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  )
}

export function Title({ children, crumb, actions }: { children: ReactNode; crumb?: ReactNode; actions?: ReactNode }) {
  useEffect(() => {
    const text = document.querySelector('h1')?.textContent
    document.title = text ? `${text} · Synod` : 'Synod'
  })
  return (
    <div className="title">
      <div>{crumb && <div className="crumb">{crumb}</div>}<h1 tabIndex={-1}>{children}</h1></div>
      {actions && <div className="row">{actions}</div>}
    </div>
  )
}

// plain makes text of others' safe to look at: what has no glyph is named.
export function plain(s: string): string {
  return s.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    c => `⟨U+${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}⟩`)
}

export function download(name: string, content: BlobPart, type = 'application/octet-stream') {
  const a = document.createElement('a')
  a.href = URL.createObjectURL(new Blob([content], { type }))
  a.download = name
  a.click()
  setTimeout(() => URL.revokeObjectURL(a.href), 10000)
}

// Drop takes files by drop, by choice, or as text.
export function Drop({ label, onFiles, multiple, folder, children }: {
  label: string; onFiles: (files: File[]) => void; multiple?: boolean; folder?: boolean; children?: ReactNode
}) {
  const [over, set] = useState(false)
  const id = useId()
  return (
    <div className={`drop ${over ? 'over' : ''}`} onDragOver={e => {
      e.preventDefault()
      set(true)
    }} onDragLeave={() => set(false)} onDrop={e => {
      e.preventDefault()
      set(false)
      void droppedFiles(e.dataTransfer).then(onFiles)
    }}>
      <label htmlFor={id}>{label}</label>
      <input id={id} type="file" multiple={multiple} {...(folder ? { webkitdirectory: '' } : {})} onChange={e => onFiles([...(e.target.files ?? [])])} />
      {children}
    </div>
  )
}

async function droppedFiles(data: DataTransfer): Promise<File[]> {
  const entries = [...data.items].map(i => i.webkitGetAsEntry()).filter(e => e !== null)
  const out: File[] = []
  const walk = async (e: FileSystemEntry): Promise<void> => {
    if (e.isFile) out.push(await new Promise<File>((ok, no) => (e as FileSystemFileEntry).file(ok, no)))
    else if (e.isDirectory) {
      const reader = (e as FileSystemDirectoryEntry).createReader()
      for (;;) {
        const some = await new Promise<FileSystemEntry[]>((ok, no) => reader.readEntries(ok, no))
        if (!some.length) break
        for (const s of some) await walk(s)
      }
    }
  }
  for (const e of entries) await walk(e)
  return out.length ? out : [...data.files]
}
