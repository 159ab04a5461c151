/** Events as they happen: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). */
import { ProxyManagerError } from '../errors.ts'
import type { LoggedEvent } from './event.ts'
import type { EventLog } from './log.ts'
import { PROGRESS, type Progress, type ProgressEvent } from './progress.ts'
import { type EventFilter, isWanted, type Place } from './read.ts'

export interface StreamRequest {
  /** The id after which the stream begins; with what happens next if missing. */
  readonly after: number | undefined
  readonly filter: EventFilter
  /** Whether the caller may still read: asked before anything is sent. */
  readonly isAllowed: () => boolean
}

export interface EventStreams {
  /**
   * A stream of events, which ends with its reader. It reads on from the log only as fast as it is read itself, so that a stuck reader takes no
   * memory.
   * @throws {ProxyManagerError} TOO_MANY_STREAMS; BUSY once they are closed
   */
  open(request: StreamRequest): ReadableStream<Uint8Array>
  /** Sends a comment on every stream, so that no proxy between takes it for dead. */
  keepAlive(): void
  /** Ends every stream. */
  close(): void
}

const MAX_STREAMS = 32
const READ_AT_ONCE = 100
const RETRY_AFTER_S = 5
/** Steps that a stuck reader has not read: older ones are of no use any more. */
const MAX_STEPS = 100

/** Makes the streams of a log, and of what calls in progress do. */
export function eventStreams(log: EventLog, progress: Progress): EventStreams {
  const open = new Set<Reader>()
  let isClosed = false
  return {
    open: (request) => {
      if (isClosed) throw new ProxyManagerError('BUSY', { message: 'Proxy Manager is stopping', retryAfterS: 2 })
      if (open.size >= MAX_STREAMS) throw new ProxyManagerError('TOO_MANY_STREAMS', { retryAfterS: RETRY_AFTER_S })
      const reader = eventReader(log, progress, request, () => open.delete(reader))
      open.add(reader)
      const encoder = new TextEncoder()
      return new ReadableStream<Uint8Array>(
        {
          pull: async (controller) => {
            const text = await reader.next().catch((error: unknown) => {
              reader.end()
              throw error
            })
            if (text === undefined) controller.close()
            else controller.enqueue(encoder.encode(text))
          },
          cancel: reader.end,
        },
        { highWaterMark: 0 },
      )
    },
    keepAlive: () => {
      for (const reader of open) reader.comment()
    },
    close: () => {
      isClosed = true
      for (const reader of open) reader.end()
    },
  }
}

interface Reader {
  /** What is to be sent next; `undefined` at the end. */
  next(): Promise<string | undefined>
  comment(): void
  end(): void
}

function eventReader(
  log: EventLog,
  progress: Progress,
  { after, filter, isAllowed }: StreamRequest,
  onEnd: () => void,
): Reader {
  let place: Place = { after: after ?? log.ids().last }
  let pending = 'retry: 3000\n\n'
  let isEnded = false
  let isChanged = false
  let wake: () => void = () => undefined
  const notify = () => {
    isChanged = true
    wake()
  }
  const unsubscribe = log.onAppend(notify)
  const steps = unreadSteps(progress, filter, notify)
  const end = () => {
    if (isEnded) return
    isEnded = true
    unsubscribe()
    steps.end()
    onEnd()
    notify()
  }
  const take = (): string => {
    const text = pending
    pending = ''
    return text
  }
  return {
    next: async () => {
      for (;;) {
        if (!isEnded && !isAllowed()) end()
        if (isEnded) return undefined
        isChanged = false
        pending += steps.take()
        const { oldest, last } = log.ids()
        if (place.after < oldest - 1 || place.after > last) {
          pending += `event: reset\ndata: ${JSON.stringify({ oldest_id: oldest, last_id: last })}\n\n`
          place = { after: oldest - 1 }
        }
        const page = await log.read(place, READ_AT_ONCE, filter)
        place = page.next
        pending += page.events.map(frameOf).join('')
        if (pending !== '') return take()
        if (!isChanged)
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    },
    comment: () => {
      pending ||= ':\n\n'
      notify()
    },
    end,
  }
}

/** The steps of calls that a reader has not got yet. */
function unreadSteps(progress: Progress, filter: EventFilter, onStep: () => void) {
  const unread: ProgressEvent[] = []
  const end = progress.subscribe((event) => {
    if (!isWanted(event, filter)) return
    unread.push(event)
    if (unread.length > MAX_STEPS) unread.shift()
    onStep()
  })
  return { take: () => unread.splice(0).map(stepFrame).join(''), end }
}

/** Without an id: a reader that resumes does not need it again. */
function stepFrame(event: ProgressEvent): string {
  return `event: ${PROGRESS}\ndata: ${JSON.stringify(event)}\n\n`
}

function frameOf(event: LoggedEvent): string {
  return `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
}
