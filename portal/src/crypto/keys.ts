// Members' keys: made here, exported once and encrypted, then kept in a form
// that cannot be taken out again.
import { decryptKey, encryptKey } from './pbes2'
import { decodePEM, encodePEM } from './pem'
import { utf8, text, type Bytes } from './bytes'
import { memberID, parsePEMCertificate, selfSigned } from './x509'
import * as cose from './cose'

const EC = { name: 'ECDSA', namedCurve: 'P-384' }
const OAEP = { name: 'RSA-OAEP', hash: 'SHA-256' }

// Fresh holds keys that can still be exported: it lives only until the export
// question is answered.
export interface Fresh {
  memberId: string
  certificate: string
  encryptionKey?: string
  pkcs8: Bytes
  encPkcs8?: Bytes
}

export async function makeMember(name: string, recovery: boolean, now: Date): Promise<Fresh> {
  const pair = await crypto.subtle.generateKey(EC, true, ['sign', 'verify'])
  const der = await selfSigned(pair, name, 365, now)
  const fresh: Fresh = {
    memberId: await memberID(der), certificate: encodePEM('CERTIFICATE', der),
    pkcs8: new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey)),
  }
  if (recovery) {
    const rsa = await crypto.subtle.generateKey(
      { ...OAEP, modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) }, true, ['encrypt', 'decrypt'])
    fresh.encPkcs8 = new Uint8Array(await crypto.subtle.exportKey('pkcs8', rsa.privateKey))
    fresh.encryptionKey = encodePEM('PUBLIC KEY', new Uint8Array(await crypto.subtle.exportKey('spki', rsa.publicKey)))
  }
  return fresh
}

// keyFile is what the browser offers to download: the certificate in the
// clear, then each private key encrypted.
export async function keyFile(f: Fresh, passphrase: string): Promise<string> {
  let out = f.certificate + encodePEM('ENCRYPTED PRIVATE KEY', await encryptKey(f.pkcs8, passphrase))
  if (f.encPkcs8) out += f.encryptionKey! + encodePEM('ENCRYPTED PRIVATE KEY', await encryptKey(f.encPkcs8, passphrase))
  return out
}

// openKeyFile reads what keyFile or openssl made: a certificate and its key,
// perhaps an encryption key. Throws WrongPassphrase.
export async function openKeyFile(pem: string, passphrase: string): Promise<Fresh> {
  const blocks = decodePEM(pem)
  if (blocks.some(b => b.type === 'EC PRIVATE KEY')) {
    throw new Error('This is a SEC 1 key. Convert it: openssl pkcs8 -topk8 -in key.pem -out member.pem, and put the certificate before it.')
  }
  const cert = blocks.find(b => b.type === 'CERTIFICATE')
  if (!cert) throw new Error('The file has no certificate. A member is known by it: put it into the file as well.')
  const fresh: Fresh = { memberId: await memberID(cert.bytes), certificate: encodePEM('CERTIFICATE', cert.bytes), pkcs8: new Uint8Array() }
  for (const b of blocks) {
    if (b.type === 'PUBLIC KEY') fresh.encryptionKey = encodePEM(b.type, b.bytes)
    if (b.type !== 'ENCRYPTED PRIVATE KEY' && b.type !== 'PRIVATE KEY') continue
    const pkcs8 = b.type === 'PRIVATE KEY' ? b.bytes : await decryptKey(b.bytes, passphrase)
    if (await importEC(pkcs8)) fresh.pkcs8 = pkcs8
    else fresh.encPkcs8 = pkcs8
  }
  if (!fresh.pkcs8.length) throw new Error('The file has no signing key on P-256 or P-384.')
  const signer = (await importEC(fresh.pkcs8))!
  const trial = await cose.sign(signer, fresh.memberId, { kind: 'ack', createdAt: 0, payload: utf8('trial') })
  await cose.verify(trial, parsePEMCertificate(fresh.certificate)).catch(() => {
    throw new Error('The key in the file does not belong to its certificate.')
  })
  return fresh
}

async function importEC(pkcs8: Bytes): Promise<CryptoKey | undefined> {
  for (const namedCurve of ['P-384', 'P-256', 'P-521']) {
    try {
      return await crypto.subtle.importKey('pkcs8', pkcs8, { name: 'ECDSA', namedCurve }, false, ['sign'])
    } catch { /* another curve, or RSA */ }
  }
  return undefined
}

// Held is a member's key as this browser keeps it: it signs, and cannot be read.
export interface Held {
  memberId: string
  network: string
  label: string
  certificate: string
  encryptionKey?: string
  signer: CryptoKey
  decrypter?: CryptoKey
  exported: boolean
  madeAt: number
  usedAt?: number
}

export async function hold(f: Fresh, network: string, label: string, exported: boolean): Promise<Held> {
  const signer = await importEC(f.pkcs8)
  if (!signer) throw new Error('The key is on no curve that a member may use.')
  const held: Held = { memberId: f.memberId, network, label, certificate: f.certificate, encryptionKey: f.encryptionKey, signer, exported, madeAt: Date.now() }
  if (f.encPkcs8) held.decrypter = await crypto.subtle.importKey('pkcs8', f.encPkcs8, OAEP, false, ['decrypt'])
  f.pkcs8.fill(0)
  f.encPkcs8?.fill(0)
  return held
}

export async function decryptShare(key: CryptoKey, sealed: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.decrypt({ name: 'RSA-OAEP' }, key, sealed))
}

// sealedBy says whether a signature from elsewhere is this certificate's over u.
export async function signedBy(u: cose.Unsigned, signature: Bytes, certificate: string): Promise<Bytes> {
  const cert = parsePEMCertificate(certificate)
  const message = u.assemble(signature)
  await cose.verify(message, cert)
  return message
}

// readSignature takes what tokens give: PEM-less base64, base64url or hex, or
// raw bytes; r‖s or DER is for assemble to tell.
export function readSignature(b: Bytes): Bytes {
  let s: string
  try {
    s = text(b).trim()
  } catch {
    return b
  }
  const clean = s.replace(/[\s:]/g, '')
  const from = (f: () => Bytes) => {
    try {
      return f()
    } catch {
      return b
    }
  }
  if (/^[0-9a-fA-F]+$/.test(clean)) return from(() => Uint8Array.from(clean.match(/../g) ?? [], h => parseInt(h, 16)))
  if (/^[A-Za-z0-9+/_=-]+$/.test(clean)) return from(() => Uint8Array.from(atob(clean.replace(/-/g, '+').replace(/_/g, '/').replace(/=+$/, '')), c => c.charCodeAt(0)))
  return b
}


