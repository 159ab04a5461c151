/** Reading the log. A read lets other calls run after every 64 KiB. */
import type { Host } from '../host/host.ts'
import { type DatedEvent, idOf, type LoggedEvent, readLine } from './event.ts'
import { readLines, type Segment } from './segments.ts'

/** A place in the log: after the event of this id. What else is in it saves finding it again. */
export interface Place {
  readonly after: number
  readonly segment?: number
  readonly offset?: number
}

export interface EventFilter {
  readonly type?: string | undefined
  readonly dropletName?: string | undefined
  readonly correlationId?: string | undefined
}

export interface EventPage {
  readonly events: readonly LoggedEvent[]
  /** Where the next read continues. */
  readonly next: Place
}

export interface EventReads {
  /** The events after a place, at most `limit` of them, the oldest first. */
  read(place: Place, limit: number, filter?: EventFilter): Promise<EventPage>
  /** The last `limit` events, the oldest of them first. */
  readLast(limit: number, filter?: EventFilter): Promise<readonly LoggedEvent[]>
  /** The ids of the oldest and of the last event; events before the oldest one are gone. */
  ids(): { readonly oldest: number; readonly last: number }
  /** Which of these events, which were made with the same times, the log does not have. */
  missing(events: readonly DatedEvent[]): Promise<readonly DatedEvent[]>
}

/** What is in the log; events after `lastId` are being appended. */
interface Content {
  readonly segments: readonly Segment[]
  readonly lastId: number
}

type ReadHost = Pick<Host, 'files' | 'paths'>

/** Reads what `content` says is in the log. */
export function eventReads(host: ReadHost, content: () => Content): EventReads {
  const readAll = async (segments: readonly Segment[], filter: EventFilter): Promise<LoggedEvent[]> => {
    const { lastId } = content()
    const events: LoggedEvent[] = []
    for await (const { lines } of chunks(host, segments, 0))
      for (const line of lines) {
        const event = matching(line, filter)
        if (event !== undefined && event.id <= lastId) events.push(event)
      }
    return events
  }
  return {
    ids: () => {
      const { segments, lastId } = content()
      return { oldest: segments[0]?.firstId ?? lastId + 1, last: lastId }
    },
    read: async (place, limit, filter = {}) => {
      const { segments, lastId } = content()
      const events: LoggedEvent[] = []
      const first = segments.findLastIndex(({ firstId }) => firstId <= (place.segment ?? place.after + 1))
      const isThere = segments[first]?.firstId === place.segment
      let next = place
      for await (const chunk of chunks(host, segments.slice(Math.max(0, first)), isThere ? (place.offset ?? 0) : 0)) {
        let { offset } = chunk
        for (const line of chunk.lines) {
          const id = idOf(line) ?? 0
          if (id > lastId || events.length >= limit) return { events, next }
          offset += Buffer.byteLength(line) + 1
          if (id <= place.after) continue
          next = { after: id, segment: chunk.segment, offset }
          const event = matching(line, filter)
          if (event !== undefined) events.push(event)
        }
      }
      return { events, next }
    },
    readLast: async (limit, filter = {}) => {
      let events: LoggedEvent[] = []
      for (const segment of content().segments.toReversed()) {
        events = [...(await readAll([segment], filter)), ...events]
        if (events.length >= limit) break
      }
      return events.slice(-limit)
    },
    missing: async (wanted) => {
      const keys = new Set<string>()
      for (const { at } of wanted.slice(0, 1))
        for await (const { lines } of chunks(host, content().segments, 0))
          for (const line of lines) {
            const event = line.includes(JSON.stringify(at)) ? matching(line, {}) : undefined
            if (event !== undefined) keys.add(keyOf(event))
          }
      return wanted.filter((event) => !keys.has(keyOf(event)))
    },
  }
}

/** What tells an event from all others: a generation is used by only one change. */
function keyOf({ at, type, droplet_name, generation }: DatedEvent): string {
  return JSON.stringify([at, type, droplet_name, generation])
}

/** Whether an event is one that is wanted. */
export function isWanted(event: Filtered, { type, dropletName, correlationId }: EventFilter): boolean {
  return (
    (type ?? event.type) === event.type &&
    (dropletName === undefined || event.droplet_name === dropletName) &&
    (correlationId === undefined || event.correlation_id === correlationId)
  )
}

type Filtered = Pick<DatedEvent, 'droplet_name' | 'correlation_id'> & { readonly type: string }

function matching(line: string, filter: EventFilter): LoggedEvent | undefined {
  if (idOf(line) === undefined) return undefined
  // Parsing takes most of the time.
  const { type, dropletName, correlationId } = filter
  const words = [type, dropletName, correlationId].filter((word) => word !== undefined)
  if (!words.every((word) => line.includes(JSON.stringify(word)))) return undefined
  const event = readLine(line)
  return event !== undefined && isWanted(event, filter) ? event : undefined
}

interface Chunk {
  /** The id of its segment's first event. */
  readonly segment: number
  /** Of its first line in the segment. */
  readonly offset: number
  readonly lines: readonly string[]
}

/** The lines of these segments, from this offset in the first of them on. */
async function* chunks(host: ReadHost, segments: readonly Segment[], offset: number): AsyncGenerator<Chunk> {
  for (const [i, segment] of segments.entries()) {
    let at = i === 0 ? offset : 0
    for (;;) {
      const { lines, next } = readLines(host, segment, at)
      if (next === at) break
      yield { segment: segment.firstId, offset: at, lines }
      at = next
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
