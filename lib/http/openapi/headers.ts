/** Response headers in the API's description. */
import type { HeaderName, ResponseHeaders } from '../operation.ts'

export type JsonObject = { readonly [key: string]: unknown }

const DESCRIPTIONS: readonly (readonly [HeaderName, string])[] = [
  ['ETag', "The route's revision, for If-Match on a later change"],
  ['Location', 'Path of the new route'],
  ['Server-Timing', 'Milliseconds of the change: queue, probe, test, swap, reload, confirm'],
  ['WWW-Authenticate', 'Bearer, with error="invalid_token" if the token that was presented is not valid'],
  ['Set-Cookie', 'The first half of the session'],
  ['Retry-After', 'Seconds to wait before the next attempt'],
]

/** The headers of responses that share a status; a header that only some of them have is not required. */
export function describeHeaders(responses: readonly ResponseHeaders[]): JsonObject {
  const described = DESCRIPTIONS.filter(([name]) => responses.some((headers) => name in headers)).map(
    ([name, description]) => {
      const required = responses.every((headers) => headers[name] === 'always')
      return [name, header(description, required)] as const
    },
  )
  return { 'X-Correlation-ID': header('The id of this request', true), ...Object.fromEntries(described) }
}

function header(description: string, required: boolean): JsonObject {
  return { description, schema: { type: 'string' }, required }
}
