// Pins: whom this browser takes a network for, and what changed.
import { useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import type { Network } from '../api/portal'
import { queries } from '../app/live'
import * as db from '../crypto/db'
import { keyFingerprint, parsePEMCertificate } from '../crypto/x509'
import { Button, Cli, Field, Panel } from '../ui/ui'

export interface Trust {
  pin?: db.Pin
  current?: string // SHA-256 of the key that the control plane names
  state: 'unknown' | 'none' | 'pinned' | 'changed'
}

// useTrust compares the service that the control plane names with the pin, and
// pins at first sight.
export function useTrust(n: Network | undefined): Trust {
  const cert = n?.status.serviceCertificate
  const name = n?.name.toLowerCase() ?? ''
  const q = useQuery({
    queryKey: ['pin', name, cert],
    enabled: !!n,
    staleTime: Infinity,
    queryFn: async (): Promise<Trust> => {
      const pin = await db.pin(name)
      if (!cert) return { pin, state: pin ? 'pinned' : 'none' }
      const current = await keyFingerprint(parsePEMCertificate(cert))
      if (!pin) {
        const made = (await db.keys()).some(k => k.network === name && Math.abs(k.madeAt - Date.parse(n!.createdAt)) < 3600e3)
        const first: db.Pin = { network: name, key: current, certificate: cert, how: made ? 'made here' : 'first seen', at: Date.now() }
        await db.putPin(first)
        return { pin: first, current, state: 'pinned' }
      }
      if (pin.key === current) {
        if (pin.certificate !== cert) await db.putPin({ ...pin, certificate: cert }) // renewed: same key
        return { pin, current, state: 'pinned' }
      }
      return { pin, current, state: 'changed' }
    },
  })
  useEffect(() => db.onChange(() => void queries.invalidateQueries({ queryKey: ['pin', name] })), [name])
  return q.data ?? { state: 'unknown' }
}

const groups = (s: string) => s.replace(/.{4}/g, '$& ').trim()

export function Changed({ n, trust }: { n: Network; trust: Trust }) {
  const [typed, setTyped] = useState('')
  const clean = typed.replace(/[\s:]/g, '').toLowerCase()
  const pinned = trust.pin!
  return (
    <Panel tone="red" title="This is not the service that this browser knew">
      <div role="alert" className="stack">
        <p className="prose">The control plane names another service identity under the name <b>{n.name}</b> than the one that this browser pinned. A recovery or a restore of the network gives it a new identity; so does an attack. Nothing can be done here until you say which it is.</p>
        <dl className="facts"><dt>Pinned ({pinned.how})</dt><dd className="hash">{groups(pinned.key)}</dd><dt>Named now</dt><dd className="hash">{groups(trust.current ?? '')}</dd></dl>
        <p className="prose">Ask another member or the operator, by another way than this page, for the fingerprint of the new identity, and compare:</p>
        <Cli line={`synod identity get --url ${n.status.appUri ?? 'https://…'} --out service_cert.pem\nopenssl x509 -in service_cert.pem -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum`} />
        <Field label="Fingerprint of the new identity, 64 hex digits" value={typed} onChange={setTyped} error={clean.length === 64 && clean !== trust.current ? 'This is not the fingerprint that the control plane names now.' : undefined} />
        <div className="row"><Button danger disabled={clean !== trust.current} onPress={() => void db.putPin({
          network: n.name, key: clean, certificate: n.status.serviceCertificate!, how: 'by you', at: Date.now(), before: [...(pinned.before ?? []), { key: pinned.key, until: Date.now() }],
        })}>Pin this identity</Button></div>
      </div>
    </Panel>
  )
}
