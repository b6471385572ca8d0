// uPlot behind one door: colours from the page's own variables, redrawn when the
// theme changes, with a table for those who do not see it.
import uPlot from 'uplot'
import { useEffect, useRef } from 'react'

// Okabe and Ito's palette, which people with any colour vision can tell apart;
// lines differ by dash as well.
const colours = [['#0072B2', '#56B4E9'], ['#D55E00', '#E69F00'], ['#009E73', '#2FC99B'], ['#CC79A7', '#E7A6CB'], ['#5c5f66', '#a4a9b3']]
const dashes = [[], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3]]

export interface Series { name: string; values: (number | null)[] }

export function Plot({ title, times, series, unit, events }: { title: string; times: number[]; series: Series[]; unit: string; events?: { at: number; text: string }[] }) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(undefined)
  const data = [times, ...series.map(s => s.values)] as uPlot.AlignedData
  const latest = useRef(data)
  latest.current = data
  const marks = useRef(events ?? [])
  marks.current = events ?? []
  const names = series.map(s => s.name).join('\n')

  useEffect(() => {
    const draw = () => {
      plot.current?.destroy()
      const style = getComputedStyle(document.documentElement)
      const probe = document.createElement('span')
      box.current!.append(probe)
      const colour = (v: string) => {
        probe.style.color = `var(${v})`
        return getComputedStyle(probe).color
      }
      const [text, line, page] = [colour('--muted'), colour('--line'), colour('--page')]
      probe.remove()
      void style
      const dark = Number(/\d+/.exec(page)?.[0] ?? 255) < 100
      const axis: uPlot.Axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: '12px system-ui' }
      plot.current = new uPlot({
        width: Math.max(240, box.current!.clientWidth), height: 180, cursor: { sync: { key: 'synod' } }, legend: { live: true },
        scales: { y: { range: (_u, min, max) => [Math.min(0, min ?? 0), Math.max(1, (max ?? 1) * 1.1)] } },
        axes: [axis, { ...axis, size: 56 }],
        series: [{}, ...names.split('\n').map((label, i) => ({ label, stroke: colours[i % 5]![dark ? 1 : 0], dash: dashes[i % 5], width: 1.5, value: (_: uPlot, v: number | null) => (v === null || v === undefined ? '–' : `${Math.round(v * 100) / 100} ${unit}`) }))],
        hooks: {
          draw: [u => {
            for (const e of marks.current) {
              const x = u.valToPos(e.at, 'x', true)
              if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue
              u.ctx.save()
              u.ctx.strokeStyle = text
              u.ctx.fillStyle = text
              u.ctx.setLineDash([4, 4])
              u.ctx.beginPath()
              u.ctx.moveTo(x, u.bbox.top)
              u.ctx.lineTo(x, u.bbox.top + u.bbox.height)
              u.ctx.stroke()
              u.ctx.fillText(e.text, x + 4, u.bbox.top + 12)
              u.ctx.restore()
            }
          }],
        },
      }, latest.current, box.current!)
    }
    draw()
    const resize = new ResizeObserver(() => {
      // It is told once more when the page is left and its box is gone.
      if (box.current) plot.current?.setSize({ width: Math.max(240, box.current.clientWidth), height: 180 })
    })
    resize.observe(box.current!)
    const dark = matchMedia('(prefers-color-scheme: dark)')
    dark.addEventListener('change', draw)
    return () => {
      resize.disconnect()
      dark.removeEventListener('change', draw)
      plot.current?.destroy()
    }
  }, [names, unit])
  useEffect(() => plot.current?.setData(latest.current), [times.length, times.at(-1)])

  return (
    <figure className="panel">
      <figcaption><h2>{title}</h2></figcaption>
      <div className="plot" ref={box} role="img" aria-label={`${title}: ${series.map(s => `${s.name} ${format(s.values.at(-1))} ${unit}`).join(', ')}`} />
      <details><summary>As a table</summary>
        <div className="table"><table><thead><tr><th>Time</th>{series.map(s => <th key={s.name} className="num">{s.name}, {unit}</th>)}</tr></thead>
          <tbody>{times.slice(-20).map((t, i) => <tr key={t}><td>{new Date(t * 1000).toLocaleTimeString()}</td>{series.map(s => <td key={s.name} className="num">{format(s.values.slice(-20)[i])}</td>)}</tr>)}</tbody></table></div>
      </details>
    </figure>
  )
}

const format = (v: number | null | undefined) => (v === null || v === undefined ? '–' : String(Math.round(v * 100) / 100))
