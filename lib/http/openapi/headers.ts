/** The headers of answers, in the API's description. */
import type { ErrorCode } from '../../errors.ts'
import type { JsonObject } from './json.ts'

const WORDS = {
  'X-Correlation-ID': 'The id of this request',
  ETag: "The route's revision, for If-Match on a later change",
  Location: 'Path of the new route',
  'Server-Timing': 'Milliseconds of the change: queue, probe, test, swap, reload, confirm',
  'WWW-Authenticate': 'Bearer, with error="invalid_token" where a token was shown that is not good',
  'Retry-After': 'Seconds to wait before the next attempt',
} as const
type HeaderName = keyof typeof WORDS

/** Whether it is on every answer of that status. */
type Presence = 'always' | 'sometimes'
type Headers = { readonly [N in HeaderName]?: Presence }

// A dry run has no ETag and no times, and is a 200. Of a 202, only a route that is new has a Location.
const PUT: Readonly<Record<string, Headers>> = {
  200: { ETag: 'sometimes', 'Server-Timing': 'sometimes' },
  201: { ETag: 'always', Location: 'always', 'Server-Timing': 'always' },
  202: { ETag: 'always', Location: 'sometimes', 'Server-Timing': 'always' },
}
/** What good answers have beside the correlation id, by the name of their operation, then by their status. */
const OF_ANSWERS: Readonly<Record<string, Readonly<Record<string, Headers>>>> = {
  putProxy: PUT,
  createProxy: PUT,
  getProxy: { 200: { ETag: 'always' } },
  deleteProxy: { 200: { 'Server-Timing': 'sometimes' } },
  issueCertificate: { 200: { ETag: 'sometimes', 'Server-Timing': 'sometimes' } },
}

const OF_ERRORS: { readonly [C in ErrorCode]?: Headers } = {
  // Only the caller who has to wait for the Registry's key is told how long.
  UNAUTHORIZED: { 'WWW-Authenticate': 'always', 'Retry-After': 'sometimes' },
  TOO_MANY_ATTEMPTS: { 'Retry-After': 'always' },
  SSL_RATE_LIMITED: { 'Retry-After': 'always' },
  BUSY: { 'Retry-After': 'always' },
}

/** The headers of what an operation answers by itself with this status. */
export function answerHeaders(operationId: string, status: string): JsonObject {
  return describeHeaders([OF_ANSWERS[operationId]?.[status] ?? {}])
}

/** The headers of the errors that share a status. */
export function errorHeaders(codes: readonly ErrorCode[]): JsonObject {
  return describeHeaders(codes.map((code) => OF_ERRORS[code] ?? {}))
}

/** A header that not all of these have is not always there. */
function describeHeaders(all: readonly Headers[]): JsonObject {
  const isRequired = (name: HeaderName) => all.every((headers) => headers[name] === 'always')
  const header = (name: HeaderName, required: boolean) => [
    name,
    { description: WORDS[name], schema: { type: 'string' }, required },
  ]
  const names = Object.keys(WORDS).filter((name): name is HeaderName => all.some((headers) => name in headers))
  return Object.fromEntries([header('X-Correlation-ID', true), ...names.map((name) => header(name, isRequired(name)))])
}
