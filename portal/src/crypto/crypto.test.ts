import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { base64, concat, equal, hex, unbase64, unhex, utf8, type Bytes } from './bytes'
import * as cbor from './cbor'
import { verifySignedBy } from './chain'
import * as cose from './cose'
import * as der from './der'
import { decryptShare, hold, keyFile, makeMember, openKeyFile, readSignature } from './keys'
import { encryptKey, decryptKey, WrongPassphrase } from './pbes2'
import { decodePEM, encodePEM } from './pem'
import { memberID, parsePEMCertificate } from './x509'

const data = (path: string) => new Uint8Array(readFileSync(join(__dirname, '../../..', path))) as Bytes

describe('DER', () => {
  test.each([[0, '020100'], [127, '02017f'], [128, '02020080'], [256, '02020100'], [600000, '020309 27c0'.replace(' ', '')]])('integer %i', (n, want) => {
    expect(hex(der.integer(n))).toBe(want)
  })
  test('times before and after 2050', () => {
    expect(hex(der.time(new Date('2049-12-31T23:59:59Z')))).toBe('170d' + hex(utf8('491231235959Z')))
    expect(hex(der.time(new Date('2050-01-01T00:00:00Z')))).toBe('180f' + hex(utf8('20500101000000Z')))
    for (const t of ['2049-12-31T23:59:59Z', '2050-01-01T00:00:00Z', '1999-01-01T00:00:00Z']) {
      const at = new Date(t)
      if (at.getUTCFullYear() >= 2000) expect(der.readTime(der.one(der.time(at))).getTime()).toBe(at.getTime())
    }
  })
  test('signatures survive both forms', () => {
    for (let i = 0; i < 200; i++) {
      const raw = crypto.getRandomValues(new Uint8Array(96))
      if (i % 3 === 0) raw.fill(0, 0, i % 5)
      const d = der.derSignature(raw)
      expect(equal(der.rawSignature(d, 48), raw)).toBe(true)
    }
    expect(() => der.rawSignature(new Uint8Array(95), 48)).toThrow()
  })
  test.each(['3003020101ff', '30800201010000', '3082000302010 1'.replace(' ', ''), '30', '3005020101'])('refuses %s', h => {
    expect(() => der.children(der.one(unhex(h)))).toThrow()
  })
})

