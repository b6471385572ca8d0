// Chromium for the stories: pages that fail a story by any message on the console,
// any report of the content security policy and any request to another origin,
// checks by axe, and screenshots.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const require = createRequire(join(import.meta.dirname, '../../portal/package.json'))
const { chromium } = require('playwright-core')
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')

export const shots = process.env.SHOTS ?? ''
if (shots) mkdirSync(shots, { recursive: true })

export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-dev-shm-usage'],
  })
}

// open makes a context of its own, which is a browser of its own to the page.
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 }, acceptDownloads: true, ...options })
  const page = await context.newPage()
  const faults = []
  const requests = []
  const expected = [] // regular expressions of faults that the story provokes
  page.on('console', m => {
    if (['error', 'warning'].includes(m.type())) faults.push(`console ${m.type()}: ${m.text()} ${m.location().url}`)
  })
  page.on('pageerror', e => faults.push(`exception: ${e.stack}`))
  page.on('request', r => {
    requests.push(r)
    const at = new URL(r.url())
    if (!['data:', 'blob:'].includes(at.protocol) && at.origin !== new URL(url).origin) faults.push(`request to ${r.url()}`)
  })
  page.setDefaultTimeout(Number(process.env.TIMEOUT ?? 15000))
  return {
    context, page, requests, expected,
    faults: () => faults.filter(f => !expected.some(e => e.test(f))),
  }
}

// check looks at what the page is now: axe without serious findings, nothing
// wider than the window, focus somewhere.
export async function check(s, name) {
  const { page } = s
  await page.evaluate(() => Promise.all(document.getAnimations().filter(a => a.effect.getTiming().iterations !== Infinity).map(a => a.finished.catch(() => {}))))
  await page.evaluate(axe)
  const found = await page.evaluate(async () => {
    const r = await globalThis.axe.run(document, { resultTypes: ['violations'] })
    return r.violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 160)).slice(0, 3).join(' | ')}`)
  })
  assert.deepEqual(found, [], `axe on ${name}`)
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  assert.ok(wide <= 0, `${name} scrolls sideways by ${wide} px`)
  assert.deepEqual(s.faults(), [], `faults on ${name}`)
}

// look is check in both themes and at 360 px, with screenshots if wanted.
export async function look(s, name) {
  const { page } = s
  for (const [width, scheme] of [[1280, 'light'], [1280, 'dark'], [360, 'light']]) {
    await page.setViewportSize({ width, height: 800 })
    await page.emulateMedia({ colorScheme: scheme })
    await page.waitForTimeout(150)
    if (shots) await page.screenshot({ path: join(shots, `${name}-${width}-${scheme}.png`), fullPage: true })
    await check(s, `${name} at ${width} px, ${scheme}`)
  }
  await page.setViewportSize({ width: 1280, height: 800 })
  await page.emulateMedia({ colorScheme: 'light' })
}
