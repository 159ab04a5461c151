/** The health checks of the upstreams of all routes, all the time. They are kept in memory, and change nothing. */
import { limiter } from '../adapters/disk/limiter.ts'
import { ProxyManagerError, stopping } from '../errors.ts'
import type { Host } from '../host/host.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { type Attempt, probeUpstream } from '../upstream/health-check.ts'
import type { HealthCheck } from '../upstream/health-history.ts'
import { servedAddresses } from '../upstream/resolve.ts'
import {
  isWatched,
  type Target,
  type UpstreamTurn,
  type Watched,
  type WatchedUpstreams,
  watchedUpstreams,
} from './watched-upstreams.ts'

/** One check, with every address that was asked. */
export interface CheckedUpstream extends HealthCheck {
  readonly upstream: string
  readonly attempts: readonly Attempt[]
}

export interface UpstreamChecks extends Pick<WatchedUpstreams, 'historyOf' | 'move' | 'forget'> {
  /** Starts the checks that are due, and forgets what is not among these routes; waits for nothing. */
  startDue(routes: Iterable<SnapshotRoute>): void
  /**
   * Checks the upstream of a route now; of one in maintenance, too.
   * @throws {ProxyManagerError} INVALID_REQUEST if the route only redirects; BUSY if the process stops; CONFIG_READ_FAILED
   */
  check(route: SnapshotRoute): Promise<CheckedUpstream>
  /** Notes the check that a change made before it was applied. */
  noteChange(route: SnapshotRoute, check: HealthCheck): void
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
  const { targetOf, find, watch, keepOnly, note, ...watched } = watchedUpstreams(host, onTurn)
  const asker = upstreamAsker(host)
  const askInTurn = async (route: SnapshotRoute, target: Target, one: Watched): Promise<void> => {
    one.isAsked = true
    try {
      const checked = await asker.inTurn(route, target)
      host.metrics.upstreamCheck(checked.ms)
      note(route.record.droplet_name, target, one, checked)
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
      const asked = [...routes].flatMap((route) => {
        const target = isWatched(route) ? targetOf(route) : undefined
        return target === undefined ? [] : [{ route, target, name: route.record.droplet_name }]
      })
      keepOnly(new Set(asked.map(({ name }) => name)))
      const added = asked.filter(({ name, target }) => find(name, target) === undefined)
      for (const [i, { name, target }] of added.entries()) watch(name, target, nowMs + (intervalMs * i) / added.length)
      for (const { route, target, name } of asked) {
        const one = watch(name, target, nowMs)
        if (one.isAsked || one.dueMs > nowMs) continue
        one.dueMs = Math.max(one.dueMs + nextMs(), nowMs)
        void askInTurn(route, target, one)
      }
    },
    check: async (route) => {
      const target = targetOf(route)
      if (target === undefined) throw nothingToCheck()
      const { droplet_name: name } = route.record
      const one = isWatched(route) ? watch(name, target, clock.monotonicMs()) : undefined
      const checked = await asker.now(route, target)
      if (one !== undefined) note(name, target, one, checked)
      return checked
    },
    noteChange: (route, check) => {
      const target = isWatched(route) ? targetOf(route) : undefined
      if (target === undefined) return
      const { droplet_name: name } = route.record
      const one = watch(name, target, 0)
      one.dueMs = clock.monotonicMs() + nextMs()
      note(name, target, one, check, true)
    },
    end: asker.end,
  }
}

/** Asks at most 16 upstreams at once, those of callers first. After `end` it throws BUSY. */
function upstreamAsker(host: Host) {
  // Not the limit of descriptors: no change waits for a check.
  const places = limiter(AT_ONCE)
  const closing = new AbortController()
  const ask = async (route: SnapshotRoute, target: Target): Promise<CheckedUpstream> => {
    if (closing.signal.aborted) throw stopping()
    const checked = await askUpstream(host, route, target, closing.signal)
    if (closing.signal.aborted) throw stopping()
    return checked
  }
  return {
    now: (route: SnapshotRoute, target: Target) => places.quick(() => ask(route, target)),
    inTurn: (route: SnapshotRoute, target: Target) => places.slow(() => ask(route, target)),
    end: () => closing.abort(),
  }
}

/** @throws {ProxyManagerError} CONFIG_READ_FAILED */
async function askUpstream(
  host: Host,
  { record }: SnapshotRoute,
  { upstream, path }: Target,
  signal: AbortSignal,
): Promise<CheckedUpstream> {
  const { clock } = host
  const startedMs = clock.monotonicMs()
  const result = (failure: string | null, attempts: readonly Attempt[]): CheckedUpstream => {
    const ms = Math.round(clock.monotonicMs() - startedMs)
    return { upstream: upstream.url, atMs: clock.nowMs(), ms, failure, attempts }
  }
  const { upstream_addresses: addresses, resolvers } = record
  try {
    const served = await servedAddresses(host, upstream, { addresses, resolvers })
    const { status, attempts } = await probeUpstream(host, upstream, path, served, signal)
    return result(status === 'healthy' ? null : failureOf(attempts.at(-1)), attempts)
  } catch (error) {
    if (!(error instanceof ProxyManagerError) || !OF_UPSTREAM.includes(error.code)) throw error
    return result(error.code, [])
  }
}

/** There always is an attempt: an upstream has an address, or was not asked. */
function failureOf(attempt: Attempt | undefined): string {
  if (attempt !== undefined && 'status' in attempt) return `HTTP ${attempt.status}`
  return attempt?.failure ?? 'BROKEN'
}

function nothingToCheck(): ProxyManagerError {
  const issues = [{ path: 'droplet_name', message: 'is a route that only redirects: it has no upstream to check' }]
  return new ProxyManagerError('INVALID_REQUEST', { details: { issues } })
}
