import * as v from 'valibot'
import { endpoint } from '../lib/http/endpoint.ts'
import { DROPLET, HEALTH, PROXY } from '../lib/http/openapi/samples.ts'
import { NoQuery } from '../lib/http/parameters.ts'
import { DropletName } from '../lib/route/droplet-name.ts'
import { HealthDetails } from '../lib/upstream/health-history.ts'

/** Checks the upstreams of a route now, without a change. */
export default endpoint(
  {
    operationId: 'checkProxy',
    summary: 'Check the upstreams of a route now',
    description:
      'Answers every address that was asked, and changes nothing; of a route in maintenance, too. It is one of the checks in "health".',
    method: 'POST',
    path: '/proxies/:droplet_name/check',
    params: v.strictObject({ droplet_name: DropletName }),
    query: NoQuery,
    body: undefined,
    responses: {
      200: {
        description: 'The upstream was asked; "ok" is whether it is healthy, or of several each that is not a backup',
        schema: v.object({
          droplet_name: v.string(),
          upstream: v.string(),
          ok: v.boolean(),
          latency_ms: v.number(),
          failure: v.nullable(v.string()),
          attempts: v.array(
            v.object({
              upstream: v.optional(v.pipe(v.string(), v.description('Whose address it is, if there are several'))),
              address: v.string(),
              path: v.string(),
              status: v.optional(v.number()),
              failure: v.optional(v.string()),
            }),
          ),
          health: HealthDetails,
        }),
        example: {
          droplet_name: DROPLET,
          upstream: PROXY.upstream,
          ok: true,
          latency_ms: 3,
          failure: null,
          attempts: [{ address: '127.0.0.1', path: '/health', status: 200 }],
          health: HEALTH,
        },
      },
    },
    errors: ['INVALID_REQUEST', 'CONFIG_READ_FAILED', 'PROXY_NOT_FOUND', 'BUSY'],
  },
  async ({ params }, { engine }) => {
    const {
      dropletName: droplet_name,
      upstream,
      failure,
      ms,
      attempts,
      health,
    } = await engine.checkProxy(params.droplet_name)
    const ok = failure === null
    return {
      status: 200,
      body: { droplet_name, upstream, ok, latency_ms: ms, failure, attempts, health },
      logFields: { outcome: ok ? 'healthy' : 'unhealthy' },
    }
  },
)
