// Signing a governance message: with a key of this browser, or elsewhere.
import { useQuery } from '@tanstack/react-query'
import { useEffect, useMemo, useState, type ReactNode } from 'react'
import * as api from '../api/portal'
import { offset, type Reply } from '../api/http'
import { queries, useLostAt } from '../app/live'
import * as cose from '../crypto/cose'
import * as db from '../crypto/db'
import { base64, hex, utf8, type Bytes } from '../crypto/bytes'
import { readSignature, signedBy, type Held } from '../crypto/keys'
import { parsePEMCertificate } from '../crypto/x509'
import { Button, Choices, Cli, Dialog, Drop, Facts, Field, Hash, ProblemView, download } from '../ui/ui'

export interface ToSign {
  kind: cose.Kind
  path: string // below /gov
  payload: Bytes
  proposalId?: string
  cli: string
}

// useHeld are the keys of this browser that are members of a network.
export function useHeld(network: string): { held: Held[]; members: api.Member[]; loading: boolean; error: unknown } {
  const m = useQuery({ queryKey: ['network', network.toLowerCase(), 'members'], queryFn: () => api.members(network) })
  const k = useKeysHere()
  const held = k.filter(key => m.data?.some(x => x.memberId === key.memberId))
  return { held, members: m.data ?? [], loading: m.isLoading, error: m.error }
}

export function useKeysHere(): Held[] {
  const q = useQuery({ queryKey: ['keys'], queryFn: db.keys })
  useEffect(() => db.onChange(() => void queries.invalidateQueries({ queryKey: ['keys'] })), [])
  return q.data ?? []
}

// memberName is what people call a member: its data says, or its certificate.
export function memberName(m: api.Member | undefined, id: string): string {
  const d = m?.memberData as Record<string, unknown> | null | undefined
  if (d && typeof d === 'object') {
    for (const key of ['identifier', 'name', 'owner']) if (typeof d[key] === 'string') return d[key] as string
    if (d.is_operator || d.isOperator) return 'operator'
  }
  try {
    if (m?.certificate) return parsePEMCertificate(m.certificate).subject.replace(/^CN=/, '')
  } catch { /* not one of ours */ }
  return id.slice(0, 8)
}

export const isOperator = (m: api.Member) => {
  const d = m.memberData as Record<string, unknown> | null | undefined
  return !!(d && typeof d === 'object' && (d.is_operator || d.isOperator))
}

