// The event stream of this tab: what changed is read again.
import { QueryClient } from '@tanstack/react-query'
import { useSyncExternalStore } from 'react'
import { Problem } from '../api/http'

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2000,
      retry: (n, e) => n < 2 && !(e instanceof Problem && e.status >= 400 && e.status < 500),
      refetchOnWindowFocus: true,
    },
  },
})

let lostAt = 0 // when the stream was lost; 0 while it is there
let heardAt = Date.now()
const listeners = new Set<() => void>()

function set(at: number) {
  if (lostAt === at) return
  lostAt = at
  listeners.forEach(l => l())
}

export function useLostAt(): number {
  return useSyncExternalStore(l => {
    listeners.add(l)
    return () => listeners.delete(l)
  }, () => lostAt)
}

// SILENCE_MAX is how long a stream may say nothing, in milliseconds: the server
// pings each 15 s, and what lies between may hold a connection that leads nowhere.
const SILENCE_MAX = 40_000

setInterval(() => {
  if (!stream || Date.now() - heardAt < SILENCE_MAX) return
  heardAt = Date.now()
  set(lostAt || Date.now())
  stream.close()
  listen()
}, 5000)

let stream: EventSource | undefined
let timer: ReturnType<typeof setTimeout> | undefined

export function listen() {
  if (stream && stream.readyState !== EventSource.CLOSED) return
  stream = new EventSource('/portal/v1/events')
  stream.addEventListener('resync', () => {
    heardAt = Date.now()
    set(0)
    void queries.invalidateQueries()
  })
  stream.addEventListener('ping', () => {
    heardAt = Date.now()
  })
  stream.onmessage = e => {
    heardAt = Date.now()
    const { kind, network, operation } = JSON.parse(e.data) as { kind: string; network?: string; operation?: string }
    if (kind === 'all') return void queries.invalidateQueries()
    if (kind === 'audit') return void queries.invalidateQueries({ queryKey: ['activity'] })
    void queries.invalidateQueries({ queryKey: ['summary'] })
    if (network) void queries.invalidateQueries({ queryKey: ['network', network.toLowerCase()] })
    if (operation) void queries.invalidateQueries({ queryKey: ['operation', operation] })
  }
  stream.onerror = () => {
    set(lostAt || Date.now())
    if (stream?.readyState === EventSource.CLOSED) {
      clearTimeout(timer)
      timer = setTimeout(listen, 1500) // the server refused or the session ended: ask again
    }
  }
}

export function hush() {
  clearTimeout(timer)
  stream?.close()
  stream = undefined
  set(0)
}
