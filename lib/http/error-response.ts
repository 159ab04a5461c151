/** The only place that knows the UDC error body. */
import { ProxyManagerError } from '../errors.ts'

/** A response from which both a Fetch Response and the text on a raw socket can be made. */
export interface PlainResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Any thrown value as the UDC error of this request; what is not in the catalogue becomes INTERNAL, without its own message. */
export function errorResponse(thrown: unknown, correlationId: string): PlainResponse {
  const error = thrown instanceof ProxyManagerError ? thrown : new ProxyManagerError('INTERNAL', { cause: thrown })
  const { status, headers, retryAfterS } = error
  return jsonResponse(status, correlationId, errorBody(error, correlationId), {
    ...headers,
    ...(retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) }),
  })
}

/** The same failure without what it says about this host, such as a file or a route; faults of the request itself stay. */
export function withoutEvidence(thrown: unknown): unknown {
  if (!(thrown instanceof ProxyManagerError)) return thrown
  const { code, headers, retryAfterS, details } = thrown
  const issues = details.issues === undefined ? {} : { details: { issues: details.issues } }
  return new ProxyManagerError(code, { headers, ...(retryAfterS === undefined ? {} : { retryAfterS }), ...issues })
}

/** A known error as the body of its answer. */
export function errorBody({ code, message, details }: ProxyManagerError, correlationId: string) {
  return { error: { code, message, details: { ...details, correlation_id: correlationId } } }
}

/** A JSON response with the headers that every response has. */
export function jsonResponse(
  status: number,
  correlationId: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
  toJson: (body: unknown) => string = JSON.stringify,
): PlainResponse {
  return textResponse(status, correlationId, toJson(body), 'application/json; charset=utf-8', headers)
}

/** A text response of any content type with the headers that every response has. */
export function textResponse(
  status: number,
  correlationId: string,
  text: string,
  contentType: string,
  headers: Readonly<Record<string, string>> = {},
): PlainResponse {
  return {
    status,
    body: text,
    headers: {
      'content-type': contentType,
      'content-length': String(Buffer.byteLength(text)),
      ...commonHeaders(correlationId),
      ...headers,
    },
  }
}

/** A response that continues; NGINX in front of it must not collect it first. */
export function streamResponse(correlationId: string, stream: ReadableStream, contentType: string): Response {
  const headers = { ...commonHeaders(correlationId), 'content-type': contentType, 'x-accel-buffering': 'no' }
  return new Response(stream, { headers })
}

function commonHeaders(correlationId: string) {
  return { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'x-correlation-id': correlationId }
}

/** As the Fetch API's Response. */
export function toResponse({ status, headers, body }: PlainResponse): Response {
  return new Response(body, { status, headers: { ...headers } })
}
