import * as v from 'valibot'
import { Domain } from '../lib/core/domain.ts'
import { ProxyState, ProxyStatus } from '../lib/core/proxy-state.ts'
import { namesOf } from '../lib/core/route-names.ts'
import { endpoint, NoParams } from '../lib/http/endpoint.ts'

/** Every route, sorted by droplet name. */
export default endpoint(
  {
    operationId: 'listProxies',
    summary: 'List the routes, all or those of one domain or status',
    description: 'Sorted by name; an empty list where there is none.',
    method: 'GET',
    path: '/proxies',
    params: NoParams,
    query: v.strictObject(
      {
        domain: v.optional(Domain),
        status: v.optional(
          v.pipe(
            v.picklist(ProxyStatus.options, `must be one of ${ProxyStatus.options.join(', ')}`),
            v.description('Only routes of this status'),
          ),
        ),
      },
      () => 'is not a known parameter',
    ),
    body: undefined,
    responses: { 200: v.array(ProxyState) },
    errors: ['INVALID_REQUEST'],
  },
  async ({ query }, { engine }) => {
    const proxies = await engine.listProxies()
    const isWanted = (proxy: ProxyState) =>
      (query.domain === undefined || namesOf(proxy).includes(query.domain)) &&
      (query.status === undefined || proxy.status === query.status)
    return { status: 200, body: proxies.filter(isWanted) }
  },
)
