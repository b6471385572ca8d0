// Actions of proposals in words, and what they are compared with.
import { plain } from './ui/ui'
import { parsePEMCertificate } from './crypto/x509'
import type { Action } from './intents'

const short = (v: unknown) => {
  const s = plain(String(v ?? ''))
  return /^[0-9a-f]{64}$/.test(s) ? `${s.slice(0, 8)}…${s.slice(-4)}` : s.length > 60 ? `${s.slice(0, 60)}…` : s
}

function who(cert: unknown, data: unknown): string {
  const d = data as Record<string, unknown> | undefined
  const name = d && typeof d === 'object' ? d.identifier ?? d.name : undefined
  try {
    const c = parsePEMCertificate(String(cert))
    return `${name ? `“${short(name)}”, ` : ''}certificate ${short(c.subject)} with a ${c.algorithm} key until ${c.notAfter.toISOString().slice(0, 10)}`
  } catch {
    return name ? `“${short(name)}”` : 'with a certificate that cannot be read'
  }
}

const count = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`

type Args = Record<string, unknown>

const known: Record<string, (a: Args) => string> = {
  set_member: a => `Adds a member: ${who(a.cert, a.member_data)}${a.encryption_pub_key ? ', who gets a recovery share' : ''}`,
  remove_member: a => `Removes member ${short(a.member_id)}`,
  set_member_data: a => `Changes the data of member ${short(a.member_id)}`,
  set_user: a => `Adds a user: ${who(a.cert, a.user_data)}`,
  remove_user: a => `Removes user ${short(a.user_id)}`,
  set_user_data: a => `Changes the data of user ${short(a.user_id)}`,
  set_js_app: a => `Replaces the application: ${count(endpoints(a), 'endpoint')}, ${count(((a.bundle as Args | undefined)?.modules as unknown[] | undefined)?.length ?? 0, 'module')}`,
  install_sample_application: () => 'Installs the sample application that comes with this service',
  remove_js_app: () => 'Removes the application',
  set_constitution: () => 'Replaces the constitution: the rules by which all of this is decided',
  set_recovery_threshold: a => `Sets that ${short(a.recovery_threshold)} shares recover the service`,
  transition_service_to_open: a => (a.previous_service_identity ? 'Opens the recovered service, which has a new identity: its members’ shares are asked for next' : 'Opens the service to users'),
  transition_node_to_trusted: a => `Trusts node ${short(a.node_id)}`,
  remove_node: a => `Removes node ${short(a.node_id)}`,
  set_jwt_issuer: a => `Accepts tokens of ${short(a.issuer)}`,
  remove_jwt_issuer: a => `No longer accepts tokens of ${short(a.issuer)}`,
  set_jwt_public_signing_keys: a => `Sets the keys of token issuer ${short(a.issuer)}`,
  set_ca_cert_bundle: a => `Sets the CA bundle “${short(a.name)}”`,
  remove_ca_cert_bundle: () => 'Removes a CA bundle',
  set_js_runtime_options: a => `Sets limits of the JavaScript runtime: ${short(JSON.stringify(a))}`,
  trigger_snapshot: () => 'Makes a snapshot', trigger_ledger_chunk: () => 'Begins a new ledger file',
  trigger_ledger_rekey: () => 'Makes a new ledger secret', trigger_recovery_shares_refresh: () => 'Makes new recovery shares',
  add_node_code: a => `Lets nodes with code ${short(a.code_id)} join`, remove_node_code: a => `No longer lets code ${short(a.code_id)} join`,
  add_snp_measurement: a => `Lets nodes with measurement ${short(a.measurement)} join`, remove_snp_measurement: a => `No longer lets measurement ${short(a.measurement)} join`,
  add_snp_host_data: a => `Lets nodes with host data ${short(a.host_data)} join`, remove_snp_host_data: a => `No longer lets host data ${short(a.host_data)} join`,
  add_virtual_host_data: a => `Lets virtual nodes with host data ${short(a.host_data)} join`, remove_virtual_host_data: a => `No longer lets host data ${short(a.host_data)} join`,
  set_node_certificate_validity: a => `Renews the certificate of node ${short(a.node_id)} for ${short(a.validity_period_days ?? 'the longest time')} days`,
  set_all_nodes_certificate_validity: a => `Renews all node certificates for ${short(a.validity_period_days ?? 'the longest time')} days`,
  set_service_certificate_validity: a => `Renews the service certificate for ${short(a.validity_period_days ?? 'the longest time')} days`,
  set_service_configuration: a => `Changes the service's configuration: ${short(JSON.stringify(a))}`,
}

function endpoints(a: Args): number {
  const m = ((a.bundle as Args | undefined)?.metadata as Args | undefined)?.endpoints as Record<string, object> | undefined
  return Object.values(m ?? {}).reduce((n, methods) => n + Object.keys(methods).length, 0)
}

// inWords says what an action does; undefined if this page does not know it.
export function inWords(a: Action): string | undefined {
  const f = Object.hasOwn(known, a.name) ? known[a.name] : undefined
  return f?.((a.args ?? {}) as Args)
}
