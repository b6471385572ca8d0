import { QueryClientProvider, useQuery } from '@tanstack/react-query'
import { StrictMode, Suspense, lazy, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { Redirect, Route, Router, Switch, useLocation } from 'wouter'
import './styles.css'
import './verify/served'
import { Problem } from './api/http'
import * as api from './api/portal'
import { hush, listen, queries } from './app/live'
import { Shell } from './app/shell'
import { SignIn } from './screens/sign_in'
import { Loading, ProblemView, Title } from './ui/ui'
import { applyAppearance } from './screens/settings'

const named = <K extends string>(load: () => Promise<Record<K, React.ComponentType<never>>>, name: K) =>
  lazy(async () => ({ default: (await load())[name] as React.ComponentType<Record<string, unknown>> }))

const Networks = named(() => import('./screens/networks'), 'Networks')
const Wizard = named(() => import('./screens/wizard'), 'Wizard')
const OperationPage = named(() => import('./screens/operation'), 'OperationPage')
const NetworkPages = named(() => import('./screens/network'), 'NetworkPages')
const Activity = named(() => import('./screens/activity'), 'Activity')
const Keys = named(() => import('./screens/keys'), 'Keys')
const Settings = named(() => import('./screens/settings'), 'Settings')
const VerifyReceipt = named(() => import('./screens/verify'), 'VerifyReceipt')
const VerifyLedger = named(() => import('./screens/verify_ledger'), 'VerifyLedger')

const open = ['/verify', '/verify/ledger', '/keys', '/settings'] // without a session

applyAppearance()

function App() {
  const [path] = useLocation()
  const isOpen = open.includes(path)
  const [hash, setHash] = useState(() => location.hash)
  useEffect(() => {
    // An address with a code that is pasted over the page does not load it anew.
    const changed = () => setHash(location.hash)
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  const session = useQuery({ queryKey: ['session'], queryFn: api.session, retry: false, enabled: !isOpen, staleTime: 60e3, refetchInterval: 300e3 })
  const signedIn = !!session.data?.until
  // On pages that ask nobody, the way back is shown to those who had a session.
  const hadSession = signedIn || (isOpen && sessionStorage.getItem('session') === 'yes')
  useEffect(() => {
    if (!signedIn) return
    sessionStorage.setItem('session', 'yes')
    listen()
    return hush
  }, [signedIn])

  if (!isOpen && !signedIn) {
    if (session.error && !(session.error instanceof Problem && session.error.status === 401)) return <Shell signedIn={false}><ProblemView error={session.error} retry={() => void session.refetch()} /></Shell>
    if (session.isLoading) return <Shell signedIn={false}><Loading what="the control plane" /></Shell>
    return <Shell signedIn={false}><SignIn hash={hash} onDone={() => {
      setHash('')
      void session.refetch()
    }} /></Shell>
  }
  return (
    <Shell signedIn={signedIn} shown={hadSession}>
      <Suspense fallback={<Loading what="the page" />}>
        <Switch>
          <Route path="/"><Redirect to="/networks" replace /></Route>
          <Route path="/networks"><Networks /></Route>
          <Route path="/networks/new"><Wizard /></Route>
          <Route path="/networks/:name/*?">{p => <NetworkPages name={decodeURIComponent(p.name)} />}</Route>
          <Route path="/operations/:id">{p => <OperationPage id={p.id} />}</Route>
          <Route path="/activity"><Activity /></Route>
          <Route path="/verify"><VerifyReceipt links={<VerifyLinks />} /></Route>
          <Route path="/verify/ledger"><VerifyLedger links={<VerifyLinks />} /></Route>
          <Route path="/keys"><Keys /></Route>
          <Route path="/settings"><Settings signedIn={hadSession} /></Route>
          <Route><Title>Nothing here</Title><p>No page of the portal is called <code>{path}</code>.</p></Route>
        </Switch>
      </Suspense>
    </Shell>
  )
}

function VerifyLinks() {
  const [path] = useLocation()
  return (
    <>
      {path === '/verify' ? <a href="/portal/verify/ledger">Verify a whole ledger</a> : <a href="/portal/verify">Verify one receipt</a>}, or take <a href="/portal/verify.html" download>verify.html</a> with you: the same as one file that works without a network.
    </>
  )
}

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <Router base="/portal"><App /></Router>
    </QueryClientProvider>
  </StrictMode>,
)
