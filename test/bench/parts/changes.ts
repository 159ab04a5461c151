/** How long changes take, against NGINX's own time for them, and against a script that writes, tests and reloads. */
import { BURST, type ChangeFigures, measureChanges } from '../measure-changes.ts'
import type { Options } from '../options.ts'
import { countOf, type Findings, inMib, inMs, inPercent, type Target, table } from '../report.ts'
import { median } from '../statistics.ts'

/** A table for each scheme, with a column for each number of routes. */
export async function benchChanges({ routes, schemes, runs }: Options, stopped: AbortSignal): Promise<Findings> {
  const all: ChangeFigures[] = []
  for (const scheme of schemes) {
    for (const count of routes) {
      process.stderr.write(`changes: ${countOf(count)}, ${scheme} ...\n`)
      all.push(await measureChanges({ routes: count, scheme, runs }, stopped))
    }
  }
  return {
    tables: schemes.map((scheme) => describeFigures(all.filter((figures) => figures.scheme === scheme))),
    targets: all.flatMap(targetsOf),
  }
}

function describeFigures(all: readonly ChangeFigures[]): string {
  const row = (title: string, cell: (figures: ChangeFigures) => string) => [title, ...all.map(cell)]
  const steps = [...(all[0]?.steps.keys() ?? [])]
  return table([
    row('routes', ({ routes, scheme }) => `${routes} ${scheme}`),
    row('floor: nginx -t, reload, old workers retired', ({ floor }) => inMs(floor)),
    row('  of which nginx -t', ({ test }) => inMs(test)),
    row('changing PUT', ({ change }) => inMs(change)),
    row('  in floors', ({ change, floor }) => inFloors(change, floor).toFixed(2)),
    ...steps.map((step) => row(`  of which ${step}`, (figures) => inMs(figures.steps.get(step) ?? []))),
    row('  fresh connections that see the old state', ({ changeOld }) => inPercent(changeOld)),
    row('  the first one after a hand edit', ({ changeAfterEdit }) => inMs(changeAfterEdit)),
    row('unchanged PUT', ({ unchanged }) => inMs(unchanged)),
    row('a script: write, nginx -t, nginx -s reload', ({ plain }) => inMs(plain)),
    row('  fresh connections that see the old state', ({ plainOld }) => inPercent(plainOld)),
    row('  until old workers are retired', ({ plainServed }) => inMs(plainServed)),
    row(`${BURST} concurrent PUTs`, ({ burst }) => inMs(burst)),
    row('  in floors', ({ burst, burstFloor }) => inFloors(burst, burstFloor).toFixed(2)),
    row('  generations used', ({ burstGenerations }) => String(median(burstGenerations))),
    row('  failed calls', ({ burstFailures }) => String(burstFailures)),
    row('GET /proxies', ({ list }) => inMs(list)),
    row('start until GET /proxies answers', ({ start }) => inMs(start)),
    row('resident memory after a start', ({ freshKib }) => inMib(freshKib)),
    row('resident memory at the end', ({ usedKib }) => inMib(usedKib)),
  ])
}

/** The targets; some apply only to a certain number of routes. */
function targetsOf(figures: ChangeFigures): Target[] {
  const { routes, scheme, change, floor, changeOld, unchangedReloads, burst, burstFloor, burstFailures } = figures
  const at = `at ${countOf(routes)}, ${scheme}`
  const few: Target[] = [
    { what: `a change ${at}`, value: inFloors(change, floor), bound: 'at most', limit: 1.25, unit: 'floors' },
  ]
  const many: Target[] = [
    { what: `a change ${at}`, value: inFloors(change, floor), bound: 'at most', limit: 1.15, unit: 'floors' },
  ]
  const thousand: Target[] = [
    { what: `GET /proxies ${at}`, value: median(figures.list), bound: 'at most', limit: 10, unit: 'ms' },
    { what: `start to ready ${at}`, value: median(figures.start), bound: 'at most', limit: 600, unit: 'ms' },
    {
      what: `${BURST} concurrent PUTs ${at}`,
      value: inFloors(burst, burstFloor),
      bound: 'at most',
      limit: 4,
      unit: 'floors',
    },
    { what: `resident after a start ${at}`, value: figures.freshKib / 1024, bound: 'at most', limit: 120, unit: 'MiB' },
    { what: `resident at the end ${at}`, value: figures.usedKib / 1024, bound: 'at most', limit: 120, unit: 'MiB' },
  ]
  const secure: Target[] = [{ what: `a change ${at}`, value: median(change), bound: 'below', limit: 1000, unit: 'ms' }]
  return [
    ...(routes === 1 ? few : []),
    ...(routes >= 100 ? many : []),
    ...(routes === 1000 ? thousand : []),
    ...(routes === 1000 && scheme === 'https' ? secure : []),
    {
      what: `fresh connections after a change ${at} that see the old state`,
      value: Math.max(...changeOld) * 100,
      bound: 'at most',
      limit: 0,
      unit: '%',
    },
    { what: `unchanged PUTs ${at} that reload`, value: unchangedReloads, bound: 'at most', limit: 0, unit: 'calls' },
    {
      what: `failed calls of ${BURST} concurrent PUTs ${at}`,
      value: burstFailures,
      bound: 'at most',
      limit: 0,
      unit: 'calls',
    },
  ]
}

/** The quotient of the medians. */
function inFloors(values: readonly number[], floors: readonly number[]): number {
  return median(values) / median(floors)
}
