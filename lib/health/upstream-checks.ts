/** The health checks of the upstreams of all routes, all the time. They are kept in memory, and change nothing. */
import { limiter } from '../adapters/disk/limiter.ts'
import { ProxyManagerError, stopping } from '../errors.ts'
import type { Host } from '../host/host.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { attemptsOf, type CheckedUpstream, probeUpstream } from '../upstream/health-check.ts'
import { servedAddresses } from '../upstream/resolve.ts'
import {
  isWatched,
  type Target,
  type UpstreamTurn,
  type Watched,
  type WatchedUpstreams,
  watchedUpstreams,
} from './watched-upstreams.ts'

export interface UpstreamChecks extends Pick<WatchedUpstreams, 'historyOf' | 'historiesOf' | 'move' | 'forget'> {
  /** Starts the checks that are due, and forgets what is not among these routes; waits for nothing. */
  startDue(routes: Iterable<SnapshotRoute>): void
  /**
   * Checks each upstream of a route now; of one in maintenance, too. Answers the first failure of those that are no backups, with the attempts of all.
   * @throws {ProxyManagerError} INVALID_REQUEST if the route only redirects; BUSY if the process stops; CONFIG_READ_FAILED
   */
  check(route: SnapshotRoute): Promise<CheckedUpstream>
  /** Notes the checks that a change made before it was applied. */
  noteChange(route: SnapshotRoute, checks: readonly CheckedUpstream[]): void
  /** No further check begins, and those that run end soon: the process stops. */
  end(): void
}

const AT_ONCE = 16
const OF_UPSTREAM: readonly string[] = ['UPSTREAM_UNRESOLVABLE', 'UPSTREAM_FORBIDDEN']
/** The fractional parts of its multiples are spread evenly, however many there are. */
const GOLDEN_RATIO = 0.618033988749895

/** Makes the checks of one process; `onTurn` must not throw. */
export function upstreamChecks(host: Host, onTurn: (turn: UpstreamTurn) => void): UpstreamChecks {
  const { clock } = host
  const intervalMs = host.settings.HEALTH_CHECK_INTERVAL_S * 1000
  const { targetsOf, find, watch, keepOnly, keepOnlyOf, note, ...watched } = watchedUpstreams(host, onTurn)
  const asker = upstreamAsker(host)
  const askInTurn = async (name: string, target: Target, one: Watched): Promise<void> => {
    one.isAsked = true
    try {
      const checked = await asker.inTurn(target)
      host.metrics.upstreamCheck(checked.ms)
      note(name, target, one, checked)
    } catch {
      // This host cannot be read, as health says, or the process stops.
    } finally {
      one.isAsked = false
    }
  }
  let intervals = 0
  /** 0.9 to 1.1 intervals: checks that are due together do not stay together. */
  const nextMs = () => intervalMs * (0.9 + 0.2 * ((++intervals * GOLDEN_RATIO) % 1))

  return {
    ...watched,
    startDue: (routes) => {
      const nowMs = clock.monotonicMs()
      const targets = new Map(
        [...routes].flatMap((route) =>
          isWatched(route) ? [[route.record.droplet_name, targetsOf(route)] as const] : [],
        ),
      )
      keepOnly(targets)
      const asked = [...targets].flatMap(([name, own]) => own.map((target) => ({ name, target })))
      const added = asked.filter(({ name, target }) => find(name, target) === undefined)
      for (const [i, { name, target }] of added.entries()) watch(name, target, nowMs + (intervalMs * i) / added.length)
      for (const { name, target } of asked) {
        const one = watch(name, target, nowMs)
        if (one.isAsked || one.dueMs > nowMs) continue
        one.dueMs = Math.max(one.dueMs + nextMs(), nowMs)
        void askInTurn(name, target, one)
      }
    },
    check: checkNow(host, { targetsOf, watch, note }, asker.now),
    noteChange: (route, checks) => {
      const { droplet_name: name } = route.record
      const targets = isWatched(route) ? targetsOf(route) : []
      keepOnlyOf(name, targets)
      for (const target of targets) {
        const check = checks.find(({ upstream }) => upstream === target.upstream.url)
        if (check === undefined) continue
        const one = watch(name, target, 0)
        one.dueMs = clock.monotonicMs() + nextMs()
        note(name, target, one, check, true)
      }
    },
    end: asker.end,
  }
}

/** Makes the checks for callers. */
function checkNow(
  { clock }: Pick<Host, 'clock'>,
  { targetsOf, watch, note }: Pick<WatchedUpstreams, 'targetsOf' | 'watch' | 'note'>,
  ask: (target: Target) => Promise<CheckedUpstream>,
): UpstreamChecks['check'] {
  return async (route) => {
    const targets = targetsOf(route)
    const { droplet_name: name } = route.record
    const checked = await Promise.all(
      targets.map(async (target) => {
        const one = isWatched(route) ? watch(name, target, clock.monotonicMs()) : undefined
        const found = await ask(target)
        if (one !== undefined) note(name, target, one, found)
        return found
      }),
    )
    const inUse = checked.filter((_, i) => targets[i]?.upstream.backup === false)
    const worst = inUse.find(({ failure }) => failure !== null) ?? inUse[0]
    if (worst === undefined) throw nothingToCheck()
    return { ...worst, ms: Math.max(...inUse.map(({ ms }) => ms)), attempts: attemptsOf(checked) }
  }
}

/** Asks at most 16 upstreams at once, those of callers first. After `end` it throws BUSY. */
function upstreamAsker(host: Host) {
  // Not the limit of descriptors: no change waits for a check.
  const places = limiter(AT_ONCE)
  const closing = new AbortController()
  const ask = async (target: Target): Promise<CheckedUpstream> => {
    if (closing.signal.aborted) throw stopping()
    const checked = await askUpstream(host, target, closing.signal)
    if (closing.signal.aborted) throw stopping()
    return checked
  }
  return {
    now: (target: Target) => places.quick(() => ask(target)),
    inTurn: (target: Target) => places.slow(() => ask(target)),
    end: () => closing.abort(),
  }
}

/** @throws {ProxyManagerError} CONFIG_READ_FAILED */
async function askUpstream(
  host: Host,
  { upstream, path, resolvers }: Target,
  signal: AbortSignal,
): Promise<CheckedUpstream> {
  const { clock } = host
  const startedMs = clock.monotonicMs()
  const ended = () => ({ atMs: clock.nowMs(), ms: Math.round(clock.monotonicMs() - startedMs) })
  try {
    const served = await servedAddresses(host, upstream, { addresses: upstream.addresses, resolvers })
    return { ...(await probeUpstream(host, upstream, path, served, signal)), ...ended() }
  } catch (error) {
    if (!(error instanceof ProxyManagerError) || !OF_UPSTREAM.includes(error.code)) throw error
    return { upstream: upstream.url, ...ended(), failure: error.code, attempts: [] }
  }
}

function nothingToCheck(): ProxyManagerError {
  const issues = [{ path: 'droplet_name', message: 'is a route that only redirects: it has no upstream to check' }]
  return new ProxyManagerError('INVALID_REQUEST', { details: { issues } })
}
