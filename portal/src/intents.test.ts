// The command lines that pages show, for the real command line to parse:
// internal/cli/portal_test.go reads the file that is compared here.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import * as i from './intents'

const n = { subscription: 's', group: 'my group', name: 'bank' }
const url = 'https://127.0.0.1:8000'
const id = 'ab'.repeat(32)

test('what pages show as command lines', () => {
  const lines = [
    i.createNetwork({ ...n, location: 'l', nodeCount: 3, zones: [], app: 'sample', constitution: '', members: [], backupTarget: '', backupEvery: '', deleteProtection: false }),
    i.scale(n, 5), i.setRunning(n, 'Paused'), i.setRunning(n, 'Active'), i.setDeleteProtection(n, true), i.setDeleteProtection(n, false), i.remove(n), i.replaceNode(n, 2),
    i.backup(n), i.restore(n, 'bank-20260501-120000', false), i.restore(n, 'bank-20260501-120000', true), i.rehearse(n, 'bank-20260501-120000'), i.upgrade(n, '1.1'), i.cancel('6f9619ff'),
    i.propose(url, []), i.vote(url, id, id, ''), i.withdraw(url, id), i.activate(url, id, id),
  ].map(x => x.cli).concat(i.verifyReceipt(), i.verifyLedger(), [
    'synod identity get --url https://127.0.0.1:8000 --out service_cert.pem', 'synod identity verify --url https://127.0.0.1:8000 --service-cert service_cert.pem',
    'synod logs bank --follow', 'synod operation show 6f9619ff', 'synod portal', 'synod portal --connect https://managed.example:8400 --server-ca ca.pem', 'synod constitution lint constitution.js', 'synod proposal list',
    `synod proposal diff ${id} --url https://127.0.0.1:8000 --service-cert service_cert.pem`, 'synod app deploy app --as member0 --url https://127.0.0.1:8000 --service-cert service_cert.pem',
    'synod jwt add issuer.json --as member0 --url https://127.0.0.1:8000 --service-cert service_cert.pem', 'synod ledger verify ledger --governance --service-cert service_cert.pem', 'synod ledger show ledger 2.1',
    'synod recovery status --url https://127.0.0.1:8000 --service-cert service_cert.pem', 'synod recovery share submit --as member0 --url https://127.0.0.1:8000 --service-cert service_cert.pem',
  ])
  const text = JSON.stringify(lines, null, 2) + '\n'
  const file = join(__dirname, 'testdata/commands.json')
  if (process.env.UPDATE) writeFileSync(file, text)
  expect(readFileSync(file, 'utf8')).toBe(text)
})
