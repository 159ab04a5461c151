/** Calls of the API. The page is a client like any other: what it does, a program can do by the same call. */
import { after, nowMs } from './browser.ts'

/** The page is at `<base>/ui/`, whatever is in front. */
const BASE = new URL('..', location.href)
const KEY = 'proxy-manager-session-key'
/** Browsers queue a seventh connection to one origin without a word. */
const HEADERS_WITHIN_MS = 8000
/** After this long without a key or a click, what the page reads is no use of the session. */
const IN_USE_MS = 60_000

let usedAtMs = nowMs()
for (const type of ['pointerdown', 'keydown'])
  addEventListener(
    type,
    () => {
      usedAtMs = nowMs()
    },
    { capture: true, passive: true },
  )

export type Method = 'GET' | 'PUT' | 'POST' | 'DELETE'

export interface CallOptions {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** The page calls by itself: unless somebody uses it, that does not keep a session from becoming idle. */
  readonly isInBackground?: boolean
  readonly signal?: AbortSignal
}

export interface ApiAnswer {
  readonly status: number
  /** What the API answers under this path and method; the page shows what is there. */
  readonly json: unknown
  readonly etag: string | null
}

/** An error of the API, or of the way to it (`UNREACHABLE`). */
export class ApiError extends Error {
  readonly status: number
  readonly code: string
  readonly details: Readonly<Record<string, unknown>>

  constructor(status: number, code: string, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(message)
    this.status = status
    this.code = code
    this.details = details
  }
}

/** @throws {ApiError} */
export async function callApi(method: Method, path: string, options: CallOptions = {}): Promise<ApiAnswer> {
  const response = await send(method, path, options)
  const json: unknown = await response.json().catch(() => undefined)
  // An unhealthy host answers 503 with its health, which is no error.
  if (response.ok || (isObject(json) && json.error === undefined))
    return { status: response.status, json, etag: response.headers.get('etag') }
  throw errorOf(response.status, json)
}

/**
 * Opens a stream of the API.
 * @throws {ApiError} also if no answer begins within 8 s
 */
export async function openStream(
  path: string,
  { signal, headers = {} }: Pick<CallOptions, 'signal' | 'headers'>,
): Promise<ReadableStream<string>> {
  const given = signal === undefined ? [] : [signal]
  const opening = new AbortController()
  const stopWaiting = after(HEADERS_WITHIN_MS, () => opening.abort())
  const response = await send('GET', path, {
    headers: { accept: 'text/event-stream', ...headers },
    signal: AbortSignal.any([...given, opening.signal]),
  })
  stopWaiting()
  if (!response.ok || response.body === null)
    throw errorOf(response.status, await response.json().catch(() => undefined))
  return response.body.pipeThrough(new TextDecoderStream())
}

async function send(method: Method, path: string, options: CallOptions): Promise<Response> {
  const { body, headers = {}, isInBackground = false, signal } = options
  const key = sessionStorage.getItem(KEY)
  try {
    return await fetch(new URL(`.${path}`, BASE), {
      method,
      headers: {
        accept: 'application/json',
        ...(key === null ? {} : { 'x-session-key': key }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(isInBackground && nowMs() - usedAtMs > IN_USE_MS ? { 'x-background': '1' } : {}),
        ...headers,
      },
      cache: 'no-store',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    })
  } catch {
    throw new ApiError(0, 'UNREACHABLE', 'Proxy Manager cannot be reached')
  }
}

function errorOf(status: number, json: unknown): ApiError {
  const error = field(json, 'error')
  const code = field(error, 'code')
  const message = field(error, 'message')
  const details = field(error, 'details')
  if (typeof code !== 'string' || typeof message !== 'string')
    return new ApiError(status, 'UNREACHABLE', `Not Proxy Manager, but something else has answered (status ${status})`)
  return new ApiError(status, code, message, isObject(details) ? details : {})
}

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A field of a JSON object; `undefined` if it is missing. */
export function field(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined
}

export interface Session {
  readonly grant: 'all' | 'read'
  readonly name: string | null
}

/**
 * Opens a session. The token itself is not kept.
 * @throws {ApiError}
 */
export async function logIn(token: string): Promise<void> {
  const { json } = await callApi('POST', '/session', { headers: { authorization: `Bearer ${token}` } })
  const [key, name] = [field(json, 'key'), field(json, 'name')]
  sessionStorage.setItem(KEY, String(key))
  const grant = field(json, 'grant') === 'all' ? 'all' : 'read'
  sessionStorage.setItem(`${KEY}-of`, JSON.stringify({ grant, name }))
}

/** The session of this tab; without one, the host may need none. */
export function ownSession(): Session {
  const text = sessionStorage.getItem(`${KEY}-of`)
  const kept: unknown = text === null ? undefined : JSON.parse(text)
  const name = field(kept, 'name')
  return { grant: field(kept, 'grant') === 'read' ? 'read' : 'all', name: typeof name === 'string' ? name : null }
}

export function hasSession(): boolean {
  return sessionStorage.getItem(KEY) !== null
}

export async function logOut(): Promise<void> {
  await callApi('DELETE', '/session').catch(() => undefined)
  for (const name of [KEY, `${KEY}-of`]) sessionStorage.removeItem(name)
}
