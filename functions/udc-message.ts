import * as v from 'valibot'
import { ProxyManagerError } from '../lib/errors.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { errorBody } from '../lib/http/error-response.ts'
import { Command, callFor, Query } from '../lib/http/message-call.ts'
import { AT, PROXY } from '../lib/http/openapi/samples.ts'
import { NoParams, NoQuery } from '../lib/http/parameters.ts'
import { isAddressedToUs } from '../lib/mesh/announcements.ts'
import type { Settings } from '../lib/settings/settings.ts'

const Text = v.pipe(
  v.string('must be a string'),
  v.minLength(1, 'must not be empty'),
  v.maxLength(256, 'must be at most 256 characters long'),
)
const Payload = v.pipe(
  v.union([Query, Command, v.record(v.string(), v.unknown())], 'must be a JSON object'),
  v.description('For a query or a command, one of these; for a status or an event, any object'),
)

/**
 * A message of the mesh. A `query` or a `command` for this droplet calls an endpoint of the API, under the same rules as a caller of that
 * endpoint; a `status` or an `event` is only logged, whoever it is for.
 */
export default endpoint(
  {
    operationId: 'udcMessage',
    summary: 'Receive a message of the mesh',
    description:
      'A query or a command is carried out as a call by the same caller; result has its answer. A message that was understood is answered with 200 even if its command failed.',
    method: 'POST',
    path: '/message',
    aliases: [{ method: 'POST', path: '/proxy-manager/message' }],
    params: NoParams,
    query: NoQuery,
    body: v.strictObject(
      {
        trace_id: Text,
        source: Text,
        target: Text,
        message_type: v.picklist(['status', 'event', 'command', 'query'], 'must be status, event, command or query'),
        payload: v.optional(Payload, {}),
        timestamp: v.optional(Text),
      },
      (issue) =>
        issue.expected === 'never'
          ? 'is not a known field'
          : issue.received === 'undefined'
            ? 'is required'
            : 'must be a JSON object',
    ),
    responses: {
      200: {
        description: 'The message was understood: status says what was done, result is what the call answered',
        schema: v.object({
          received: v.literal(true),
          trace_id: v.string(),
          message_id: v.string(),
          processed_at: v.string(),
          status: v.picklist(['processed', 'noted', 'failed']),
          result: v.pipe(
            v.unknown(),
            v.description('The answer of the call, even if it is an error; null if there was no call'),
          ),
        }),
        example: {
          received: true,
          trace_id: 't-1',
          message_id: 'b3c7361a-f76f-4a6e-a2fe-b1ffef21ad2b',
          processed_at: AT,
          status: 'processed',
          result: PROXY,
        },
      },
    },
    errors: ['INVALID_REQUEST', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'],
  },
  async ({ body }, { callApi, clock, correlationId = '', settings }) => {
    const { message_type: type, payload } = body
    const call = type === 'query' || type === 'command' ? callFor(type, payload) : undefined
    if (call !== undefined && !isAddressedToUs(settings, body.target)) throw notAddressedToUs(settings)
    const answer = call === undefined ? undefined : ((await callApi?.(call)) ?? notMounted(correlationId))
    return {
      status: 200,
      body: {
        received: true,
        trace_id: body.trace_id,
        message_id: clock.randomId(),
        processed_at: new Date(clock.nowMs()).toISOString(),
        status: call === undefined ? 'noted' : answer !== undefined && answer.status < 400 ? 'processed' : 'failed',
        result: answer?.body ?? null,
      },
      logFields: { trace_id: body.trace_id, message_type: body.message_type },
    }
  },
)

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
