/** proxy-manager rename */

import { Option } from 'commander'
import { callApi, proxyPath } from '../api-client.ts'
import type { CommandDefinition } from '../command.ts'
import { describePlan, describeRoute, Planned, Route } from '../describe.ts'

export const rename: CommandDefinition = {
  name: 'rename',
  summary: 'Give a route another name; it is served without interruption',
  expectsName: true,
  expectsNewName: true,
  options: [new Option('--dry-run', 'Show what would change, without changing anything')],
  details: () => 'Example:\n  proxy-manager rename app app-v1',
  run: async ({ name, newName, options }, context) => {
    const query = { dry_run: options.dryRun }
    const call = { method: 'POST', path: `${proxyPath(name)}/rename`, query, body: { droplet_name: newName } } as const
    if (options.dryRun) {
      const { json, shown } = await callApi(context, call, Planned)
      return describePlan(json, shown)
    }
    const { json, shown } = await callApi(context, call, Route)
    return { json, text: `${name} renamed to ${newName}.\n\n${describeRoute(shown)}` }
  },
}
