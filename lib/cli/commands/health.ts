/** proxy-manager health */

import * as v from 'valibot'
import { callApi } from '../api-client.ts'
import { type Command, EXIT } from '../command.ts'
import { fields } from '../text.ts'
import { Names } from './sync.ts'

const Health = v.object({
  status: v.picklist(['healthy', 'degraded', 'unhealthy']),
  reasons: v.optional(Names, []),
  advice: v.optional(Names, []),
  nginx: v.object({ version: v.nullable(v.string()), running: v.boolean(), generation: v.nullable(v.number()) }),
  routes: v.object({
    total: v.number(),
    active: v.number(),
    pending_ssl: v.number(),
    drifted: Names,
    disabled: Names,
  }),
})

export const health: Command = {
  name: 'health',
  summary: 'Tell whether Proxy Manager can do its work, and what to do where it cannot',
  options: [],
  more: () => 'Ends with 0 where it is healthy, 4 where it is degraded, 1 where it is unhealthy.\n',
  run: async (_invocation, world) => {
    const { json, shown } = await callApi(world, { method: 'GET', path: '/proxy-manager/health' }, Health)
    const { status, reasons, advice, nginx, routes } = shown
    const counts = `${routes.active} active, ${routes.pending_ssl} pending_ssl, ${routes.drifted.length} drifted, ${routes.disabled.length} disabled`
    return {
      json,
      text: fields({
        status,
        nginx: `${nginx.version ?? 'missing'}, ${nginx.running ? 'running' : 'not running'}, generation ${nginx.generation ?? '-'}`,
        routes: `${routes.total} (${counts})`,
        reasons,
        advice,
      }),
      exitStatus: { healthy: EXIT.ok, degraded: EXIT.degraded, unhealthy: EXIT.refused }[status],
    }
  },
}
