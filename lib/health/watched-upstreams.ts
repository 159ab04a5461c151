/** What is known of the upstreams that are checked: one history for each upstream of a route, forgotten once the route has it no more. */
import type { Host } from '../host/host.ts'
import { type PlacedUpstream, placedUpstreams } from '../route/record.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { type HealthCheck, type HealthHistory, NO_CHECKS, noteCheck } from '../upstream/health-history.ts'

/** An upstream that has become unhealthy, or healthy again. */
export interface UpstreamTurn {
  readonly type: 'upstream.up' | 'upstream.down'
  readonly dropletName: string
  readonly upstream: string
  /** Why the last check failed; null if it did not. */
  readonly failure: string | null
}

/** What is asked for a route: one of its upstreams. */
export interface Target {
  readonly upstream: PlacedUpstream
  /** For a name that NGINX resolves. */
  readonly resolvers: readonly string[]
  readonly path: string
  /** Two targets of a route with the same key are one. */
  readonly key: string
}

export interface Watched {
  readonly history: HealthHistory
  /** When the next check is due, on the monotonic clock. */
  dueMs: number
  isAsked: boolean
}

export interface WatchedUpstreams {
  /** What is asked for a route; empty if it only redirects. The same array as long as the route is the same object. */
  targetsOf(route: SnapshotRoute): readonly Target[]
  /** What is known of this target of a droplet; `undefined` if nothing is. */
  find(dropletName: string, target: Target): Watched | undefined
  /** The same, or a new one that is due at this time. */
  watch(dropletName: string, target: Target, dueMs: number): Watched
  /** Forgets all other droplets, and what else these had. */
  keepOnly(targets: ReadonlyMap<string, readonly Target[]>): void
  /** Forgets what else this droplet had. */
  keepOnlyOf(dropletName: string, targets: readonly Target[]): void
  /** Adds a check, unless the route was changed or deleted meanwhile, or it shows nothing. A decisive one as in {@link noteCheck}. */
  note(dropletName: string, target: Target, one: Watched, check: HealthCheck, isDecisive?: boolean): void
  /** Of the upstream of a route that is the worst of those that are no backups; the same object until there is another check. */
  historyOf(route: SnapshotRoute): HealthHistory
  /** Of each upstream of a route, in its order. */
  historiesOf(route: SnapshotRoute): readonly UpstreamHistory[]
  /** A route has another name now. */
  move(dropletName: string, newName: string): void
  forget(dropletName: string): void
}

export interface UpstreamHistory {
  readonly upstream: PlacedUpstream
  readonly history: HealthHistory
}

/** The first of these statuses that an upstream has is that of its route. */
const WORST_FIRST = ['unhealthy', 'unknown', 'healthy'] as const

/** Failures of this process rather than of an upstream. */
const OWN_FAILURES = ['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS']

/** Makes the memory of one process. `onTurn` must not throw. */
export function watchedUpstreams(
  { settings }: Pick<Host, 'settings'>,
  onTurn: (turn: UpstreamTurn) => void,
): WatchedUpstreams {
  const watched = new Map<string, Map<string, { -readonly [K in keyof Watched]: Watched[K] }>>()
  const targetsOf = targetReader(settings.HEALTH_CHECK_PATH)
  const find: WatchedUpstreams['find'] = (dropletName, { key }) => watched.get(dropletName)?.get(key)
  const keepOnlyOf: WatchedUpstreams['keepOnlyOf'] = (dropletName, targets) => {
    const own = watched.get(dropletName)
    for (const key of own?.keys() ?? []) if (!targets.some((target) => target.key === key)) own?.delete(key)
    if (own?.size === 0) watched.delete(dropletName)
  }
  const historiesOf: WatchedUpstreams['historiesOf'] = (route) =>
    targetsOf(route).map((target) => ({
      upstream: target.upstream,
      history: (isWatched(route) ? find(route.record.droplet_name, target)?.history : undefined) ?? NO_CHECKS,
    }))
  return {
    targetsOf,
    find,
    watch: (dropletName, target, dueMs) => {
      const known = find(dropletName, target)
      if (known !== undefined) return known
      const added = { history: NO_CHECKS, dueMs, isAsked: false }
      watched.set(dropletName, (watched.get(dropletName) ?? new Map()).set(target.key, added))
      return added
    },
    keepOnly: (targets) => {
      for (const name of watched.keys()) keepOnlyOf(name, targets.get(name) ?? [])
    },
    keepOnlyOf,
    note: (dropletName, target, one, check, isDecisive) => {
      const known = watched.get(dropletName)?.get(target.key)
      if (known === undefined || known !== one || OWN_FAILURES.includes(check.failure ?? '')) return
      const before = known.history.status
      known.history = noteCheck(known.history, check, isDecisive)
      const { status } = known.history
      if (status === before || (before === 'unknown' && status === 'healthy')) return
      const type = status === 'healthy' ? 'upstream.up' : 'upstream.down'
      onTurn({ type, dropletName, upstream: target.upstream.url, failure: check.failure })
    },
    historiesOf,
    historyOf: (route) => {
      const histories = historiesOf(route).flatMap(({ upstream, history }) => (upstream.backup ? [] : [history]))
      const worst = WORST_FIRST.find((status) => histories.some((history) => history.status === status))
      return histories.find((history) => history.status === worst) ?? NO_CHECKS
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
function targetReader(defaultPath: string): (route: SnapshotRoute) => readonly Target[] {
  const known = new WeakMap<SnapshotRoute, readonly Target[]>()
  const read = ({ record }: SnapshotRoute): readonly Target[] => {
    if (record.options.redirect_to !== null) return []
    const path = record.options.health_check_path ?? defaultPath
    return placedUpstreams(record).map((upstream) => ({
      upstream,
      resolvers: record.resolvers,
      path,
      key: upstream.url + path,
    }))
  }
  return (route) => {
    const targets = known.get(route) ?? read(route)
    known.set(route, targets)
    return targets
  }
}
