/** Request bodies: JSON of limited size and depth, without duplicate keys, which two parsers could read differently, and without keys that would be lost. */
import { ProxyManagerError } from '../errors.ts'
import { UNUSABLE_KEYS } from '../route/request-headers.ts'

/** Of a body, unless its operation permits more. */
export const BODY_LIMIT_BYTES = 64 * 1024
/** A message with a route in it has six levels; recursive code, JSON.stringify included, runs out of stack at some thousands. */
export const DEPTH_LIMIT = 32

/**
 * The parsed JSON body; `missing` if there is none.
 * @throws {ProxyManagerError} PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST
 */
export async function readJsonBody(request: Request, missing?: unknown, limit = BODY_LIMIT_BYTES): Promise<unknown> {
  const declared = request.headers.get('content-length')
  if (declared !== null && Number(declared) > limit) throw tooLarge(limit)
  const bytes = await readBytes(request, limit)
  if (bytes.length === 0) return missing
  const type = request.headers.get('content-type') ?? ''
  const encoding = request.headers.get('content-encoding') ?? 'identity'
  if (!/^application\/json\s*(;|$)/i.test(type) || encoding !== 'identity')
    throw new ProxyManagerError('UNSUPPORTED_MEDIA_TYPE')
  return parseJson(decode(bytes))
}

/** Just stops reading at the limit: cancelling the stream, or leaving a `for await` over it, would close the socket before the answer. */
async function readBytes(request: Request, limit: number): Promise<Uint8Array> {
  const reader = request.body?.getReader()
  const chunks: Uint8Array[] = []
  let size = 0
  for (;;) {
    // A stream fails if the caller has disconnected.
    const next = await reader?.read().catch(() => {
      throw endedPrematurely()
    })
    if (next === undefined || next.done) return Buffer.concat(chunks)
    size += next.value.byteLength
    if (size > limit) throw tooLarge(limit)
    chunks.push(next.value)
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw invalid('the body is not UTF-8')
  }
}

function parseJson(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw invalid('the body is not JSON')
  }
  assertUnambiguous(text)
  return value
}

/**
 * JSON.parse keeps the last of two equal keys and other parsers the first (RFC 8259, 4), so such a body is ambiguous; and a parser may limit
 * nesting (9). Scans text that JSON.parse has accepted: a string before a colon is a key of the innermost open object.
 */
function assertUnambiguous(text: string): void {
  const open: Set<string>[] = []
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"\s*:?|[{}[\]]/g)) {
    if (token === '{' || token === '[') {
      if (open.length === DEPTH_LIMIT) throw invalid(`the body is nested deeper than ${DEPTH_LIMIT} levels`)
      open.push(new Set())
    } else if (token === '}' || token === ']') open.pop()
    else if (token.endsWith(':')) {
      const key: unknown = JSON.parse(token.slice(0, -1))
      const keys = open.at(-1)
      if (typeof key !== 'string' || keys === undefined) continue
      if (keys.has(key)) throw invalid('the body has the same key twice', key)
      // It would be left out of a record, as if it had not been sent.
      if (UNUSABLE_KEYS.has(key)) throw invalid('no key has this name', key)
      keys.add(key)
    }
  }
}

function tooLarge(limit: number): ProxyManagerError {
  // The rest of the body is never read, so the connection is closed after the answer.
  return new ProxyManagerError('PAYLOAD_TOO_LARGE', {
    message: `The body is larger than ${limit / 1024} KiB`,
    headers: { connection: 'close' },
  })
}

function endedPrematurely(): ProxyManagerError {
  return new ProxyManagerError('INVALID_REQUEST', {
    details: { issues: [{ path: '', message: 'the request body ended prematurely' }] },
    headers: { connection: 'close' },
  })
}

function invalid(message: string, path = ''): ProxyManagerError {
  return new ProxyManagerError('INVALID_REQUEST', { details: { issues: [{ path, message }] } })
}
