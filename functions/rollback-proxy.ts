import * as v from 'valibot'
import { PUT_ERRORS } from '../lib/http/answer-schemas.ts'
import { putAnswer, putDryRunAnswer } from '../lib/http/answers.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { putResponses } from '../lib/http/openapi/samples.ts'
import { DryRun } from '../lib/http/parameters.ts'
import { DropletName } from '../lib/route/droplet-name.ts'
import { objectMessage } from '../lib/route/spec.ts'

const VERSION = 'must be the number of a version'

/** Puts an earlier version of a route. */
export default endpoint(
  {
    operationId: 'rollbackProxy',
    summary: 'Put an earlier version of a route, also of a deleted one',
    description:
      'A PUT of that version, with all of its checks, so it can be refused. The present certificate is used: certificates are not part of a version.',
    method: 'POST',
    path: '/proxies/:droplet_name/rollback',
    params: v.strictObject({ droplet_name: DropletName }),
    query: DryRun,
    body: v.strictObject(
      {
        to: v.optional(
          v.pipe(
            v.number(VERSION),
            v.integer(VERSION),
            v.minValue(1, VERSION),
            v.description('A version of its history; the one before if missing'),
          ),
        ),
      },
      objectMessage,
    ),
    responses: putResponses('Served as it was, or unchanged; or a dry run'),
    supportsPreconditions: true,
    errors: [...PUT_ERRORS, 'PROXY_NOT_FOUND', 'VERSION_NOT_FOUND'],
  },
  async ({ params, query, body, precondition }, { engine, base, origin }) => {
    const request = { dropletName: params.droplet_name, to: body.to, precondition, origin }
    return query.dry_run
      ? putDryRunAnswer(await engine.dryRunRollback(request))
      : putAnswer(await engine.rollbackProxy(request), base)
  },
)
