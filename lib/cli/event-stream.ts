/** Streams of events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as this API sends them. */
import * as v from 'valibot'

/** The address of the API, and the headers that authenticate a call. */
export interface Target {
  readonly base: string
  readonly credentials: Readonly<Record<string, string>> | undefined
}

export interface StreamedEvent {
  /** Pass it as `after` to continue; missing if the event is not kept. */
  readonly id: number | undefined
  readonly type: string
  readonly json: unknown
}

/** The API has answered with something else than a stream. */
export class NoStream extends Error {
  readonly status: number
  readonly answer: string

  constructor(status: number, answer: string) {
    super(`status ${status}`)
    this.status = status
    this.answer = answer
  }
}

/** The path of events with a query; an `undefined` parameter is left out. */
export function withQuery(path: string, query: Readonly<Record<string, unknown>>): string {
  const parameters = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)]],
  )
  return parameters.length === 0 ? path : `${path}?${new URLSearchParams(parameters)}`
}

/**
 * Opens a stream and calls back for each event, until the API ends it.
 * @throws {NoStream} if there is none
 * @throws {Error} if the API cannot be reached, the connection breaks, or the signal is aborted
 */
export async function readStream(
  { base, credentials }: Target,
  query: Readonly<Record<string, unknown>>,
  onEvent: (event: StreamedEvent) => void,
  { signal, onOpen }: { readonly signal?: AbortSignal; readonly onOpen?: () => void } = {},
): Promise<void> {
  const headers = { accept: 'text/event-stream', ...credentials }
  const init = { headers, redirect: 'error' as const, ...(signal === undefined ? {} : { signal }) }
  const response = await fetch(`${base}${withQuery('/events', query)}`, init)
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
  if (!isStream || response.body === null) throw new NoStream(response.status, await response.text())
  onOpen?.()
  let rest = ''
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const blocks = `${rest}${text}`.split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const event = parseBlock(block)
      if (event !== undefined) onEvent(event)
    }
  }
}

const Id = v.pipe(v.string(), v.regex(/^\d{1,16}$/), v.transform(Number))

/** The event of a block; `undefined` if it is a comment or only a `retry`. */
function parseBlock(block: string): StreamedEvent | undefined {
  const {
    id,
    event = 'message',
    data,
  } = Object.fromEntries(
    block.split('\n').map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')]
    }),
  )
  if (data === undefined) return undefined
  const known = v.safeParse(Id, id)
  try {
    return { id: known.success ? known.output : undefined, type: event, json: JSON.parse(data) }
  } catch {
    return undefined
  }
}
