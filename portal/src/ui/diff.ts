// Differences of texts by lines: the longest common subsequence within bounds,
// beyond which all of the middle counts as replaced.

export interface Line { kind: '+' | '-' | ' '; text: string }

const CELLS_MAX = 4_000_000

export function diffLines(before: string, after: string): Line[] {
  const a = before ? before.split('\n') : []
  const b = after ? after.split('\n') : []
  let head = 0
  while (head < a.length && head < b.length && a[head] === b[head]) head++
  let tail = 0
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++
  const x = a.slice(head, a.length - tail)
  const y = b.slice(head, b.length - tail)
  const out: Line[] = a.slice(0, head).map(text => ({ kind: ' ', text }))
  if (x.length * y.length > CELLS_MAX) {
    out.push(...x.map(text => ({ kind: '-' as const, text })), ...y.map(text => ({ kind: '+' as const, text })))
  } else {
    out.push(...middle(x, y))
  }
  return out.concat(b.slice(b.length - tail).map(text => ({ kind: ' ' as const, text })))
}

function middle(x: string[], y: string[]): Line[] {
  const w = y.length + 1
  const length = new Uint32Array((x.length + 1) * w)
  for (let i = x.length - 1; i >= 0; i--) {
    for (let j = y.length - 1; j >= 0; j--) {
      length[i * w + j] = x[i] === y[j] ? length[(i + 1) * w + j + 1]! + 1 : Math.max(length[(i + 1) * w + j]!, length[i * w + j + 1]!)
    }
  }
  const out: Line[] = []
  let i = 0
  let j = 0
  while (i < x.length || j < y.length) {
    if (i < x.length && j < y.length && x[i] === y[j]) {
      out.push({ kind: ' ', text: x[i++]! })
      j++
    } else if (i < x.length && (j === y.length || length[(i + 1) * w + j]! >= length[i * w + j + 1]!)) {
      out.push({ kind: '-', text: x[i++]! })
    } else {
      out.push({ kind: '+', text: y[j++]! })
    }
  }
  return out
}

// fold leaves out what is far from any change.
export function fold(lines: Line[], around = 3): (Line | { kind: '…'; text: string })[] {
  const keep = lines.map(() => false)
  lines.forEach((l, i) => {
    if (l.kind !== ' ') for (let j = Math.max(0, i - around); j <= Math.min(lines.length - 1, i + around); j++) keep[j] = true
  })
  const out: (Line | { kind: '…'; text: string })[] = []
  let skipped = 0
  lines.forEach((l, i) => {
    if (keep[i]) {
      if (skipped) out.push({ kind: '…', text: `${skipped} equal lines` })
      skipped = 0
      out.push(l)
    } else skipped++
  })
  if (skipped && out.length) out.push({ kind: '…', text: `${skipped} equal lines` })
  return out
}
