import { describe, expect, test } from 'vitest'
import { callOf, checkBundle, endpointsOf } from './screens/bundle'
import { diffLines, fold } from './ui/diff'
import { createNetwork, quote } from './intents'
import { ago, plain } from './ui/ui'
import { inWords } from './words'
import { named } from './screens/verify_ledger'

describe('differences', () => {
  test.each([['a\nb\nc', 'a\nx\nc', ' a,-b,+x, c'], ['', 'a', '+a'], ['a', '', '-a'], ['a\na\nb', 'a\nb', ' a,-a, b'], ['a', 'a', ' a']])('%j to %j', (a, b, want) => {
    expect(diffLines(a, b).map(l => l.kind + l.text).join(',')).toBe(want)
  })
  test('either side can be made of it', () => {
    const word = () => 'abc'[Math.floor(Math.random() * 3)]!
    for (let i = 0; i < 300; i++) {
      const a = Array.from({ length: i % 12 }, word).join('\n')
      const b = Array.from({ length: (i * 7) % 12 }, word).join('\n')
      const d = diffLines(a, b)
      expect(d.filter(l => l.kind !== '+').map(l => l.text).join('\n')).toBe(a)
      expect(d.filter(l => l.kind !== '-').map(l => l.text).join('\n')).toBe(b)
    }
  })
  test('what is far from a change is folded', () => {
    const a = Array.from({ length: 100 }, (_, i) => String(i)).join('\n')
    expect(fold(diffLines(a, a))).toEqual([])
    expect(fold(diffLines(a, a.replace('\n50\n', '\nx\n'))).map(l => l.kind).join('')).toBe('…   -+   …')
  })
})

test('text of others shows what has no glyph', () => {
  expect(plain('a\u202eb\u0000<b>')).toBe('a⟨U+202E⟩b⟨U+0000⟩<b>')
})

test('words for actions, and none for what is unknown', () => {
  expect(inWords({ name: 'set_recovery_threshold', args: { recovery_threshold: 2 } })).toContain('2 shares')
  expect(inWords({ name: 'set_js_app', args: { bundle: { metadata: { endpoints: { '/a': { get: {} } } }, modules: [] } } })).toContain('1 endpoint, 0 modules')
  for (const name of ['nothing', 'constructor', '__proto__', 'toString']) expect(inWords({ name })).toBeUndefined()
})

test('how an endpoint is called', () => {
  const [get, put] = endpointsOf({ metadata: { endpoints: { '/a/{id}': { get: { authn_policies: ['no_auth'] }, put: { authn_policies: ['user_cert'] } } } } })
  expect(callOf(get!, 'https://h')).toBe(`curl --cacert service_cert.pem 'https://h/app/a/{id}'`)
  expect(callOf(put!, 'https://h')).toBe(`curl --cacert service_cert.pem --cert user0_cert.pem --key user0_privk.pem --request PUT --header 'content-type: application/json' --data '{}' 'https://h/app/a/{id}'`)
})

test('a shell reads what is quoted', () => {
  expect(quote('net-1')).toBe('net-1')
  expect(quote("it's; rm")).toBe(`'it'\\''s; rm'`)
})

test('a network holds certificates and no key', () => {
  const i = createNetwork({ subscription: 's', group: 'g', name: 'n', location: 'l', nodeCount: 3, zones: ['a'], app: 'sample', constitution: '', members: [{ name: 'm', certificate: 'C', encryptionKey: 'E' }], backupTarget: '', backupEvery: '24h', deleteProtection: false })
  expect(i.path).toBe('/subscriptions/s/resourceGroups/g/providers/Microsoft.ConfidentialLedger/managedCCFs/n')
  expect(i.body).toEqual({ location: 'l', properties: {
    deploymentType: { languageRuntime: 'JS', appSourceUri: 'sample' }, nodeCount: 3, zones: ['a'],
    memberIdentityCertificates: [{ certificate: 'C', encryptionkey: 'E', tags: { identifier: 'm' } }], backupPolicy: { every: '24h' },
  } })
})

test('bundles are checked before they are proposed', () => {
  expect(checkBundle({})[0]!.bad).toBe(true)
  const bundle = { metadata: { endpoints: { '/x': { get: { js_module: 'a.js', js_function: 'f', authn_policies: ['no_auth'], mode: 'readonly' } } } }, modules: [{ name: 'a.js', module: 'export function f() {}' }] }
  expect(checkBundle(bundle).filter(c => c.bad)).toEqual([])
  expect(endpointsOf(bundle)).toEqual(['GET /x → a.js#f, readonly, no_auth'])
  bundle.modules = []
  expect(checkBundle(bundle).some(c => c.bad)).toBe(true)
})

test('names of ledger files say what is missing', () => {
  const f = (name: string) => ({ name, blob: new Blob() })
  expect(named([f('ledger_1-10.committed'), f('ledger_20-30.committed'), f('ledger_31'), f('notes.txt')])).toMatchObject({
    others: ['notes.txt'], notes: ['11 to 19 are missing between ledger_1-10.committed and ledger_20-30.committed.', 'ledger_31 is not committed: its end may still change.'],
  })
})

test('times in words', () => {
  expect([ago(-5000), ago(-120e3), ago(7200e3), ago(-1000), ago(-86400e3 * 3)]).toEqual(['5 s ago', '2 min ago', 'in 2 h', 'now', '3 days ago'])
})
