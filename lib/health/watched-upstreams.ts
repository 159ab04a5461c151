/** What is known of the upstreams that are checked: one history for each route, begun again once the route has another upstream. */
import type { Host } from '../host/host.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { type HealthCheck, type HealthHistory, NO_CHECKS, noteCheck } from '../upstream/health-history.ts'
import { type Upstream, upstreamOf } from '../upstream/upstream.ts'

/** An upstream that has become unhealthy, or healthy again. */
export interface UpstreamTurn {
  readonly type: 'upstream.up' | 'upstream.down'
  readonly dropletName: string
  readonly upstream: string
  /** Why the last check failed; null if it did not. */
  readonly failure: string | null
}

/** What is asked for a route. */
export interface Target {
  readonly upstream: Upstream
  readonly path: string
  /** Two targets with the same key are one. */
  readonly key: string
}

export interface Watched {
  readonly key: string
  readonly history: HealthHistory
  /** When the next check is due, on the monotonic clock. */
  dueMs: number
  isAsked: boolean
}

export interface WatchedUpstreams {
  /** What is asked for a route; `undefined` if it only redirects. */
  targetOf(route: SnapshotRoute): Target | undefined
  /** What is known of this target of a droplet; `undefined` if nothing is. */
  find(dropletName: string, target: Target): Watched | undefined
  /** The same, or a new one that is due at this time. */
  watch(dropletName: string, target: Target, dueMs: number): Watched
  /** Forgets all other droplets. */
  keepOnly(dropletNames: ReadonlySet<string>): void
  /** Adds a check, unless the route was changed or deleted meanwhile, or it shows nothing. A decisive one as in {@link noteCheck}. */
  note(dropletName: string, target: Target, one: Watched, check: HealthCheck, isDecisive?: boolean): void
  /** The same object until there is another check. */
  historyOf(route: SnapshotRoute): HealthHistory
  /** A route has another name now. */
  move(dropletName: string, newName: string): void
  forget(dropletName: string): void
}

/** Failures of this process rather than of an upstream. */
const OWN_FAILURES = ['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS']

/** Makes the memory of one process. `onTurn` must not throw. */
export function watchedUpstreams(
  { settings }: Pick<Host, 'settings'>,
  onTurn: (turn: UpstreamTurn) => void,
): WatchedUpstreams {
  const watched = new Map<string, { -readonly [K in keyof Watched]: Watched[K] }>()
  const targetOf = targetReader(settings.HEALTH_CHECK_PATH)
  const find: WatchedUpstreams['find'] = (dropletName, { key }) => {
    const known = watched.get(dropletName)
    return known?.key === key ? known : undefined
  }
  return {
    targetOf,
    find,
    watch: (dropletName, target, dueMs) => {
      const known = find(dropletName, target)
      if (known !== undefined) return known
      const added = { key: target.key, history: NO_CHECKS, dueMs, isAsked: false }
      watched.set(dropletName, added)
      return added
    },
    keepOnly: (dropletNames) => {
      for (const name of watched.keys()) if (!dropletNames.has(name)) watched.delete(name)
    },
    note: (dropletName, { upstream }, one, check, isDecisive) => {
      const known = watched.get(dropletName)
      if (known === undefined || known !== one || OWN_FAILURES.includes(check.failure ?? '')) return
      const before = known.history.status
      known.history = noteCheck(known.history, check, isDecisive)
      const { status } = known.history
      if (status === before || (before === 'unknown' && status === 'healthy')) return
      const type = status === 'healthy' ? 'upstream.up' : 'upstream.down'
      onTurn({ type, dropletName, upstream: upstream.url, failure: check.failure })
    },
    historyOf: (route) => {
      const target = isWatched(route) ? targetOf(route) : undefined
      return (target && find(route.record.droplet_name, target)?.history) ?? NO_CHECKS
    },
    move: (dropletName, newName) => {
      const known = watched.get(dropletName)
      watched.delete(dropletName)
      if (known !== undefined) watched.set(newName, known)
    },
    forget: (dropletName) => void watched.delete(dropletName),
  }
}

/** A disabled route is not served, and the droplet of one in maintenance is expected to be down. */
export function isWatched({ enabled, record }: SnapshotRoute): boolean {
  return enabled && !record.options.maintenance
}

/** A route is read as the same object until it changes. */
function targetReader(defaultPath: string): (route: SnapshotRoute) => Target | undefined {
  const known = new WeakMap<SnapshotRoute, Target | null>()
  const read = ({ record }: SnapshotRoute): Target | null => {
    const upstream = upstreamOf(record)
    if (upstream === undefined || record.options.redirect_to !== null) return null
    const path = record.options.health_check_path ?? defaultPath
    return { upstream, path, key: upstream.url + path }
  }
  return (route) => {
    const cached = known.get(route)
    const target = cached === undefined ? read(route) : cached
    if (cached === undefined) known.set(route, target)
    return target ?? undefined
  }
}
