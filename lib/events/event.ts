/** What an event is. */
import * as v from 'valibot'

/** What happens. Of `upstream.up` and `upstream.down`, at most one a minute is kept for each droplet. */
export const EVENT_TYPES = [
  'route.created',
  'route.replaced',
  'route.deleted',
  'route.refused',
  'route.drifted',
  'route.drained',
  'route.renamed',
  'route.rolled_back',
  'certificate.ordered',
  'certificate.renewed',
  'certificate.failed',
  'certificate.expiring',
  'certificate.uploaded',
  'certificate.deleted',
  'upstream.up',
  'upstream.down',
  'nginx.reloaded',
  'nginx.reload_failed',
  'health.changed',
  'sync.finished',
  'manager.started',
  'manager.stopped',
  'host.reconciled',
  'site.adopted',
  'tokens.changed',
] as const
export type EventType = (typeof EVENT_TYPES)[number]

export const ACTOR_KINDS = ['token', 'registry', 'sync', 'renewal', 'recovery', 'reconcile', 'timer', 'local'] as const

export const ActorSchema = v.object({
  kind: v.pipe(
    v.picklist(ACTOR_KINDS),
    v.description(
      'token: a caller with a token of this host; registry: with a JWT; local: a caller who needs none; the others are jobs of Proxy Manager',
    ),
  ),
  name: v.pipe(v.optional(v.string()), v.description("Name of the token, or the JWT's sub")),
})
export type Actor = v.InferOutput<typeof ActorSchema>

/** On whose behalf something is done. */
export interface Origin {
  readonly actor: Actor
  readonly address?: string | undefined
  readonly correlationId?: string | undefined
}

const entries = {
  at: v.pipe(v.string(), v.description('ISO 8601')),
  type: v.picklist(EVENT_TYPES),
  droplet_name: v.optional(v.string()),
  domain: v.optional(v.string()),
  actor: ActorSchema,
  address: v.pipe(v.optional(v.string()), v.description('Of the caller')),
  correlation_id: v.optional(v.string()),
  generation: v.optional(v.number()),
  outcome: v.optional(v.string()),
  error_code: v.optional(v.string()),
  details: v.record(v.string(), v.unknown()),
}

/** An event that the log has not numbered yet. */
export const DatedEvent = v.object(entries)
export interface DatedEvent extends Readonly<v.InferOutput<typeof DatedEvent>> {}

/** An event of the log. */
export const LoggedEvent = v.object({
  id: v.pipe(v.number(), v.description('Grows for ever; there may be gaps')),
  ...entries,
})
export interface LoggedEvent extends Readonly<v.InferOutput<typeof LoggedEvent>> {}

/** An event that happens now. */
export interface EventDraft extends Partial<Omit<DatedEvent, 'at' | 'type' | 'actor' | 'address' | 'correlation_id'>> {
  readonly type: EventType
  readonly origin: Origin
}

/** A name in a token is whatever its issuer wrote. */
const MAX_NAME = 200

/** The event of a draft at this time. */
export function datedEvent({ type, origin, details = {}, ...subject }: EventDraft, nowMs: number): DatedEvent {
  const { actor, address, correlationId } = origin
  return {
    at: new Date(nowMs).toISOString(),
    type,
    ...subject,
    actor: { kind: actor.kind, ...(actor.name === undefined ? {} : { name: actor.name.slice(0, MAX_NAME) }) },
    ...(address === undefined ? {} : { address }),
    ...(correlationId === undefined ? {} : { correlation_id: correlationId }),
    details,
  }
}

const MAX_BYTES = 4096

/** The line of an event, at most 4 KiB: details that do not fit are left out. */
export function lineOf(id: number, event: DatedEvent): string {
  const line = `${JSON.stringify({ id, ...event })}\n`
  if (Buffer.byteLength(line) <= MAX_BYTES) return line
  return `${JSON.stringify({ id, ...event, details: { truncated: true } })}\n`
}

/** The id of a line; `undefined` if it is not one of ours, such as the rest of one that a power cut has torn. */
export function idOf(line: string): number | undefined {
  const digits = /^\{"id":(\d{1,16}),/.exec(line)?.[1]
  return digits === undefined || !line.endsWith('}') ? undefined : Number(digits)
}

/** The event of a line; `undefined` if it is not one of ours. */
export function readLine(line: string): LoggedEvent | undefined {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
