/** The figures as a person reads them. */
import { spawnSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import { NGINX_BIN } from '../../fixtures/nginx-instance.ts'
import { BURST, type Figures } from './measure.ts'

/** What the figures were taken on. */
export function describeMachine(): string {
  const processors = cpus()
  const nginx = /nginx\/(\S+)/.exec(spawnSync(NGINX_BIN, ['-v']).stderr.toString())?.[1] ?? 'unknown'
  return [
    `date     ${new Date().toISOString()}`,
    `machine  ${processors.length} cores (${processors[0]?.model.trim()}), ${(totalmem() / 2 ** 30).toFixed(1)} GiB, kernel ${release()}`,
    `versions Node ${process.versions.node}, NGINX ${nginx}`,
  ].join('\n')
}

/** A column for each number of routes. */
export function describeFigures(all: readonly Figures[]): string {
  const row = (title: string, cell: (figures: Figures) => string) => [title, ...all.map(cell)]
  const steps = [...(all[0]?.steps.keys() ?? [])]
  return table([
    row('routes', ({ routes }) => String(routes)),
    row('floor: nginx -t, reload, old workers retired', ({ floor }) => inMs(floor)),
    row('changing PUT', ({ change }) => inMs(change)),
    row('  in floors', (figures) => changeRatio(figures).toFixed(2)),
    ...steps.map((step) => row(`  of which ${step}`, (figures) => inMs(figures.steps.get(step) ?? []))),
    row('unchanged PUT', ({ unchanged }) => inMs(unchanged)),
    row(`${BURST} concurrent PUTs`, ({ burst }) => inMs(burst)),
    row('  in floors', (figures) => burstRatio(figures).toFixed(2)),
    row('  generations used', ({ burstGenerations }) => String(median(burstGenerations))),
    row('  failed calls', ({ burstFailures }) => String(burstFailures)),
    row('GET /proxies', ({ list }) => inMs(list)),
    row('start until GET /proxies answers', ({ start }) => inMs(start)),
    row('resident memory after a start', ({ freshKib }) => inMib(freshKib)),
    row('resident memory at the end', ({ usedKib }) => inMib(usedKib)),
  ])
}

/** One line for each target: reached or missed, and by which figure. */
export function describeTargets(all: readonly Figures[]): string {
  const lines = all.flatMap((figures) => {
    const { routes, unchanged, unchangedReloads } = figures
    const limit = CHANGE_LIMITS.get(routes)
    const at = `at ${routes} ${routes === 1 ? 'route' : 'routes'}`
    return [
      ...(limit === undefined ? [] : [atMost(`a change ${at}`, changeRatio(figures), limit)]),
      atMost(`${BURST} concurrent PUTs ${at}`, burstRatio(figures), BURST_LIMIT),
      `${unchangedReloads === 0 ? 'reached' : 'MISSED '}  an unchanged PUT ${at} without NGINX: ${unchanged.length - unchangedReloads} of ${unchanged.length}`,
    ]
  })
  return lines.join('\n')
}

/** How many floors a change may take, by number of routes. */
const CHANGE_LIMITS: ReadonlyMap<number, number> = new Map([
  [1, 1.25],
  [1000, 1.15],
])
const BURST_LIMIT = 4

function atMost(what: string, ratio: number, limit: number): string {
  return `${ratio <= limit ? 'reached' : 'MISSED '}  ${what}: ${ratio.toFixed(2)} floors, at most ${limit}`
}

function changeRatio({ change, floor }: Figures): number {
  return median(change) / median(floor)
}

function burstRatio({ burst, burstFloor }: Figures): number {
  return median(burst) / median(burstFloor)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]]
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2
}

function inMs(values: readonly number[]): string {
  return `${median(values).toFixed(1)} ms`
}

function inMib(kib: number): string {
  return `${(kib / 1024).toFixed(0)} MiB`
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('   ')
  return rows.map(line).join('\n')
}