export function SignDialog({ network, title, make, open, onClose, onDone, children, only, anyStatus }: {
  network: string; title: string; open: boolean; onClose: () => void; children?: ReactNode
  make: (memberId: string) => ToSign | Promise<ToSign>
  onDone: (r: Reply<unknown>, memberId: string) => void
  only?: string // the one member who can sign it
  anyStatus?: boolean // also members who are not active yet
}) {
  const { held, members } = useHeld(network)
  const can = held.filter(k => (!only || k.memberId === only) && (anyStatus || members.find(m => m.memberId === k.memberId)?.status === 'Active'))
  const outside = members.filter(m => !isOperator(m) && (!only || m.memberId === only) && (anyStatus || m.status === 'Active'))
  const [choice, setChoice] = useState('')
  const [elsewhere, setElsewhere] = useState('')
  const [signature, setSignature] = useState<Bytes>()
  const [typed, setTyped] = useState('')
  const [error, setError] = useState<unknown>()
  const [busy, setBusy] = useState('')
  const [prepared, setPrepared] = useState<{ what: ToSign; unsigned: cose.Unsigned; digest: string; createdAt: number; memberId: string }>()
  const lost = useLostAt()
  const key = choice || can[0]?.memberId || 'elsewhere'
  const memberId = key === 'elsewhere' ? elsewhere || only || outside[0]?.memberId || '' : key
  const certificate = members.find(m => m.memberId === memberId)?.certificate ?? ''
  const curve = useMemo(() => {
    try {
      return certificate ? parsePEMCertificate(certificate).algorithm : 'P-384'
    } catch {
      return 'P-384'
    }
  }, [certificate])

  useEffect(() => {
    if (!open || !memberId) return
    let live = true
    void (async () => {
      const what = await make(memberId)
      const createdAt = Math.floor((Date.now() + offset) / 1000)
      const unsigned = cose.prepare(memberId, curve, { kind: what.kind, proposalId: what.proposalId, createdAt, payload: what.payload })
      const digest = hex(await unsigned.digest())
      if (live) setPrepared({ what, unsigned, digest, createdAt, memberId })
    })().catch(setError)
    return () => {
      live = false
    }
    // eslint-disable-next-line
  }, [open, memberId, curve])

  const send = async () => {
    if (!prepared) return
    setError(undefined)
    try {
      let message: Bytes
      if (key === 'elsewhere') {
        const sig = signature ?? readSignature(utf8(typed))
        message = await signedBy(prepared.unsigned, sig, certificate).catch(() => {
          throw new Error('This is not a signature by the member’s certificate over this digest. Nothing was sent.')
        })
      } else {
        setBusy('Signing…')
        const k = can.find(x => x.memberId === key)!
        const alg = cose.algorithms[(k.signer.algorithm as EcKeyAlgorithm).namedCurve]!
        const sig = await crypto.subtle.sign({ name: 'ECDSA', hash: alg.hash }, k.signer, prepared.unsigned.tbs)
        message = prepared.unsigned.assemble(new Uint8Array(sig))
        void db.putKey({ ...k, usedAt: Date.now() })
      }
      setBusy('Sending…')
      await db.addSignature({ at: Date.now(), network, memberId, kind: prepared.what.kind, digest: prepared.digest, proposalId: prepared.what.proposalId }).catch(() => undefined)
      const r = await api.submit(network, prepared.what.path, message)
      if (r.txid) {
        setBusy('Waiting for commit…')
        if (await api.waitCommitted(network, r.txid) !== 'Committed') throw new Error('The service lost this transaction when its primary changed. Nothing was done: send it again.')
      }
      void queries.invalidateQueries({ queryKey: ['network', network.toLowerCase()] })
      onDone(r, memberId)
    } catch (e) {
      setError(e)
    }
    setBusy('')
  }

  const request = () => download('request.tbs', prepared!.unsigned.tbs)
  return (
    <Dialog title={title} open={open} onClose={onClose}>
      {children}
      {outside.length === 0 && <p className="error">No member of this network can sign this now.</p>}
      <Choices label="Sign with" value={key} onChange={setChoice} options={[
        ...can.map(k => ({ value: k.memberId, name: k.label, text: <>key in this browser, <span className="mono">{k.memberId.slice(0, 8)}…</span></> })),
        { value: 'elsewhere', name: 'Elsewhere', text: 'an HSM, a token, or openssl: digest out, signature in' },
      ]} />
      {key === 'elsewhere' && (
        <>
          {!only && <Choices label="As" value={memberId} onChange={setElsewhere} options={outside.map(m => ({ value: m.memberId, name: memberName(m, m.memberId), text: m.memberId.slice(0, 8) }))} />}
          <Drop label="Signature file, raw or DER, hex or base64" onFiles={async ([f]) => f && setSignature(readSignature(new Uint8Array(await f.arrayBuffer()) as Bytes))} />
          <Field label="Or the signature itself" value={typed} onChange={v => {
            setTyped(v)
            setSignature(undefined)
          }} rows={3} hint={signature ? `${signature.length} bytes read` : 'hex or base64, r‖s or ASN.1 DER'} />
          {prepared && <Cli line={`# request.tbs holds what is to be signed\nopenssl dgst -sha${curve === 'P-256' ? 256 : curve === 'P-521' ? 512 : 384} -sign member0_privk.pem request.tbs | base64`} />}
          <div className="row"><Button onPress={request} disabled={!prepared}>Download request.tbs</Button></div>
        </>
      )}
      {prepared && (
        <>
          <Facts rows={[
            ['Kind', prepared.what.kind], ['Signed at', new Date(prepared.createdAt * 1000).toLocaleString()],
            ['Digest', <Hash value={prepared.digest} label="the digest" />],
          ]} />
          <details><summary>What is signed, and the command line</summary><div className="stack"><pre>{new TextDecoder().decode(prepared.what.payload.slice(0, 3000)) || '(no content: the header says it all)'}</pre><Cli line={prepared.what.cli} /></div></details>
        </>
      )}
      {Math.abs(offset) > 30000 && <p className="s-attention">This machine’s clock differs from the service’s by {Math.round(Math.abs(offset) / 1000)} s; the service’s is used.</p>}
      {error !== undefined && <ProblemView error={error} />}
      <div className="row end">
        <Button onPress={onClose}>Cancel</Button>
        <Button kind="primary" disabled={!prepared || !!busy || (key === 'elsewhere' && !signature && !typed)} why={lost ? 'Not now: the state shown may be old.' : undefined} onPress={() => void send()}>{busy || 'Sign and send'}</Button>
      </div>
    </Dialog>
  )
}

export const jsonPayload = (v: unknown): Bytes => utf8(JSON.stringify(v))
export const share64 = (b: Uint8Array) => base64(b)
