/** The files of the log: each is named after the id of its first event, and has one event a line. */
import type { Host } from '../host/host.ts'
import { replaceText } from '../host/replace-file.ts'
import { idOf, readLine } from './event.ts'

export interface Segment {
  /** Of its first event. */
  readonly firstId: number
  /** When its first event happened, in milliseconds since the epoch. */
  readonly fromMs: number
  bytes: number
}

/** What is on disk: the segments in their order, and the id of the last event. */
export interface FoundSegments {
  readonly segments: Segment[]
  readonly lastId: number
  /** The last segment does not end with a line feed: a power cut has torn its last line. */
  readonly isTorn: boolean
}

type SegmentHost = Pick<Host, 'files' | 'paths' | 'clock'>

/** Ids that no segment exceeds: if the newest segment is lost, the next event gets an id after all of those that were in it. */
const IDS_OF_A_SEGMENT = 1_000_000

export function segmentPath({ paths }: Pick<Host, 'paths'>, firstId: number): string {
  return `${paths.events}/${String(firstId).padStart(16, '0')}.jsonl`
}

/** Finds the segments. */
export function findSegments(host: SegmentHost): FoundSegments {
  const { files, paths } = host
  const ids = files.list(paths.events).flatMap((name) => {
    const digits = /^(\d{16})\.jsonl$/.exec(name)?.[1]
    return digits === undefined ? [] : [Number(digits)]
  })
  const segments = ids.sort((a, b) => a - b).map((firstId) => segmentAt(host, firstId))
  const newest = segments.at(-1)
  const { lastId, isTorn } = newest === undefined ? { lastId: 0, isTorn: false } : endOf(host, newest)
  const marked = Number(files.read(paths.eventsMark)?.text ?? 0)
  const isLost = marked > (newest?.firstId ?? 0)
  return { segments, lastId: isLost ? marked + IDS_OF_A_SEGMENT : lastId, isTorn }
}

/** Creates the segment whose first event has this id, durably, and notes it outside of the segments. */
export async function createSegment(host: SegmentHost, firstId: number): Promise<Segment> {
  const { files, paths } = host
  const path = segmentPath(host, firstId)
  // One that is there already has no event.
  await files.remove(path)
  await files.write(path, '', 0o600)
  await files.syncFile(path)
  await files.syncFolder(paths.events)
  await replaceText(host, paths.eventsMark, String(firstId))
  return { firstId, fromMs: host.clock.nowMs(), bytes: 0 }
}

/**
 * The whole lines of a segment from `offset` on, at most 64 KiB of them; `next` is where the next read begins, and `offset` itself at the end. Of
 * the last line, only the line feed may be missing after a power cut.
 */
export function readLines(
  host: Pick<Host, 'files' | 'paths'>,
  { firstId }: Segment,
  offset: number,
): { readonly lines: readonly string[]; readonly next: number } {
  const { text, next } = host.files.readFrom(segmentPath(host, firstId), offset)
  const lines = text.split('\n')
  const tail = lines.pop() ?? ''
  const isWhole = idOf(tail) !== undefined && readLine(tail) !== undefined
  return isWhole ? { lines: [...lines, tail], next: offset + Buffer.byteLength(text) + 1 } : { lines, next }
}

function segmentAt(host: SegmentHost, firstId: number): Segment {
  const { lines } = readLines(host, { firstId, fromMs: 0, bytes: 0 }, 0)
  const first = lines.find((line) => idOf(line) !== undefined)
  const at = first === undefined ? undefined : readLine(first)?.at
  const bytes = host.files.size(segmentPath(host, firstId))
  return { firstId, fromMs: at === undefined ? host.clock.nowMs() : Date.parse(at), bytes }
}

function endOf(host: SegmentHost, segment: Segment): { readonly lastId: number; readonly isTorn: boolean } {
  let lastId = segment.firstId - 1
  let offset = 0
  for (;;) {
    const { lines, next } = readLines(host, segment, offset)
    for (const line of lines) lastId = Math.max(lastId, idOf(line) ?? 0)
    if (next === offset) return { lastId, isTorn: offset !== segment.bytes }
    offset = next
  }
}
