/** What the health checks of upstreams cost: processor time of the API while nothing else happens, with them and without. */
import { setTimeout } from 'node:timers/promises'
import { startEcho } from '../echo.ts'
import { createRoutes, startHost } from '../managed-host.ts'
import type { Options } from '../options.ts'
import { processorMs } from '../processor-time.ts'
import { type Findings, table } from '../report.ts'
import { withUndo } from '../undo.ts'

const INTERVAL_S = 15
/** Two checks of each upstream, after a first one, which compiles code. */
const MEASURED_MS = 2 * INTERVAL_S * 1000

interface CheckFigures {
  readonly routes: number
  /** Shares of one core. */
  readonly withChecks: number
  readonly without: number
}

/** A column for each number of routes. */
export async function benchChecks({ routes }: Options, stopped: AbortSignal): Promise<Findings> {
  const all: CheckFigures[] = []
  for (const count of routes) {
    process.stderr.write(`checks: ${count} routes ...\n`)
    all.push(await measureChecks(count, stopped))
  }
  const row = (title: string, share: (figures: CheckFigures) => number) => [
    title,
    ...all.map((figures) => `${(share(figures) * 100).toFixed(1)} %`),
  ]
  return {
    tables: [
      table([
        ['routes', ...all.map((figures) => String(figures.routes))],
        row(`of one core, each upstream checked every ${INTERVAL_S} s`, ({ withChecks }) => withChecks),
        row('of one core, no checks', ({ without }) => without),
      ]),
    ],
    targets: all
      .filter((figures) => figures.routes === 1000)
      .map(({ withChecks, without }) => ({
        what: 'one core for the checks of 1000 upstreams',
        value: (withChecks - without) * 100,
        bound: 'below',
        limit: 10,
        unit: '%',
      })),
  }
}

async function measureChecks(routes: number, stopped: AbortSignal): Promise<CheckFigures> {
  return await withUndo(async (undo) => {
    const upstreamPort = await startEcho(undo)
    const host = await startHost(undo, stopped)
    await createRoutes(host, { routes, upstreamPort, scheme: 'http', stopped })
    const shareWith = async (intervalS: number): Promise<number> => {
      await host.restart({ HEALTH_CHECK_INTERVAL_S: String(intervalS) })
      await setTimeout((INTERVAL_S + 1) * 1000, undefined, { signal: stopped })
      const before = processorMs([host.pid])
      const started = performance.now()
      await setTimeout(MEASURED_MS, undefined, { signal: stopped })
      return (processorMs([host.pid]) - before) / (performance.now() - started)
    }
    return { routes, withChecks: await shareWith(INTERVAL_S), without: await shareWith(0) }
  })
}
