/** The steps of calls that are in progress. They are for whoever watches, and not kept in the log. */
import * as v from 'valibot'
import type { Clock } from '../adapters/clock.ts'
import { ActorSchema, type Origin } from './event.ts'

/** The type of these events on a stream. */
export const PROGRESS = 'progress'

/** What a call does or waits for. */
export const STEPS = [
  'waiting_for_health',
  'queued',
  'preflight',
  'ordering',
  'testing',
  'installing',
  'proving',
  'draining',
] as const
export type Step = (typeof STEPS)[number]

export const ProgressEvent = v.object({
  type: v.literal(PROGRESS),
  at: v.pipe(v.string(), v.description('ISO 8601')),
  step: v.pipe(
    v.picklist(STEPS),
    v.description(
      "waiting_for_health: for the new droplet; queued: for other changes, or for other orders of certificates; preflight: the checks before an order; ordering: certbot and the CA; testing: nginx -t; installing: the files; proving: NGINX's reload, and that it serves the change; draining: for the former droplet",
    ),
  ),
  droplet_name: v.pipe(v.optional(v.string()), v.description('If the call is about one droplet')),
  changes: v.pipe(v.number(), v.description('How many changes of the call are in this step')),
  actor: ActorSchema,
  correlation_id: v.pipe(v.string(), v.description('Of the call')),
  details: v.record(v.string(), v.unknown()),
})
export interface ProgressEvent extends Readonly<v.InferOutput<typeof ProgressEvent>> {}

/** A change or an order, and who has called for it. */
export interface Work {
  readonly dropletName: string
  readonly origin?: Origin | undefined
}

export interface Progress {
  /** Says what begins now. Work that no call has started is left out. Without a subscriber it costs next to nothing. */
  report(step: Step, work: readonly Work[], details?: ProgressEvent['details']): void
  /** The call has been answered. */
  end(correlationId: string): void
  /** Calls back with the present step of each call, then with each step that begins, until the returned function is called. */
  subscribe(callback: (event: ProgressEvent) => void): () => void
}

/** Follows the calls of one process. */
export function progressOfCalls({ nowMs }: Pick<Clock, 'nowMs'>): Progress {
  const present = new Map<string, ProgressEvent>()
  const callbacks = new Set<(event: ProgressEvent) => void>()
  return {
    report: (step, work, details = {}) => {
      const at = new Date(nowMs()).toISOString()
      for (const [correlation_id, { actor, dropletName, changes }] of byCall(work)) {
        const subject = dropletName === undefined ? {} : { droplet_name: dropletName }
        const event = { type: PROGRESS, at, step, ...subject, changes, actor, correlation_id, details } as const
        present.set(correlation_id, event)
        for (const call of callbacks) call(event)
      }
    },
    end: (correlationId) => void present.delete(correlationId),
    subscribe: (callback) => {
      for (const event of present.values()) callback(event)
      callbacks.add(callback)
      return () => void callbacks.delete(callback)
    },
  }
}

interface CallWork {
  readonly actor: Origin['actor']
  /** `undefined` if there are several. */
  dropletName: string | undefined
  changes: number
}

function byCall(work: readonly Work[]): ReadonlyMap<string, CallWork> {
  const calls = new Map<string, CallWork>()
  for (const { dropletName, origin } of work) {
    if (origin?.correlationId === undefined) continue
    const known = calls.get(origin.correlationId)
    if (known === undefined) calls.set(origin.correlationId, { actor: origin.actor, dropletName, changes: 1 })
    else {
      known.changes++
      if (known.dropletName !== dropletName) known.dropletName = undefined
    }
  }
  return calls
}
