/** Changes of routes, single and concurrent, against Caddy's admin API. */
import { startDroplet } from '../../../fixtures/droplet.ts'
import { type Changer, startOurs, startTheirs } from '../changers.ts'
import { shareOfOld } from '../fresh-connections.ts'
import { domainOf } from '../managed-host.ts'
import type { Options } from '../options.ts'
import { countOf, type Findings, inMs, inPercent, type Target, table } from '../report.ts'
import { median } from '../statistics.ts'
import { allAtOnce, FEW_RUNS, inTurns, timed } from '../turns.ts'
import { withUndo } from '../undo.ts'

/** The numbers of concurrent changes. */
const BURSTS = [100, 400] as const
/** A burst may take Caddy half a minute: at most this many, and no new one after this time. */
const BURST_RUNS = 3
const BURST_LIMIT_MS = 30_000

interface Burst {
  /** Milliseconds until the last call was answered. */
  readonly ms: number[]
  /** Failed calls, and successful ones without an effect. */
  failed: number
  lost: number
}

interface Side {
  readonly changer: Changer
  readonly change: number[]
  /** Of fresh connections right after the answer, the share that saw the previous state. */
  readonly old: number[]
  readonly bursts: ReadonlyMap<number, Burst>
}

interface Comparison {
  readonly routes: number
  readonly ours: Side
  readonly theirs: Side
}

export async function benchCaddy({ routes, runs }: Options, stopped: AbortSignal): Promise<Findings> {
  const all: Comparison[] = []
  for (const count of routes) {
    process.stderr.write(`caddy: ${countOf(count)} ...\n`)
    all.push(await compare(count, Math.min(runs, FEW_RUNS), stopped))
  }
  return { tables: [describe(all)], targets: all.flatMap(targetsOf) }
}

async function compare(routes: number, runs: number, stopped: AbortSignal): Promise<Comparison> {
  return await withUndo(async (undo) => {
    const droplets = [await startDroplet('one'), await startDroplet('two')] as const
    for (const droplet of droplets) undo.push(() => droplet.close())
    const start = { routes, upstreamPort: droplets[0].port }
    const ours = sideOf(await startOurs(undo, start, stopped))
    const theirs = sideOf(await startTheirs(undo, start))
    const sides = [ours, theirs] as const
    // The first round does not count: code is compiled, caches are filled.
    for (const { changer } of sides) await changer.change('bench-0', droplets[1].port)
    await inTurns(stopped, runs, async (run) => {
      const { port, name } = droplets[run % 2 === 0 ? 0 : 1]
      for (const { changer, change, old } of sides) {
        const [ms] = await timed(() => changer.change('bench-0', port))
        change.push(ms)
        old.push(await shareOfOld({ scheme: 'http', port: changer.port, domain: domainOf('bench-0') }, name))
      }
    })
    for (const size of BURSTS) {
      const job = async () => {
        for (const side of sides) await takeBurst(side, size, droplets[0].port)
      }
      await inTurns(stopped, Math.min(runs, BURST_RUNS), job, BURST_LIMIT_MS)
    }
    return { routes, ours, theirs }
  })
}

function sideOf(changer: Changer): Side {
  const bursts = new Map(BURSTS.map((size) => [size, { ms: [], failed: 0, lost: 0 }]))
  return { changer, change: [], old: [], bursts }
}

/** Creates routes concurrently, and removes them again. */
async function takeBurst({ changer, bursts }: Side, size: number, upstreamPort: number): Promise<void> {
  const burst = bursts.get(size)
  if (burst === undefined) throw new Error(`no burst of ${size}`)
  const before = await changer.count()
  const names = Array.from({ length: size }, (_, i) => `burst-${i}`)
  const [ms, succeeded] = await timed(() =>
    allAtOnce(size, (i) =>
      changer.add(names[i] ?? '', upstreamPort).then(
        () => true,
        () => false,
      ),
    ),
  )
  const done = succeeded.filter((success) => success).length
  burst.ms.push(ms)
  burst.failed += size - done
  burst.lost += Math.max(0, before + done - (await changer.count()))
  await changer.removeAdded(names)
}

function describe(all: readonly Comparison[]): string {
  const rows = (side: (comparison: Comparison) => Side): string[][] => {
    const name = all[0] === undefined ? '' : side(all[0]).changer.name
    const row = (title: string, cell: (side: Side) => string) => [title, ...all.map((one) => cell(side(one)))]
    return [
      row(`${name}: one change`, ({ change }) => inMs(change)),
      row('  fresh connections that see the old state', ({ old }) => inPercent(old)),
      ...BURSTS.flatMap((size) => [
        row(`  ${size} concurrent changes`, ({ bursts }) => inMs(bursts.get(size)?.ms ?? [], 0)),
        row('    failed calls', ({ bursts }) => failuresOf(bursts.get(size), size)),
      ]),
    ]
  }
  const head = ['routes', ...all.map(({ routes }) => `${routes} http`)]
  const ratios = BURSTS.map((size) => [
    `${size} concurrent changes: the time of Caddy's`,
    ...all.map((comparison) => ratioOf(comparison, size).toFixed(2)),
  ])
  return table([head, ...rows(({ ours }) => ours), ...rows(({ theirs }) => theirs), ...ratios])
}

/** Of all runs together, with the acknowledged changes that were lost, if any. */
function failuresOf(burst: Burst | undefined, size: number): string {
  if (burst === undefined) return '-'
  const lost = burst.lost === 0 ? '' : `, ${burst.lost} lost`
  return `${burst.failed} of ${burst.ms.length * size}${lost}`
}

/** Being faster than Caddy is a target only with many routes: Caddy loads all of them for each change. */
const MANY_ROUTES = 1000

function targetsOf(comparison: Comparison): Target[] {
  const { routes, ours } = comparison
  return BURSTS.flatMap((size): Target[] => {
    const calls = `${size} concurrent changes at ${countOf(routes)}`
    const value = ratioOf(comparison, size)
    const { failed, lost } = ours.bursts.get(size) ?? { failed: Number.NaN, lost: Number.NaN }
    return [
      ...(routes < MANY_ROUTES
        ? []
        : [{ what: `${calls}: the time of Caddy's`, value, bound: 'below', limit: 1, unit: 'times' } as const]),
      { what: `${calls}: failed or lost`, value: failed + lost, bound: 'at most', limit: 0, unit: 'calls' },
    ]
  })
}

function ratioOf({ ours, theirs }: Comparison, size: number): number {
  return median(ours.bursts.get(size)?.ms ?? []) / median(theirs.bursts.get(size)?.ms ?? [])
}
