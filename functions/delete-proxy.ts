import * as v from 'valibot'
import { CHANGE_ERRORS, DeletedProxy } from '../lib/http/answer-schemas.ts'
import { deleteAnswer, deleteDryRunAnswer } from '../lib/http/answers.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { DROPLET, FORMER, HTTP_RECEIPT } from '../lib/http/openapi/samples.ts'
import { DeleteQuery } from '../lib/http/parameters.ts'
import { DropletName } from '../lib/route/droplet-name.ts'

/** Removes a route: its symlink, then its file, then NGINX is reloaded. Its certificate is kept unless `delete_certificate` is set. */
export default endpoint(
  {
    operationId: 'deleteProxy',
    summary: 'Remove the route of a droplet',
    description:
      'Removes its symlink and file, and waits until NGINX serves without them, unless it is stopped or rejects the files of other routes (proved_by config_test). The certificate is kept unless delete_certificate is true.',
    method: 'DELETE',
    path: '/proxies/:droplet_name',
    params: v.strictObject({ droplet_name: DropletName }),
    query: DeleteQuery,
    body: undefined,
    responses: {
      200: {
        description: 'Removed, and no longer served; or a dry run',
        schema: DeletedProxy,
        example: { status: 'deleted', droplet_name: DROPLET, receipt: { ...HTTP_RECEIPT, former: [FORMER] } },
        headers: { 'Server-Timing': 'sometimes' },
      },
    },
    supportsPreconditions: true,
    errors: ['INVALID_REQUEST', 'PROXY_NOT_FOUND', 'DROPLET_EXISTS', 'PRECONDITION_FAILED', ...CHANGE_ERRORS],
  },
  async ({ params, query, precondition }, { engine, origin, signal }) => {
    const request = { dropletName: params.droplet_name, precondition, origin }
    return query.dry_run
      ? deleteDryRunAnswer(await engine.dryRunDelete(request))
      : deleteAnswer(
          await engine.deleteProxy({
            ...request,
            deleteCertificate: query.delete_certificate,
            drainWaitS: query.drain_wait_s,
            signal,
          }),
        )
  },
)
