/** proxy-manager plan */
import { callApi, proxyPath } from '../api-client.ts'
import type { CommandDefinition } from '../command.ts'
import { describePlan, Planned } from '../describe.ts'
import { ROUTE_OPTIONS, routeBody, routeOptionsHelp } from './put.ts'

export const plan: CommandDefinition = {
  name: 'plan',
  summary: 'Show what put would change and whether NGINX accepts it, without changing anything',
  expectsName: true,
  options: ROUTE_OPTIONS,
  details: () => `Example:
  proxy-manager plan app --domain app.example.com --upstream http://localhost:8002

Exit status 1: the API refuses the route, or NGINX rejects it.

${routeOptionsHelp()}`,
  run: async ({ name, options }, context) => {
    const call = { method: 'PUT', path: proxyPath(name), query: { dry_run: true }, body: routeBody(options) } as const
    const { json, shown } = await callApi(context, call, Planned)
    return describePlan(json, shown)
  },
}
