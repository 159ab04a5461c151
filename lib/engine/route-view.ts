/** Routes as the API shows them, with what is not on disk: the health of their upstreams, and the orders of their certificates. */
import { readLedger } from '../certificates/ledger-file.ts'
import { lastFailure, nextOrderAt, nextTryAt } from '../certificates/order-ledger.ts'
import type { Actor } from '../events/event.ts'
import type { UpstreamChecks } from '../health/upstream-checks.ts'
import type { Authors } from '../history/history.ts'
import type { Host } from '../host/host.ts'
import type { OrderQueue } from '../issuance/order-queue.ts'
import { awaitsCertificate } from '../route/names.ts'
import { asServed } from '../route/site.ts'
import { type ProxyDetails, type ProxyState, proxyState, type SslError } from '../route/state.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { detailsOf, detailsOfEach, type HealthDetails, type HealthHistory } from '../upstream/health-history.ts'

/** The failure of the last order of a route that awaits a certificate; `undefined` if there is none. */
export function sslErrorOf(host: Host, route: SnapshotRoute): SslError | undefined {
  const record = asServed(route)
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
  /** The route with each check of its upstream. */
  showDetails(route: SnapshotRoute): ProxyDetails
}

interface Shown {
  readonly history: HealthHistory
  readonly author: Actor | null
  readonly state: ProxyState
}

/** Makes the view. */
export function routeView(
  host: Host,
  orders: Pick<OrderQueue, 'placeOf'>,
  { historyOf, historiesOf }: Pick<UpstreamChecks, 'historyOf' | 'historiesOf'>,
  authors: Pick<Authors, 'of'>,
): RouteView {
  const shown = new WeakMap<SnapshotRoute, Shown>()
  const show = (route: SnapshotRoute): ProxyState => {
    const history = historyOf(route)
    const author = authors.of(route.record)
    const before = shown.get(route)
    const order = orders.placeOf(route.record.domain)
    if (order === undefined && before?.history === history && before.author === author) return before.state
    const state = proxyState(route, { history, author, sslError: sslErrorOf(host, route), sslOrder: order })
    // `ssl_error` and `ssl_order` change without the route.
    if (order === undefined && !awaitsCertificate(asServed(route))) shown.set(route, { history, author, state })
    return state
  }
  const healthOf = (route: SnapshotRoute): HealthDetails => {
    const details = detailsOf(historyOf(route))
    return route.record.upstreams === undefined ? details : { ...details, upstreams: detailsOfEach(historiesOf(route)) }
  }
  return { show, showDetails: (route) => ({ ...show(route), health: healthOf(route) }) }
}
