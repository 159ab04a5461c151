import * as v from 'valibot'
import { endpoint } from '../lib/http/endpoint.ts'
import { PROXY } from '../lib/http/openapi/samples.ts'
import { ListQuery, NoParams } from '../lib/http/parameters.ts'
import { namesOf } from '../lib/route/names.ts'
import { ProxyState } from '../lib/route/state.ts'

/** The routes, sorted by droplet name. */
export default endpoint(
  {
    operationId: 'listProxies',
    summary: 'List all routes, or those of one domain, status or health',
    description: 'Sorted by name.',
    method: 'GET',
    path: '/proxies',
    params: NoParams,
    query: ListQuery,
    body: undefined,
    responses: {
      200: {
        description: 'These routes; an empty list if there are none',
        schema: v.array(ProxyState),
        example: [PROXY],
      },
    },
    errors: ['INVALID_REQUEST', 'CONFIG_READ_FAILED'],
  },
  async ({ query }, { engine }) => {
    const proxies = await engine.listProxies()
    const isWanted = (proxy: ProxyState) =>
      (query.domain === undefined || namesOf(proxy).includes(query.domain)) &&
      (query.status === undefined || proxy.status === query.status) &&
      (query.health === undefined || proxy.health.status === query.health)
    return { status: 200, body: proxies.filter(isWanted) }
  },
)
