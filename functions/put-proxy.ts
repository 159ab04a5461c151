import * as v from 'valibot'
import { DropletName, PutProxyBody } from '../lib/core/proxy.ts'
import { ChangedProxy, PendingProxy, putAnswer, rehearsedPutAnswer } from '../lib/http/change-answer.ts'
import { DryRun, endpoint } from '../lib/http/endpoint.ts'

/** Creates or replaces a route; the same call twice changes nothing the second time. */
export default endpoint(
  {
    operationId: 'putProxy',
    summary: 'Create or replace the route of a droplet',
    method: 'PUT',
    path: '/proxies/:droplet_name',
    params: v.strictObject({ droplet_name: DropletName }),
    query: DryRun,
    body: PutProxyBody,
    responses: { 200: ChangedProxy, 201: ChangedProxy, 202: PendingProxy },
    conditional: true,
    errors: [
      'INVALID_REQUEST',
      'DROPLET_EXISTS',
      'DOMAIN_CONFLICT',
      'PRECONDITION_FAILED',
      'PAYLOAD_TOO_LARGE',
      'UNSUPPORTED_MEDIA_TYPE',
      'UPSTREAM_UNHEALTHY',
      'UPSTREAM_UNRESOLVABLE',
      'UPSTREAM_FORBIDDEN',
      'PROXY_CONFIG_FAILED',
      'NGINX_RELOAD_FAILED',
      'NGINX_ALREADY_BROKEN',
      'CONFIG_WRITE_FAILED',
      'BUSY',
    ],
  },
  async ({ params, query, body, precondition }, { engine, base }) => {
    const request = { dropletName: params.droplet_name, spec: body, mode: 'replace' as const, precondition }
    return query.dry_run
      ? rehearsedPutAnswer(await engine.rehearsePut(request))
      : putAnswer(await engine.putProxy(request), base)
  },
)
