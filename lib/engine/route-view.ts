/** Routes as the API shows them, with the health checks of their upstreams that are not on disk. */
import { readLedger } from '../certificates/ledger-file.ts'
import { lastFailure, nextOrderAt, nextTryAt } from '../certificates/order-ledger.ts'
import type { Host } from '../host/host.ts'
import type { OrderQueue } from '../issuance/order-queue.ts'
import { awaitsCertificate } from '../route/names.ts'
import { type ProxyState, proxyState, type SslError } from '../route/state.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import type { UpstreamHealth } from '../upstream/upstream.ts'

/** The failure of the last order of a route that awaits a certificate; `undefined` if there is none. */
export function sslErrorOf(host: Host, { record }: SnapshotRoute): SslError | undefined {
  if (!awaitsCertificate(record)) return undefined
  const ledger = readLedger(host, record.domain)
  const failure = lastFailure(ledger)
  const nowMs = host.clock.nowMs()
  const { settings } = host
  const next = settings.SSL_AUTO_ISSUE ? nextTryAt(ledger, nowMs, settings) : nextOrderAt(ledger, nowMs, settings)
  if (failure === undefined) return undefined
  return {
    reason: failure.reason ?? 'unknown',
    message: failure.said ?? '',
    at: new Date(failure.at).toISOString(),
    next_attempt_at: new Date(next ?? nowMs).toISOString(),
  }
}

export interface RouteView {
  /** Returns the same object until the state changes, so that its JSON text can be cached. */
  show(route: SnapshotRoute): ProxyState
  /** Remembers a check that is later than the one in the route's file. */
  noteHealth(dropletName: string, health: UpstreamHealth): void
  /** Remembers the check of a droplet under its new name. */
  move(dropletName: string, newName: string): void
  /** Forgets the check of a droplet. */
  forget(dropletName: string): void
}

/** Makes the view; health checks live as long as it does. */
export function routeView(host: Host, orders: Pick<OrderQueue, 'placeOf'>): RouteView {
  const healthChecks = new Map<string, UpstreamHealth>()
  const shown = new WeakMap<
    SnapshotRoute,
    { readonly health: UpstreamHealth | undefined; readonly state: ProxyState }
  >()
  return {
    show: (route) => {
      const health = healthChecks.get(route.record.droplet_name)
      const before = shown.get(route)
      const order = orders.placeOf(route.record.droplet_name)
      if (order === undefined && before !== undefined && before.health === health) return before.state
      const state = proxyState(route, health, sslErrorOf(host, route), order)
      // `ssl_error` and `ssl_order` change without the route.
      if (order === undefined && !awaitsCertificate(route.record)) shown.set(route, { health, state })
      return state
    },
    noteHealth: (dropletName, health) => void healthChecks.set(dropletName, health),
    move: (dropletName, newName) => {
      const health = healthChecks.get(dropletName)
      healthChecks.delete(dropletName)
      if (health !== undefined) healthChecks.set(newName, health)
    },
    forget: (dropletName) => void healthChecks.delete(dropletName),
  }
}
