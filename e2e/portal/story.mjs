// The consortium's story, by keyboard: three members make their keys in the
// browser, create a network, activate, deploy an application by vote, use it,
// verify a receipt, replace a node, back up and restore.
//
// usage: node story.mjs SIGN-IN-ADDRESS [smoke]
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { check, launch, look, open } from './browser.mjs'
import { keyboard } from './keyboard.mjs'

const [address, mode] = process.argv.slice(2)
const smoke = mode === 'smoke'
const { origin } = new URL(address)
const began = Date.now()
const said = what => console.log(`${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s  ${what}`)
const work = mkdtempSync(join(tmpdir(), 'synod-portal-'))

const browser = await launch()
const s = await open(browser, origin)
const { page, requests } = s
const k = keyboard(page)
const button = name => page.getByRole('button', { name, exact: true })
const link = name => page.getByRole('link', { name, exact: true })
const dialog = () => page.getByRole('dialog')
const see = s.page.getByRole.bind(s.page)
const seen = name => (smoke || process.env.QUICK ? check(s, name) : look(s, name))

// sign answers the dialog that asks with which key to sign.
async function sign(member) {
  await k.choose(dialog().getByRole('group', { name: 'Sign with' }), new RegExp(member))
  await k.enter(dialog().getByRole('button', { name: 'Sign and send' }))
}

