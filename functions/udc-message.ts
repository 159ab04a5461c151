import * as v from 'valibot'
import { ProxyManagerError } from '../lib/errors.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { errorBody } from '../lib/http/error-response.ts'
import { Command, callFor, KNOWN, Query } from '../lib/http/message-call.ts'
import { AT, PROXY } from '../lib/http/openapi/samples.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'
import { isAddressedToUs } from '../lib/mesh/announcements.ts'
import type { Settings } from '../lib/settings/settings.ts'

/** Identifiers of the mesh are texts or numbers. */
const Id = v.pipe(
  v.union(
    [v.pipe(v.string(), v.maxLength(256, 'must be at most 256 characters long')), v.number()],
    'must be a string or a number',
  ),
  v.transform(String),
)
const Foreign = [v.record(v.string(), v.unknown()), v.array(v.unknown()), v.string(), v.number(), v.boolean(), v.null()]
const Payload = v.pipe(
  v.union([Query, Command, ...Foreign]),
  v.description('For a query or a command of this droplet, one of these; else anything'),
)

/**
 * A message of the mesh. A `query` or a `command` for this droplet calls an endpoint of the API, under the same rules as a caller of that
 * endpoint; a `status` or an `event` is only logged, whoever it is for. The envelope is taken as other droplets send it, so fields that are not
 * known here are ignored; what a command of ours contains is checked as strictly as its call.
 */
export default endpoint(
  {
    operationId: 'udcMessage',
    summary: 'Receive a message of the mesh',
    description:
      'A query or a command is carried out as a call by the same caller; result has its answer. The answer is 200 even if the command failed, and if it is one of another droplet, which is ignored.',
    method: 'POST',
    path: '/message',
    aliases: [{ method: 'POST', path: '/proxy-manager/message' }],
    params: NoParams,
    query: NoQuery,
    body: v.looseObject(
      {
        trace_id: v.optional(Id),
        source: v.optional(Id),
        target: v.nullish(Id),
        message_type: v.picklist(
          ['status', 'event', 'command', 'query', 'response'],
          'must be status, event, command, query or response',
        ),
        payload: v.optional(Payload),
      },
      (issue) => (issue.received === 'undefined' ? 'is required' : 'must be a JSON object'),
    ),
    responses: {
      200: {
        description: 'The message was understood: status says what was done, result is what the call answered',
        schema: v.object({
          received: v.literal(true),
          trace_id: v.string(),
          message_id: v.string(),
          processed_at: v.string(),
          status: v.pipe(
            v.picklist(['processed', 'noted', 'ignored', 'failed']),
            v.description('ignored: a query or a command that this droplet does not have'),
          ),
          success: v.pipe(v.boolean(), v.description('False if it was ignored or has failed')),
          result: v.pipe(
            v.record(v.string(), v.unknown()),
            v.description(
              'The answer of the call, even if it is an error, a list as { "items": [...] }; if it was ignored, what this droplet knows; else empty',
            ),
          ),
        }),
        example: {
          received: true,
          trace_id: 't-1',
          message_id: 'b3c7361a-f76f-4a6e-a2fe-b1ffef21ad2b',
          processed_at: AT,
          status: 'processed',
          success: true,
          result: PROXY,
        },
      },
    },
    errors: ['INVALID_REQUEST', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'],
  },
  async ({ body }, { callApi, clock, correlationId = '', settings }) => {
    const { message_type: type, payload, target, trace_id = correlationId } = body
    const isForUs = target === undefined || target === null || isAddressedToUs(settings, target)
    const isRequest = type === 'query' || type === 'command'
    const call = isRequest ? callFor(type, payload) : undefined
    if (call !== undefined && !isForUs) throw notAddressedToUs(settings)
    const answer = call === undefined ? undefined : ((await callApi?.(call)) ?? notMounted(correlationId))
    const done = answer === undefined ? (isRequest ? 'ignored' : 'noted') : answer.status < 400 ? 'processed' : 'failed'
    return {
      status: 200,
      body: {
        received: true,
        trace_id,
        message_id: clock.randomId(),
        processed_at: new Date(clock.nowMs()).toISOString(),
        status: done,
        success: done === 'processed' || done === 'noted',
        result: answer === undefined ? (isRequest ? { known: KNOWN } : {}) : asObject(answer.body),
      },
      logFields: { trace_id, message_type: type },
    }
  },
)

/** Callers of the mesh expect an object. */
function asObject(body: unknown): Readonly<Record<string, unknown>> {
  if (Array.isArray(body)) return { items: body }
  return typeof body === 'object' && body !== null ? { ...body } : {}
}

/** A handler that is called without `createApp` has no other endpoints. */
function notMounted(correlationId: string) {
  const error = new ProxyManagerError('NOT_FOUND', {
    message: 'This endpoint is not part of an app, so it cannot carry out a query or a command',
    details: { culprit: 'host', remedy: 'Mount it with createApp(), together with the endpoints that it calls' },
  })
  return { status: error.status, body: errorBody(error, correlationId) }
}

/** A command for another droplet would change the wrong host. */
function notAddressedToUs({ SERVICE_NAME, DROPLET_ID }: Settings): ProxyManagerError {
  const names = [...new Set([SERVICE_NAME, DROPLET_ID])].map((name) => JSON.stringify(name)).join(' or ')
  const message = `does not match this droplet (${names}, "*" or "broadcast")`
  return new ProxyManagerError('INVALID_REQUEST', { details: { issues: [{ path: 'target', message }] } })
}
