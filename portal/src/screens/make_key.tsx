// Making or importing a member's key, with the export question.
import { useState } from 'react'
import * as db from '../crypto/db'
import { hold, keyFile, makeMember, openKeyFile, type Fresh } from '../crypto/keys'
import { Button, Check, Drop, Field, Hash, download } from '../ui/ui'

export interface Made { memberId: string; certificate: string; encryptionKey?: string }

const PASSPHRASE_MIN = 8

// MakeKey makes a key and stops until its owner has said what becomes of it.
export function MakeKey({ network, onDone, name: given }: { network: string; onDone: (m: Made, name: string) => void; name?: string }) {
  const [name, setName] = useState(given ?? '')
  const [recovery, setRecovery] = useState(true)
  const [fresh, setFresh] = useState<Fresh>()
  const [passphrase, setPassphrase] = useState('')
  const [again, setAgain] = useState('')
  const [saved, setSaved] = useState('')
  const [checked, setChecked] = useState(false)
  const [accept, setAccept] = useState(false)
  const [busy, setBusy] = useState('')
  const [error, setError] = useState('')

  const make = async () => {
    setBusy(recovery ? 'Making keys…' : 'Making a key…')
    try {
      setFresh(await makeMember(name, recovery, new Date()))
    } catch (e) {
      setError(String(e))
    }
    setBusy('')
  }
  const exportFile = async () => {
    setBusy('Encrypting…')
    setError('')
    const file = await keyFile(fresh!, passphrase)
    setSaved(file)
    setAgain('')
    setChecked(false)
    download(`${name}-key.pem`, file, 'application/x-pem-file')
    setBusy('')
  }
  const check = async () => {
    setBusy('Checking…')
    setError('')
    try {
      await openKeyFile(saved, again)
      setChecked(true)
    } catch (e) {
      setError(e instanceof Error ? e.message : String(e))
    }
    setBusy('')
  }
  const finish = async () => {
    setBusy('Keeping…')
    try {
      const { memberId, certificate, encryptionKey } = fresh!
      await db.putKey(await hold(fresh!, network, name, checked))
      onDone({ memberId, certificate, encryptionKey }, name)
    } catch (e) {
      setError(e instanceof Error ? e.message : String(e))
    }
    setBusy('')
  }

  if (!fresh) {
    return (
      <form className="stack" onSubmit={e => {
        e.preventDefault()
        if (name.trim()) void make()
      }}>
        <Field label="Member name" value={name} onChange={setName} hint="As others shall know this member" />
        <Check value={recovery} onChange={setRecovery}>May recover the network after a disaster (also makes an RSA key, to which a share is encrypted)</Check>
        {error && <p className="error">{error}</p>}
        <div className="row"><Button kind="primary" type="submit" disabled={!name.trim() || !!busy}>{busy || 'Make key'}</Button></div>
      </form>
    )
  }
  return (
    <div className="stack">
      <p className="prose">The key of <b>{name}</b> was made in this browser and is in no other place. A member is known by its certificate: if the key is lost, the member is lost, and a new one needs a vote.</p>
      <p className="small muted">Member <Hash value={fresh.memberId} label="the member ID" /></p>
      <form className="stack" onSubmit={e => {
        e.preventDefault()
        if (passphrase.length >= PASSPHRASE_MIN) void exportFile()
      }}>
        <Field label="Passphrase of the key file" kind="password" value={passphrase} onChange={setPassphrase} hint={`At least ${PASSPHRASE_MIN} characters. openssl pkey opens the file as well`} />
        <div className="row"><Button type="submit" disabled={passphrase.length < PASSPHRASE_MIN || !!busy}>Download encrypted key file</Button></div>
      </form>
      {saved && !checked && (
        <form className="stack" onSubmit={e => {
          e.preventDefault()
          void check()
        }}>
          <Field label="The passphrase again" kind="password" value={again} onChange={setAgain} hint="The file is opened with it, to be sure that it can be" error={error} />
          <div className="row"><Button type="submit" disabled={!again || !!busy}>Check the file</Button></div>
        </form>
      )}
      {checked && <p className="s-healthy status"><i aria-hidden="true">●</i>The file opens with the passphrase.</p>}
      {!checked && <Check value={accept} onChange={setAccept}>I accept that clearing this site's data destroys this key</Check>}
      {error && !saved && <p className="error">{error}</p>}
      <div className="row"><Button kind="primary" disabled={!(checked || accept) || !!busy} onPress={() => void finish()}>{busy || 'Keep the key in this browser'}</Button></div>
    </div>
  )
}

// ImportKey takes a key file of this page's or of openssl's.
export function ImportKey({ network, onDone }: { network: string; onDone: (m: Made, name: string) => void }) {
  const [file, setFile] = useState('')
  const [name, setName] = useState('')
  const [passphrase, setPassphrase] = useState('')
  const [error, setError] = useState('')
  const open = async () => {
    setError('')
    try {
      const fresh = await openKeyFile(file, passphrase)
      const { memberId, certificate, encryptionKey } = fresh
      await db.putKey(await hold(fresh, network, name || memberId.slice(0, 8), true))
      onDone({ memberId, certificate, encryptionKey }, name)
    } catch (e) {
      setError(e instanceof Error ? e.message : String(e))
    }
  }
  return (
    <form className="stack" onSubmit={e => {
      e.preventDefault()
      void open()
    }}>
      <Drop label="Key file" multiple onFiles={async fs => {
        setFile((await Promise.all(fs.map(f => f.text()))).join('\n'))
        setName(n => n || fs[0]!.name.replace(/-key\.pem$|\.pem$/, ''))
      }}><p className="hint">PEM with the member's certificate and its key, PKCS #8, encrypted or not</p></Drop>
      <Field label="Label" value={name} onChange={setName} />
      <Field label="Passphrase" kind="password" value={passphrase} onChange={setPassphrase} error={error} />
      <div className="row"><Button type="submit" kind="primary" disabled={!file}>Import</Button></div>
    </form>
  )
}
