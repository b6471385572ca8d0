// Bytes and their texts.

export type Bytes = Uint8Array<ArrayBuffer>

export const utf8 = (s: string): Bytes => new TextEncoder().encode(s) as Bytes
export const text = (b: Uint8Array): string => new TextDecoder('utf-8', { fatal: true }).decode(b)

export function concat(...parts: Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const p of parts) {
    out.set(p, at)
    at += p.length
  }
  return out
}

export const hex = (b: Uint8Array): string => Array.from(b, x => x.toString(16).padStart(2, '0')).join('')

export function unhex(s: string): Bytes {
  if (s.length % 2 || /[^0-9a-fA-F]/.test(s)) throw new Error('not hex')
  return Uint8Array.from(s.match(/../g) ?? [], h => parseInt(h, 16))
}

export function base64(b: Uint8Array): string {
  let s = ''
  for (let i = 0; i < b.length; i += 0x8000) s += String.fromCharCode(...b.subarray(i, i + 0x8000))
  return btoa(s)
}

// unbase64 takes the standard alphabet and that of URLs, with or without padding.
export function unbase64(s: string): Bytes {
  const clean = s.replace(/\s+/g, '').replace(/-/g, '+').replace(/_/g, '/').replace(/=+$/, '')
  return Uint8Array.from(atob(clean), c => c.charCodeAt(0))
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i])
}

export async function sha256(b: Uint8Array): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', b as Bytes))
}
