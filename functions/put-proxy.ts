import * as v from 'valibot'
import { PUT_ERRORS } from '../lib/http/answer-schemas.ts'
import { putAnswer, putDryRunAnswer } from '../lib/http/answers.ts'
import { waitsOf } from '../lib/http/deploy-wait.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { putResponses } from '../lib/http/openapi/samples.ts'
import { PutQuery } from '../lib/http/parameters.ts'
import { DropletName } from '../lib/route/droplet-name.ts'
import { PutProxyBody } from '../lib/route/spec.ts'

/** Creates or replaces a route; idempotent. */
export default endpoint(
  {
    operationId: 'putProxy',
    summary: 'Create or replace the route of a droplet',
    description:
      'Repeating the same call changes nothing. A 2xx means that NGINX has accepted the configuration, that it is on disk, and that it is served.',
    method: 'PUT',
    path: '/proxies/:droplet_name',
    params: v.strictObject({ droplet_name: DropletName }),
    query: PutQuery,
    body: PutProxyBody,
    responses: putResponses('Replaced, or unchanged (receipt.reloaded is false); or a dry run'),
    supportsPreconditions: true,
    errors: PUT_ERRORS,
  },
  async ({ params, query, body, precondition }, { engine, base, origin, signal }) => {
    const request = { dropletName: params.droplet_name, spec: body, mode: 'replace' as const, precondition, origin }
    return query.dry_run
      ? putDryRunAnswer(await engine.dryRunPut(request))
      : putAnswer(await engine.putProxy({ ...request, ...waitsOf(query, request.spec), signal }), base)
  },
)
