// Running an intent: what is shown is what is done.
import { useState, type ReactNode } from 'react'
import { useLocation } from 'wouter'
import * as api from '../api/portal'
import { queries, useLostAt } from '../app/live'
import type { Intent } from '../intents'
import { Button, Cli, Dialog, Field, ProblemView } from '../ui/ui'

export function How({ intent }: { intent: Intent }) {
  return (
    <details className="how">
      <summary>On the command line, and as a request</summary>
      <div className="stack">
        <Cli line={intent.cli} />
        <Cli label="The request" line={`${intent.method} ${intent.path}?api-version=${api.API_VERSION}${intent.body ? `\n${JSON.stringify(intent.body, null, 2)}` : ''}`} />
      </div>
    </details>
  )
}

// run sends an intent and opens its operation, if it started one.
export async function run(intent: Intent, go: (path: string) => void): Promise<void> {
  const r = await api.arm(intent.method, intent.path, intent.body)
  void queries.invalidateQueries()
  const id = api.operationID(r)
  if (id) go(`/operations/${id}`)
}

// Act is a button that asks before it does something.
export function Act({ intent, children, danger, why, confirm, type, primary }: {
  intent: Intent; children?: ReactNode; danger?: boolean; why?: string
  confirm?: ReactNode // what will happen
  type?: string // what has to be typed
  primary?: boolean
}) {
  const [open, setOpen] = useState(false)
  const [typed, setTyped] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const [, go] = useLocation()
  const lost = useLostAt()
  const act = async () => {
    setBusy(true)
    setError(undefined)
    try {
      await run(intent, go)
      setOpen(false)
    } catch (e) {
      setError(e)
    }
    setBusy(false)
  }
  return (
    <>
      <Button danger={danger} why={why} kind={primary ? 'primary' : undefined} onPress={() => {
        setError(undefined)
        setTyped('')
        setOpen(true)
      }}>{children ?? intent.title}</Button>
      <Dialog title={intent.title} open={open} onClose={() => setOpen(false)}>
        <div className="prose stack">{confirm}</div>
        {type && <Field label={`Type ${type} to go on`} value={typed} onChange={setTyped} autoFocus />}
        <How intent={intent} />
        {error !== undefined && <ProblemView error={error} />}
        <div className="row end">
          <Button onPress={() => setOpen(false)}>Leave it</Button>
          <Button kind="primary" danger={danger} disabled={busy || (!!type && typed !== type)} why={lost && danger ? 'Not now: what you see may be old.' : undefined} onPress={() => void act()}>{busy ? 'Sending…' : intent.title}</Button>
        </div>
      </Dialog>
    </>
  )
}
