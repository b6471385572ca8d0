import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useLocation } from 'wouter'
import * as api from '../api/portal'
import { text, unbase64 } from '../crypto/bytes'
import { parsePEMCertificate } from '../crypto/x509'
import { propose, type Action } from '../intents'
import { Button, Cli, Dialog, Drop, Field, Hash, Loading, Mark, Panel, ProblemView, Title, plain } from '../ui/ui'
import { inWords } from '../words'
import { Crumb, type PageProps } from './network'
import { SignDialog, jsonPayload } from './sign'

interface User { userId: string; certificate: string; userData: unknown }
interface JWK { issuers?: Record<string, { autoRefresh: boolean; caCertBundleName?: string }>; keys?: Record<string, { issuer: string; constraint?: string }[]>; caCertBundles?: Record<string, string> }

export function Access({ n }: PageProps) {
  const key = ['network', n.name.toLowerCase()]
  const [, go] = useLocation()
  const users = useQuery({ queryKey: [...key, 'users'], queryFn: async () => (await api.node<{ value: User[] }>(n.name, 'gov/service/users')).body.value })
  const jwk = useQuery({ queryKey: [...key, 'jwk'], queryFn: async () => (await api.node<JWK>(n.name, 'gov/service/jwk')).body })
  const [adding, setAdding] = useState(false)
  const [pem, setPem] = useState('')
  const [action, setAction] = useState<Action>()
  const [token, setToken] = useState('')
  const until = (c: string) => {
    try {
      return parsePEMCertificate(c).notAfter.toLocaleDateString()
    } catch {
      return 'unknown'
    }
  }
  return (
    <>
      <Title crumb={<Crumb n={n} />} actions={<Button kind="primary" onPress={() => setAdding(true)}>Add user</Button>}>Access</Title>
      <Panel flush title={<>Users <Mark kind="reported" /></>}>
        {users.isLoading && <Loading what="the users" />}
        {users.error && <ProblemView error={users.error} />}
        {users.data && !users.data.length && <p className="muted" style={{ padding: '0 16px 16px' }}>No user yet: the application takes calls of members, with tokens, or of anybody, as each endpoint’s policies allow.</p>}
        {users.data && users.data.length > 0 && (
          <table className="cards"><thead><tr><th>User</th><th>Certificate until</th><th>Data</th><th><span className="sr">Actions</span></th></tr></thead>
            <tbody>{users.data.map(u => <tr key={u.userId}><td><Hash value={u.userId} /></td><td data-label="Until">{until(u.certificate)}</td><td className="mono">{plain(JSON.stringify(u.userData)).slice(0, 60)}</td><td><Button kind="quiet" onPress={() => setAction({ name: 'remove_user', args: { user_id: u.userId } })}>Propose removal</Button></td></tr>)}</tbody></table>
        )}
      </Panel>
      <div className="cols">
        <Panel title="Token issuers" actions={<Mark kind="reported" />}>
          {Object.keys(jwk.data?.issuers ?? {}).length === 0 && <p className="muted">No issuer’s tokens are accepted.</p>}
          <ul className="steps">{Object.entries(jwk.data?.issuers ?? {}).map(([name, i]) => {
            const keys = Object.values(jwk.data?.keys ?? {}).flat().filter(k => k.issuer === name).length
            return <li key={name}><span aria-hidden="true">●</span><div className="body"><b>{plain(name)}</b><div className="small muted">{keys} keys{i.autoRefresh ? ', fetched by the primary' : ', set by vote'}</div></div><Button kind="quiet" onPress={() => setAction({ name: 'remove_jwt_issuer', args: { issuer: name } })}>Propose removal</Button></li>
          })}</ul>
          <Cli line={`synod jwt add issuer.json --as member0 --url ${n.status.appUri ?? 'https://…'} --service-cert service_cert.pem`} />
        </Panel>
        <Panel title="Would this token be accepted?">
          <Field label="Token" rows={3} value={token} onChange={setToken} hint="Decoded in this page, sent nowhere; its signature is not checked here" />
          {token.trim() && <TokenAnswer token={token.trim()} jwk={jwk.data} />}
        </Panel>
      </div>
      <Dialog title="Add user" open={adding} onClose={() => setAdding(false)}>
        <Drop label="Certificate file" onFiles={async ([f]) => f && setPem(await f.text())} />
        <Field label="Certificate" rows={5} value={pem} onChange={setPem} hint="PEM, from the user. synod user keygen --name user0 makes a key and a certificate" />
        <div className="row end"><Button onPress={() => setAdding(false)}>Cancel</Button><Button kind="primary" disabled={!pem.includes('BEGIN CERTIFICATE') || pem.includes('PRIVATE KEY')} onPress={() => {
          setAdding(false)
          setAction({ name: 'set_user', args: { cert: pem.trim() + '\n' } })
        }}>Propose</Button></div>
      </Dialog>
      {action && (
        <SignDialog network={n.name} title="Propose" open onClose={() => setAction(undefined)}
          make={() => ({ kind: 'proposal', path: 'members/proposals:create', payload: jsonPayload({ actions: [action] }), cli: propose(n.status.appUri ?? '', [action]).cli })}
          onDone={r => go(`/networks/${n.name}/proposals/${(r.body as api.Proposal).proposalId}`)}>
          <p>{inWords(action)}</p>
        </SignDialog>
      )}
    </>
  )
}

function TokenAnswer({ token, jwk }: { token: string; jwk?: JWK }) {
  let head: Record<string, unknown>, claims: Record<string, unknown>
  try {
    const [h, c] = token.replace(/^Bearer\s+/i, '').split('.')
    head = JSON.parse(text(unbase64(h!)))
    claims = JSON.parse(text(unbase64(c!)))
  } catch {
    return <p className="error">This is no JSON Web Token.</p>
  }
  const keys = jwk?.keys?.[String(head.kid)] ?? []
  const reasons: string[] = []
  if (!keys.length) reasons.push(`no key with the id “${plain(String(head.kid))}” is known`)
  const now = Date.now() / 1000
  if (typeof claims.exp === 'number' && claims.exp < now) reasons.push(`it ended on ${new Date(claims.exp * 1000).toLocaleString()}`)
  if (typeof claims.nbf === 'number' && claims.nbf > now) reasons.push(`it begins on ${new Date(claims.nbf * 1000).toLocaleString()}`)
  if (keys.length && !keys.some(k => !k.constraint || k.constraint === claims.iss)) reasons.push(`its issuer “${plain(String(claims.iss))}” is not the one of that key`)
  return <>{reasons.length ? <p className="error">No: {reasons.join('; ')}.</p> : <p>Yes, by the policy <code>jwt</code>, if its signature is good.</p>}<pre>{plain(JSON.stringify({ head, claims }, null, 2))}</pre></>
}
