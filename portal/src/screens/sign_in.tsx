import { useEffect, useRef, useState } from 'react'
import { Link } from 'wouter'
import * as api from '../api/portal'
import { Button, Cli, Field, Panel, ProblemView, Title } from '../ui/ui'

// SignIn exchanges the one-time code of the address, or a token, for a session.
// The fragment never reaches the server by itself, and is cleared at once.
export function SignIn({ hash, onDone }: { hash: string; onDone: () => void }) {
  const [token, setToken] = useState('')
  const [error, setError] = useState<unknown>()
  const [busy, setBusy] = useState(false)
  const used = useRef('')
  const enter = async (how: { code?: string; token?: string }) => {
    setBusy(true)
    setError(undefined)
    try {
      await api.signIn(how)
      onDone()
    } catch (e) {
      setError(e)
    }
    setBusy(false)
  }
  useEffect(() => {
    const code = /^#code=([A-Za-z0-9]+)$/.exec(hash)?.[1]
    if (!code || used.current === code) return
    used.current = code
    history.replaceState(null, '', location.pathname + location.search)
    void enter({ code })
  })
  if (!window.isSecureContext) {
    return <Panel title="Not over this connection" tone="red"><p className="prose">This page came over plain http. Browsers then give it no cryptography, and members' keys cannot be made or used. Open it by https, or by http on localhost.</p></Panel>
  }
  return (
    <>
      <Title>Sign in</Title>
      {error !== undefined && <ProblemView error={error} />}
      <div className="cols">
        <Panel title="With a token">
          <form className="stack" onSubmit={e => {
            e.preventDefault()
            void enter({ token: token.trim() })
          }}>
            <Field label="Bearer token" kind="password" value={token} onChange={setToken} hint="The server's own token is in the file token of its data directory" />
            <div className="row"><Button type="submit" kind="primary" disabled={!token || busy}>{busy ? 'Signing in…' : 'Sign in'}</Button></div>
          </form>
        </Panel>
        <Panel title="With a sign-in address">
          <p className="prose">The server prints an address that signs in once, when it starts. For another one:</p>
          <Cli line="synod portal" />
          <p className="prose muted">Without signing in you can <Link href="/verify">verify a receipt</Link>, <Link href="/verify/ledger">verify a ledger</Link>, and look after the <Link href="/keys">keys in this browser</Link>.</p>
        </Panel>
      </div>
    </>
  )
}
