/** proxy-manager plan */
import type { CommandDefinition } from '../command.ts'
import { describePlan, Planned } from '../describe.ts'
import { ROUTE_FLAGS, ROUTE_HELP, sendRoute } from '../route-request.ts'

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
