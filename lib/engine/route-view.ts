/** Routes as the API shows them, with the checks of their upstreams that are not on disk. */
import type { UpstreamHealth } from '../core/change.ts'
import { type ProxyState, proxyState } from '../core/proxy-state.ts'
import { awaitsCertificate } from '../core/route-names.ts'
import type { SnapshotRoute } from '../core/snapshot.ts'
import type { Host } from './host.ts'
import { sslErrorOf } from './orders.ts'

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
