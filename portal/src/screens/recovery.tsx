import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { useLocation } from 'wouter'
import * as api from '../api/portal'
import { Problem } from '../api/http'
import { base64, unbase64 } from '../crypto/bytes'
import { decryptShare, type Held } from '../crypto/keys'
import { Button, Cli, Facts, Panel, ProblemView, Status, Title } from '../ui/ui'
import { Crumb, type PageProps } from './network'
import { SignDialog, jsonPayload, memberName, useHeld } from './sign'

interface State { service_status: string; recovery_count: number; recovery_threshold: number; members: Record<string, boolean>; recovered_after: string; last_recovered_seqno?: number; recovery_target_seqno?: number }

export function Recovery({ n }: PageProps) {
  const { held, members } = useHeld(n.name)
  const q = useQuery({
    queryKey: ['network', n.name.toLowerCase(), 'recovery'], refetchInterval: 2500, retry: false,
    queryFn: async () => (await api.nodeOrNone<State>(n.name, 'node/recovery')) ?? null,
  })
  const [share, setShare] = useState<{ of: Held; text: string }>()
  const [error, setError] = useState<unknown>()
  const [done, setDone] = useState('')
  const [opening, setOpening] = useState<{ previous: string }>()
  const [, go] = useLocation()
  const info = useQuery({ queryKey: ['network', n.name.toLowerCase(), 'info'], queryFn: () => api.node<{ configuration?: { recoveryThreshold: number } }>(n.name, 'gov/service/info') })
  const holders = members.filter(m => m.publicEncryptionKey && m.status === 'Active')
  const threshold = info.data?.body.configuration?.recoveryThreshold ?? q.data?.recovery_threshold
  const waiting = q.data?.service_status === 'WaitingForRecoveryShares'
  const never = q.data === null
  const decrypt = async (k: Held) => {
    setError(undefined)
    try {
      const { body } = await api.node<{ encryptedShare: string }>(n.name, `gov/recovery/encrypted-shares/${k.memberId}`)
      setShare({ of: k, text: base64(await decryptShare(k.decrypter!, unbase64(body.encryptedShare))) })
    } catch (e) {
      setError(e instanceof Problem ? e : new Error('The share could not be decrypted with the key in this browser.'))
    }
  }
  const propose = async () => {
    setError(undefined)
    try {
      const { body } = await api.node<{ previous_service_identity: string }>(n.name, 'node/service/previous_identity')
      setOpening({ previous: body.previous_service_identity })
    } catch (e) {
      setError(e)
    }
  }
  const reopen = { actions: [{ name: 'transition_service_to_open', args: { previous_service_identity: opening?.previous, next_service_identity: n.status.serviceCertificate } }] }
  return (
    <>
      <Title crumb={<Crumb n={n} />}>Recovery</Title>
      {done && <p role="status"><Status tone="healthy">{done}</Status></p>}
      {error !== undefined && <ProblemView error={error} />}
      <Panel title="What it would take">
        <p className="prose">After a disaster, {threshold ?? '…'} of {holders.length} shares make the private data readable again. Each share is encrypted to its holder’s key.</p>
        <ul className="steps">{holders.map(m => {
          const sent = q.data?.members?.[m.memberId]
          const mine = held.find(k => k.memberId === m.memberId)
          return <li key={m.memberId}><span aria-hidden="true">{sent ? '✓' : '○'}</span><div className="body"><b>{memberName(m, m.memberId)}</b> {mine && <span className="tag">{mine.decrypter ? 'key here' : 'signing key here, encryption key elsewhere'}</span>}</div>
            {waiting ? sent ? <span className="muted">has sent a share</span> : mine?.decrypter ? <Button kind="primary" onPress={() => void decrypt(mine)}>Submit the share of {memberName(m, m.memberId)}</Button> : <span>has to send a share</span> : <span className="muted">holds a share</span>}</li>
        })}</ul>
        {members.length > 0 && !holders.length && <p className="s-attention">No active member holds a share: private data could not be recovered.</p>}
        {threshold !== undefined && holders.length > 0 && holders.length <= threshold && holders.length > 1 && <p className="s-attention">If one more holder loses the key, recovery is impossible.</p>}
      </Panel>
      <Panel title="Now">
        {never ? <p className="muted">The service was never recovered; nothing is to do.</p> : q.data ? (
          <Facts rows={[['Service', q.data.service_status], ['Recoveries', q.data.recovery_count], ['Continued after', q.data.recovered_after], ['Read so far', q.data.recovery_target_seqno ? `${q.data.last_recovered_seqno ?? 0} of ${q.data.recovery_target_seqno}` : '–']]} />
        ) : <p className="muted">No node answers.</p>}
        {q.data?.service_status === 'Recovering' && (
          <>
            <p className="prose">The public part is back. Members now decide, by vote, that this recovered service goes on: its identity is new. After that the shares are asked for.</p>
            <div className="row"><Button kind="primary" onPress={() => void propose()}>Propose to open it</Button></div>
          </>
        )}
        <Cli line={`synod recovery status --url ${n.status.appUri ?? 'https://…'} --service-cert service_cert.pem`} />
      </Panel>
      {opening && (
        <SignDialog network={n.name} title="Propose to open the recovered service" open onClose={() => setOpening(undefined)}
          make={() => ({ kind: 'proposal', path: 'members/proposals:create', payload: jsonPayload(reopen), cli: `synod recovery open --as member0 --url ${n.status.appUri ?? ''} --service-cert service_cert.pem` })}
          onDone={r => go(`/networks/${n.name}/proposals/${(r.body as api.Proposal).proposalId}`)}>
          <p className="prose">It names the identity before and the new one. Whoever votes for it accepts that the service continues after {q.data?.recovered_after}.</p>
        </SignDialog>
      )}
      {share && (
        <SignDialog network={n.name} title={`Submit the share of ${share.of.label}`} open only={share.of.memberId} onClose={() => setShare(undefined)}
          make={id => ({ kind: 'recovery_share', path: `recovery/members/${id}:recover`, payload: jsonPayload({ share: share.text }), cli: `synod recovery share submit --as member0 --url ${n.status.appUri ?? ''} --service-cert service_cert.pem` })}
          onDone={r => {
            setShare(undefined)
            setDone((r.body as { message?: string }).message ?? 'The share was submitted.')
            void q.refetch()
          }}>
          <p className="prose">The share was decrypted in this browser and is shown nowhere. It goes to the service inside a signed message, through the control plane: who reads it there learns one share of {threshold}.</p>
        </SignDialog>
      )}
    </>
  )
}
