// Governance messages: COSE_Sign1 with CCF's headers, prepared, signed (here or
// elsewhere), read and verified. The order of the headers is that of
// internal/cose, so that both make the same bytes to be signed.
import { array, bstr, decode, int, map, tag, Tagged, tstr } from './cbor'
import { text, utf8, type Bytes } from './bytes'
import { rawSignature } from './der'
import { publicKeyOf, type Certificate } from './x509'

export type Kind = 'proposal' | 'ballot' | 'withdrawal' | 'ack' | 'state_digest' | 'recovery_share'

export interface Message {
  kind: Kind
  proposalId?: string
  createdAt: number // seconds since 1970
  payload: Bytes
}

interface Algorithm {
  id: number
  hash: string
  size: number // bytes of r and of s
}

// By curve (RFC 9053, section 2.1).
export const algorithms: Record<string, Algorithm> = {
  'P-256': { id: -7, hash: 'SHA-256', size: 32 },
  'P-384': { id: -35, hash: 'SHA-384', size: 48 },
  'P-521': { id: -36, hash: 'SHA-512', size: 66 },
}

export interface Unsigned {
  tbs: Bytes // what is signed; a token that wants a digest gets digest()
  digest(): Promise<Bytes>
  assemble(signature: Bytes): Bytes // r‖s or DER
}

export function prepare(memberId: string, curve: string, m: Message): Unsigned {
  const alg = algorithms[curve]
  if (!alg) throw new Error(`A key on ${curve} cannot sign governance messages.`)
  const headers: [Uint8Array, Uint8Array][] = [
    [int(1), int(alg.id)], [int(4), bstr(utf8(memberId))],
    [tstr('ccf.gov.msg.created_at'), int(m.createdAt)], [tstr('ccf.gov.msg.type'), tstr(m.kind)],
  ]
  if (m.proposalId) headers.push([tstr('ccf.gov.msg.proposal_id'), tstr(m.proposalId)])
  const header = map(...headers)
  const tbs = array(tstr('Signature1'), bstr(header), bstr(new Uint8Array()), bstr(m.payload))
  return {
    tbs,
    digest: async () => new Uint8Array(await crypto.subtle.digest(alg.hash, tbs)),
    assemble: sig => tag(18, array(bstr(header), map(), bstr(m.payload), bstr(rawSignature(sig, alg.size)))),
  }
}

export async function sign(key: CryptoKey, memberId: string, m: Message): Promise<Bytes> {
  const curve = (key.algorithm as EcKeyAlgorithm).namedCurve
  const u = prepare(memberId, curve, m)
  const sig = await crypto.subtle.sign({ name: 'ECDSA', hash: algorithms[curve]!.hash }, key, u.tbs)
  return u.assemble(new Uint8Array(sig))
}

export interface Parsed {
  memberId: string
  kind: string
  proposalId?: string
  createdAt?: number
  payload: Bytes
  header: Bytes
  signature: Bytes
}

export function parse(b: Bytes): Parsed {
  const top = decode(b)
  if (!(top instanceof Tagged) || top.tag !== 18 || !Array.isArray(top.value) || top.value.length !== 4) throw new Error('not a COSE_Sign1 message')
  const [header, , payload, signature] = top.value
  if (!(header instanceof Uint8Array) || !(payload instanceof Uint8Array) || !(signature instanceof Uint8Array)) throw new Error('not a COSE_Sign1 message')
  const h = decode(header as Bytes)
  if (!(h instanceof Map)) throw new Error('no protected header')
  const kid = h.get(4)
  const kind = h.get('ccf.gov.msg.type')
  const proposalId = h.get('ccf.gov.msg.proposal_id')
  const createdAt = h.get('ccf.gov.msg.created_at')
  if (!(kid instanceof Uint8Array) || (kind !== undefined && typeof kind !== 'string')) throw new Error('not a governance message')
  return {
    memberId: text(kid), kind: kind ?? '', payload: payload as Bytes, header: header as Bytes, signature: signature as Bytes,
    proposalId: typeof proposalId === 'string' ? proposalId : undefined, createdAt: typeof createdAt === 'number' ? createdAt : undefined,
  }
}

// verify checks a message by the certificate of the member who is to have
// signed it; it does not compare the member's ID.
export async function verify(b: Bytes, signer: Certificate): Promise<Parsed> {
  const m = parse(b)
  const alg = algorithms[signer.algorithm]
  if (!alg) throw new Error(`a key on ${signer.algorithm}`)
  const tbs = array(tstr('Signature1'), bstr(m.header), bstr(new Uint8Array()), bstr(m.payload))
  const good = await crypto.subtle.verify({ name: 'ECDSA', hash: alg.hash }, await publicKeyOf(signer), m.signature, tbs)
  if (!good) throw new Error('the signature is not by this certificate')
  return m
}
