import { PUT_ERRORS } from '../lib/http/answer-schemas.ts'
import { putAnswer, putDryRunAnswer } from '../lib/http/answers.ts'
import { waitsOf } from '../lib/http/deploy-wait.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { putResponses } from '../lib/http/openapi/samples.ts'
import { NoParams, PutQuery } from '../lib/http/parameters.ts'
import { CreateProxyBody } from '../lib/route/spec.ts'

/** Creates a route; never replaces one with a different configuration. */
export default endpoint(
  {
    operationId: 'createProxy',
    summary: 'Create a route; if the name is missing, it is derived from the domain',
    description:
      'Like PUT, but never replaces a different configuration: 409 if the route exists with one, 200 or 202 if it is the same.',
    method: 'POST',
    path: '/proxies',
    params: NoParams,
    query: PutQuery,
    body: CreateProxyBody,
    responses: putResponses('The route exists with this configuration already; or a dry run'),
    supportsPreconditions: true,
    errors: PUT_ERRORS,
  },
  async ({ query, body, precondition }, { engine, base, origin, signal }) => {
    const { droplet_name: dropletName, ...spec } = body
    const request = { dropletName, spec, mode: 'create' as const, precondition, origin }
    return query.dry_run
      ? putDryRunAnswer(await engine.dryRunPut(request))
      : putAnswer(await engine.putProxy({ ...request, ...waitsOf(query, request.spec), signal }), base)
  },
)
