/** Sends each event to a URL, as a message of the mesh: at least once, in their order, also after a restart. */
import * as v from 'valibot'
import type { HttpAnswer } from '../adapters/http-client.ts'
import type { LoggedEvent } from '../events/event.ts'
import type { EventLog } from '../events/log.ts'
import type { Place } from '../events/read.ts'
import type { Host } from '../host/host.ts'
import { readRecord, writeRecord } from '../host/json-record.ts'
import { logOnChange } from '../host/log-on-change.ts'
import { singleFlight } from '../host/single-flight.ts'

export interface Webhook {
  /** Sends what was not delivered yet, unless the pause after a failure is not over. Never rejects; cheap enough to be called every second. */
  deliver(): Promise<void>
  /** Sends nothing more, and resolves once nothing is being sent. */
  stop(): Promise<void>
}

const LIMITS = { timeoutMs: 5000, limitBytes: 64 * 1024 }
const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 300_000
const READ_AT_ONCE = 100
/** The receiver will never take this one: those after it are sent. */
const REJECTED = [400, 413, 422]

const Delivered = v.object({ after: v.number() })

type WebhookHost = Pick<Host, 'settings' | 'http' | 'files' | 'paths' | 'clock' | 'log' | 'metrics'>

/** Makes the webhook; without EVENTS_URL it does nothing. What waits to be sent is the log itself: what is gone from it is counted as dropped. */
export function webhook(host: WebhookHost, events: EventLog): Webhook {
  const { EVENTS_URL: url, EVENTS_TOKEN: token } = host.settings
  const sending = singleFlight<void>()
  const logDelivery = logOnChange(host, 'send_events')
  const delivered = readRecord(host, host.paths.delivered, Delivered)
  // At the first start there is nothing to continue with: events begin with the next one.
  let place: Place = { after: delivered?.after ?? (url === undefined ? 0 : events.ids().last) }
  let isRecorded = delivered !== undefined
  let dueAtMs = Number.NEGATIVE_INFINITY
  let pauseMs = FIRST_PAUSE_MS
  let isStopped = false

  const record = (after: number) => writeRecord(host, host.paths.delivered, { after }, 'record_delivery')
  const send = async (event: LoggedEvent, to: string): Promise<boolean> => {
    const json = messageOf(host.settings.DROPLET_ID, event)
    const answer = await host.http.request({ url: to, ...LIMITS, json, ...(token === undefined ? {} : { token }) })
    const failure = failureOf(answer)
    const isRejected = 'status' in answer && REJECTED.includes(answer.status)
    if (isRejected) drop(host, 1, `the receiver rejects event ${event.id}: ${failure}`)
    else logDelivery(failure, failure && 'failing')
    return failure === undefined || isRejected
  }
  const run = async (): Promise<void> => {
    if (url === undefined || host.clock.monotonicMs() < dueAtMs) return
    if (!isRecorded) await record(place.after)
    isRecorded = true
    while (!isStopped) {
      const { oldest, last } = events.ids()
      // It is another log: the one before was lost.
      if (place.after > last) place = { after: oldest - 1 }
      if (place.after < oldest - 1) {
        drop(host, oldest - 1 - place.after, 'the log has no room for more')
        place = { after: oldest - 1 }
      }
      const page = await events.read(place, READ_AT_ONCE)
      for (const event of page.events) {
        if (isStopped) return
        if (!(await send(event, url))) {
          dueAtMs = host.clock.monotonicMs() + pauseMs
          pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
          return
        }
        pauseMs = FIRST_PAUSE_MS
        place = { after: event.id }
        await record(event.id)
      }
      if (page.events.length < READ_AT_ONCE) return
    }
  }
  return {
    deliver: () => sending.run(run),
    stop: async () => {
      isStopped = true
      await sending.running()
    },
  }
}

function drop({ metrics, log }: WebhookHost, count: number, cause: string): void {
  metrics.eventsDropped(count)
  log.write('warn', { action: 'drop_events', result: 'failure', count, cause })
}

/** As `POST /message` of any droplet takes it. */
function messageOf(source: string, event: LoggedEvent) {
  const trace_id = event.correlation_id ?? `${source}-event-${event.id}`
  const message = { udc_version: '1.0', trace_id, source, target: '*', message_type: 'event' }
  return { ...message, payload: event, timestamp: event.at }
}

function failureOf(answer: HttpAnswer): string | undefined {
  if ('failure' in answer) return answer.failure
  return answer.status >= 200 && answer.status < 300 ? undefined : `status ${answer.status}`
}
