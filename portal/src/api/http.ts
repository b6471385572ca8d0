// Requests to our own server. Three shapes of errors become one.

export class Problem extends Error {
  constructor(readonly status: number, readonly code: string, message: string, readonly requestId?: string) {
    super(message)
  }
}

export interface Reply<T> {
  body: T
  status: number
  txid?: string
  headers: Headers
}

// offset is the servers' clock minus ours, in milliseconds, from the last Date header.
export let offset = 0

export async function request<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply<T>> {
  const init: RequestInit = { method, headers: { ...headers }, credentials: 'same-origin', redirect: 'error' }
  const h = init.headers as Record<string, string>
  if (body instanceof Uint8Array) {
    init.body = body as Uint8Array<ArrayBuffer>
    h['Content-Type'] = 'application/cose'
  } else if (method !== 'GET' && method !== 'DELETE') {
    init.body = JSON.stringify(body ?? {})
    h['Content-Type'] = 'application/json'
  }
  let r: Response
  try {
    r = await fetch(path, init)
  } catch {
    throw new Problem(0, 'Unreachable', 'The control plane does not answer. Is it running?')
  }
  const date = Date.parse(r.headers.get('Date') ?? '')
  if (date) offset = Math.abs(date - Date.now()) < 1500 ? 0 : date - Date.now()
  const text = await r.text()
  if (!r.ok) throw problemOf(r, text)
  let parsed: unknown
  try {
    parsed = text ? JSON.parse(text) : undefined
  } catch {
    parsed = text
  }
  return { body: parsed as T, status: r.status, txid: r.headers.get('x-ms-ccf-transaction-id') ?? undefined, headers: r.headers }
}

interface ErrorBody { error?: { code?: string; message?: string; requestId?: string; details?: { message?: string }[] } }

function problemOf(r: Response, text: string): Problem {
  try {
    const { error } = JSON.parse(text) as ErrorBody
    if (error) {
      const more = (error.details ?? []).map(d => d.message).filter(Boolean).join(' ')
      return new Problem(r.status, error.code ?? 'Error', [error.message, more].filter(Boolean).join(' '), error.requestId ?? r.headers.get('x-request-id') ?? undefined)
    }
  } catch { /* not JSON */ }
  return new Problem(r.status, 'Error', text.slice(0, 200) || r.statusText, r.headers.get('x-request-id') ?? undefined)
}

export const get = async <T>(path: string) => (await request<T>('GET', path)).body
