import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Link } from 'wouter'
import * as api from '../api/portal'
import { backup, rehearse, restore } from '../intents'
import { Choices, Empty, Facts, Field, Loading, Mark, Panel, Status, Time, Title, bytes } from '../ui/ui'
import { Act } from './act'
import { Crumb, type PageProps } from './network'

export function Backups({ n }: PageProps) {
  const ops = useQuery({ queryKey: ['network', n.name.toLowerCase(), 'operations'], queryFn: () => api.operations(n.name) })
  const list = useQuery({ queryKey: ['network', n.name.toLowerCase(), 'backups', n.status.lastBackup?.share], queryFn: () => api.backups(n.name) })
  const all = list.data ?? []
  const rehearsals = (ops.data ?? []).filter(o => o.kind === 'rehearse')
  const busy = n.operation ? 'An operation is running.' : undefined
  const last = n.status.lastBackup
  return (
    <>
      <Title crumb={<Crumb n={n} />} actions={<Act primary intent={backup(n)} why={busy} confirm={<p>Copies the committed ledger files and the newest snapshot to the backup store, and reads them back to verify them.</p>} />}>Backups</Title>
      <div className="cols">
        <Panel title="State" actions={<Mark kind="reported" />}>
          <Facts rows={[
            ['Last backup', last ? <><Time at={last.at} />{last.seqno ? ` up to ${last.view}.${last.seqno}` : ''}</> : 'never'],
            ['Verified', last?.verifiedAt ? <Time at={last.verifiedAt} /> : '–'],
            ['Schedule', n.backupEverySeconds ? `every ${n.backupEverySeconds >= 3600 ? `${n.backupEverySeconds / 3600} h` : `${n.backupEverySeconds / 60} min`}` : 'none'],
            ['Continuous', n.backupContinuous ? 'committed files are uploaded as they come' : 'no'],
            ['Store', n.backupTarget ? 'one of your own' : 'the server’s directory'],
            ['Last rehearsal', rehearsals[0] ? <><Time at={rehearsals[0].endedAt ?? rehearsals[0].startedAt} /> <Link href={`/operations/${rehearsals[0].id}`}>{rehearsals[0].status}</Link></> : 'never'],
          ]} />
          {last && <p className="prose">{n.backupContinuous ? 'A disaster now would lose what was committed in the last seconds.' : 'A disaster now would lose what was committed after the last backup.'}</p>}
        </Panel>
        <RestoreForm n={n} shares={all.map(b => b.share)} />
      </div>
      <Panel flush title={<>Backups <Mark kind="reported" text="drop a backup's files under Verify a ledger to check them here" /></>}>
        {list.isLoading && <Loading what="the backups" />}
        {!list.isLoading && !all.length && <div style={{ padding: '0 16px 16px' }}><Empty cli={backup(n).cli}>No backup has been made. Without one the ledgers on the nodes’ disks are all there is.</Empty></div>}
        {all.length > 0 && (
          <table className="cards"><thead><tr><th>Made</th><th>Name</th><th>Up to</th><th className="num">Size</th><th>Verified</th><th><span className="sr">Actions</span></th></tr></thead>
            <tbody>{all.map(b => (
              <tr key={b.share}><td><Time at={b.at} /></td><td className="mono">{b.share}</td><td data-label="Up to">{b.seqno ? (b.view ? `${b.view}.${b.seqno}` : b.seqno) : '–'}</td><td className="num" data-label="Size">{b.sizeBytes ? bytes(b.sizeBytes) : '–'}</td>
                <td data-label="Verified">{b.verifiedAt ? <Status tone="healthy">yes</Status> : 'no'}</td>
                <td><Act intent={rehearse(n, b.share)} why={busy} confirm={<p>Restores the backup to a network that only the control plane sees, checks that it serves, and takes it down again. The running network is not touched.</p>}>Rehearse</Act></td></tr>
            ))}</tbody></table>
        )}
      </Panel>
    </>
  )
}

function RestoreForm({ n, shares }: { n: api.Network; shares: string[] }) {
  const [share, setShare] = useState('')
  const [where, setWhere] = useState<'new' | 'place'>('new')
  const [name, setName] = useState(`${n.name}-restored`)
  const chosen = share || shares[0] || ''
  const target = where === 'place' ? n : { ...n, name }
  return (
    <Panel title="Restore">
      {!shares.length ? <p className="muted">There is no backup to restore from.</p> : (
        <>
          <Choices label="Where" value={where} onChange={setWhere} options={[{ value: 'new', name: 'A new name', text: 'this network goes on' }, { value: 'place', name: 'In place', text: 'this network is replaced by the backup' }]} />
          {where === 'new' && <Field label="New name" value={name} onChange={setName} />}
          <div className="field"><label htmlFor="share">Backup</label><select id="share" value={chosen} onChange={e => setShare(e.target.value)}>{shares.map(s => <option key={s}>{s}</option>)}</select></div>
          <div className="row"><Act danger={where === 'place'} primary={where === 'new'} intent={restore(target, chosen, where === 'place')} type={where === 'place' ? n.name : undefined}
            confirm={<><p>State and transactions return to the moment of the backup{where === 'place' && <>; <b>what was committed after it is lost</b></>}. The restored service has a new identity: everybody pins it anew. Members have to submit recovery shares unless the nodes’ sealed secrets are at hand.</p></>} /></div>
        </>
      )}
    </Panel>
  )
}
