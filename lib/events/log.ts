/** One durable, ordered log of what happened. */
import { errorText } from '../errors.ts'
import type { Host } from '../host/host.ts'
import { logOnChange } from '../host/log-on-change.ts'
import { type DatedEvent, datedEvent, type EventDraft, lineOf } from './event.ts'
import { type EventReads, eventReads } from './read.ts'
import { createSegment, findSegments, type Segment, segmentPath } from './segments.ts'

export interface EventLog extends EventReads {
  /**
   * Appends events, all of them or none; they are on the medium when this resolves. Appends that arrive meanwhile share the next one.
   * @throws {Error} Node's error
   */
  append(events: readonly DatedEvent[]): Promise<void>
  /** Appends what happens now. A failure is logged; resolves in any case. */
  add(event: EventDraft): Promise<void>
  /** Calls back after each append, until the returned function is called. */
  onAppend(callback: () => void): () => void
  /** Resolves once nothing is being appended. */
  idle(): Promise<void>
}

const SEGMENT_BYTES = 1024 * 1024
const MAX_BYTES = 64 * SEGMENT_BYTES
const MAX_AGE_MS = 30 * 24 * 3_600_000
/** The last events stay, however old they are; at 4 KiB each they are less than the log may have. */
const ALWAYS_KEPT = 10_000
/** Events of these types are kept only once a minute for each droplet and error: a flapping droplet, or a caller that tries again and again, must not displace the others. */
const LIMITED = /^(upstream\.|route\.refused$|certificate\.failed$)/
const LIMITED_MS = 60_000
const MAX_LIMITED = 10_000

/** Opens the log of this host; its files are read at the first use. */
export function eventLog(host: LogHost): EventLog {
  let opened: State | undefined
  const open = () => (opened ??= { ...findSegments(host) })
  const callbacks = new Set<() => void>()
  let waiting: Waiting[] = []
  let running: Promise<void> | undefined

  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        await appendAll(
          host,
          open(),
          batch.flatMap(({ events }) => events),
        )
        for (const { resolve } of batch) resolve()
        for (const call of callbacks) call()
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    running = undefined
  }
  const append: EventLog['append'] = async (events) => {
    if (events.length === 0) return
    await new Promise<void>((resolve, reject) => {
      waiting.push({ events, resolve, reject })
      // Later, because it forgets itself at its end, which may come at once.
      running ??= Promise.resolve().then(run)
    })
  }
  const isWithinLimit = eventLimiter(host.clock)
  const logAdded = logOnChange(host, 'append_event')

  return {
    append,
    add: async (event) => {
      if (!isWithinLimit(event)) return
      await append([datedEvent(event, host.clock.nowMs())]).then(
        () => logAdded(undefined),
        (error: unknown) => logAdded(errorText(error)),
      )
    },
    ...eventReads(host, open),
    onAppend: (callback) => {
      callbacks.add(callback)
      return () => void callbacks.delete(callback)
    },
    idle: async () => {
      while (running !== undefined) await running
    },
  }
}

type LogHost = Pick<Host, 'files' | 'paths' | 'clock' | 'log'>

interface Waiting {
  readonly events: readonly DatedEvent[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

interface State {
  readonly segments: Segment[]
  lastId: number
  /** The last segment may end with a part of a line. */
  isTorn: boolean
}

async function appendAll(host: LogHost, state: State, events: readonly DatedEvent[]): Promise<void> {
  const segment = await segmentFor(host, state)
  const lines = events.map((event, i) => lineOf(state.lastId + 1 + i, event))
  const text = `${state.isTorn ? '\n' : ''}${lines.join('')}`
  state.isTorn = true
  // If this fails, and its lines cannot be removed again, no other event has their ids.
  state.lastId += lines.length
  await host.files.append(segmentPath(host, segment.firstId), text)
  state.isTorn = false
  segment.bytes += Buffer.byteLength(text)
  await prune(host, state)
}

async function segmentFor(host: LogHost, state: State): Promise<Segment> {
  const last = state.segments.at(-1)
  if (last !== undefined && last.bytes < SEGMENT_BYTES) return last
  const segment = await createSegment(host, state.lastId + 1)
  state.segments.push(segment)
  state.isTorn = false
  return segment
}

/** Removes the oldest segments that the log has no room or no use for. What cannot be removed is left for the next time. */
async function prune(host: LogHost, { segments, lastId }: State): Promise<void> {
  for (;;) {
    const [oldest, next] = segments
    if (oldest === undefined || next === undefined || lastId - next.firstId + 1 < ALWAYS_KEPT) return
    const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
    if (bytes <= MAX_BYTES && next.fromMs > host.clock.nowMs() - MAX_AGE_MS) return
    const isRemoved = await host.files.remove(segmentPath(host, oldest.firstId)).then(
      () => true,
      () => false,
    )
    if (!isRemoved) return
    segments.shift()
  }
}

function eventLimiter({ monotonicMs }: Pick<Host['clock'], 'monotonicMs'>): (event: EventDraft) => boolean {
  const lastMs = new Map<string, number>()
  return ({ type, droplet_name, error_code, details }) => {
    if (!LIMITED.test(type)) return true
    const subject = type.startsWith('upstream.') ? `upstream ${details?.upstream}` : type
    const key = `${subject} ${droplet_name} ${error_code}`
    const nowMs = monotonicMs()
    const last = lastMs.get(key)
    if (last !== undefined && nowMs - last < LIMITED_MS) return false
    if (lastMs.size >= MAX_LIMITED) lastMs.clear()
    lastMs.set(key, nowMs)
    return true
  }
}
