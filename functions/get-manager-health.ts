import * as v from 'valibot'
import { ManagerHealth } from '../lib/health/health-schema.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'

/** Whether this host's NGINX, folders and routes are as they should be, and what to do where they are not. */
export default endpoint(
  {
    operationId: 'getManagerHealth',
    summary: 'Tell whether Proxy Manager can do its work',
    description:
      '503 where a change would fail. Reasons say what is wrong, advice what could be better. Answered without a token.',
    method: 'GET',
    path: '/proxy-manager/health',
    params: NoParams,
    query: NoQuery,
    body: undefined,
    responses: {
      200: v.pipe(ManagerHealth, v.description('Healthy or degraded: changes work')),
      503: v.pipe(ManagerHealth, v.description('Unhealthy: a change would fail')),
    },
    errors: ['INVALID_REQUEST'],
  },
  async (_call, { engine }) => {
    const health = await engine.readHealth()
    return { status: health.status === 'unhealthy' ? 503 : 200, body: health }
  },
)
