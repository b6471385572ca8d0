// Certificates: made for members' keys, and read for what the page shows.
import { bits, bool, children, derSignature, explicit, integer, octets, oid, one, readOID, readTime, seq, set, time, utf8String } from './der'
import { hex, sha256, type Bytes } from './bytes'
import { decodeOne } from './pem'

const ecdsaWithSHA384 = () => seq(oid('1.2.840.10045.4.3.3'))
const name = (cn: string) => seq(set(seq(oid('2.5.4.3'), utf8String(cn))))

// selfSigned makes a certificate as CCF's key generator does: P-384 and SHA-384, a CA, and
// valid from five minutes ago, since clocks differ.
export async function selfSigned(pair: CryptoKeyPair, commonName: string, days: number, now: Date): Promise<Bytes> {
  const spki = new Uint8Array(await crypto.subtle.exportKey('spki', pair.publicKey))
  const serial = crypto.getRandomValues(new Uint8Array(16))
  serial[0] = (serial[0]! & 0x7f) | 0x40
  const from = new Date(now.getTime() - 5 * 60e3)
  const to = new Date(from.getTime() + days * 86400e3)
  const tbs = seq(
    explicit(0, integer(2)), integer(serial), ecdsaWithSHA384(), name(commonName), seq(time(from), time(to)), name(commonName), spki,
    explicit(3, seq(seq(oid('2.5.29.19'), bool(true), octets(seq(bool(true)))))),
  )
  const sig = new Uint8Array(await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-384' }, pair.privateKey, tbs))
  return seq(tbs, ecdsaWithSHA384(), bits(derSignature(sig)))
}

export interface Certificate {
  der: Bytes
  spki: Bytes
  subject: string
  issuer: string
  notBefore: Date
  notAfter: Date
  algorithm: string // P-256, P-384, P-521, RSA or the OID
}

const curves: Record<string, string> = {
  '1.2.840.10045.3.1.7': 'P-256', '1.3.132.0.34': 'P-384', '1.3.132.0.35': 'P-521',
}

export function parseCertificate(der: Bytes): Certificate {
  const [tbs] = children(one(der, 0x30))
  const fields = children(tbs!)
  if (fields[0]!.tag === 0xa0) fields.shift()
  const [, , issuer, validity, subject, key] = fields
  const [from, to] = children(validity!)
  const [algorithm] = children(key!)
  const [kind, curve] = children(algorithm!)
  const id = readOID(kind!)
  return {
    der, spki: key!.raw, subject: common(subject!), issuer: common(issuer!), notBefore: readTime(from!), notAfter: readTime(to!),
    algorithm: id === '1.2.840.113549.1.1.1' ? 'RSA' : curve ? curves[readOID(curve)] ?? readOID(curve) : id,
  }
}

function common(n: { tag: number; content: Bytes; raw: Bytes }): string {
  const parts: string[] = []
  for (const rdn of children(n)) {
    for (const attribute of children(rdn)) {
      const [type, value] = children(attribute)
      const label = readOID(type!) === '2.5.4.3' ? 'CN' : readOID(type!)
      parts.push(`${label}=${new TextDecoder().decode(value!.content)}`)
    }
  }
  return parts.join(', ')
}

export const parsePEMCertificate = (pem: string) => parseCertificate(decodeOne(pem, 'CERTIFICATE'))

// memberID is the hash of the certificate: another certificate of the same key
// is another member.
export const memberID = async (der: Uint8Array) => hex(await sha256(der))

// keyFingerprint is what pins compare: it survives a renewed certificate.
export const keyFingerprint = async (c: Certificate) => hex(await sha256(c.spki))

export async function publicKeyOf(c: Certificate): Promise<CryptoKey> {
  return crypto.subtle.importKey('spki', c.spki, { name: 'ECDSA', namedCurve: c.algorithm }, true, ['verify'])
}
