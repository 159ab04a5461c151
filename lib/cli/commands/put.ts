/** proxy-manager put and plan */
import type { CommandDefinition } from '../command.ts'
import { describePlan, describeRoute, Planned, Route } from '../describe.ts'
import { ROUTE_FLAGS, ROUTE_HELP, sendRoute, WAIT_FLAGS } from './route-request.ts'

export const put: CommandDefinition = {
  name: 'put',
  summary: 'Create or change a route; exit status 0: the route is live',
  expectsName: true,
  options: [...WAIT_FLAGS, ...ROUTE_FLAGS],
  details: () => `${ROUTE_HELP}

Examples:
  proxy-manager put app --domain app.example.com --upstream http://localhost:8002
  proxy-manager put app --upstream http://localhost:8003
  proxy-manager put api --domain app.example.com --path /api --upstream http://localhost:8010
  proxy-manager put app --upstream http://localhost:8004 --wait 60 --drain 30
  proxy-manager put app --upstream http://10.0.0.7:8001 --upstream http://10.0.0.8:8001 --backup http://10.0.0.9:8001
  proxy-manager put app --maintenance
  proxy-manager put app --no-maintenance --allow 10.0.0.0/8,192.0.2.7
  proxy-manager put app --no-allow

Repeating a call changes nothing. Without options it writes the route again as it
is, which replaces a hand edit. If others change the route meanwhile, their
changes are kept. To see what would change, use "proxy-manager plan".`,
  run: async (invocation, context) => {
    const { name, options } = invocation
    const query = { health_wait_s: options.wait, drain_wait_s: options.drain }
    const { status, timing, json, shown } = await sendRoute(invocation, context, query, Route)
    const isPending = status === 202
    const isUnchanged = shown.receipt?.reloaded === false
    const outcome = isUnchanged
      ? 'unchanged'
      : status === 201
        ? 'created'
        : isPending
          ? 'is served over HTTP'
          : 'updated'
    const next = isPending ? `\n\nTo serve it over HTTPS, get a certificate: proxy-manager ssl ${name}` : ''
    return { json, text: `${name} ${outcome}.\n\n${describeRoute(shown, timing)}${next}` }
  },
}

export const plan: CommandDefinition = {
  name: 'plan',
  summary: 'Show what put would change and whether NGINX accepts it, without changing anything',
  expectsName: true,
  options: ROUTE_FLAGS,
  details: () => `${ROUTE_HELP}

Examples:
  proxy-manager plan app --domain app.example.com --upstream http://localhost:8002
  proxy-manager plan app --maintenance

Exit status 1: the API refuses the route, or NGINX rejects it.`,
  run: async (invocation, context) => {
    const { json, shown } = await sendRoute(invocation, context, { dry_run: true }, Planned)
    return describePlan(json, shown)
  },
}
