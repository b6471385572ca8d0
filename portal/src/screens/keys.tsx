import { useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { Link } from 'wouter'
import { queries } from '../app/live'
import * as db from '../crypto/db'
import { Button, Cli, Dialog, Empty, Hash, Panel, Status, Time, Title, download } from '../ui/ui'
import { ImportKey, MakeKey } from './make_key'
import { useKeysHere } from './sign'

export function Keys() {
  const keys = useKeysHere()
  const pins = useQuery({ queryKey: ['pins'], queryFn: db.pins })
  const signatures = useQuery({ queryKey: ['signatures'], queryFn: db.signatures })
  useEffect(() => db.onChange(() => {
    void queries.invalidateQueries({ queryKey: ['pins'] })
    void queries.invalidateQueries({ queryKey: ['signatures'] })
  }), [])
  const [dialog, setDialog] = useState<'make' | 'import' | ''>('')
  const [forget, setForget] = useState<{ what: string; act: () => Promise<unknown> }>()
  return (
    <>
      <Title actions={<><Button onPress={() => setDialog('import')}>Import a key</Button><Button onPress={() => setDialog('make')}>Make a key</Button></>}>Keys</Title>
      <p className="prose">These keys belong to this browser and to <span className="mono">{location.origin}</span>. They sign and decrypt, and cannot be taken out again. Another address, even of the same server, has keys of its own.</p>
      <Panel flush title="Members’ keys">
        {!keys.length && <div style={{ padding: '0 16px 16px' }}><Empty>No key is here. One is made when you create a network, or imported from a key file.</Empty></div>}
        {keys.length > 0 && (
          <table className="cards"><thead><tr><th>Member</th><th>Network</th><th>ID</th><th>Made</th><th>Used</th><th>Exported</th><th><span className="sr">Actions</span></th></tr></thead>
            <tbody>{keys.map(k => <tr key={k.memberId}><td><b>{k.label}</b></td><td data-label="Network">{k.network || '–'}</td><td><Hash value={k.memberId} label="the member ID" /></td><td data-label="Made"><Time at={k.madeAt} /></td><td data-label="Used"><Time at={k.usedAt} /></td>
              <td data-label="Exported">{k.exported ? 'yes' : <Status tone="attention">no: only here</Status>}</td>
              <td><span className="row"><Button kind="quiet" onPress={() => download(`${k.label}_cert.pem`, k.certificate)}>Certificate</Button><Button kind="quiet" onPress={() => setForget({ what: `the key of ${k.label}`, act: () => db.forgetKey(k.memberId) })}>Forget {k.label}</Button></span></td></tr>)}</tbody></table>
        )}
      </Panel>
      <Panel flush title="Pinned services">
        {!pins.data?.length && <p className="muted" style={{ padding: '0 16px 16px' }}>No service was seen yet.</p>}
        {(pins.data?.length ?? 0) > 0 && (
          <table className="cards"><thead><tr><th>Network</th><th>Key</th><th>How</th><th>Since</th><th><span className="sr">Actions</span></th></tr></thead>
            <tbody>{pins.data!.map(p => <tr key={p.network}><td><b>{p.network}</b>{p.before?.length ? <span className="muted small"> {p.before.length} before</span> : ''}</td><td><Hash value={p.key} label="the fingerprint" /></td>
              <td>{p.how === 'first seen' ? <Status tone="attention">first seen here, not compared</Status> : p.how === 'made here' ? 'made here' : 'pinned by you'}</td><td><Time at={p.at} /></td>
              <td><span className="row">{p.how === 'first seen' && <Button kind="quiet" onPress={() => void db.putPin({ ...p, how: 'by you' })}>I have compared it</Button>}<Button kind="quiet" onPress={() => setForget({ what: `the pin of ${p.network}`, act: () => db.dropPin(p.network) })}>Forget pin</Button></span></td></tr>)}</tbody></table>
        )}
      </Panel>
      <Panel flush title="What was signed here">
        {!signatures.data?.length && <p className="muted" style={{ padding: '0 16px 16px' }}>Nothing yet.</p>}
        {(signatures.data?.length ?? 0) > 0 && (
          <table className="cards"><thead><tr><th>When</th><th>Network</th><th>What</th><th>Member</th><th>Digest</th></tr></thead>
            <tbody>{[...signatures.data!].reverse().slice(0, 100).map(s => <tr key={s.id}><td><Time at={s.at} /></td><td>{s.network}</td><td>{s.kind}{s.proposalId ? <span className="mono muted"> {s.proposalId.slice(0, 8)}</span> : ''}</td><td className="mono">{s.memberId.slice(0, 8)}</td><td><Hash value={s.digest} /></td></tr>)}</tbody></table>
        )}
      </Panel>
      <Panel title="What this cannot protect from">
        <p className="prose">A control plane that sends this page can send a page that signs something else than it shows. No page can cure that for itself. What narrows it, best first:</p>
        <ol className="stack prose">
          <li>1. Sign elsewhere: an HSM or <code>synod</code> on your own machine shows what it signs, and this page is only a viewer.</li>
          <li>2. Take these pages from your own machine: <code>synod portal --connect</code> serves them there and asks the control plane for data only.</li>
          <li>3. Keys here cannot be read: a bad page can sign while it is open, and cannot carry the key away.</li>
          <li>4. Every signature is listed above and in the ledger. Compare them with a tool of your own:</li>
        </ol>
        <Cli line="synod ledger verify ledger --governance --service-cert service_cert.pem" />
        <p className="prose">Auditors take <a href="/portal/verify.html" download>verify.html</a> from a release, not from the party under audit. <Link href="/verify">Verify a receipt</Link></p>
      </Panel>
      <Dialog title="Make a key" open={dialog === 'make'} onClose={() => setDialog('')}><MakeKey network="" onDone={() => setDialog('')} /></Dialog>
      <Dialog title="Import a key" open={dialog === 'import'} onClose={() => setDialog('')}><ImportKey network="" onDone={() => setDialog('')} /></Dialog>
      <Dialog title={`Forget ${forget?.what ?? ''}?`} open={!!forget} onClose={() => setForget(undefined)}>
        <p className="prose">It is deleted from this browser. Without an exported file a key cannot be had back.</p>
        <div className="row end"><Button onPress={() => setForget(undefined)}>Keep it</Button><Button danger kind="primary" onPress={() => void forget!.act().then(() => setForget(undefined))}>Forget it</Button></div>
      </Dialog>
    </>
  )
}
