// The verifier of a page that a server sends: its worker and its module are
// files beside the page.
import workerURL from './worker?worker&url'
import wasmURL from '../../generated/verifier.wasm?url'
import { setSource } from './verifier'

interface Policy { createScriptURL(s: string): unknown }
declare const trustedTypes: { createPolicy(name: string, rules: { createScriptURL(s: string): string }): Policy } | undefined

const own = (s: string) => {
  if (new URL(s, location.href).origin !== location.origin) throw new TypeError('not our own script')
  return s
}
const policy: Policy | undefined = typeof trustedTypes === 'undefined' ? undefined : trustedTypes.createPolicy('synod', { createScriptURL: own })

setSource({
  worker: () => new Worker((policy?.createScriptURL(workerURL) ?? workerURL) as string, { type: 'module' }),
  wasm: async () => new URL(wasmURL, location.href).href,
})
