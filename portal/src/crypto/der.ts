// DER: a writer for what we make, a strict reader for what we show. No verdict
// hangs on the reader: verdicts are the Go verifier's.
import { concat, utf8, type Bytes } from './bytes'

function length(n: number): Bytes {
  if (n < 0x80) return Uint8Array.of(n)
  const bytes: number[] = []
  for (let rest = n; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256)
  return Uint8Array.of(0x80 | bytes.length, ...bytes)
}

export const tlv = (tag: number, ...content: Uint8Array[]): Bytes => {
  const body = concat(...content)
  return concat(Uint8Array.of(tag), length(body.length), body)
}

export const seq = (...items: Uint8Array[]) => tlv(0x30, ...items)
export const set = (...items: Uint8Array[]) => tlv(0x31, ...items)
export const octets = (b: Uint8Array) => tlv(0x04, b)
export const bits = (b: Uint8Array) => tlv(0x03, Uint8Array.of(0), b)
export const nul = () => tlv(0x05)
export const bool = (v: boolean) => tlv(0x01, Uint8Array.of(v ? 0xff : 0))
export const utf8String = (s: string) => tlv(0x0c, utf8(s))
export const explicit = (n: number, ...items: Uint8Array[]) => tlv(0xa0 | n, ...items)

// integer writes an unsigned big-endian number: minimal, with a zero before a
// set sign bit.
export function integer(b: Uint8Array | number): Bytes {
  let v = typeof b === 'number' ? unsigned(b) : b
  let i = 0
  while (i < v.length - 1 && v[i] === 0) i++
  v = v.subarray(i)
  return v[0]! & 0x80 ? tlv(0x02, Uint8Array.of(0), v) : tlv(0x02, v)
}

function unsigned(n: number): Bytes {
  const out: number[] = []
  do {
    out.unshift(n % 256)
    n = Math.floor(n / 256)
  } while (n > 0)
  return Uint8Array.from(out)
}

export function oid(s: string): Bytes {
  const [a, b, ...rest] = s.split('.').map(Number) as [number, number, ...number[]]
  const out = [a * 40 + b]
  for (const n of rest) {
    const part = [n % 128]
    for (let r = Math.floor(n / 128); r > 0; r = Math.floor(r / 128)) part.unshift(0x80 | (r % 128))
    out.push(...part)
  }
  return tlv(0x06, Uint8Array.from(out))
}

// time is UTCTime before 2050 and GeneralizedTime from then on (RFC 5280, 4.1.2.5).
export function time(t: Date): Bytes {
  const s = t.toISOString().replace(/[-:T]/g, '').replace(/\.\d+/, '')
  return t.getUTCFullYear() < 2050 ? tlv(0x17, utf8(s.slice(2))) : tlv(0x18, utf8(s))
}

export interface Node {
  tag: number
  content: Bytes
  raw: Bytes // with its head
}

// read takes one element off b and returns it and what follows.
export function read(b: Uint8Array): [Node, Bytes] {
  if (b.length < 2) throw new Error('DER: cut short')
  let n = b[1]!
  let at = 2
  if (n & 0x80) {
    const count = n & 0x7f
    if (count === 0 || count > 4 || b.length < 2 + count || b[2] === 0) throw new Error('DER: bad length')
    n = 0
    for (let i = 0; i < count; i++) n = n * 256 + b[2 + i]!
    at += count
    if (n < 0x80) throw new Error('DER: length not minimal')
  }
  if (b.length < at + n) throw new Error('DER: cut short')
  return [{ tag: b[0]!, content: b.slice(at, at + n) as Bytes, raw: b.slice(0, at + n) as Bytes }, b.slice(at + n) as Bytes]
}

// one reads b as exactly one element.
export function one(b: Uint8Array, tag?: number): Node {
  const [node, rest] = read(b)
  if (rest.length) throw new Error('DER: bytes after the end')
  if (tag !== undefined && node.tag !== tag) throw new Error(`DER: tag ${node.tag}, want ${tag}`)
  return node
}

export function children(n: Node): Node[] {
  const out: Node[] = []
  for (let rest: Uint8Array = n.content; rest.length; ) {
    const [node, after] = read(rest)
    out.push(node)
    rest = after
  }
  return out
}

export function readOID(n: Node): string {
  const out: number[] = []
  let v = 0
  for (const b of n.content) {
    v = v * 128 + (b & 0x7f)
    if (!(b & 0x80)) {
      out.push(v)
      v = 0
    }
  }
  const first = out.shift() ?? 0
  return [Math.min(2, Math.floor(first / 40)), first - 40 * Math.min(2, Math.floor(first / 40)), ...out].join('.')
}

export function readTime(n: Node): Date {
  let s = new TextDecoder().decode(n.content)
  if (n.tag === 0x17) s = (Number(s.slice(0, 2)) < 50 ? '20' : '19') + s
  const m = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(s)
  if (!m) throw new Error('DER: not a time')
  return new Date(Date.UTC(+m[1]!, +m[2]! - 1, +m[3]!, +m[4]!, +m[5]!, +m[6]!))
}

// rawSignature turns r‖s or an ASN.1 DER pair into r‖s of 2 × size bytes.
export function rawSignature(sig: Uint8Array, size: number): Bytes {
  if (sig.length === 2 * size) return sig as Bytes
  const parts = children(one(sig, 0x30))
  if (parts.length !== 2) throw new Error('neither r‖s nor a DER signature')
  return concat(...parts.map(p => {
    let v: Uint8Array = p.content
    while (v.length > 1 && v[0] === 0) v = v.subarray(1)
    if (p.tag !== 0x02 || v.length > size) throw new Error('neither r‖s nor a DER signature')
    return concat(new Uint8Array(size - v.length), v)
  }))
}

// derSignature turns r‖s into the DER pair that certificates hold.
export function derSignature(raw: Uint8Array): Bytes {
  const half = raw.length / 2
  return seq(integer(raw.subarray(0, half)), integer(raw.subarray(half)))
}
