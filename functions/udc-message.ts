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
  v.description('Of a query or a command, one of these; of a status or an event, anything'),
)

/**
 * A message of the mesh. A `query` answers from the API and a `command` does what the API does, through the same endpoints under the same
 * rules, where it is meant for this droplet; `status` and `event` are taken note of, whoever they are for.
 */
export default endpoint(
  {
    operationId: 'udcMessage',
    summary: 'Take a message of the mesh',
    description:
      'A query or a command is carried out as a call of the same caller, and its answer stands in result. A message that was understood is a 200, also where its command failed.',
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
            v.description('What the call answered, even an error; null if there was no call'),
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
    if (call !== undefined && !isAddressedToUs(settings, body.target)) throw misdelivered(settings)
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

/** A handler by itself has nobody to pass a call on to. */
function notMounted(correlationId: string) {
  const error = new ProxyManagerError('NOT_FOUND', {
    message: 'This endpoint was called by itself, and has no others to carry a query or a command out',
    details: { culprit: 'host', remedy: 'Mount it with createApp(), beside the endpoints that it is to call' },
  })
  return { status: error.status, body: errorBody(error, correlationId) }
}

/** A command that was meant for another droplet would change the wrong host. */
function misdelivered({ SERVICE_NAME, DROPLET_ID }: Settings): ProxyManagerError {
  const names = [...new Set([SERVICE_NAME, DROPLET_ID])].map((name) => JSON.stringify(name)).join(' or ')
  const message = `is another droplet: this one is called ${names}, and takes what is for "*" or "broadcast"`
  return new ProxyManagerError('INVALID_REQUEST', { details: { issues: [{ path: 'target', message }] } })
}
