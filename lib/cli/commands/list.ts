/** proxy-manager list */

import { Option } from 'commander'
import * as v from 'valibot'
import { callApi } from '../api-client.ts'
import type { CommandDefinition } from '../command.ts'
import { destination, Route, siteOf } from '../describe.ts'
import { table } from '../text.ts'

export const list: CommandDefinition = {
  name: 'list',
  summary: 'List routes, all or those with one domain, status or health',
  options: [
    new Option('--domain <domain>', 'Only routes with this domain'),
    new Option('--status <status>', 'Only routes with this status: active, pending_ssl, drifted or disabled'),
    new Option('--health <health>', 'Only routes whose upstream is healthy, unhealthy or unknown'),
  ],
  details: () => `Examples:
  proxy-manager list --status pending_ssl
  proxy-manager list --health unhealthy
  proxy-manager list --json | jq -r '.[].domain'`,
  run: async ({ options: { domain, status, health } }, context) => {
    const call = { method: 'GET', path: '/proxies', query: { domain, status, health } } as const
    const { json, shown } = await callApi(context, call, v.array(Route))
    const rows = shown.map((route) => [
      route.droplet_name,
      siteOf(route),
      destination(route),
      route.status,
      route.last_health_status,
      route.certificate?.expiry.slice(0, 10) ?? '-',
    ])
    const heading = ['NAME', 'DOMAIN', 'UPSTREAM', 'STATUS', 'HEALTH', 'CERTIFICATE UNTIL']
    return {
      json,
      text:
        shown.length === 0
          ? 'No routes found.'
          : table(heading, rows, context.isTerminal ? context.columns : undefined),
    }
  },
}
