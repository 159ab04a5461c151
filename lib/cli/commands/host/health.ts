/** proxy-manager health */

import * as v from 'valibot'
import { callApi } from '../../api-client.ts'
import { type CommandDefinition, EXIT } from '../../command.ts'
import { inCommandWords } from '../../refusal.ts'
import { fields } from '../../text.ts'
import { Names } from '../sync.ts'

const Health = v.object({
  status: v.picklist(['healthy', 'degraded', 'unhealthy']),
  reasons: v.optional(Names, []),
  advice: v.optional(Names, []),
  nginx: v.object({ version: v.nullable(v.string()), running: v.boolean(), generation: v.nullable(v.number()) }),
  routes: v.object({
    total: v.number(),
    active: v.number(),
    pending_ssl: v.number(),
    drifted: v.optional(Names, []),
    disabled: v.optional(Names, []),
    // A service that was not restarted since an upgrade has only the names.
    drifted_count: v.optional(v.number()),
    disabled_count: v.optional(v.number()),
    unhealthy_count: v.optional(v.number(), 0),
  }),
})

export const health: CommandDefinition = {
  name: 'health',
  summary: 'Show whether Proxy Manager is healthy, and what to do if it is not',
  options: [],
  details: () => `Examples:
  proxy-manager health
  proxy-manager health --json

Exit status: 0 if it is healthy, 4 if it is degraded, 1 if it
is unhealthy.`,
  run: async (_invocation, context) => {
    const { json, shown } = await callApi(context, { method: 'GET', path: '/proxy-manager/health' }, Health)
    const { status, reasons, advice, nginx, routes } = shown
    const { drifted_count = routes.drifted.length, disabled_count = routes.disabled.length, unhealthy_count } = routes
    const counts = `${routes.active} active, ${routes.pending_ssl} pending_ssl, ${drifted_count} drifted, ${disabled_count} disabled${unhealthy_count > 0 ? `; ${unhealthy_count} unhealthy` : ''}`
    return {
      json,
      text: fields({
        status,
        nginx: `${nginx.version ?? 'missing'}, ${nginx.running ? 'running' : 'not running'}, generation ${nginx.generation ?? '-'}`,
        routes: `${routes.total} (${counts})`,
        reasons: reasons.map(inCommandWords),
        advice: advice.map(inCommandWords),
      }),
      exitStatus: { healthy: EXIT.ok, degraded: EXIT.degraded, unhealthy: EXIT.refused }[status],
    }
  },
}
