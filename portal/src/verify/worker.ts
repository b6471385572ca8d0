// The worker that runs the Go verifier.
import { setFiles } from './fs' // first: it installs the file system
import '../../generated/wasm_exec.js'
import type { Answer, Question } from './verifier'

interface Verifier {
  receipt(body: Uint8Array, options: string): string
  ledger(options: string, progress: (json: string) => void): Promise<string>
  entry(dir: string, seqno: number): Promise<string>
}

declare const Go: new () => { importObject: WebAssembly.Imports; run(i: WebAssembly.Instance): Promise<void> }

let ready: Promise<Verifier> | undefined

async function start(source: string | ArrayBuffer): Promise<Verifier> {
  const bytes = typeof source === 'string' ? await (await fetch(source)).arrayBuffer() : source
  const go = new Go()
  const { instance } = await WebAssembly.instantiate(bytes, go.importObject)
  void go.run(instance)
  return (globalThis as unknown as { synodVerifier: Verifier }).synodVerifier
}

const post = (a: Answer) => postMessage(a)

addEventListener('message', async (e: MessageEvent<Question>) => {
  const q = e.data
  try {
    if (q.kind === 'start') {
      ready ??= start(q.wasm)
      await ready
      return post({ id: q.id, done: 'null' })
    }
    const v = await ready!
    if (q.kind === 'receipt') post({ id: q.id, done: v.receipt(q.body, q.options) })
    if (q.kind === 'ledger') {
      setFiles(q.files)
      post({ id: q.id, done: await v.ledger(q.options, json => post({ id: q.id, progress: json })) })
    }
    if (q.kind === 'entry') post({ id: q.id, done: await v.entry('/ledger', q.seqno) })
  } catch (error) {
    post({ id: q.id, failed: String(error) })
  }
})
