import * as v from 'valibot'
import { ProxyManagerError } from '../lib/core/errors.ts'
import { isMeantFor } from '../lib/core/mesh-words.ts'
import { DropletName } from '../lib/core/proxy.ts'
import type { Settings } from '../lib/core/settings.ts'
import { endpoint, type InnerCall, NoParams, NoQuery } from '../lib/http/endpoint.ts'

const Text = v.pipe(
  v.string('must be a string'),
  v.minLength(1, 'must not be empty'),
  v.maxLength(256, 'must be at most 256 characters long'),
)
const Payload = v.optional(v.record(v.string(), v.unknown(), 'must be a JSON object'), {})
const Query = v.variant('query', [
  v.looseObject({ query: v.literal('routes') }),
  v.looseObject({ query: v.literal('route'), droplet_name: DropletName }),
  v.looseObject({ query: v.literal('health') }),
])
const Command = v.variant('command', [
  v.looseObject({ command: v.literal('upsert'), droplet_name: DropletName, proxy: v.record(v.string(), v.unknown()) }),
  v.looseObject({ command: v.literal('delete'), droplet_name: DropletName }),
  v.looseObject({
    command: v.literal('ssl'),
    droplet_name: DropletName,
    options: v.optional(v.record(v.string(), v.unknown()), {}),
  }),
  v.looseObject({ command: v.literal('sync') }),
])

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
    also: [{ method: 'POST', path: '/proxy-manager/message' }],
    params: NoParams,
    query: NoQuery,
    body: v.strictObject(
      {
        trace_id: Text,
        source: Text,
        target: Text,
        message_type: v.picklist(['status', 'event', 'command', 'query'], 'must be status, event, command or query'),
        payload: Payload,
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
      200: v.object({
        received: v.literal(true),
        trace_id: v.string(),
        message_id: v.string(),
        processed_at: v.string(),
        status: v.picklist(['processed', 'noted', 'failed']),
        result: v.pipe(v.unknown(), v.description('What the call answered, an error too; null where there was none')),
      }),
    },
    errors: ['INVALID_REQUEST', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'],
  },
  async ({ body }, { callApi, clock, settings }) => {
    const call = callFor(body.message_type, body.payload)
    if (call !== undefined && !isMeantFor(settings, body.target)) throw misdelivered(settings)
    const answer = call === undefined ? undefined : await callApi?.(call)
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
      logged: { trace_id: body.trace_id, message_type: body.message_type },
    }
  },
)

/** A command that was meant for another droplet would change the wrong host. */
function misdelivered({ SERVICE_NAME, DROPLET_ID }: Settings): ProxyManagerError {
  const names = [...new Set([SERVICE_NAME, DROPLET_ID])].map((name) => JSON.stringify(name)).join(' or ')
  const message = `is another droplet: this one is called ${names}, and takes what is for "*" or "broadcast"`
  return new ProxyManagerError('INVALID_REQUEST', { details: { issues: [{ path: 'target', message }] } })
}

/** The call of this API that a message stands for. */
function callFor(
  type: 'status' | 'event' | 'command' | 'query',
  payload: Readonly<Record<string, unknown>>,
): InnerCall | undefined {
  if (type === 'query') {
    const query = parse(Query, payload)
    if (query.query === 'route') return { method: 'GET', path: `/proxies/${query.droplet_name}` }
    return { method: 'GET', path: query.query === 'health' ? '/proxy-manager/health' : '/proxies' }
  }
  if (type !== 'command') return undefined
  const command = parse(Command, payload)
  if (command.command === 'sync') return { method: 'POST', path: '/proxy-manager/sync-from-registry' }
  const path = `/proxies/${command.droplet_name}`
  if (command.command === 'upsert') return { method: 'PUT', path, body: command.proxy }
  return command.command === 'delete'
    ? { method: 'DELETE', path }
    : { method: 'POST', path: `${path}/ssl`, body: command.options }
}

function parse<T extends v.GenericSchema>(schema: T, payload: unknown): v.InferOutput<T> {
  const result = v.safeParse(schema, payload)
  if (result.success) return result.output
  const issues = result.issues.map((issue) => ({
    path: `payload.${v.getDotPath(issue) ?? ''}`,
    message: 'does not fit',
  }))
  throw new ProxyManagerError('INVALID_REQUEST', { details: { issues } })
}
