/** proxy-manager list */

import * as v from 'valibot'
import { callApi } from '../api-client.ts'
import type { Command } from '../command.ts'
import { leadsTo, Route } from '../describe.ts'
import { table } from '../text.ts'

export const list: Command = {
  name: 'list',
  summary: 'List the routes, all or those of one domain or status',
  options: [
    { name: 'domain', value: 'DOMAIN', help: 'Only the route of this domain' },
    { name: 'status', value: 'STATUS', help: 'Only those that are active, pending_ssl, drifted or disabled' },
  ],
  more: () => `Examples:
  proxy-manager list --status pending_ssl
  proxy-manager list --json | jq -r '.[].domain'
`,
  run: async ({ text }, world) => {
    const query = { domain: text('domain'), status: text('status') }
    const { json, shown } = await callApi(world, { method: 'GET', path: '/proxies', query }, v.array(Route))
    const rows = shown.map((route) => [
      route.droplet_name,
      route.domain,
      leadsTo(route),
      route.status,
      route.last_health_status,
      route.certificate?.expiry.slice(0, 10) ?? '-',
    ])
    const heading = ['NAME', 'DOMAIN', 'UPSTREAM', 'STATUS', 'HEALTH', 'CERTIFICATE UNTIL']
    return { json, text: shown.length === 0 ? 'There is no such route.' : table(heading, rows) }
  },
}
