/** Throughput of a proxied route, against a hand-tuned NGINX and against Caddy in front of the same upstream. */
import { type Contender, ECHO, OPEN, SECURE, startCaddyContender, startPair, startUpstream } from '../contenders.ts'
import { ECHO_CONNECTIONS, startEcho, takeRoundTrips } from '../echo.ts'
import { type Target as Asked, CONNECTIONS, type Protocol, STEADY_RATE, saturate, steady } from '../load.ts'
import { domainOf } from '../managed-host.ts'
import type { Options } from '../options.ts'
import { processorMs } from '../processor-time.ts'
import { isInstalled } from '../programs.ts'
import { type Findings, type Target, table } from '../report.ts'
import { median, medianRatio, percentile } from '../statistics.ts'
import { FEW_RUNS, inTurns } from '../turns.ts'
import { withUndo } from '../undo.ts'

/** One value for each round. */
interface Figures {
  readonly perSecond: number[]
  /** Processor time of only the proxy for each request, in microseconds. */
  readonly processorUs: number[]
  /** In microseconds; at a steady rate, or of the round trips. */
  readonly p50: number[]
  readonly p99: number[]
}

/** What is compared, and the figures of each contender in it. */
interface Discipline {
  readonly title: string
  /** The labels of the rate and the latencies. */
  readonly rate: string
  readonly latency: string
  readonly figures: ReadonlyMap<Contender, Figures>
  measure(contender: Contender, figures: Figures): Promise<void>
}

const TITLES: Readonly<Record<Protocol, string>> = { http: 'HTTP/1.1', https: 'HTTPS, HTTP/1.1', h2: 'HTTPS, HTTP/2' }
const PROTOCOLS = ['http', 'https', 'h2'] as const
/** The program that saturates the proxy; the steady load is always made by h2load. */
const PROGRAMS = { http: 'wrk', https: 'h2load', h2: 'h2load' } as const
/** All that is measured in a round takes about a minute. */
const LIMIT_MS = 360_000

export async function benchThroughput({ runs, buffering }: Options, stopped: AbortSignal): Promise<Findings> {
  return await withUndo(async (undo) => {
    const upstreams = { port: await startUpstream(undo), echoPort: await startEcho(undo) }
    const { host, ours, tuned } = await startPair(undo, upstreams, stopped, { buffering })
    const caddy = isInstalled('caddy') ? await startCaddyContender(undo, host, upstreams) : undefined
    const contenders = [ours, tuned, ...(caddy === undefined ? [] : [caddy])]
    const protocols = PROTOCOLS.filter((protocol) => isInstalled(PROGRAMS[protocol]))
    const disciplines = disciplinesFor(protocols, contenders, stopped)
    await inTurns(
      stopped,
      Math.min(runs, FEW_RUNS),
      async (run) => {
        process.stderr.write(`throughput: round ${run + 1} ...\n`)
        for (const { figures, measure } of disciplines)
          for (const [contender, own] of figures) await measure(contender, own)
      },
      LIMIT_MS,
    )
    return {
      tables: [...disciplines.map((discipline) => describe(discipline, { ours, tuned, caddy })), ...leftOut(caddy)],
      targets: disciplines.flatMap((discipline) => targetsOf(discipline, { ours, tuned, caddy })),
    }
  })
}

function disciplinesFor(
  protocols: readonly Protocol[],
  contenders: readonly Contender[],
  stopped: AbortSignal,
): Discipline[] {
  const noFigures = () =>
    new Map<Contender, Figures>(
      contenders.map((contender) => [contender, { perSecond: [], processorUs: [], p50: [], p99: [] }]),
    )
  return [
    ...protocols.map((protocol) => ({
      title: TITLES[protocol],
      rate: `requests a second, ${CONNECTIONS} connections`,
      latency: `latency at ${STEADY_RATE} a second`,
      figures: noFigures(),
      measure: (contender: Contender, figures: Figures) => takeRequests(protocol, contender, figures, stopped),
    })),
    {
      title: 'WebSocket',
      rate: `round trips a second, ${ECHO_CONNECTIONS} connections`,
      latency: 'a round trip',
      figures: noFigures(),
      measure: takeEchoes,
    },
  ]
}

