/** Routes as the API shows them, with the checks of their upstreams that are not on disk. */
import { ledgerOf } from '../certificates/ledger-file.ts'
import { lastFailure, nextOrderAt, nextTryAt } from '../certificates/order-ledger.ts'
import type { Host } from '../host/host.ts'
import { awaitsCertificate } from '../route/names.ts'
import { type ProxyState, proxyState, type SslError } from '../route/state.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { UpstreamHealth } from '../upstream/upstream.ts'

/** What a route that has no certificate for one of its names tells of its last order; `undefined` where none has failed. */
export function sslErrorOf(host: Host, { record }: SnapshotRoute): SslError | undefined {
  if (!awaitsCertificate(record)) return undefined
  const ledger = ledgerOf(host, record.domain)
  const failure = lastFailure(ledger)
  const nowMs = host.clock.nowMs()
  const next = host.settings.SSL_AUTO_ISSUE ? nextTryAt(ledger, nowMs) : nextOrderAt(ledger, nowMs)
  if (failure === undefined) return undefined
  return {
    reason: failure.reason ?? 'unknown',
    message: failure.said ?? '',
    at: new Date(failure.at).toISOString(),
    next_attempt_at: new Date(next ?? nowMs).toISOString(),
  }
}

export interface RouteView {
  /** The same object as long as there is nothing else to say of the route: whoever makes a text of it can keep that. */
  show(route: SnapshotRoute): ProxyState
  /** Keeps a check that is later than the one in the route's file. */
  noteHealth(dropletName: string, health: UpstreamHealth): void
  /** Forgets what was kept for a droplet. */
  forget(dropletName: string): void
}

export function routeView(host: Host): RouteView {
  const healthChecks = new Map<string, UpstreamHealth>()
  const shown = new WeakMap<
    SnapshotRoute,
    { readonly health: UpstreamHealth | undefined; readonly state: ProxyState }
  >()
  return {
    show: (route) => {
      const health = healthChecks.get(route.record.droplet_name)
      const before = shown.get(route)
      if (before !== undefined && before.health === health) return before.state
      const state = proxyState(route, health, sslErrorOf(host, route))
      // What is said of failed orders changes without the route.
      if (!awaitsCertificate(route.record)) shown.set(route, { health, state })
      return state
    },
    noteHealth: (dropletName, health) => void healthChecks.set(dropletName, health),
    forget: (dropletName) => void healthChecks.delete(dropletName),
  }
}
