import { useQuery } from '@tanstack/react-query'
import { Link } from 'wouter'
import * as api from '../api/portal'
import { Cli, Copy, Facts, Hash, Mark, Panel, Status, Time, Title, download, Button } from '../ui/ui'
import { sha256, hex, utf8 } from '../crypto/bytes'
import { keyFingerprint, parsePEMCertificate } from '../crypto/x509'
import { verifySignedBy } from '../crypto/chain'
import { OperationSteps } from './operation'
import { NetworkState, attention, certificateDays, ready } from './state'
import { useHeld } from './sign'
import type { PageProps } from './network'

export function Overview({ n, trust }: PageProps) {
  const waits = attention(n)
  const up = ready(n) > 0
  const key = ['network', n.name.toLowerCase()]
  const proposals = useQuery({ queryKey: [...key, 'proposals'], queryFn: () => api.proposals(n.name), enabled: up })
  const info = useQuery({ queryKey: [...key, 'info'], queryFn: () => api.node<{ serviceStatus?: string; status?: string }>(n.name, 'gov/service/info'), enabled: up })
  const { held, members } = useHeld(n.name)
  const mine = held.filter(k => members.find(m => m.memberId === k.memberId)?.status === 'Accepted')
  const open = (proposals.data ?? []).filter(p => p.proposalState === 'Open')
  const at = `/networks/${n.name}`
  const url = n.status.appUri ?? ''
  return (
    <>
      <Title crumb={<Link href="/networks">Networks</Link>} actions={<NetworkState n={n} />}>{n.name}</Title>
      {n.operation && <Panel title={<Link href={`/operations/${n.operation.id}`}>{n.operation.kind} is running</Link>}><OperationSteps op={n.operation} /></Panel>}
      <Panel title="What needs you">
        <ul className="steps">
          {mine.map(k => <li key={k.memberId}><span aria-hidden="true" className="s-attention">▲</span><span className="body">Member <b>{k.label}</b> is not active yet</span><Link href={`${at}/members`}>Activate</Link></li>)}
          {open.map(p => <li key={p.proposalId}><span aria-hidden="true" className="s-attention">▲</span><span className="body">Proposal <span className="mono">{p.proposalId.slice(0, 8)}</span> is open, {p.ballotCount} votes so far</span><Link href={`${at}/proposals/${p.proposalId}`}>Look and vote</Link></li>)}
          {waits.map((a, i) => <li key={i}><span aria-hidden="true" className={`s-${a.tone}`}>▲</span><span className="body">{a.text}</span>{a.to && <Link href={a.to}>{a.action}</Link>}</li>)}
          {!mine.length && !open.length && !waits.length && <li><span aria-hidden="true" className="s-healthy">●</span><span className="body">Nothing waits. {ready(n)} of {n.nodeCount} nodes serve.</span><span /></li>}
        </ul>
      </Panel>
      <div className="cols">
        <Panel title="How to get in">
          <Facts rows={[
            ['Application', url ? <span className="copyable"><span className="hash">{url}</span><Copy text={url} label="the address" /></span> : <span className="muted">not yet</span>],
            ['Identity service', <IdentityLink n={n} />],
            ['Service', info.data?.body.serviceStatus ?? info.data?.body.status ?? <span className="muted">{up ? '…' : 'no node answers'}</span>],
            ['Nodes', `${ready(n)} of ${n.nodeCount} ready`], ['Certificates', certificateDays(n) === undefined ? '–' : `${certificateDays(n)} days left`],
            ['Last backup', <Time at={n.status.lastBackup?.at} />],
          ]} />
          <div className="row">
            <Button disabled={!n.status.serviceCertificate} onPress={() => download('service_cert.pem', n.status.serviceCertificate!)}>Download service_cert.pem</Button>
          </div>
          <details className="how">
            <summary>First call</summary>
            <div className="stack">
              <Cli line={`synod identity get --url ${url || 'https://…'} --out service_cert.pem`} />
              <Cli line={`curl --cacert service_cert.pem ${url || 'https://…'}/node/network`} />
            </div>
          </details>
        </Panel>
        <TrustPanel n={n} trust={trust} up={up} />
      </div>
      <Facts rows={[['Resource', <span className="copyable"><span className="hash">{n.resourceId}</span><Copy text={n.resourceId} label="the resource ID" /></span>], ['Created', <><Time at={n.createdAt} /> by {n.createdBy || 'unknown'}</>]]} />
    </>
  )
}

