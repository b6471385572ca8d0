import { useState } from 'react'
import * as api from '../api/portal'
import { hush, queries } from '../app/live'
import { Button, Check, Choices, Facts, Panel, Title } from '../ui/ui'

export function applyAppearance() {
  const theme = localStorage.getItem('theme') ?? 'system'
  if (theme === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = theme
  document.documentElement.dataset.density = localStorage.getItem('density') ?? 'normal'
}

export function Settings({ signedIn }: { signedIn?: boolean }) {
  const [theme, setTheme] = useState(localStorage.getItem('theme') ?? 'system')
  const [compact, setCompact] = useState(localStorage.getItem('density') === 'compact')
  const [letters, setLetters] = useState(localStorage.getItem('letters') !== 'off')
  const keep = (key: string, value: string) => {
    localStorage.setItem(key, value)
    applyAppearance()
  }
  return (
    <>
      <Title>Settings</Title>
      <Panel title="Appearance">
        <Choices label="Colours" value={theme} onChange={v => {
          setTheme(v)
          keep('theme', v)
        }} options={[{ value: 'system', name: 'As the system' }, { value: 'light', name: 'Light' }, { value: 'dark', name: 'Dark' }]} />
        <Check value={compact} onChange={v => {
          setCompact(v)
          keep('density', v ? 'compact' : 'normal')
        }}>Compact rows</Check>
        <Check value={letters} onChange={v => {
          setLetters(v)
          keep('letters', v ? 'on' : 'off')
        }}>Single letters are shortcuts (<kbd>?</kbd> lists them)</Check>
      </Panel>
      <Panel title="Session">
        <Facts rows={[['Address', location.origin], ['Secure context', window.isSecureContext ? 'yes: keys can be made here' : 'no']]} />
        {signedIn !== false && <div className="row"><Button onPress={() => void api.signOut().then(() => {
          hush()
          sessionStorage.removeItem('session')
          queries.clear()
          location.assign('/portal/')
        })}>Sign out</Button></div>}
      </Panel>
      <Panel title="About">
        <p className="prose">Synod is free software under the Apache License 2.0. This page is made with React and React DOM (MIT), React Aria Components (Apache-2.0), uPlot (MIT), TanStack Query and Virtual (MIT), wouter (Unlicense), and Go's WebAssembly support (BSD).</p>
      </Panel>
    </>
  )
}
