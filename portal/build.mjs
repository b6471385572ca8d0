// Builds the portal into internal/portal/dist: the verifier by Go, the pages by
// Vite, each file compressed, and checks the budgets on their sizes. Does
// nothing if no source is newer than the last build.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const here = dirname(fileURLToPath(import.meta.url))
const root = dirname(here)
const dist = join(root, 'internal/portal/dist')
const generated = join(here, 'generated')

const budgets = { first: 200e3, style: 12e3, all: 350e3, verifier: 2.5e6 } // bytes, compressed

function* files(dir) {
  for (const e of readdirSync(dir, { withFileTypes: true })) {
    if (e.name === 'node_modules' || e.name === 'generated' || e.name === 'dist' || e.name === 'testdata') continue
    if (e.isDirectory()) yield* files(join(dir, e.name))
    else yield join(dir, e.name)
  }
}

// stamp is a hash over everything that the build depends on.
function stamp() {
  const h = createHash('sha256').update(process.version)
  const goVersion = execFileSync('go', ['env', 'GOVERSION']).toString()
  h.update(goVersion)
  const goDirs = ['internal/portal/verifier', 'internal/verdict', 'internal/audit', 'internal/ledger', 'internal/kv', 'internal/merkle', 'internal/cose', 'internal/tables', 'internal/identity', 'receipt']
  const all = [...files(here), ...goDirs.flatMap(d => [...files(join(root, d))].filter(f => f.endsWith('.go') && !f.endsWith('_test.go')))]
  for (const f of all.sort()) h.update(relative(root, f)).update(readFileSync(f))
  return h.digest('hex')
}

const want = stamp()
const stampFile = join(dist, 'stamp')
if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === want) process.exit(0)

const modules = join(here, 'node_modules/.package-lock.json')
if (!existsSync(modules) || statSync(modules).mtimeMs < statSync(join(here, 'package-lock.json')).mtimeMs) {
  execFileSync('npm', ['--prefix', here, 'ci'], { stdio: 'inherit' })
}

mkdirSync(generated, { recursive: true })
execFileSync('go', ['build', '-trimpath', '-ldflags=-s -w', '-o', join(generated, 'verifier.wasm'), './internal/portal/verifier'],
  { cwd: root, stdio: 'inherit', env: { ...process.env, GOOS: 'js', GOARCH: 'wasm', CGO_ENABLED: '0' } })
const goroot = execFileSync('go', ['env', 'GOROOT']).toString().trim()
cpSync(join(goroot, 'lib/wasm/wasm_exec.js'), join(generated, 'wasm_exec.js')) // of the same release as the module

execFileSync(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), '--noEmit', '-p', here], { stdio: 'inherit' })
const vite = await import('vite')
const react = (await import('@vitejs/plugin-react')).default
const out = join(here, 'dist')
await vite.build({ root: here, logLevel: 'warn', build: { outDir: out, emptyOutDir: true } })

// The standalone page: its script, its worker's and its style in one file, and
// the verifier in it as text.
const single = async (entry, name) => {
  const built = await vite.build({
    root: here, configFile: false, logLevel: 'warn', plugins: [react()], define: { 'process.env.NODE_ENV': '"production"' },
    build: { write: false, target: 'es2022', cssCodeSplit: false, lib: { entry: join(here, entry), formats: ['iife'], name, fileName: name } },
  })
  const [{ output }] = Array.isArray(built) ? built : [built]
  return {
    script: output.find(o => o.type === 'chunk').code,
    style: output.filter(o => o.fileName.endsWith('.css')).map(o => String(o.source)).join('\n'),
  }
}
const worker = await single('src/verify/worker.ts', 'worker')
const page = await single('src/standalone.tsx', 'standalone')
const sha = s => `'sha256-${createHash('sha256').update(s).digest('base64')}'`
const inline = s => s.replaceAll('</script', '<\\/script').replaceAll('<!--', '<\\!--')
const script = inline(page.script)
const ariaStyle = /sha256-([A-Za-z0-9+/=]+)/.exec(readFileSync(join(root, 'internal/portal/static.go'), 'utf8').match(/ariaStyleHash = "(.*)"/)[0].replace('ariaStyleHash = "', 'sha256-'))[1]
const policy = `default-src 'none'; script-src ${sha(script)} 'wasm-unsafe-eval'; style-src ${sha(page.style)} 'sha256-${ariaStyle}'; worker-src blob:; img-src data:; base-uri 'none'; form-action 'none'`
const wasm = gzipSync(readFileSync(join(generated, 'verifier.wasm')), { level: 9 })
const html = readFileSync(join(here, 'verify.html'), 'utf8')
  .replace('<title>', `<meta http-equiv="Content-Security-Policy" content="${policy}">\n    <title>`)
  .replace('</head>', () => `<style>${page.style}</style>\n  </head>`)
  .replace('</body>', () => `<script type="text/plain" id="worker">${inline(worker.script)}</script>\n<script type="text/plain" id="wasm">@WASM@</script>\n<script>${script}</script>\n  </body>`)

for (const f of readdirSync(dist)) if (!['.gitignore', 'missing.html'].includes(f)) rmSync(join(dist, f), { recursive: true })
const sizes = {}
for (const f of files2(out)) {
  const name = relative(out, f)
  const b = gzipSync(readFileSync(f), { level: 9 })
  sizes[name] = b.length
  mkdirSync(dirname(join(dist, name)), { recursive: true })
  writeFileSync(join(dist, name + '.gz'), b)
}
// The standalone page goes without the verifier into the binary, which has that
// already and puts it in when it is asked for the page; the whole is for releases.
writeFileSync(join(dist, 'verify.html.gz'), gzipSync(html, { level: 9 }))
const whole = html.replace('@WASM@', () => wasm.toString('base64'))
writeFileSync(join(out, 'verify.html'), whole)
sizes['verify.html'] = gzipSync(whole, { level: 9 }).length
writeFileSync(stampFile, want)

function* files2(dir) {
  for (const e of readdirSync(dir, { withFileTypes: true })) {
    if (e.isDirectory()) yield* files2(join(dir, e.name))
    else yield join(dir, e.name)
  }
}

const sum = test => Object.entries(sizes).filter(([n]) => test(n)).reduce((n, [, b]) => n + b, 0)
const index = readFileSync(join(out, 'index.html'), 'utf8')
const got = {
  first: sum(n => n.endsWith('.js') && index.includes(n)),
  style: sum(n => n.endsWith('.css')),
  all: sum(n => /\.(js|css|html)$/.test(n) && n !== 'verify.html'),
  verifier: sum(n => n.endsWith('.wasm')),
}
console.log(`portal: first route ${kb(got.first)}, style ${kb(got.style)}, whole ${kb(got.all)}, verifier ${kb(got.verifier)}, verify.html ${kb(sizes['verify.html'])} (compressed)`)
for (const [k, limit] of Object.entries(budgets)) {
  if (got[k] > limit) {
    console.error(`portal: ${k} is ${kb(got[k])}, over its budget of ${kb(limit)}`)
    process.exitCode = 1
  }
}
function kb(n) {
  return `${(n / 1000).toFixed(0)} kB`
}