function IdentityLink({ n }: { n: api.Network }) {
  const uri = n.status.identityServiceUri || `${location.origin}/ledgerIdentity/${n.name}`
  return <span className="copyable"><span className="hash">{uri}</span><Copy text={uri} label="the address" /></span>
}

interface NodeInfo { nodeId: string; status: string; certificate?: string; quoteInfo?: { format?: string }; attestation?: unknown }

// TrustPanel is a chain of five lines, each with where it comes from.
function TrustPanel({ n, trust, up }: PageProps & { up: boolean }) {
  const key = ['network', n.name.toLowerCase()]
  const q = useQuery({
    queryKey: [...key, 'trust', trust.pin?.key],
    enabled: up && !!trust.pin,
    queryFn: async () => {
      const [nodes, policy, constitution, platform] = await Promise.all([
        api.node<{ value: NodeInfo[] }>(n.name, 'gov/service/nodes').then(r => r.body.value),
        api.node<Record<string, unknown>>(n.name, 'gov/service/join-policy').then(r => r.body),
        api.node<string | { constitution?: string }>(n.name, 'gov/service/constitution').then(r => r.body),
        api.node<{ platform?: string }>(n.name, 'node/version').then(r => r.body.platform).catch(() => undefined),
      ])
      const service = parsePEMCertificate(trust.pin!.certificate)
      const trusted = nodes.filter(x => x.status === 'Trusted')
      const endorsed = (await Promise.all(trusted.map(async x => {
        try {
          const cert = parsePEMCertificate(x.certificate!)
          return await verifySignedBy(cert.der, service) && (await keyFingerprint(cert)) === x.nodeId
        } catch {
          return false
        }
      }))).filter(Boolean).length
      const text = typeof constitution === 'string' ? constitution : constitution.constitution ?? JSON.stringify(constitution)
      return { trusted: trusted.length, endorsed, policy, platform: platform ?? 'virtual', digest: hex(await sha256(utf8(text))), at: Date.now() }
    },
  })
  const d = q.data
  const weak = trust.pin?.how === 'first seen'
  const codes = d ? JSON.stringify(d.policy) : ''
  return (
    <Panel title="Why to trust it" tone={weak ? 'amber' : undefined}>
      {!trust.pin ? <p className="muted">No service yet.</p> : (
        <ol className="steps">
          <li><span><Mark kind={weak ? 'reported' : 'verified'} /></span><div className="body"><b>Identity</b> <Hash value={trust.pin.key} label="the fingerprint" /><div className="small muted">{
            weak ? <>First seen here on {new Date(trust.pin.at).toLocaleDateString()}, not compared with anyone. What follows holds if this pin is right. <Link href="/keys">Compare it</Link></>
              : trust.pin.how === 'made here' ? 'Pinned when this browser made the network' : 'Pinned by you'}</div></div><span /></li>
          <li><span><Mark kind={d && d.endorsed === d.trusted && d.trusted > 0 ? 'verified' : 'reported'} /></span><div className="body"><b>Nodes</b> {d ? `${d.endorsed} of ${d.trusted} trusted nodes have a certificate that this identity signed` : q.error ? 'could not be read' : '…'}</div><span /></li>
          <li><span><Mark kind="unverifiable" /></span><div className="body"><b>Evidence</b> {d?.platform === 'virtual' || !d ? 'Virtual nodes: no hardware evidence' : `${d.platform}: verify with synod attest`}</div><span /></li>
          <li><span><Mark kind="reported" /></span><div className="body"><b>Code that may join</b> <details><summary>Join policy</summary><pre>{d ? JSON.stringify(d.policy, null, 2) : '…'}</pre></details>{codes.length < 3 && 'empty'}</div><span /></li>
          <li><span><Mark kind="reported" text="the digest is computed here, of what the control plane passed on" /></span><div className="body"><b>Constitution</b> <Hash value={d?.digest} label="the digest" /></div><span /></li>
        </ol>
      )}
      <details className="how"><summary>Verify it elsewhere</summary><Cli line={`synod identity verify --url ${n.status.appUri ?? 'https://…'} --service-cert service_cert.pem`} /></details>
      {weak && <p><Status tone="attention">Compare the fingerprint with somebody who knows it</Status></p>}
    </Panel>
  )
}
