import * as v from 'valibot'
import { ProxyManagerError } from '../lib/errors.ts'
import { CHANGE_ERRORS, ChangedProxy } from '../lib/http/answer-schemas.ts'
import { putDryRunAnswer, renameAnswer } from '../lib/http/answers.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { PROXY, RECEIPT } from '../lib/http/openapi/samples.ts'
import { DryRun } from '../lib/http/parameters.ts'
import { DropletName } from '../lib/route/droplet-name.ts'
import { objectMessage } from '../lib/route/spec.ts'

/** Gives a route another name in one batch, so that no request for it is lost. */
export default endpoint(
  {
    operationId: 'renameProxy',
    summary: 'Give the route of a droplet another name',
    description:
      'Domains, options, certificate, source and the time of creation stay; NGINX serves the route without interruption. Like a PUT, it replaces an edit by hand and enables a disabled route.',
    method: 'POST',
    path: '/proxies/:droplet_name/rename',
    params: v.strictObject({ droplet_name: DropletName }),
    query: DryRun,
    body: v.strictObject({ droplet_name: DropletName }, objectMessage),
    responses: {
      200: {
        description: 'Served under its new name; or a dry run',
        schema: ChangedProxy,
        example: { ...PROXY, receipt: { ...RECEIPT, former: [] } },
        headers: { ETag: 'sometimes', 'Server-Timing': 'sometimes' },
      },
    },
    supportsPreconditions: true,
    errors: [
      'INVALID_REQUEST',
      'PROXY_NOT_FOUND',
      'DROPLET_EXISTS',
      'PRECONDITION_FAILED',
      'PAYLOAD_TOO_LARGE',
      'UNSUPPORTED_MEDIA_TYPE',
      ...CHANGE_ERRORS,
    ],
  },
  async ({ params, query, body, precondition }, { engine, origin }) => {
    const request = { dropletName: params.droplet_name, newName: body.droplet_name, precondition, origin }
    if (request.newName === request.dropletName) throw sameName()
    return query.dry_run
      ? putDryRunAnswer(await engine.dryRunRename(request))
      : renameAnswer(await engine.renameProxy(request))
  },
)

function sameName(): ProxyManagerError {
  const issues = [{ path: 'droplet_name', message: 'must be another name than the present one' }]
  return new ProxyManagerError('INVALID_REQUEST', { details: { issues } })
}
