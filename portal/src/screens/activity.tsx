import { useInfiniteQuery } from '@tanstack/react-query'
import { useLocation, useSearch } from 'wouter'
import * as api from '../api/portal'
import { Button, Empty, Loading, ProblemView, Time, Title, download } from '../ui/ui'

export function Activity() {
  const [, go] = useLocation()
  const filter = new URLSearchParams(useSearch()).get('q') ?? ''
  const q = useInfiniteQuery({
    queryKey: ['activity'], initialPageParam: 0, queryFn: ({ pageParam }) => api.activity(pageParam, ''),
    getNextPageParam: last => (last.length && last.at(-1)!.seq > 1 ? last.at(-1)!.seq : undefined),
  })
  const all = q.data?.pages.flat() ?? []
  const shown = all.filter(e => `${e.principal} ${e.action} ${e.target} ${e.result} ${e.requestId}`.toLowerCase().includes(filter.toLowerCase()))
  const short = (a: string) => a.replace('Microsoft.ConfidentialLedger/', '')
  return (
    <>
      <Title actions={<Button disabled={!all.length} onPress={() => download('activity.json', JSON.stringify(shown, null, 2), 'application/json')}>Export</Button>}>Activity</Title>
      <p className="prose muted">Who asked what of the control plane, and what came of it. Each line holds the hash of the one before.</p>
      {q.isLoading && <Loading what="the audit log" />}
      {q.error && <ProblemView error={q.error} retry={() => void q.refetch()} />}
      {q.data && (
        <section className="panel flush" aria-label="Audit log">
          <div style={{ padding: '12px 16px' }}><input type="search" aria-label="Filter" placeholder="Filter by who, what, on what, result or request" value={filter} onChange={e => go(`/activity${e.target.value ? `?q=${encodeURIComponent(e.target.value)}` : ''}`, { replace: true })} /></div>
          {!all.length && <div style={{ padding: 16 }}><Empty>Nothing has been asked for yet.</Empty></div>}
          <table className="cards">
            <thead><tr><th>When</th><th>Who</th><th>What</th><th>On</th><th>Result</th><th>Request</th></tr></thead>
            <tbody>{shown.map(e => <tr key={e.seq}><td><Time at={e.at} /></td><td>{e.principal}</td><td>{short(e.action)}</td><td className="mono" title={e.target}>{e.target.split('/').pop()}</td><td className={/^[45]/.test(e.result) ? 'error' : ''}>{e.result}</td><td className="mono small">{e.requestId.slice(0, 8)}</td></tr>)}</tbody>
          </table>
          {q.hasNextPage && <div style={{ padding: 12 }}><Button onPress={() => void q.fetchNextPage()}>Older</Button></div>}
        </section>
      )}
    </>
  )
}
