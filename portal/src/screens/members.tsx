import { useState } from 'react'
import { Link } from 'wouter'
import * as api from '../api/portal'
import * as db from '../crypto/db'
import { hex, utf8 } from '../crypto/bytes'
import { parsePEMCertificate } from '../crypto/x509'
import { activate, propose } from '../intents'
import { Button, Dialog, Drop, Facts, Field, Hash, Loading, Mark, Panel, ProblemView, Status, Title } from '../ui/ui'
import * as cose from '../crypto/cose'
import { offset } from '../api/http'
import { Crumb, type PageProps } from './network'
import { SignDialog, isOperator, jsonPayload, memberName, useHeld } from './sign'
import { ImportKey } from './make_key'

export function Members({ n }: PageProps) {
  const { held, members, loading, error } = useHeld(n.name)
  const [acting, setActing] = useState<api.Member>()
  const [adding, setAdding] = useState(false)
  const [importing, setImporting] = useState(false)
  const [removing, setRemoving] = useState<api.Member>()
  const [done, setDone] = useState('')
  const url = n.status.appUri ?? ''
  const voters = members.filter(m => m.status === 'Active' && !isOperator(m))
  const recovery = members.filter(m => m.publicEncryptionKey && m.status === 'Active')
  return (
    <>
      <Title crumb={<Crumb n={n} />} actions={<><Button onPress={() => setImporting(true)}>Import a key</Button><Button kind="primary" onPress={() => setAdding(true)}>Add member</Button></>}>Members</Title>
      {loading && <Loading what="the members" />}
      {error ? <ProblemView error={error} /> : null}
      {done && <p role="status"><Status tone="healthy">{done}</Status></p>}
      {members.length > 0 && <p className="prose">{voters.length} of {members.filter(m => !isOperator(m)).length} members are active{voters.length > 0 && `: ${Math.floor(voters.length / 2) + 1} votes carry a proposal`}. {recovery.length} hold a recovery share. <Mark kind="reported" /></p>}
      {members.length > 0 && (
        <Panel flush title="Members">
          <table className="cards">
            <thead><tr><th>Name</th><th>Status</th><th>Member</th><th>Recovery</th><th>Certificate until</th><th><span className="sr">Actions</span></th></tr></thead>
            <tbody>
              {members.map(m => {
                const mine = held.find(k => k.memberId === m.memberId)
                let until = ''
                try {
                  until = parsePEMCertificate(m.certificate).notAfter.toLocaleDateString()
                } catch { /* shown as unknown */ }
                return (
                  <tr key={m.memberId} id={m.memberId}>
                    <td><b>{memberName(m, m.memberId)}</b> {isOperator(m) && <span className="tag">operator</span>} {mine && <span className="tag">key here</span>}</td>
                    <td><Status tone={m.status === 'Active' ? 'healthy' : 'attention'}>{m.status}</Status></td>
                    <td><Hash value={m.memberId} label="the member ID" /></td>
                    <td data-label="Recovery">{m.publicEncryptionKey ? m.recoveryRole ?? 'Participant' : 'none'}</td>
                    <td data-label="Certificate until">{until}</td>
                    <td>
                      <span className="row">
                        {m.status !== 'Active' && <Button kind={mine ? 'primary' : undefined} onPress={() => setActing(m)}>Activate {memberName(m, m.memberId)}</Button>}
                        {!isOperator(m) && <Button kind="quiet" onPress={() => setRemoving(m)}>Propose removal</Button>}
                      </span>
                    </td>
                  </tr>
                )
              })}
            </tbody>
          </table>
        </Panel>
      )}
      {acting && <Activation n={n} member={acting} onClose={() => setActing(undefined)} onDone={() => {
        setDone(`${memberName(acting, acting.memberId)} is active.`)
        setActing(undefined)
      }} />}
      <Dialog title="Import a key" open={importing} onClose={() => setImporting(false)}>
        <ImportKey network={n.name.toLowerCase()} onDone={m => {
          setImporting(false)
          setDone(members.some(x => x.memberId === m.memberId) ? 'The key was imported; its member is of this network.' : 'The key was imported. Its member is not of this network.')
        }} />
      </Dialog>
      {adding && <AddMember n={n} onClose={() => setAdding(false)} />}
      {removing && (
        <SignDialog network={n.name} title={`Propose to remove ${memberName(removing, removing.memberId)}`} open onClose={() => setRemoving(undefined)}
          make={() => ({ kind: 'proposal', path: 'members/proposals:create', payload: jsonPayload({ actions: [{ name: 'remove_member', args: { member_id: removing.memberId } }] }), cli: propose(url, []).cli })}
          onDone={() => {
            setRemoving(undefined)
            setDone('Proposed. It waits for votes under Proposals.')
          }}>
          <p className="prose">The removal needs the members’ votes. {removing.publicEncryptionKey && recovery.length - 1 < 1 && <b>After it nobody could recover the private data.</b>}</p>
        </SignDialog>
      )}
      {voters.length > 0 && <p><Link href={`/networks/${n.name}/proposals`}>Proposals</Link> say what members decide on.</p>}
    </>
  )
}

