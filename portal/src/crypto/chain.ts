// Whether a certificate was signed by another's key.
import { children, one, rawSignature, readOID } from './der'
import { publicKeyOf, type Certificate } from './x509'
import type { Bytes } from './bytes'

const hashes: Record<string, string> = {
  '1.2.840.10045.4.3.2': 'SHA-256', '1.2.840.10045.4.3.3': 'SHA-384', '1.2.840.10045.4.3.4': 'SHA-512',
}
const sizes: Record<string, number> = { 'P-256': 32, 'P-384': 48, 'P-521': 66 }

export async function verifySignedBy(der: Bytes, by: Certificate): Promise<boolean> {
  const [tbs, algorithm, signature] = children(one(der, 0x30))
  const hash = hashes[readOID(children(algorithm!)[0]!)]
  const size = sizes[by.algorithm]
  if (!hash || !size || signature!.content[0] !== 0) return false
  const raw = rawSignature(signature!.content.slice(1) as Bytes, size)
  return crypto.subtle.verify({ name: 'ECDSA', hash }, await publicKeyOf(by), raw, tbs!.raw)
}
