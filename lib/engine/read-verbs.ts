/** What is read of routes and of their upstreams, without a change. */
import type { ChangeContext } from '../change/context.ts'
import { ProxyManagerError } from '../errors.ts'
import { explainUrl } from '../explanation/explain.ts'
import type { UpstreamChecks } from '../health/upstream-checks.ts'
import type { SnapshotRoute } from '../route/stored-route.ts'
import { servedRoutes } from './arrivals.ts'
import type { Drains } from './drains.ts'
import type { Engine } from './engine.ts'
import type { RouteView } from './route-view.ts'

type ReadVerbs = Pick<Engine, 'listProxies' | 'getProxy' | 'checkProxy' | 'startDueChecks' | 'explainUrl'>

export function readVerbs(
  context: ChangeContext,
  view: RouteView,
  checks: UpstreamChecks,
  { drainingOf }: Drains,
): ReadVerbs {
  const servedRoute = async (dropletName: string): Promise<SnapshotRoute> => {
    const route = (await servedRoutes(context)).get(dropletName)
    if (route === undefined) throw new ProxyManagerError('PROXY_NOT_FOUND')
    return route
  }
  return {
    listProxies: async () => {
      const proxies = [...(await servedRoutes(context)).values()].map(view.show)
      return proxies.sort((a, b) => (a.droplet_name < b.droplet_name ? -1 : 1))
    },
    getProxy: async (dropletName) => {
      const details = view.showDetails(await servedRoute(dropletName))
      const draining = await drainingOf(dropletName)
      return draining.length === 0 ? details : { ...details, draining }
    },
    checkProxy: async (dropletName) => {
      const route = await servedRoute(dropletName)
      const checked = await checks.check(route)
      return { dropletName, ...checked, health: view.showDetails(route).health }
    },
    explainUrl: async (url) => {
      const { host, state } = context
      const { unconfirmed, generation } = state
      const hasChanged = () => [unconfirmed, state.unconfirmed].some(Boolean) || state.generation !== generation
      return await explainUrl({ host, observation: await context.observe([]), hasChanged, show: view.show }, url)
    },
    startDueChecks: async () => {
      // Every second: the routes as they were last read will do, unless a change was made since. Why a host cannot be read is said by health.
      const { unconfirmed, observed, generation } = context.state
      const known = unconfirmed ?? (observed?.snapshot.shared?.generation === generation ? observed : undefined)
      const routes = known?.snapshot.routes ?? (await servedRoutes(context).catch(() => undefined))
      if (routes !== undefined) checks.startDue(routes.values())
    },
  }
}
