/** proxy-manager plan */
import { callApi, proxyPath } from '../api-client.ts'
import type { Command } from '../command.ts'
import { describePlan, Planned } from '../describe.ts'
import { optionsHelp, WANTED, wantedRoute } from './put.ts'

export const plan: Command = {
  name: 'plan',
  summary: 'Show what put would change, and whether NGINX accepts it; nothing is changed',
  takesName: true,
  options: WANTED,
  more: () => `Example:
  proxy-manager plan app --domain app.example.com --upstream http://localhost:8002

Ends with 1 where the API or NGINX refuses it.
${optionsHelp()}`,
  run: async (invocation, world) => {
    const body = wantedRoute(plan, invocation)
    const call = { method: 'PUT', path: proxyPath(invocation.name), query: { dry_run: true }, body } as const
    const { json, shown } = await callApi(world, call, Planned)
    return describePlan(json, shown)
  },
}