try {
  await page.goto(address)
  await see('heading', { name: 'Networks' }).waitFor()
  assert.equal(new URL(page.url()).hash, '', 'the code is gone from the address')
  await page.getByText('There is none on this control plane yet').waitFor()
  await seen('empty')
  said('signed in')

  // The wizard.
  await k.press('c')
  await see('heading', { name: 'Create a network' }).waitFor()
  await k.type(page.getByLabel('Name', { exact: true }), 'bank')
  await seen('wizard-basics')
  await k.press('Enter')
  for (const who of ['alice', 'bob', 'carol']) {
    if (who !== 'alice') await k.enter(button('Make another key here'))
    await k.type(page.getByLabel('Member name'), who)
    await k.press('Enter')
    await page.getByText('was made in this browser').waitFor()
    if (who === 'alice') {
      const [file] = await Promise.all([
        page.waitForEvent('download'),
        k.type(page.getByLabel('Passphrase of the key file'), 'correct horse').then(() => k.press('Enter')),
      ])
      await file.saveAs(join(work, 'alice.pem'))
      await k.type(page.getByLabel('The passphrase again'), 'wrong')
      await k.press('Enter')
      await page.getByText('The passphrase does not open this file.').waitFor()
      await k.type(page.getByLabel('The passphrase again'), 'correct horse')
      await k.press('Enter')
      await page.getByText('The file opens with the passphrase.').waitFor()
      await seen('wizard-key')
    } else {
      await k.space(page.getByLabel('I accept that clearing'))
    }
    await k.enter(button('Keep the key in this browser'))
    await button(`Remove ${who}`).waitFor()
  }
  await seen('wizard-members')
  await k.enter(button('Next'))
  await k.choose(see('group', { name: 'Application' }), /None yet/)
  await k.enter(button('Next'))
  await see('heading', { name: 'Constitution' }).waitFor()
  await k.enter(button('Next'))
  await k.choose(see('group', { name: 'Nodes' }), smoke ? /^1 / : /^3 /)
  await k.enter(button('Next'))
  await see('heading', { name: 'Backup' }).waitFor()
  await k.enter(button('Next'))
  await see('heading', { name: 'Review + create' }).waitFor()
  await seen('wizard-review')
  await k.enter(button('Create'))
  await page.waitForURL(/\/operations\//)
  said('asked for the network')
  await page.getByText('Succeeded', { exact: true }).waitFor({ timeout: 90000 })
  await seen('operation')
  said('the network serves')
  for (const r of requests) {
    const body = r.postData() ?? ''
    assert.ok(!/PRIVATE KEY/.test(body), 'no private key in any request')
  }
  await k.enter(link('Open bank'))
  await see('heading', { name: 'bank', level: 1 }).waitFor()
  await page.getByText('Pinned when this browser made the network').waitFor()
  await page.getByText(/of \d+ trusted nodes have a certificate that this identity signed/).waitFor()
  await seen('overview')

  // Members activate.
  await k.enter(see('navigation', { name: 'Sections' }).getByRole('link', { name: 'Members' }))
  for (const who of ['alice', 'bob', 'carol']) {
    await k.enter(button(`Activate ${who}`))
    await k.enter(dialog().getByRole('button', { name: 'Get the state digest' }))
    await dialog().getByText('State digest').waitFor()
    if (who === 'alice') await seen('activate')
    await k.enter(dialog().getByRole('button', { name: 'Sign and send' }))
    await page.getByText(`${who} is active.`).waitFor()
  }
  await page.getByText('3 of 3 members are active').waitFor()
  await seen('members')
  said('three members are active')

  // An application, by vote.
  const bundle = text => JSON.stringify({
    metadata: { endpoints: { '/greet': { get: { js_module: 'greet.js', js_function: 'greet', authn_policies: ['no_auth'], mode: 'readonly', forwarding_required: 'never', openapi: {} },
      post: { js_module: 'greet.js', js_function: 'keep', authn_policies: ['no_auth'], mode: 'readwrite', forwarding_required: 'always', openapi: {} } } } },
    modules: [{ name: 'greet.js', module: `export function greet() { return { body: ${JSON.stringify(text)} } }\nexport function keep(r) { ccf.kv['public:kept'].set(ccf.strToBuf('k'), r.body.arrayBuffer()); return { body: 'kept' } }\n` }],
  })
  writeFileSync(join(work, 'one.json'), bundle('good day'))
  writeFileSync(join(work, 'two.json'), bundle('good night'))
  const deploy = async (file, voters) => {
    await k.press('Escape')
    await page.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name: 'App', exact: true }).waitFor()
    await k.enter(see('navigation', { name: 'Sections' }).getByRole('link', { name: 'App', exact: true }))
    await page.getByLabel('Bundle', { exact: true }).setInputFiles(join(work, file))
    await see('heading', { name: 'What changes' }).waitFor()
    await seen(`deploy-${file}`)
    await k.enter(button('Propose this version'))
    await sign('alice')
    await see('heading', { name: /^Proposal/ }).waitFor()
    await page.getByText(/Replaces the application: 2 endpoints/).waitFor()
    await page.getByRole('img', { name: /Verified in this browser: the proposer’s signature/ }).waitFor()
    if (voters[0] === 'alice') await seen('proposal')
    for (const who of voters) {
      await k.enter(button('Accept'))
      if (who === 'alice') await seen('vote')
      await sign(who)
      await page.getByText(`The vote of ${who} is in the ledger`).waitFor()
    }
    await page.getByText('The proposal is Accepted').waitFor()
  }
  await deploy('one.json', ['alice', 'bob'])
  await seen('accepted')
  said('the application is deployed')

  // Use it.
  await k.enter(see('navigation', { name: 'Sections' }).getByRole('link', { name: 'Overview' }))
  const app = await page.locator('dd .hash').first().textContent()
  const call = (method, path, body) => new Promise((ok, no) => {
    const r = httpsRequest(`${app}${path}`, { method, rejectUnauthorized: false, headers: { 'content-type': 'text/plain' } }, answer => {
      let text = ''
      answer.on('data', d => (text += d)).on('end', () => ok({ text, status: answer.statusCode, tx: answer.headers['x-ms-ccf-transaction-id'] }))
    })
    r.on('error', no)
    r.end(body)
  })
  assert.equal((await call('GET', '/app/greet')).text, 'good day')
  const { tx } = await call('POST', '/app/greet', 'hello')
  assert.match(tx, /^\d+\.\d+$/)

  // Its receipt, fetched and verified here, and then where nobody is asked.
  await page.goto(`${origin}/portal/networks/bank/ledger/${tx}`)
  await k.enter(dialog().getByRole('button', { name: 'Fetch and verify its receipt' }))
  await dialog().getByText(`Verified: transaction ${tx} of the pinned service`).waitFor({ timeout: 40000 })
  await seen('receipt')
  const [file] = await Promise.all([page.waitForEvent('download'), k.enter(dialog().getByRole('button', { name: 'Download receipt' }))])
  await file.saveAs(join(work, 'receipt.json'))
  await k.press('Escape')
  await page.goto(`${origin}/portal/verify`)
  await see('heading', { name: 'Verify a receipt' }).waitFor()
  await k.type(page.getByLabel('Receipt', { exact: true }), readFileSync(join(work, 'receipt.json'), 'utf8'))
  await k.choose(see('group', { name: 'Trust' }), /bank/)
  const before = requests.length
  await k.enter(button('Verify'))
  await see('heading', { name: 'Verified' }).waitFor({ timeout: 40000 })
  const asked = requests.slice(before).filter(r => !/\/portal\/assets\//.test(r.url()))
  assert.deepEqual(asked.map(r => r.url()), [], 'a verdict asks nobody')
  await seen('verified')
  await k.type(page.getByLabel('Receipt', { exact: true }), readFileSync(join(work, 'receipt.json'), 'utf8').replace(/"claims_digest":"../, '"claims_digest":"ff'))
  await k.enter(button('Verify'))
  await see('heading', { name: 'Not verified' }).waitFor()
  await seen('forged')
  said('receipts are verified')

  await page.goto(`${origin}/portal/networks/bank/ledger`)
  await k.enter(see('button', { name: /^Verify all/ }))
  await see('heading', { name: 'Intact' }).waitFor({ timeout: 60000 })
  await seen('ledger')
  said('the ledger is verified')

  if (!smoke) {
    // A second version, and back.
    await deploy('two.json', ['bob', 'carol'])
    assert.equal((await call('GET', '/app/greet')).text, 'good night')
    await k.enter(see('navigation', { name: 'Sections' }).getByRole('link', { name: 'App', exact: true }))
    await k.enter(page.getByRole('button', { name: /^Roll back to/ }).last())
    await sign('carol')
    for (const who of ['alice', 'bob']) {
      await k.enter(button('Accept'))
      await sign(who)
      await page.getByText(`The vote of ${who} is in the ledger`).waitFor()
    }
    await page.getByText('The proposal is Accepted').waitFor()
    assert.equal((await call('GET', '/app/greet')).text, 'good day')
    said('rolled back')

    for (const [name, path] of [['nodes', 'nodes'], ['proposals', 'proposals'], ['proposal-new', 'proposals/new'], ['access', 'access'], ['metrics', 'metrics'], ['logs', 'logs'], ['upgrades', 'upgrades'], ['recovery', 'recovery'], ['settings', 'settings']]) {
      await page.goto(`${origin}/portal/networks/bank/${path}`)
      await see('heading', { level: 1 }).waitFor()
      await page.waitForTimeout(name === 'metrics' ? 5000 : 800)
      await seen(name)
    }

    // A control plane that lies: another text for a proposal, another service
    // under the name. The page says so, and signs nothing.
    const answer = async (route, change) => {
      const r = await route.fetch()
      await route.fulfill({ response: r, body: change(await r.text()) }).catch(() => undefined) // the lies have ended meanwhile
    }
    await page.goto(`${origin}/portal/networks/bank/proposals`)
    const first = page.locator('main [data-row]').first()
    await first.waitFor()
    await page.route('**/actions?*', r => answer(r, t => t.replace('good day', 'good dag')))
    await k.enter(first)
    await page.getByText('the proposer signed another text than the one that is shown').waitFor()
    await seen('lying-proposal')
    await page.unrouteAll({ behavior: 'ignoreErrors' })
    const other = readFileSync(join(import.meta.dirname, '../../internal/cli/testdata/service-1_cert.pem'), 'utf8')
    await page.route('**/portal/v1/networks/bank', r => answer(r, t => {
      const n = JSON.parse(t)
      n.status.serviceCertificate = other
      return JSON.stringify(n)
    }))
    await page.goto(`${origin}/portal/networks/bank/members`)
    await see('heading', { name: 'This is not the service that this browser knew' }).waitFor()
    assert.equal(await button('Add member').count(), 0, 'nothing can be done')
    await seen('lying-identity')
    await page.unrouteAll({ behavior: 'ignoreErrors' })
    said('lies are found out')

    // Files that are dropped: CCF's own ledger, and the same with one bit changed.
    const ledger = join(import.meta.dirname, '../../internal/audit/testdata/ledger')
    await page.goto(`${origin}/portal/verify/ledger`)
    const files = readdirSync(ledger).filter(f => f.startsWith('ledger_')).map(name => ({ name, mimeType: '', buffer: readFileSync(join(ledger, name)) }))
    await page.getByLabel('Files or a folder, dropped or chosen').setInputFiles(files)
    await k.enter(button('Verify'))
    await see('heading', { name: 'Intact' }).waitFor({ timeout: 60000 })
    await seen('dropped')
    files[3].buffer[Math.floor(files[3].buffer.length / 2)] ^= 1
    await page.getByLabel('Files or a folder, dropped or chosen').setInputFiles(files)
    await k.enter(button('Verify'))
    await see('heading', { name: 'Not verified' }).waitFor({ timeout: 60000 })
    await page.getByText(files[3].name, { exact: false }).first().waitFor()
    await seen('damaged')

    // The page that needs no server.
    const alone = await open(browser, 'file:///')
    writeFileSync(join(work, 'verify.html'), await (await page.request.get(`${origin}/portal/verify.html`)).body())
    await alone.page.goto(`file://${join(work, 'verify.html')}`)
    await alone.page.getByLabel('Receipt', { exact: true }).fill(readFileSync(join(work, 'receipt.json'), 'utf8'))
    await alone.page.getByLabel('Service certificate').fill((await (await page.request.get(`${origin}/portal/v1/networks/bank`)).json()).status.serviceCertificate)
    await alone.page.getByRole('button', { name: 'Verify', exact: true }).click()
    await alone.page.getByRole('heading', { name: 'Verified', exact: true }).waitFor({ timeout: 60000 })
    await check(alone, 'verify.html')
    await alone.context.close()
    said('files are verified, with and without a server')

    // A node is replaced.
    await page.goto(`${origin}/portal/networks/bank/nodes`)
    await k.enter(page.getByRole('row', { name: /Backup/ }).first().getByRole('button', { name: 'Replace' }))
    await k.enter(dialog().getByRole('button', { name: 'Replace node' }))
    await page.waitForURL(/\/operations\//)
    await page.getByText('Succeeded', { exact: true }).waitFor({ timeout: 90000 })
    said('a node is replaced')

    // A backup, and a restore of it.
    await page.goto(`${origin}/portal/networks/bank/backups`)
    await k.enter(button('Back up now'))
    await k.enter(dialog().getByRole('button', { name: 'Back up now' }))
    await page.waitForURL(/\/operations\//)
    await page.getByText('Succeeded', { exact: true }).waitFor({ timeout: 60000 })
    said('backed up')
    await page.goto(`${origin}/portal/networks/bank/backups`)
    await see('cell', { name: /^bank-/ }).waitFor()
    await seen('backups')
    await k.type(page.getByLabel('New name', { exact: true }), 'bank-again')
    await k.enter(button('Restore to a new name'))
    await k.enter(dialog().getByRole('button', { name: 'Restore to a new name' }))
    await page.waitForURL(/\/operations\//)
    await page.getByText('Succeeded', { exact: true }).waitFor({ timeout: 120000 })
    await seen('restored')
    said('restored under another name')

    // Its private data waits for shares, which this browser can decrypt.
    await page.goto(`${origin}/portal/networks/bank-again/recovery`)
    await see('heading', { name: 'Recovery' }).waitFor()
    await seen('recovery-waits')
    await k.enter(button('Propose to open it'))
    await sign('alice')
    await see('heading', { name: /^Proposal/ }).waitFor()
    for (const who of ['alice', 'bob']) {
      await k.enter(button('Accept'))
      await sign(who)
      await page.getByText(`The vote of ${who} is in the ledger`).waitFor()
    }
    await page.goto(`${origin}/portal/networks/bank-again/recovery`)
    for (const who of ['alice', 'bob']) {
      await k.enter(button(`Submit the share of ${who}`))
      await k.enter(dialog().getByRole('button', { name: 'Sign and send' }))
      await dialog().waitFor({ state: 'detached' })
    }
    await page.getByText('Open', { exact: true }).waitFor({ timeout: 30000 })
    await seen('recovered')
    said('two shares have recovered it')
    await page.goto(`${origin}/portal/activity`)
    await see('heading', { name: 'Activity' }).waitFor()
    await page.getByText('managedCCFs/write').first().waitFor()
    await seen('activity')
    await page.goto(`${origin}/portal/keys`)
    await see('heading', { name: 'Keys', level: 1 }).waitFor()
    await seen('keys')
  }

  assert.deepEqual(s.faults(), [])
  said(`done, ${k.count()} keys beyond text`)
} catch (e) {
  console.error(`at ${page.url()}`)
  console.error(s.faults().join('\n'))
  console.error((await page.locator('main, [role=dialog]').allInnerTexts().catch(() => [])).join('\n---\n').slice(0, 3000))
  if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, 'failed.png') })
  throw e
} finally {
  await browser.close()
}
