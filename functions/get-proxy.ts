import * as v from 'valibot'
import { etagOf } from '../lib/http/answers.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { HEALTH, PROXY } from '../lib/http/openapi/samples.ts'
import { NoQuery } from '../lib/http/parameters.ts'
import { DropletName } from '../lib/route/droplet-name.ts'
import { ProxyDetails } from '../lib/route/state.ts'

/** One route, with the health checks of its upstream and its certificate. */
export default endpoint(
  {
    operationId: 'getProxy',
    summary: 'Show the route of a droplet',
    description: 'The ETag is its revision, for If-Match on a later change.',
    method: 'GET',
    path: '/proxies/:droplet_name',
    params: v.strictObject({ droplet_name: DropletName }),
    query: NoQuery,
    body: undefined,
    responses: {
      200: {
        description: 'The route as it is now',
        schema: ProxyDetails,
        example: { ...PROXY, health: HEALTH },
        headers: { ETag: 'always' },
      },
    },
    errors: ['INVALID_REQUEST', 'CONFIG_READ_FAILED', 'PROXY_NOT_FOUND'],
  },
  async ({ params }, { engine }) => {
    const proxy = await engine.getProxy(params.droplet_name)
    return { status: 200, body: proxy, headers: { etag: etagOf(proxy) } }
  },
)
