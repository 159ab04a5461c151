import * as v from 'valibot'
import { ProxyManagerError } from '../lib/errors.ts'
import { PUT_ERRORS } from '../lib/http/answer-schemas.ts'
import { putAnswer, putDryRunAnswer } from '../lib/http/answers.ts'
import { waitsOf } from '../lib/http/deploy-wait.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { putResponses } from '../lib/http/openapi/samples.ts'
import { PutQuery } from '../lib/http/parameters.ts'
import { DropletName } from '../lib/route/droplet-name.ts'
import { PutBody } from '../lib/route/put-body.ts'

/** Creates or replaces a route; idempotent. */
export default endpoint(
  {
    operationId: 'putProxy',
    summary: 'Create or replace the route of a droplet',
    description:
      'Repeating the same call changes nothing. The answer of a GET can be sent as it is: what says how the route is served is ignored. A 2xx means that NGINX has accepted the configuration, that it is on disk, and that it is served.',
    method: 'PUT',
    path: '/proxies/:droplet_name',
    params: v.strictObject({ droplet_name: DropletName }),
    query: PutQuery,
    body: PutBody,
    responses: putResponses('Replaced, or unchanged (receipt.reloaded is false); or a dry run'),
    supportsPreconditions: true,
    errors: PUT_ERRORS,
  },
  async ({ params, query, body, precondition }, { engine, base, origin, signal }) => {
    const { droplet_name: dropletName } = params
    const { spec, revision } = body
    if (body.droplet_name !== undefined && body.droplet_name !== dropletName) {
      const issue = { path: 'droplet_name', message: 'must be the one of the path; a rename is a call of its own' }
      throw new ProxyManagerError('INVALID_REQUEST', { details: { issues: [issue] } })
    }
    const known = revision === undefined ? {} : { ifMatch: [revision] }
    const request = { dropletName, spec, mode: 'replace' as const, precondition: { ...known, ...precondition }, origin }
    return query.dry_run
      ? putDryRunAnswer(await engine.dryRunPut(request))
      : putAnswer(await engine.putProxy({ ...request, ...waitsOf(query, request.spec), signal }), base)
  },
)
