// Application bundles: the one in force, and one that is to be.
import * as api from '../api/portal'

export interface Parts { modules: Record<string, string>; endpoints: string[] }

interface Bundle { metadata?: { endpoints?: Record<string, Record<string, Record<string, unknown>>> }; modules?: { name: string; module: string }[] }

export function modulesOf(b: unknown): Record<string, string> {
  const name = (s: string) => (s.startsWith('/') ? s : `/${s}`)
  return Object.fromEntries(((b as Bundle | undefined)?.modules ?? []).map(m => [name(m.name), m.module]))
}

const line = (path: string, method: string, e: Record<string, unknown>) => {
  const policies = (e.authn_policies ?? e.authnPolicies ?? []) as unknown[]
  return `${method.toUpperCase()} ${path} → ${String(e.js_module ?? e.jsModule ?? '')}#${String(e.js_function ?? e.jsFunction ?? '')}, ${String(e.mode ?? 'ReadWrite').toLowerCase()}, ${policies.map(p => (typeof p === 'string' ? p : JSON.stringify(p))).join(' or ') || 'anybody'}`
}

export function endpointsOf(b: unknown): string[] {
  const all = (b as Bundle | undefined)?.metadata?.endpoints ?? {}
  return Object.entries(all).flatMap(([path, methods]) => Object.entries(methods).map(([m, e]) => line(path, m, e))).sort()
}

// callOf is how curl calls an endpoint of endpointsOf.
export function callOf(endpoint: string, url: string): string {
  const [, method, path] = /^(\S+) (\S+)/.exec(endpoint) ?? []
  const who = /, anybody$|no_auth|jwt/.test(endpoint) ? '' : ' --cert user0_cert.pem --key user0_privk.pem'
  const token = /jwt/.test(endpoint) ? ' --header "Authorization: Bearer $TOKEN"' : ''
  const body = method === 'GET' || method === 'DELETE' ? '' : ` --request ${method} --header 'content-type: application/json' --data '{}'`
  return `curl --cacert service_cert.pem${who}${token}${method === 'DELETE' ? ' --request DELETE' : body} '${url}/app${path}'`
}

export async function currentBundle(n: string): Promise<Parts> {
  const app = (await api.node<{ endpoints?: Record<string, Record<string, Record<string, unknown>>> }>(n, 'gov/service/javascript-app?case=original')).body
  const names = (await api.node<{ value?: { moduleName: string }[] }>(n, 'gov/service/javascript-modules')).body.value ?? []
  const modules: Record<string, string> = {}
  for (const { moduleName } of names) {
    const r = await api.node<string>(n, `gov/service/javascript-modules/${encodeURIComponent(moduleName)}`)
    modules[moduleName.startsWith('/') ? moduleName : `/${moduleName}`] = typeof r.body === 'string' ? r.body : JSON.stringify(r.body)
  }
  return { modules, endpoints: endpointsOf({ metadata: { endpoints: app.endpoints } }) }
}

export interface Check { text: string; bad: boolean }

// HEAP_MIN and STACK_MIN are CCF's lower bounds in practice: less disables an application.
export function checkBundle(b: unknown): Check[] {
  const out: Check[] = []
  const bundle = b as Bundle
  const modules = modulesOf(b)
  if (!bundle?.metadata?.endpoints || !Array.isArray(bundle.modules)) return [{ text: 'A bundle is {"metadata": {"endpoints": …}, "modules": [{"name", "module"}]}: synod app build makes one.', bad: true }]
  for (const [path, methods] of Object.entries(bundle.metadata.endpoints)) {
    for (const [method, e] of Object.entries(methods)) {
      const module = String(e.js_module ?? '')
      const text = modules[module.startsWith('/') ? module : `/${module}`]
      if (text === undefined) out.push({ text: `${method} ${path}: there is no module ${module}`, bad: true })
      else if (!new RegExp(`\\b${String(e.js_function).replace(/[^\w$]/g, '')}\\b`).test(text)) out.push({ text: `${method} ${path}: ${module} does not mention ${String(e.js_function)}`, bad: true })
      if (!((e.authn_policies as unknown[] | undefined)?.length)) out.push({ text: `${method} ${path}: no policy, nobody can call it`, bad: false })
      if ((e.authn_policies as unknown[] | undefined)?.includes('no_auth')) out.push({ text: `${method} ${path}: anybody can call it`, bad: false })
    }
  }
  return out
}