describe('CBOR', () => {
  test.each(['1817', '190017', '1a00000017', '5f4100ff', 'a2010201 03'.replace(' ', ''), '0000', '9f00ff', 'f97e00', '81'])('refuses %s', h => {
    expect(() => cbor.decode(unhex(h))).toThrow()
  })
  test('numbers of every width', () => {
    for (const n of [0, 23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
      expect(cbor.decode(cbor.int(n))).toBe(n)
      if (n < Number.MAX_SAFE_INTEGER) expect(cbor.decode(cbor.int(-1 - n))).toBe(-1 - n)
    }
  })
  test('hostile bytes are refused and never hang', () => {
    for (let i = 0; i < 3000; i++) {
      const b = crypto.getRandomValues(new Uint8Array(i % 40))
      try {
        cbor.decode(b)
      } catch { /* refused */ }
    }
  })
})

describe('governance messages', () => {
  const vectors = JSON.parse(readFileSync(join(__dirname, 'testdata/prepared.json'), 'utf8')) as { memberId: string; curve: string; kind: cose.Kind; proposalId?: string; createdAt: number; payload: string | null; digest: string }[]
  test.each(vectors.map((v, i) => [i, v] as const))('the digest is that of package client: %i', async (_, v) => {
    const u = cose.prepare(v.memberId, v.curve, { kind: v.kind, proposalId: v.proposalId, createdAt: v.createdAt, payload: unbase64(v.payload ?? '') })
    expect(hex(await u.digest())).toBe(v.digest)
  })
  test('what is signed here verifies, and nothing else does', async () => {
    const m = await makeMember('alice', false, new Date())
    const held = await hold({ ...m, pkcs8: m.pkcs8.slice() as Bytes }, 'n', 'alice', false)
    const message = await cose.sign(held.signer, m.memberId, { kind: 'ballot', createdAt: 1, proposalId: 'ab', payload: utf8('{}') })
    const cert = parsePEMCertificate(m.certificate)
    const parsed = await cose.verify(message, cert)
    expect(parsed).toMatchObject({ memberId: m.memberId, kind: 'ballot', proposalId: 'ab', createdAt: 1 })
    for (let i = 0; i < message.length; i += 7) {
      const bad = message.slice() as Bytes
      bad[i]! ^= 1
      await expect(cose.verify(bad, cert)).rejects.toThrow()
    }
    const other = parsePEMCertificate((await makeMember('bob', false, new Date())).certificate)
    await expect(cose.verify(message, other)).rejects.toThrow('not by this certificate')
  })
  test('signatures in every form that tokens give', () => {
    const sig = crypto.getRandomValues(new Uint8Array(96))
    const url = base64(sig).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
    for (const text of [hex(sig), hex(sig).toUpperCase(), hex(sig).replace(/../g, '$&:').slice(0, -1), base64(sig) + '\n', url]) expect(equal(readSignature(utf8(text)), sig)).toBe(true)
    expect(equal(readSignature(sig), sig)).toBe(true)
  })
})

describe('member keys', () => {
  test('openssl and this page read each other', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'synod-'))
    const m = await makeMember('alice', true, new Date())
    expect(await memberID(decodePEM(m.certificate)[0]!.bytes)).toBe(m.memberId)
    const file = await keyFile(m, 'correct horse')
    writeFileSync(join(dir, 'cert.pem'), m.certificate)
    writeFileSync(join(dir, 'key.pem'), encodePEM('ENCRYPTED PRIVATE KEY', decodePEM(file)[1]!.bytes))
    const pub = (args: string[]) => execFileSync('openssl', args, { cwd: dir }).toString()
    expect(pub(['pkey', '-in', 'key.pem', '-passin', 'pass:correct horse', '-pubout'])).toBe(pub(['x509', '-in', 'cert.pem', '-pubkey', '-noout']))
    expect(pub(['verify', '-CAfile', 'cert.pem', 'cert.pem'])).toContain('OK')
    expect(pub(['x509', '-in', 'cert.pem', '-noout', '-text'])).toContain('CA:TRUE')
    const cert = parsePEMCertificate(m.certificate)
    expect(await verifySignedBy(cert.der, cert)).toBe(true)

    const again = await openKeyFile(file, 'correct horse')
    expect(again.memberId).toBe(m.memberId)
    expect(equal(again.pkcs8, m.pkcs8)).toBe(true)
    await expect(openKeyFile(file, 'wrong')).rejects.toThrow(WrongPassphrase)
    await expect(openKeyFile(m.certificate, '')).rejects.toThrow('no signing key')
    const other = await makeMember('bob', false, new Date())
    await expect(openKeyFile(other.certificate + encodePEM('PRIVATE KEY', m.pkcs8), '')).rejects.toThrow('does not belong')
    execFileSync('openssl', ['ecparam', '-name', 'secp384r1', '-genkey', '-out', 'sec1.pem'], { cwd: dir })
    await expect(openKeyFile(m.certificate + readFileSync(join(dir, 'sec1.pem'), 'utf8'), '')).rejects.toThrow('pkcs8 -topk8')
  })
  test('a held key signs and cannot be read', async () => {
    const m = await makeMember('alice', true, new Date())
    const held = await hold(m, 'n', 'alice', true)
    await expect(crypto.subtle.exportKey('pkcs8', held.signer)).rejects.toThrow()
    await expect(crypto.subtle.exportKey('pkcs8', held.decrypter!)).rejects.toThrow()
    expect(m.pkcs8.every(b => b === 0)).toBe(true)
    const pub = await crypto.subtle.importKey('spki', decodePEM(held.encryptionKey!)[0]!.bytes, { name: 'RSA-OAEP', hash: 'SHA-256' }, false, ['encrypt'])
    const share = utf8('a share')
    const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: 'RSA-OAEP' }, pub, share))
    expect(equal(await decryptShare(held.decrypter!, sealed), share)).toBe(true)
  })
  test('PBES2 of few rounds, and a file of another kind', async () => {
    const plain = der.seq(der.integer(1))
    expect(equal(await decryptKey(await encryptKey(plain, 'p', 10), 'p'), plain)).toBe(true)
    await expect(decryptKey(der.seq(der.seq(der.oid('1.2.3'), der.nul()), der.octets(utf8('x'))), 'p')).rejects.toThrow('PBES2')
  })
  test('certificates of CCF', async () => {
    const c = parsePEMCertificate(new TextDecoder().decode(data('internal/identity/testdata/member0_cert.pem')))
    expect(c.algorithm).toBe('P-384')
    expect(concat(c.spki).length).toBeGreaterThan(90)
  })
})
