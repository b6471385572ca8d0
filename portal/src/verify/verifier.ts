// The Go verifier in a worker, as functions.

export type Question =
  | { id: number; kind: 'start'; wasm: string | ArrayBuffer }
  | { id: number; kind: 'receipt'; body: Uint8Array; options: string }
  | { id: number; kind: 'ledger'; files: { name: string; blob: Blob }[]; options: string }
  | { id: number; kind: 'entry'; seqno: number }

export interface Answer {
  id: number
  done?: string
  progress?: string
  failed?: string
}

export interface Step {
  name: string
  value?: string
  result: 'ok' | 'failed' | 'not reached'
  text?: string
}

export interface ReceiptVerdict {
  verified: boolean
  kind: string
  is_signature: boolean
  transaction_id?: string
  root?: string
  write_set_digest?: string
  claims_digest?: string
  node_id?: string
  steps: Step[]
  error?: string
  hint?: string
}

export interface Row {
  tx: string
  size: number
  private: number
  sig?: boolean
  tables: string[]
}

export interface Chunk {
  file: string
  first: number
  last: number
  size_bytes: number
  committed: boolean
}

export interface LedgerVerdict {
  verified: boolean
  chunks: Chunk[] | null
  skipped: string[] | null
  entries: number
  size_bytes: number
  signatures: number
  services: { since: string; status: string; key_id: string }[] | null
  last: string
  good: string
  cut: { file: string; offset: number; dropped: number } | null
  torn?: { file: string; offset: number; size_bytes: number; reason: string }
  error?: string
  hint?: string
}

export interface Entry {
  transaction_id: string
  file: string
  offset: number
  size_bytes: number
  signature: boolean
  private_bytes: number
  claims_digest: string
  write_set_digest: string
  leaf: string
  tables: { name: string; writes: { key: string; value: unknown }[]; removes: string[] }[]
  error?: string
}

export interface Source {
  worker: () => Worker
  wasm: () => Promise<string | ArrayBuffer>
}

let source: Source

export function setSource(s: Source) {
  source = s
}

export class Verifier {
  private worker = source.worker()
  private next = 1
  private waiting = new Map<number, { done(s: string): void; failed(e: Error): void; progress?(s: string): void }>()
  private ready: Promise<unknown>

  constructor() {
    this.worker.onmessage = (e: MessageEvent<Answer>) => {
      const a = e.data
      const w = this.waiting.get(a.id)
      if (a.progress !== undefined) return w?.progress?.(a.progress)
      this.waiting.delete(a.id)
      if (a.failed !== undefined) w?.failed(new Error(a.failed))
      else w?.done(a.done!)
    }
    this.ready = source.wasm().then(wasm => this.ask({ id: 0, kind: 'start', wasm }))
  }

  private ask(q: Question, progress?: (s: string) => void): Promise<string> {
    const id = this.next++
    return new Promise((done, failed) => {
      this.waiting.set(id, { done, failed, progress })
      this.worker.postMessage({ ...q, id })
    })
  }

  async receipt(body: Uint8Array, options: { serviceCert: string; claimsDigest?: string; tx?: string; entry?: string }): Promise<ReceiptVerdict> {
    await this.ready
    return JSON.parse(await this.ask({ id: 0, kind: 'receipt', body, options: JSON.stringify(options) }))
  }

  async ledger(files: { name: string; blob: Blob }[], options: { serviceCert?: string; contains?: string },
    progress: (entries: number, bytes: number, rows: Row[]) => void): Promise<LedgerVerdict> {
    await this.ready
    return JSON.parse(await this.ask({ id: 0, kind: 'ledger', files, options: JSON.stringify({ dir: '/ledger', ...options }) }, s => {
      const p = JSON.parse(s)
      progress(p.entries, p.bytes, p.rows)
    }))
  }

  async entry(seqno: number): Promise<Entry> {
    await this.ready
    return JSON.parse(await this.ask({ id: 0, kind: 'entry', seqno }))
  }

  // end frees the worker's memory, which only grows.
  end() {
    this.worker.terminate()
    for (const w of this.waiting.values()) w.failed(new Error('Stopped.'))
  }
}
