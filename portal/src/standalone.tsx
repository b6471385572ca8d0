// verify.html: the verifier's two pages in one file that asks nobody anything.
import { StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'
import './styles.css'
import { VerifyReceipt } from './screens/verify'
import { VerifyLedger } from './screens/verify_ledger'
import { Button } from './ui/ui'
import { unbase64 } from './crypto/bytes'
import { setSource } from './verify/verifier'

const embedded = (id: string) => document.getElementById(id)!.textContent!

setSource({
  worker: () => new Worker(URL.createObjectURL(new Blob([embedded('worker')], { type: 'text/javascript' }))),
  wasm: async () => {
    const packed = new Blob([unbase64(embedded('wasm'))]).stream().pipeThrough(new DecompressionStream('gzip'))
    return new Response(packed).arrayBuffer()
  },
})

function Page() {
  const [what, set] = useState<'receipt' | 'ledger'>('receipt')
  return (
    <main className="page">
      <div className="row" role="group" aria-label="What to verify">
        <Button kind={what === 'receipt' ? 'primary' : undefined} onPress={() => set('receipt')}>A receipt</Button>
        <Button kind={what === 'ledger' ? 'primary' : undefined} onPress={() => set('ledger')}>A ledger</Button>
      </div>
      {what === 'receipt' ? <VerifyReceipt /> : <VerifyLedger />}
      <p className="small muted">This file works without a network. Compare its SHA-256 with the one in the release.</p>
    </main>
  )
}

createRoot(document.getElementById('root')!).render(<StrictMode><Page /></StrictMode>)