// Activation asks for the state's digest, which a member signs to say: I accept
// this constitution and these nodes.
function Activation({ n, member, onClose, onDone }: { n: api.Network; member: api.Member; onClose: () => void; onDone: () => void }) {
  const { held } = useHeld(n.name)
  const key = held.find(k => k.memberId === member.memberId)
  const [digest, setDigest] = useState('')
  const [first, setFirst] = useState(false)
  const [error, setError] = useState<unknown>()
  const [busy, setBusy] = useState(false)
  const ask = async () => {
    setBusy(true)
    setError(undefined)
    try {
      const asked: cose.Message = { kind: 'state_digest', createdAt: Math.floor((Date.now() + offset) / 1000), payload: utf8('') }
      const signed = cose.prepare(member.memberId, (key!.signer.algorithm as EcKeyAlgorithm).namedCurve, asked)
      const message = await cose.sign(key!.signer, member.memberId, asked)
      const r = await api.submit<{ stateDigest: string }>(n.name, `members/state-digests/${member.memberId}:update`, message)
      await db.addSignature({ at: Date.now(), network: n.name, memberId: member.memberId, kind: 'state_digest', digest: hex(await signed.digest()) })
      setDigest(r.body.stateDigest)
    } catch (e) {
      setError(e)
    }
    setBusy(false)
  }
  const name = memberName(member, member.memberId)
  if (digest) {
    return (
      <SignDialog network={n.name} title={`Activate ${name}`} open onClose={onClose} only={member.memberId} anyStatus onDone={onDone}
        make={id => ({ kind: 'ack', path: `members/state-digests/${id}:ack`, payload: jsonPayload({ stateDigest: digest }), cli: activate(n.status.appUri ?? '', id, digest).cli })}>
        <p className="prose">Signing this says: I accept the present constitution and nodes. From then on the member votes.</p>
        <Facts rows={[['State digest', <Hash value={digest} label="the state digest" />]]} />
      </SignDialog>
    )
  }
  if (!key || first) {
    return (
      <SignDialog network={n.name} title={`Activate ${name}: ask for the state`} open onClose={onClose} only={member.memberId} anyStatus
        make={id => ({ kind: 'state_digest', path: `members/state-digests/${id}:update`, payload: utf8(''), cli: activate(n.status.appUri ?? '', id, '').cli })}
        onDone={r => setDigest((r.body as { stateDigest: string }).stateDigest)}>
        <p className="prose">Two signatures are needed: one to ask for the digest of the present state, one to accept it.</p>
      </SignDialog>
    )
  }
  return (
    <Dialog title={`Activate ${name}`} open onClose={onClose}>
      <p className="prose">The member asks the service for the digest of its present state, and then signs that digest: I accept this constitution and these nodes. Both are signed with the key in this browser.</p>
      {error !== undefined && <ProblemView error={error} />}
      <div className="row end"><Button onPress={() => setFirst(true)}>Sign elsewhere</Button><Button kind="primary" disabled={busy} onPress={() => void ask()}>{busy ? 'Asking…' : 'Get the state digest'}</Button></div>
    </Dialog>
  )
}

function AddMember({ n, onClose }: { n: api.Network; onClose: () => void }) {
  const [pem, setPem] = useState('')
  const [enc, setEnc] = useState('')
  const [name, setName] = useState('')
  const [error, setError] = useState('')
  const [signing, setSigning] = useState(false)
  const actions = [{ name: 'set_member', args: { cert: pem.trim() + '\n', ...(enc.trim() ? { encryption_pub_key: enc.trim() + '\n' } : {}), member_data: { identifier: name } } }]
  if (signing) {
    return (
      <SignDialog network={n.name} title={`Propose to add ${name}`} open onClose={onClose} onDone={onClose}
        make={() => ({ kind: 'proposal', path: 'members/proposals:create', payload: jsonPayload({ actions }), cli: propose('', []).cli })}>
        <p className="prose">The new member can vote once the others have accepted the proposal and it has activated itself.</p>
      </SignDialog>
    )
  }
  return (
    <Dialog title="Add member" open onClose={onClose}>
      <Field label="Member name" value={name} onChange={setName} autoFocus />
      <Drop label="Certificate file" onFiles={async ([f]) => f && setPem(await f.text())} />
      <Field label="Certificate" rows={4} value={pem} onChange={setPem} error={error} />
      <Field label="Encryption key (optional)" rows={3} value={enc} onChange={setEnc} hint="PEM of an RSA public key: makes a recovery member" />
      <div className="row end"><Button onPress={onClose}>Cancel</Button><Button kind="primary" disabled={!pem || !name} onPress={() => {
        try {
          if (pem.includes('PRIVATE KEY')) throw new Error('This holds a private key. Give only the certificate.')
          parsePEMCertificate(pem)
          setSigning(true)
        } catch (e) {
          setError(e instanceof Error ? e.message : 'This is no certificate.')
        }
      }}>Propose</Button></div>
    </Dialog>
  )
}
