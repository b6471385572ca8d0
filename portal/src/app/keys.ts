// Keyboard: two-letter walks and single letters, off in text fields and when
// switched off (WCAG 2.1.4).
import { useEffect } from 'react'

export const shortcuts: [string, string][] = [
  ['Ctrl+K', 'find anything'], ['g n', 'networks'], ['g p', 'proposals'], ['g l', 'ledger'], ['g m', 'metrics'], ['g v', 'verify'],
  ['g a', 'activity'], ['g k', 'keys'], ['/', 'filter'], ['j, k', 'next and previous row'], ['Enter', 'open'], ['c', 'create'], ['r', 'read again'],
  ['>', 'show the command line'], ['?', 'this list'], ['Esc', 'close'],
]

export const lettersOn = () => localStorage.getItem('letters') !== 'off'

export function useKeys(act: (keys: string, e: KeyboardEvent) => void) {
  useEffect(() => {
    let before = ''
    let at = 0
    const on = (e: KeyboardEvent) => {
      if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') {
        e.preventDefault()
        return act('palette', e)
      }
      const t = e.target as HTMLElement
      if (e.ctrlKey || e.metaKey || e.altKey || t.closest('input, textarea, select, [contenteditable], [role=dialog]') || !lettersOn()) return
      const keys = before === 'g' && Date.now() - at < 1500 ? `g ${e.key}` : e.key
      before = e.key
      at = Date.now()
      act(keys, e)
    }
    addEventListener('keydown', on)
    return () => removeEventListener('keydown', on)
  })
}

// moveRow focuses the next or previous link of the page's first list of rows.
export function moveRow(step: 1 | -1) {
  const rows = [...document.querySelectorAll<HTMLElement>('main [data-row]')]
  if (!rows.length) return
  const i = rows.findIndex(r => r === document.activeElement || r.contains(document.activeElement))
  rows[Math.max(0, Math.min(rows.length - 1, i + step))]?.focus()
}
