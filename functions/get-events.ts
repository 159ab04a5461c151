import * as v from 'valibot'
import { EVENT_TYPES, LoggedEvent } from '../lib/events/event.ts'
import { ProgressEvent } from '../lib/events/progress.ts'
import { endpoint } from '../lib/http/endpoint.ts'
import { AT, DOMAIN, DROPLET } from '../lib/http/openapi/samples.ts'
import { EventsQuery, NoParams } from '../lib/http/parameters.ts'

const EVENT = {
  id: 7,
  at: AT,
  type: EVENT_TYPES[0],
  droplet_name: DROPLET,
  domain: DOMAIN,
  outcome: 'created',
  generation: 42,
  actor: { kind: 'token', name: 'ci' },
  address: '192.0.2.7',
  correlation_id: 'deploy-7',
  details: { upstream: 'http://localhost:8001', ssl_enabled: false },
} as const

const PROGRESS: ProgressEvent = {
  type: 'progress',
  at: AT,
  step: 'proving',
  droplet_name: DROPLET,
  changes: 1,
  actor: { kind: 'token', name: 'ci' },
  correlation_id: 'deploy-7',
  details: {},
}

/** What a stream may send. */
const Streamed = v.union([
  LoggedEvent,
  ProgressEvent,
  v.pipe(
    v.object({ oldest_id: v.number(), last_id: v.number() }),
    v.description(
      'Of an event named reset: those after the id that was passed are gone, the stream begins at the oldest',
    ),
  ),
])

/** What happened, as JSON; and what happens, as a stream of server-sent events. */
export default endpoint(
  {
    operationId: 'getEvents',
    summary: 'What happened: the audit trail, or a stream of it',
    description:
      'Without after, the last events. With Accept: text/event-stream, a stream that continues until either side ends it: each event has its id, resume with Last-Event-ID; an event named reset says that the events after that id are gone. Events named progress have no id and are not kept: they are the steps of calls that are in progress, also of those that were when the stream was opened.',
    method: 'GET',
    path: '/events',
    params: NoParams,
    query: EventsQuery,
    body: undefined,
    responses: {
      200: {
        description: 'The events, the oldest first',
        schema: v.object({
          events: v.array(LoggedEvent),
          next: v.pipe(v.number(), v.description('Pass this as after to read on')),
          oldest_id: v.pipe(v.number(), v.description('Events before this one are gone')),
          last_id: v.number(),
          reset: v.pipe(v.boolean(), v.description('Events after the id that was passed are gone')),
        }),
        example: { events: [EVENT], next: 7, oldest_id: 1, last_id: 7, reset: false },
        stream: {
          contentType: 'text/event-stream; charset=utf-8',
          data: Streamed,
          example: `retry: 3000\n\nevent: ${PROGRESS.type}\ndata: ${JSON.stringify(PROGRESS)}\n\nid: 7\nevent: ${EVENT.type}\ndata: ${JSON.stringify(EVENT)}\n\n`,
        },
      },
    },
    errors: ['INVALID_REQUEST', 'TOO_MANY_STREAMS', 'CONFIG_READ_FAILED', 'BUSY'],
  },
  async ({ query, header }, { engine: { events, streams }, caller }) => {
    const { type, droplet_name: dropletName, correlation_id: correlationId, limit } = query
    const filter = { type, dropletName, correlationId }
    if (/\btext\/event-stream\b/i.test(header('accept') ?? '')) {
      const resumed = /^\d{1,16}$/.exec(header('last-event-id') ?? '')?.[0]
      const after = resumed === undefined ? query.after : Number(resumed)
      const isAllowed = caller?.isAllowed ?? (() => true)
      return { status: 200, body: streams.open({ after, filter, isAllowed }) }
    }
    const { oldest, last } = events.ids()
    const ids = { oldest_id: oldest, last_id: last }
    if (query.after === undefined)
      return { status: 200, body: { events: await events.readLast(limit, filter), next: last, ...ids, reset: false } }
    const reset = query.after < oldest - 1 || query.after > last
    const page = await events.read({ after: reset ? oldest - 1 : query.after }, limit, filter)
    return { status: 200, body: { events: page.events, next: page.next.after, ...ids, reset } }
  },
)
