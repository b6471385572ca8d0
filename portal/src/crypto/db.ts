// What this browser keeps: members' keys, pins of services, what was signed,
// and drafts. All in IndexedDB, which belongs to this origin alone.
import type { Held } from './keys'

export interface Pin {
  network: string
  key: string // SHA-256 over the service key
  certificate: string
  how: 'first seen' | 'by you' | 'made here'
  at: number
  tip?: string // the newest transaction that this browser has seen
  before?: { key: string; until: number }[]
}

export interface Signature {
  id?: number
  at: number
  network: string
  memberId: string
  kind: string
  digest: string // of what was signed
  proposalId?: string
}

let opened: Promise<IDBDatabase> | undefined

function open(): Promise<IDBDatabase> {
  opened ??= new Promise((ok, no) => {
    const r = indexedDB.open('synod', 1)
    r.onupgradeneeded = () => {
      r.result.createObjectStore('keys', { keyPath: 'memberId' })
      r.result.createObjectStore('pins', { keyPath: 'network' })
      r.result.createObjectStore('signatures', { keyPath: 'id', autoIncrement: true })
      r.result.createObjectStore('drafts')
    }
    r.onsuccess = () => ok(r.result)
    r.onerror = () => no(new Error('This browser keeps nothing here (a private window?): keys cannot be held.'))
  })
  return opened
}

type Store = 'keys' | 'pins' | 'signatures' | 'drafts'

async function run<T>(store: Store, mode: IDBTransactionMode, use: (s: IDBObjectStore) => IDBRequest): Promise<T> {
  const db = await open()
  return new Promise((ok, no) => {
    const t = db.transaction(store, mode)
    const r = use(t.objectStore(store))
    t.oncomplete = () => {
      if (mode === 'readwrite') listeners.forEach(l => l())
      ok(r.result as T)
    }
    t.onerror = () => no(new Error(`This browser could not keep it: ${t.error?.message ?? 'unknown reason'}`))
  })
}

const listeners = new Set<() => void>()

// onChange calls back after each write of this page's.
export function onChange(l: () => void): () => void {
  listeners.add(l)
  return () => listeners.delete(l)
}

export const keys = () => run<Held[]>('keys', 'readonly', s => s.getAll())
export async function putKey(k: Held) {
  await run('keys', 'readwrite', s => s.put(k))
  void navigator.storage?.persist?.()
}
export const forgetKey = (id: string) => run('keys', 'readwrite', s => s.delete(id))
export const pins = () => run<Pin[]>('pins', 'readonly', s => s.getAll())
export const pin = (network: string) => run<Pin | undefined>('pins', 'readonly', s => s.get(network.toLowerCase()))
export const putPin = (p: Pin) => run('pins', 'readwrite', s => s.put({ ...p, network: p.network.toLowerCase() }))
export const dropPin = (network: string) => run('pins', 'readwrite', s => s.delete(network.toLowerCase()))
export const signatures = () => run<Signature[]>('signatures', 'readonly', s => s.getAll())
export const addSignature = (s: Signature) => run('signatures', 'readwrite', st => st.add(s))
export const draft = <T>(name: string) => run<T | undefined>('drafts', 'readonly', s => s.get(name))
export const putDraft = (name: string, v: unknown) => run('drafts', 'readwrite', s => s.put(v, name))
export const dropDraft = (name: string) => run('drafts', 'readwrite', s => s.delete(name))
