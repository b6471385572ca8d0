// Encrypted key files: PKCS #8 with PBES2, PBKDF2 over HMAC-SHA-256 and
// AES-256-CBC (RFC 8018), which `openssl pkey` reads.
import { children, integer, nul, octets, oid, one, readOID, seq } from './der'
import { utf8, type Bytes } from './bytes'

export const ROUNDS = 600_000

async function derive(passphrase: string, salt: Bytes, rounds: number): Promise<CryptoKey> {
  const base = await crypto.subtle.importKey('raw', utf8(passphrase), 'PBKDF2', false, ['deriveKey'])
  return crypto.subtle.deriveKey({ name: 'PBKDF2', hash: 'SHA-256', salt, iterations: rounds }, base,
    { name: 'AES-CBC', length: 256 }, false, ['encrypt', 'decrypt'])
}

export async function encryptKey(pkcs8: Bytes, passphrase: string, rounds = ROUNDS): Promise<Bytes> {
  const salt = crypto.getRandomValues(new Uint8Array(16))
  const iv = crypto.getRandomValues(new Uint8Array(16))
  const sealed = await crypto.subtle.encrypt({ name: 'AES-CBC', iv }, await derive(passphrase, salt, rounds), pkcs8)
  return seq(
    seq(oid('1.2.840.113549.1.5.13'), seq(
      seq(oid('1.2.840.113549.1.5.12'), seq(octets(salt), integer(rounds), seq(oid('1.2.840.113549.2.9'), nul()))),
      seq(oid('2.16.840.1.101.3.4.1.42'), octets(iv)))),
    octets(new Uint8Array(sealed)))
}

// WrongPassphrase is told apart from a file that is not one of ours.
export class WrongPassphrase extends Error {
  constructor() {
    super('The passphrase does not open this file.')
  }
}

const ROUNDS_MAX = 10_000_000

export async function decryptKey(der: Bytes, passphrase: string): Promise<Bytes> {
  const [scheme, data] = children(one(der, 0x30))
  const [kind, params] = children(scheme!)
  if (readOID(kind!) !== '1.2.840.113549.1.5.13') throw new Error('The file is not encrypted with PBES2.')
  const [kdf, cipher] = children(params!)
  const [kdfKind, kdfParams] = children(kdf!)
  const [cipherKind, iv] = children(cipher!)
  if (readOID(kdfKind!) !== '1.2.840.113549.1.5.12' || readOID(cipherKind!) !== '2.16.840.1.101.3.4.1.42') {
    throw new Error('The file is not encrypted with PBKDF2 and AES-256-CBC.')
  }
  const [salt, rounds] = children(kdfParams!)
  const count = rounds!.content.reduce((n, b) => n * 256 + b, 0)
  if (count > ROUNDS_MAX) throw new Error('The file asks for too many rounds.')
  try {
    const key = await derive(passphrase, salt!.content, count)
    const plain = new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-CBC', iv: iv!.content }, key, data!.content))
    one(plain, 0x30)
    return plain
  } catch {
    throw new WrongPassphrase()
  }
}