/** A line for each part that could not be measured. */
function leftOut(caddy: Contender | undefined): string[] {
  const lines = [
    ...(caddy === undefined ? ['Caddy is left out, because caddy is missing'] : []),
    ...PROTOCOLS.filter((protocol) => !isInstalled(PROGRAMS[protocol])).map(
      (protocol) => `${TITLES[protocol]} is left out, because ${PROGRAMS[protocol]} is missing`,
    ),
  ]
  return lines.length === 0 ? [] : [lines.join('\n')]
}

async function takeRequests(protocol: Protocol, contender: Contender, figures: Figures, stopped: AbortSignal) {
  const scheme = protocol === 'http' ? 'http' : 'https'
  const domain = domainOf(scheme === 'http' ? OPEN : SECURE)
  const target: Asked = { protocol, domain, port: contender.portOf(scheme), path: '/' }
  const before = processorMs(contender.pids())
  const { perSecond, count } = await saturate(target, stopped)
  figures.perSecond.push(perSecond)
  figures.processorUs.push(((processorMs(contender.pids()) - before) * 1000) / count)
  if (!isInstalled('h2load')) return
  const latencies = await steady(target, stopped)
  figures.p50.push(percentile(latencies, 50))
  figures.p99.push(percentile(latencies, 99))
}

async function takeEchoes(contender: Contender, figures: Figures): Promise<void> {
  const [before, started] = [processorMs(contender.pids()), performance.now()]
  const trips = await takeRoundTrips(domainOf(ECHO), contender.portOf('http'))
  figures.perSecond.push((trips.length * 1000) / (performance.now() - started))
  figures.processorUs.push(((processorMs(contender.pids()) - before) * 1000) / trips.length)
  figures.p50.push(percentile(trips, 50))
  figures.p99.push(percentile(trips, 99))
}

interface Sides {
  readonly ours: Contender
  readonly tuned: Contender
  readonly caddy: Contender | undefined
}

/** A column for each contender, and for our ratio to each other one. */
function describe({ title, rate, latency, figures }: Discipline, { ours, tuned, caddy }: Sides): string {
  const others = caddy === undefined ? [tuned] : [tuned, caddy]
  const row = (name: string, unit: string, values: (figures: Figures) => readonly number[]) => {
    const own = (contender: Contender) => {
      const of = figures.get(contender)
      return of === undefined ? [] : values(of)
    }
    const cell = (contender: Contender) => `${median(own(contender)).toFixed(0)}${unit}`
    const ratio = (contender: Contender) => medianRatio(own(ours), own(contender)).toFixed(2)
    return [name, ...[ours, ...others].map(cell), ...others.map(ratio)]
  }
  const isLatencyKnown = [...figures.values()].every(({ p50 }) => p50.length > 0)
  return table([
    [title, ...[ours, ...others].map(({ name }) => name), ...others.map(({ name }) => `of ${name}`)],
    row(rate, '', ({ perSecond }) => perSecond),
    row("  the proxy's processor time for each", ' us', ({ processorUs }) => processorUs),
    ...(isLatencyKnown
      ? [row(`${latency}, median`, ' us', ({ p50 }) => p50), row('  99 of 100 at most', ' us', ({ p99 }) => p99)]
      : []),
  ])
}

function targetsOf({ title, figures }: Discipline, { ours, tuned, caddy }: Sides): Target[] {
  const ratioTo = (contender: Contender) =>
    medianRatio(figures.get(ours)?.perSecond ?? [], figures.get(contender)?.perSecond ?? [])
  const what = `${title}: the rate, of that of`
  return [
    { what: `${what} the tuned NGINX`, value: ratioTo(tuned), bound: 'at least', limit: 0.97, unit: 'times' },
    ...(caddy === undefined
      ? []
      : [{ what: `${what} Caddy`, value: ratioTo(caddy), bound: 'above', limit: 1, unit: 'times' } as const]),
  ]
}
