// The part of CBOR that COSE needs (RFC 8949), one encoding for each value:
// indefinite lengths, longer heads than needed, repeated keys and bytes after
// the end are refused.
import { concat, text, utf8, type Bytes } from './bytes'

export type Key = number | string
export type Value = number | string | Bytes | Value[] | Map<Key, Value> | Tagged | boolean | null

export class Tagged {
  constructor(readonly tag: number, readonly value: Value) {}
}

export function head(major: number, n: number): Bytes {
  const m = major << 5
  if (n < 24) return Uint8Array.of(m | n)
  if (n < 0x100) return Uint8Array.of(m | 24, n)
  if (n < 0x10000) return Uint8Array.of(m | 25, n >> 8, n & 0xff)
  const out = new Uint8Array(n < 2 ** 32 ? 5 : 9)
  const view = new DataView(out.buffer)
  out[0] = m | (out.length === 5 ? 26 : 27)
  if (out.length === 5) view.setUint32(1, n)
  else view.setBigUint64(1, BigInt(n))
  return out
}

export const int = (n: number) => (n >= 0 ? head(0, n) : head(1, -1 - n))
export const bstr = (b: Uint8Array) => concat(head(2, b.length), b)
export const tstr = (s: string) => {
  const b = utf8(s)
  return concat(head(3, b.length), b)
}
export const array = (...items: Uint8Array[]) => concat(head(4, items.length), ...items)
export const map = (...pairs: [Uint8Array, Uint8Array][]) => concat(head(5, pairs.length), ...pairs.flat())
export const tag = (n: number, item: Uint8Array) => concat(head(6, n), item)

const DEPTH_MAX = 8

export function decode(b: Bytes): Value {
  const [v, at] = item(b, 0, 0)
  if (at !== b.length) throw new Error('CBOR: bytes after the end')
  return v
}

function item(b: Bytes, at: number, depth: number): [Value, number] {
  if (depth > DEPTH_MAX) throw new Error('CBOR: too deep')
  if (at >= b.length) throw new Error('CBOR: cut short')
  const major = b[at]! >> 5
  if (b[at]! === 0xf4 || b[at]! === 0xf5) return [b[at]! === 0xf5, at + 1]
  if (b[at]! === 0xf6) return [null, at + 1]
  const [n, next] = argument(b, at)
  at = next
  switch (major) {
    case 0: return [n, at]
    case 1: return [-1 - n, at]
    case 2:
    case 3: {
      if (at + n > b.length) throw new Error('CBOR: cut short')
      const s = b.slice(at, at + n)
      return [major === 2 ? s : text(s), at + n]
    }
    case 4: {
      const out: Value[] = []
      for (let i = 0; i < n; i++) {
        let v: Value
        ;[v, at] = item(b, at, depth + 1)
        out.push(v)
      }
      return [out, at]
    }
    case 5: {
      const out = new Map<Key, Value>()
      for (let i = 0; i < n; i++) {
        let k: Value, v: Value
        ;[k, at] = item(b, at, depth + 1)
        if (typeof k !== 'number' && typeof k !== 'string') throw new Error('CBOR: key of a map')
        if (out.has(k)) throw new Error('CBOR: repeated key')
        ;[v, at] = item(b, at, depth + 1)
        out.set(k, v)
      }
      return [out, at]
    }
    case 6: {
      const [v, end] = item(b, at, depth + 1)
      return [new Tagged(n, v), end]
    }
  }
  throw new Error('CBOR: unknown value')
}

function argument(b: Bytes, at: number): [number, number] {
  const info = b[at]! & 0x1f
  if (info < 24) return [info, at + 1]
  if (info > 27) throw new Error('CBOR: indefinite or reserved length')
  const size = 1 << (info - 24)
  if (at + 1 + size > b.length) throw new Error('CBOR: cut short')
  let n = 0
  for (let i = 0; i < size; i++) n = n * 256 + b[at + 1 + i]!
  if (!Number.isSafeInteger(n)) throw new Error('CBOR: number too large')
  const least = size === 1 ? 24 : 2 ** (8 * (size / 2))
  if (n < least) throw new Error('CBOR: longer than needed')
  return [n, at + 1 + size]
}
